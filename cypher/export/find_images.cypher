// The internal ids of images, in the order of their ids; -1 for an image that does not exist.
// param images list: ids of images
UNWIND $images AS image
OPTIONAL MATCH (i:Image {id: image})
RETURN collect(coalesce(id(i), -1)) AS ids
