// Records that the platform's own records in the graph have this version.
// param layout integer: the version
MERGE (p:Platform {id: 'kgplatform'})
SET p.layout = $layout
