// Removes the label of a presence from entities whose presence no run asserts any more.
MATCH (e:Entity&(Present|Absent|Uncertain))
WHERE e.presence IS NULL
CALL (e) {
  REMOVE e:Present:Absent:Uncertain
} IN TRANSACTIONS OF 10000 ROWS
