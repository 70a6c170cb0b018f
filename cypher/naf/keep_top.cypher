// Algorithm 1 (MedMKG, appendix F.4): keeps the images from the top down to the cut-off rank, and only those.
// param cutoff integer: the last rank that is kept
MATCH (i:Image)
SET i.naf_kept = coalesce(i.naf_rank <= $cutoff, false)
RETURN count(i) AS images
