"""Texts as tokens of a text tower, which reads so many of them; and longer texts in parts that it reads one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

Tokens = Mapping[str, Tensor]  # each (B, T)

_CLAUSE: Final = re.compile(r"[^.;:,!?\n]+[.;:,!?\n]*\s*|[.;:,!?\n]+\s*")
_WORD: Final = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class Tokenize:
    """Cuts texts into tokens, each (B, T), `longest` a text at most; `count` is how many the whole text has."""

    encode: Callable[[Sequence[str]], Tokens]
    count: Callable[[str], int]
    longest: int

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """The tokens of texts; those after the `longest` first ones are left out."""
        return self.encode(texts)

    def longer(self, texts: Sequence[str]) -> int:
        """How many of the texts have more tokens than are read."""
        return sum(self.count(text) > self.longest for text in texts)

    def parts(self, text: str) -> list[str]:
        """The text in parts of `longest` tokens at most, which together are the text: cut between clauses, within a
        clause between words, within a word between characters.
        """
        return self._packed(_CLAUSE.findall(text), (_WORD.findall, list)) or [text]

    def _packed(self, pieces: Sequence[str], finer: Sequence[Callable[[str], list[str]]]) -> list[str]:
        found: list[str] = []
        part = ""
        for piece in pieces:
            if self.count(part + piece) <= self.longest:
                part += piece
                continue
            if part:
                found.append(part)
            part = piece
            if finer and self.count(piece) > self.longest:
                *whole, part = self._packed(finer[0](piece), finer[1:])
                found += whole
        return [*found, part] if part else found


def tokenize(tokenizer: Any, longest: int, *, lower: bool = False) -> Tokenize:
    """By a tokenizer in transformers' form; with T as the longest text needs."""

    def prepared(text: str) -> str:
        return (text.lower() or " ") if lower else text

    def encode(texts: Sequence[str]) -> Tokens:
        given = tokenizer(
            [prepared(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        return {name: given[name] for name in ("input_ids", "attention_mask")}

    def count(text: str) -> int:
        return len(tokenizer(prepared(text), verbose=False)["input_ids"])

    return Tokenize(encode, count, longest)


def in_parts(tokens: Tokenize, texts: Sequence[str], vectors: Callable[[Sequence[str]], Tensor]) -> Tensor:
    """The vectors of texts, (n, width). That of a text in several parts is the mean of theirs, each of length 1 and
    weighted by its tokens, so that no word is left out.
    """
    parts = [[text] if tokens.count(text) <= tokens.longest else tokens.parts(text) for text in texts]
    found = vectors([part for those in parts for part in those])
    if len(found) == len(texts):
        return found
    rows = []
    for those, of in zip(parts, torch.split(found, [len(those) for those in parts]), strict=True):
        weights = torch.tensor([float(tokens.count(part)) for part in those], device=of.device).unsqueeze(1)
        mean = (functional.normalize(of.float(), dim=-1) * weights).sum(0) / weights.sum()
        rows.append(of[0] if len(those) == 1 else functional.normalize(mean, dim=-1).to(of.dtype))
    return torch.stack(rows)
