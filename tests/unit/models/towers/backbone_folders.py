"""Folders of backbones in the forms in which they are released, with random weights; and how they are damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from kgp_models.towers.backbone import WIDTH

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

HUB = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"  # as BiomedCLIP's configuration names it
MEAN, DEVIATION = (0.1, 0.2, 0.3), (0.5, 0.25, 0.2)
NARROW = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def save_clip(folder: Path) -> Any:
    """CLIPModel, its tokenizer with CLIP's real vocabulary, its image processor, as transformers saves them."""
    tokenizer = open_clip.SimpleTokenizer()
    special_tokens = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {special_tokens.get(token, token): token_id for token, token_id in tokenizer.encoder.items()}
    merge_pairs = [merge_pair for merge_pair in tokenizer.bpe_ranks if len(merge_pair) == 2]
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merge_pairs).save_pretrained(folder)
    image_size = {"height": 32, "width": 32}
    processor = transformers.CLIPImageProcessor(
        size=image_size, crop_size=image_size, image_mean=list(MEAN), image_std=list(DEVIATION)
    )
    processor.save_pretrained(folder)
    clip_config = transformers.CLIPConfig(
        text_config={**NARROW, "vocab_size": len(vocabulary)},
        vision_config={**NARROW, "image_size": 32, "patch_size": 16},
        projection_dim=WIDTH,
        logit_scale_init_value=3.5,
    )
    torch.manual_seed(1)
    model = transformers.CLIPModel(clip_config).eval()
    model.save_pretrained(folder)
    return model


def described(folder: Path, config: dict[str, Any]) -> None:
    """The configuration as open_clip saves it."""
    folder.mkdir(exist_ok=True)
    document = {"model_cfg": config, "preprocess_cfg": {"mean": MEAN, "std": DEVIATION}}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")


def plain_open_clip(folder: Path, token_limit: int = 77) -> Any:
    """CLIP in open_clip's form, with open_clip's own tokenizer."""
    clip_config = {
        "embed_dim": WIDTH,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": token_limit, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    described(folder, clip_config)
    torch.manual_seed(2)
    model = open_clip.CLIP(**clip_config, init_logit_scale=3.0).eval()
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return model


def save_bert_tokenizer(folder: Path) -> int:
    """The tokenizer of a small BERT; how many tokens it knows."""
    folder.mkdir(exist_ok=True)
    letters = [chr(letter) for letter in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pleural", "effusion", "heart", "no", ";", *letters]
    tokens += [f"##{letter}" for letter in letters]
    transformers.BertTokenizer(vocab={token: token_id for token_id, token in enumerate(tokens)}).save_pretrained(folder)
    return len(tokens)


def bert(folder: Path, tokens: int) -> Any:
    bert_config = transformers.BertConfig(**NARROW, vocab_size=tokens, max_position_embeddings=256)
    bert_config.save_pretrained(folder)
    return bert_config


def biomedical(text_model: str) -> dict[str, Any]:
    """BiomedCLIP's configuration, with a smaller image tower."""
    return {
        "embed_dim": WIDTH,
        "vision_cfg": {
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
        "text_cfg": {
            "hf_model_name": text_model,
            "hf_tokenizer_name": text_model,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        },
    }


def biomedclip(folder: Path) -> Any:
    """A timm ViT and a BERT whose architecture and tokenizer are in the folder, but named as a model of the hub."""
    bert(folder, save_bert_tokenizer(folder))
    clip_config = biomedical(str(folder))
    clip_config["text_cfg"]["hf_model_pretrained"] = False
    torch.manual_seed(3)
    model = open_clip.CustomTextCLIP(**clip_config).eval()
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    described(folder, biomedical(HUB))
    return model


class HostileBackbonePickle:
    """Pickled, it would make a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def emptied(folder: Path, name: str) -> None:
    """Take out what the name says."""
    weight_paths = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    if name == "weights":
        for file_path in weight_paths:
            file_path.unlink()
    elif name == "damaged weights":
        for file_path in weight_paths:
            file_path.write_bytes(file_path.read_bytes()[:2000])
    elif name == "tokenizer":
        for file_path in (*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("merges*")):
            file_path.unlink()
    elif name == "damaged tokenizer":
        (folder / "tokenizer.json").write_text('{"model": 1', encoding="utf-8")
    else:
        for file_path in folder.glob("*config.json"):
            file_path.write_text("[]", encoding="utf-8")
