// Records that the scores written in this transaction are up to date. Comes first in it: a load that is about
// to start waits, and marks the scores as out of date afterwards.
// param one_stance boolean: how conflicting stances are counted
MERGE (p:Platform {id: 'kgplatform'})
SET p.naf_current = true, p.naf_one_stance = $one_stance, p.naf_scored = datetime()
