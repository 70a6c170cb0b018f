"""RadGraph-style triplets (VLM-KG §2.1; RadGraph: Jain et al. 2021): as text, linked to concepts, compared."""
