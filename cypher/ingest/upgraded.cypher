// Notes that the platform's own notes in the graph are of this version.
// param layout integer: the version
MERGE (p:Platform {id: 'kgplatform'})
SET p.layout = $layout
