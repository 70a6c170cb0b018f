"""Models in open_clip's form from a folder on this machine: CLIP, BiomedCLIP, MedCSPCLIP.

Nothing is fetched. open_clip makes up weights where it finds none, and asks the hub for the architecture of a text
tower in transformers' form; both are prevented here.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

WEIGHTS: Final = (".safetensors", ".bin", ".pth", ".pt")


class OpenClip(NamedTuple):
    """A model whose towers are modules of their own: ``model.visual``, ``model.text``.

    `described` is `open_clip_config.json`; the pictures are squares of `size` pixels, scaled by `mean` and `deviation`;
    `padding` is the token that a text tower in transformers' form masks, None for open_clip's own.
    """

    model: Any
    described: dict[str, Any]
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    padding: int | None


def read_open_clip(folder: Path) -> OpenClip:
    """The model in the folder, which stays unchanged.

    A text tower in transformers' form, as BiomedCLIP's, names a model of the hub for its architecture; ``config.json``
    in the folder is read instead, and where there is none (BiomedCLIP is released without), the tower is taken for
    BERT-base. Weights that do not fit it are refused. Raises what open_clip, torch and safetensors do for a folder
    that holds no such model, and `FileNotFoundError` for one without weights.
    """
    import open_clip

    clip_config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    text_config = clip_config["model_cfg"]["text_cfg"]
    if not any(file_path.suffix in WEIGHTS for file_path in folder.iterdir()):
        raise FileNotFoundError("open_clip would use random weights")
    with TemporaryDirectory() as temporary_folder:  # open_clip takes the text tower's architecture by a name only
        config_changes = {}
        if text_config.get("hf_model_name"):
            _text_config(folder).save_pretrained(temporary_folder)
            config_changes["text_cfg"] = {
                **text_config,
                "hf_model_name": temporary_folder,
                "hf_model_pretrained": False,
            }
        # each tower as a separate module, whatever the configuration says
        model: Any = open_clip.create_model(f"local-dir:{folder}", force_custom_text=True, **config_changes)
    pixel_size = model.visual.image_size
    height, width = (pixel_size, pixel_size) if isinstance(pixel_size, int) else pixel_size
    if height != width:
        raise ValueError("its images are not square")
    preprocessing = model.visual.preprocess_cfg
    padding_id = int(model.text.config.pad_token_id) if config_changes else None
    return OpenClip(
        model, clip_config, int(height), tuple(preprocessing["mean"]), tuple(preprocessing["std"]), padding_id
    )


def _text_config(folder: Path) -> Any:
    """The architecture of an HF text tower: that in the folder, or BERT-base."""
    from open_clip.hf_configs import arch_dict
    from transformers import AutoConfig, BertConfig

    if (folder / "config.json").is_file():
        tower_config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if tower_config.model_type in arch_dict:
            return tower_config
    return BertConfig()
