"""Visual question answering with the graph's knowledge: KRISP, MKBN, K-PathVQA, EKGRL, MR-MKG (MedMKG §4.3)."""
