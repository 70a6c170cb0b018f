"""Link prediction: the 17 models of MedMKG's Table 2, stronger ones, baselines, and how they rank."""

import warnings

with warnings.catch_warnings():  # it uses torch.jit, of which torch warns at import
    warnings.simplefilter("ignore")
    import pykeen.models  # noqa: F401
