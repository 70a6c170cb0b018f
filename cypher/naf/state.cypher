// Whether the scores are up to date, and how conflicting stances were counted.
OPTIONAL MATCH (p:Platform {id: 'kgplatform'})
RETURN coalesce(p.naf_current, false) AS current, coalesce(p.naf_one_stance, false) AS one_stance,
       EXISTS { MATCH (i:Image) WHERE i.naf_rank IS NOT NULL } AS scored
