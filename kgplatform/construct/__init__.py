"""From reports to image-concept edges: MedMKG's construction (paper §3.2-3.3, appendix F), on this machine."""
