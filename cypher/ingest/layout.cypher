// Which version of the platform's own notes the graph has; 0 for those of versions that did not say.
OPTIONAL MATCH (p:Platform {id: 'kgplatform'})
RETURN coalesce(p.layout, 0) AS layout
