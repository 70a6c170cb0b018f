"""Texts as tokens of a text tower, which reads so many of them; and longer texts in parts that it reads one at a
time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

Tokens = Mapping[str, Tensor]  # each (B, T), but for `STANCES`
STANCES: Final = "stances"  # which links a text states, (B, links), where a text tower reads them

_WORD: Final = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class Tokenize:
    """Cuts texts into tokens, each (B, T), `token_limit` a text at most; `count` is how many the whole text has."""

    encode: Callable[[Sequence[str]], Tokens]
    count: Callable[[str], int]
    token_limit: int

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """The tokens of texts; those after the `token_limit` first ones are left out."""
        return self.encode(texts)

    def longer(self, texts: Sequence[str]) -> int:
        """How many of the texts have more tokens than are read."""
        return sum(self.count(text) > self.token_limit for text in texts)

    def parts(self, text: str) -> list[str]:
        """The text in parts, each as long as is read: one after another, but for the last, which ends with the text and
        begins as early as it can. A short part says less of a text than one as long as those of the training
        (docs/search.md).
        """
        text_units = [
            text_unit
            for word in _WORD.findall(text)
            for text_unit in (word if self.count(word) > self.token_limit else (word,))
        ]
        text_parts, unit_start = [], 0
        while (unit_end := self._end(text_units, unit_start)) < len(text_units):
            text_parts.append("".join(text_units[unit_start:unit_end]))
            unit_start = unit_end
        while unit_start and self.count("".join(text_units[unit_start - 1 :])) <= self.token_limit:
            unit_start -= 1
        return [*text_parts, "".join(text_units[unit_start:])]

    def _end(self, units: Sequence[str], start: int) -> int:
        """Where a part ends that begins there; it has one unit at least."""
        part_end = start + 1
        while part_end < len(units) and self.count("".join(units[start : part_end + 1])) <= self.token_limit:
            part_end += 1
        return part_end


def tokenize(tokenizer: Any, token_limit: int, *, lower: bool = False) -> Tokenize:
    """By a tokenizer in transformers' form; with T as the longest text needs."""

    def prepared(text: str) -> str:
        return (text.lower() or " ") if lower else text

    def encode(texts: Sequence[str]) -> Tokens:
        encoding = tokenizer(
            [prepared(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=token_limit,
            return_tensors="pt",
        )
        return {input_name: encoding[input_name] for input_name in ("input_ids", "attention_mask")}

    def count(text: str) -> int:
        return len(tokenizer(prepared(text), verbose=False)["input_ids"])

    return Tokenize(encode, count, token_limit)


def in_parts(tokens: Tokenize, texts: Sequence[str], vectors: Callable[[Sequence[str]], Tensor]) -> Tensor:
    """The vectors of texts, (n, width). That of a text in several parts is the mean of theirs, each of length 1: no
    word is left out.
    """
    parts_by_text = [[text] if tokens.count(text) <= tokens.token_limit else tokens.parts(text) for text in texts]
    part_vectors = vectors([text_part for text_parts in parts_by_text for text_part in text_parts])
    if len(part_vectors) == len(texts):
        return part_vectors
    vector_rows = [
        text_vectors[0]
        if len(text_vectors) == 1
        else functional.normalize(functional.normalize(text_vectors, dim=-1).mean(0), dim=-1)
        for text_vectors in torch.split(part_vectors, [len(text_parts) for text_parts in parts_by_text])
    ]
    return torch.stack(vector_rows)


def tokens_on(tokens: Tokens, device: torch.device) -> Tokens:
    """The tokens on a device."""
    return {input_name: tensor.to(device) for input_name, tensor in tokens.items()}
