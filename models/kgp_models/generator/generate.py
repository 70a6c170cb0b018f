"""Triplets from images and reports by a trained generator: batched, by beam search, each triplet with a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from kgp_models.generator.checkpoint import Checkpoint
from kgp_models.generator.grammar import TripletsOnly
from kgp_models.generator.language import prompt_length, prompt_tokens
from kgp_models.generator.search import most_probable
from kgplatform.errors import InputError, UsageError
from kgplatform.generate.backend import Asked, Reply, Scored
from kgplatform.triplets.text import Triplet, parse

T = TypeVar("T")

BUCKET: Final = 16  # batches that are sorted by length together
IMAGE_READERS: Final = 4  # threads


@dataclass(frozen=True)
class Decoding:
    """How replies are searched for. The paper: beam search, 512 new tokens; it does not say how many beams (4)."""

    beams: int = 4
    max_new_tokens: int = 512
    batch: int = 16
    constrained: bool = False

    def __post_init__(self) -> None:
        """Raises `UsageError` for a number out of range."""
        limits = {"beams": (self.beams, 64), "max_new_tokens": (self.max_new_tokens, 4096), "batch": (self.batch, 1024)}
        for name, (value, highest) in limits.items():
            if not 1 <= value <= highest:
                raise UsageError(f"{name} must be 1 to {highest}")


def device() -> str:
    """Where models run: on the first GPU, where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Generator:
    """A checkpoint that writes triplets; a `kgplatform.generate.backend.Backend`."""

    def __init__(self, trained: Checkpoint, decoding: Decoding = Decoding()) -> None:
        self.trained = trained
        self.decoding = decoding
        self._tokenizer = trained.tokenizer
        width = int(trained.model.language.get_input_embeddings().weight.shape[0])
        self._grammar = TripletsOnly(self._tokenizer, width) if decoding.constrained else None
        self.name = trained.name
        self.sha256 = trained.sha256
        self.trained_on = trained.trained_on
        self.parameters: Mapping[str, Any] = {
            "beams": decoding.beams,
            "max_new_tokens": decoding.max_new_tokens,
            "constrained": decoding.constrained,
            "best": "the most probable reply",  # not by probability a token
        }

    def replies(self, asked: Iterator[Asked]) -> Iterator[list[Reply]]:
        """Batches of replies, in an order of their own: those of like length together. Images are read ahead."""
        with ThreadPoolExecutor(IMAGE_READERS) as readers:
            for bucket in buckets(self._ahead(asked, readers), self.decoding.batch * BUCKET):
                bucket.sort(key=lambda pair: len(pair[0].report), reverse=True)
                for start in range(0, len(bucket), self.decoding.batch):
                    yield self._batch(bucket[start : start + self.decoding.batch])

    def _ahead(self, asked: Iterator[Asked], readers: ThreadPoolExecutor) -> Iterator[tuple[Asked, Any]]:
        """Each with its image, which is being read while earlier ones are used."""
        waiting: list[tuple[Asked, Any]] = []
        for one in asked:
            if self.trained.vision is None:
                one = one._replace(image=None)  # it is told of as one that was not looked at
            waiting.append((one, readers.submit(self._pixels, one)))
            if len(waiting) > 2 * self.decoding.batch:
                yield waiting.pop(0)
        yield from waiting

    def _pixels(self, one: Asked) -> Tensor | str | None:
        """The image as the encoder reads it, None where the generator reads reports alone; or why not."""
        if self.trained.vision is None:
            return None if one.report else "there is no report, and this generator reads nothing else"
        if one.image is None:
            return "there is no image, and this generator needs one"
        try:
            return self.trained.vision.pixels(one.image)
        except InputError as error:
            return error.message

    def _batch(self, pairs: Sequence[tuple[Asked, Any]]) -> list[Reply]:
        read = [(one, waiting.result()) for one, waiting in pairs]
        bad = [Reply(one, "", (), problem=pixels) for one, pixels in read if isinstance(pixels, str)]
        good = [(one, pixels) for one, pixels in read if not isinstance(pixels, str)]
        if not good:
            return bad
        image = None
        if self.trained.vision is not None:
            image = self.trained.vision.encode([pixels for _, pixels in good]).to(self.trained.model.device)
        return [*self.write([one for one, _ in good], image), *bad]

    @torch.inference_mode()
    def write(self, asked: Sequence[Asked], image: Tensor | None) -> list[Reply]:
        """The replies to a batch; `image` are the encoder's vectors, (B, width)."""
        given = self._prompts(asked)
        embeddings, mask = self.trained.model.embedded(given["input_ids"], given["attention_mask"], image)
        written = most_probable(
            self.trained.model.language,
            embeddings,
            mask,
            beams=self.decoding.beams,
            longest=self.decoding.max_new_tokens,
            end=self._tokenizer.eos_token_id,
            held=self._grammar,
        )
        return [
            self._reply(one, *found) if found.tokens else Reply(one, "", (), problem="the model gave no numbers")
            for one, found in zip(asked, written, strict=True)
        ]

    def _prompts(self, asked: Sequence[Asked]) -> Any:
        """The prompts as tokens, padded on the left; the end of a report that is too long is cut."""
        longest = self.trained.settings.max_length
        instruction = self.trained.settings.instruction
        rows = [prompt_tokens(self._tokenizer, instruction, one.report, longest) for one in asked]
        width = max(map(len, rows))
        ids = torch.tensor([[self._tokenizer.pad_token_id] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        device = self.trained.model.device
        return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}

    def _unread(self, asked: Asked) -> int:
        """Tokens of the report that are cut."""
        settings = self.trained.settings
        return max(0, prompt_length(self._tokenizer, settings.instruction, asked.report) - settings.max_length)

    def _reply(self, asked: Asked, row: Sequence[int], chances: Sequence[float]) -> Reply:
        """The reply of a row of tokens: its triplets, each with the mean over the tokens of its part."""
        finished = self._tokenizer.eos_token_id in row
        end = row.index(self._tokenizer.eos_token_id) if finished else len(row)
        row, chances = row[:end], chances[:end]
        text = self._tokenizer.decode(row, skip_special_tokens=True)
        parsed = parse(text)
        scores: dict[Triplet, float] = {}
        for first, last in _parts([self._tokenizer.decode([token]) for token in row]):
            for triplet in parse(self._tokenizer.decode(row[first:last], skip_special_tokens=True)).triplets:
                scores.setdefault(triplet, math.exp(sum(chances[first:last]) / (last - first)))
        whole = math.exp(sum(chances) / len(chances)) if chances else 0.0
        triplets = tuple(Scored(one, scores.get(one, whole)) for one in parsed.triplets)
        unread = self._unread(asked)
        return Reply(asked, text, triplets, parsed.left_out, len(row), unread=unread, finished=finished)


def buckets(coming: Iterable[tuple[Asked, T]], size: int) -> Iterator[list[tuple[Asked, T]]]:
    """Groups of at most `size` neighbours, by position: a group is the same whether or not others were done before."""

    def group(numbered: tuple[int, tuple[Asked, T]]) -> int:
        count, (asked, _) = numbered
        return (count if asked.position is None else asked.position) // size

    for _, numbered in groupby(enumerate(coming), group):
        yield [pair for _, pair in numbered]


def _parts(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the parts between semicolons begin and end, by token."""
    start = 0
    for place, token in enumerate(tokens):
        if ";" in token:
            if place > start:
                yield start, place
            start = place + 1
    if start < len(tokens):
        yield start, len(tokens)
