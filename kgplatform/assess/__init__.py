"""Human assessment of the graph (MedMKG appendix G, Figure 1): a workbook for raters, and their agreement."""
