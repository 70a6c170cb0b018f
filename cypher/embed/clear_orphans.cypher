// Deletes the vectors of images and concepts that no longer exist because they were deleted by other means than an undo.
MATCH (v:ImageVector|ConceptVector)
WHERE NOT v:Thing
  AND (v:ImageVector AND NOT EXISTS { MATCH (:Image {id: v.id}) }
    OR v:ConceptVector AND NOT EXISTS { MATCH (:Concept {cui: v.cui}) })
CALL (v) {
  DELETE v
} IN TRANSACTIONS OF 1000 ROWS
RETURN count(*) AS cleared
