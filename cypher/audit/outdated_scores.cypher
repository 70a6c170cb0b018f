// Audit: images whose NaF score is older than the graph, among all images. Images that were never scored do not count.
OPTIONAL MATCH (p:Platform {id: 'kgplatform'})
WITH coalesce(p.naf_current, false) AS current
MATCH (i:Image)
RETURN count(CASE WHEN NOT current AND i.naf_rank IS NOT NULL THEN 1 END) AS count, count(*) AS of, [] AS examples
