"""LoRA on a language model: put on for a training, and added to the weights afterwards."""

from __future__ import annotations

import warnings
from typing import Any


def with_lora(language_model: Any, rank: int) -> Any:
    """The model with LoRA on all of its linear layers (Hu et al. 2022)."""
    from peft import LoraConfig, get_peft_model

    lora_config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a name that transformers is to give up
        return get_peft_model(language_model, lora_config)


def without_lora(language_model: Any) -> Any:
    """The plain model, LoRA's changes added to its weights."""
    return language_model.merge_and_unload() if hasattr(language_model, "merge_and_unload") else language_model
