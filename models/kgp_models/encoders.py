"""Text encoders from local weights: any encoder that transformers reads, and CLIP models that open_clip reads.

Nothing is fetched: the argument is a folder on this machine, and no code from it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgplatform.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH: Final = 64  # texts
LONGEST: Final = 512  # tokens; reports have some 100


def transformer(folder: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """A sentence encoder in transformers' form: the mean of the last layer over the words (Reimers & Gurevych 2019).

    Returns a function from n texts to (n, dimension). Raises `InputError` where the folder holds none.
    """
    path = _folder(folder, "transformer")
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model = AutoModel.from_pretrained(path, local_files_only=True, trust_remote_code=False, use_safetensors=None)
    except (OSError, ValueError, KeyError):
        raise InputError(
            "transformers finds no text encoder here", "Give the folder with config.json.", path=path
        ) from None
    model.eval()
    longest = min(LONGEST, int(getattr(model.config, "max_position_embeddings", LONGEST)))

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                chosen = list(texts[start : start + BATCH])
                given = tokenizer(chosen, padding=True, truncation=True, max_length=longest, return_tensors="pt")
                hidden = model(**given).last_hidden_state  # (B, T, D)
                mask = given["attention_mask"].unsqueeze(-1)  # (B, T, 1)
                rows.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())  # (B, D)
        return np.concatenate(rows)

    return encode


def open_clip(folder: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """The text tower of a CLIP model in open_clip's form, as MedCSPCLIP and BioMedCLIP are released.

    Returns a function from n texts to (n, dimension). Raises `UsageError` where open_clip is not installed, and
    `InputError` where the folder holds no such model.
    """
    path = _folder(folder, "open-clip")
    try:
        import open_clip as clip
    except ImportError:
        raise UsageError("open_clip is not installed", "Install it: pip install open_clip_torch.") from None
    import torch

    try:
        model: Any = clip.create_model(f"local-dir:{path}")
        tokenizer: Any = clip.get_tokenizer(f"local-dir:{path}")
    except (OSError, ValueError, KeyError, RuntimeError):
        hint = "Give the folder with open_clip_config.json and the weights."
        raise InputError("open_clip finds no model here", hint, path=path) from None
    model.eval()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        with torch.inference_mode():
            rows = [
                model.encode_text(tokenizer(list(texts[start : start + BATCH]))).numpy()
                for start in range(0, len(texts), BATCH)
            ]
        return np.concatenate(rows)

    return encode


def _folder(folder: str, name: str) -> Path:
    path = Path(folder)
    if not folder or not path.is_dir():
        raise InputError("the encoder's weights are not there", f"Say {name}:FOLDER.")
    return path
