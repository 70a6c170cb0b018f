"""Stage II by a language model (MedMKG §3.3, appendix F.3), on any endpoint that speaks OpenAI's chat API."""
