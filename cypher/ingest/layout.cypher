// The version of the platform's own records in the graph; 0 where they have no version.
OPTIONAL MATCH (p:Platform {id: 'kgplatform'})
RETURN coalesce(p.layout, 0) AS layout
