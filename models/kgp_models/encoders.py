"""Text encoders from local weights, for the choice of studies: sentence encoders, and the text towers of CLIP models.

Nothing is fetched: the argument is a folder on this machine, and no code from it is run. A text that is longer than the
encoder reads is encoded in parts, whose vectors are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kgp_models.towers.tokens import Tokenize

BATCH: Final = 64  # texts
MAX_TOKENS: Final = 512  # tokens; reports have about 100


def transformer(folder: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """A sentence encoder in transformers' form: the mean of the last layer over the words (Reimers & Gurevych 2019).

    Returns a function from n texts to (n, dimension). Raises `InputError` where the folder holds none.
    """
    from kgp_models.towers.backbones import open_text

    tower = open_text(f"transformer:{folder}", MAX_TOKENS)
    return _by_batches(tower.tokens, lambda token_batch: tower.module(**token_batch))


def open_clip(folder: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """The text tower of a CLIP model in open_clip's form, as MedCSPCLIP and BiomedCLIP are released.

    Returns a function from n texts to (n, dimension). Raises `SettingsError` where open_clip is not installed, and
    `InputError` where the folder holds no such model.
    """
    from kgp_models.towers.backbones import open_backbone

    backbone = open_backbone(f"open-clip:{folder}", token_limit=MAX_TOKENS)
    return _by_batches(backbone.tokens, backbone.text_features)


def _by_batches(
    tokenize: Tokenize, embed: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np
        import torch

        from kgp_models.towers.tokens import in_parts

        with torch.inference_mode():
            batch_vectors = [
                in_parts(
                    tokenize, texts[batch_start : batch_start + BATCH], lambda part_texts: embed(tokenize(part_texts))
                ).numpy()
                for batch_start in range(0, len(texts), BATCH)
            ]
        return np.concatenate(batch_vectors)

    return encode
