// Keeps the listed images and only those.
// param images list: ids of the images to keep
MATCH (i:Image)
SET i.naf_kept = false
WITH count(i) AS images
UNWIND $images AS id
MATCH (i:Image {id: id})
SET i.naf_kept = true
RETURN images, count(i) AS kept
