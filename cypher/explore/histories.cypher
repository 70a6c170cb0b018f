// What patients had before, or their families, so their reports; which is no finding of the image. How many images and
// subjects, and the best images.
// param words string = "": a part of the concept's name, or its CUI; all when empty
// param examples integer = 5: how many images to name
// param limit integer = 100: how many rows
MATCH (i:Image) WHERE i.history IS NOT NULL OR i.family_history IS NOT NULL
WITH i ORDER BY i.naf_rank, i.id
UNWIND [concept IN coalesce(i.history, []) | ['patient', concept]]
  + [concept IN coalesce(i.family_history, []) | ['family', concept]] AS row
WITH i, row[0] AS history_of, row[1] AS concept WHERE toLower(concept) CONTAINS toLower($words)
WITH history_of, concept, count(i) AS images, count(DISTINCT i.subject_id) AS subjects, collect(i.id) AS ids
RETURN history_of, concept, images, subjects, ids[..$examples] AS best_images
ORDER BY images DESC, history_of, concept
LIMIT $limit
