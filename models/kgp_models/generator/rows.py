"""What both stages are trained on: records as rows, their order, and batches of them as tensors."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from kgp_models.generator.language import Example, example_tokens, prompt_length
from kgp_models.generator.records import Record, Study, mixed, thinned
from kgp_models.generator.settings import GeneratorSettings
from kgplatform.triplets.text import entity, serialise

logger = logging.getLogger(__name__)
BUCKET: Final = 16  # batches whose rows are sorted by length together
THIN_SHARES: Final = (0.25, 0.5, 0.75)  # of the sentences of a thinned report are left out


class Buckets(Sampler[int]):
    """An order in which rows of like length are in one batch, and the batches in none: of `BUCKET` batches' rows at
    random, sorted, the batches are shuffled.

    transformers' ``group_by_length`` goes from long to short over and over, which kept the small model from learning to
    copy: a loss of 0.79 after 600 steps in place of 0.56.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths = lengths
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """As accelerate calls it; an epoch's order is the same after a kill."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"kgp buckets {self._seed} {self._epoch}")  # noqa: S311  not for secrets
        row_order = rng.sample(range(len(self._lengths)), len(self._lengths))
        bucket_size = self._batch * BUCKET
        for bucket_start in range(0, len(row_order), bucket_size):
            bucket_rows = sorted(
                row_order[bucket_start : bucket_start + bucket_size], key=lambda row_number: self._lengths[row_number]
            )
            batches = [
                bucket_rows[batch_start : batch_start + self._batch]
                for batch_start in range(0, len(bucket_rows), self._batch)
            ]
            full_batches = [batch for batch in batches if len(batch) == self._batch]
            rng.shuffle(full_batches)
            for batch in [*full_batches, *(batch for batch in batches if len(batch) < self._batch)]:
                yield from batch


def report_rows(chosen: Sequence[Study], settings: GeneratorSettings) -> list[Record]:
    """The records of stage 1: `copies` of each study, with sentences of other reports where settings ask for that."""
    stage_settings = settings.language
    rng = random.Random(f"kgp reports {settings.seed}")  # noqa: S311  not for secrets
    sentence_pool = [sentence for study in chosen for sentence in study.sentences]
    return [
        mixed(study, sentence_pool, stage_settings.mixed, rng).record()
        for _ in range(stage_settings.copies)
        for study in chosen
    ]


class VisualRows(Dataset[tuple[Record, Tensor]]):
    """Records of stage 2 with their image's vector; which sentences a report lacks is decided by the row's number."""

    def __init__(
        self, chosen: Sequence[Study], vectors: Tensor, settings: GeneratorSettings, same: Callable[[str], str] = entity
    ) -> None:
        """`vectors` are of the studies, (studies, width); `same` maps an entity to what it means."""
        visual_settings = settings.visual
        self._rows: list[tuple[Record, Tensor]] = []
        rng = random.Random(f"kgp generator {settings.seed}")  # noqa: S311  not for secrets
        sentence_pool = [sentence for study in chosen for sentence in study.sentences]
        kind_shares = [
            1.0 - visual_settings.thinned - visual_settings.without,
            visual_settings.thinned,
            visual_settings.without,
        ]
        for _ in range(visual_settings.copies):
            for study, image_vector in zip(chosen, vectors, strict=True):
                report_kind = rng.choices(("whole", "thinned", "without"), kind_shares)[0]
                if report_kind == "whole":
                    record = study.record()
                elif report_kind == "without":
                    record = study.record(set(), same)
                else:
                    mixed_study = mixed(study, sentence_pool, visual_settings.mixed, rng)
                    record = mixed_study.record(thinned(mixed_study, rng.choice(THIN_SHARES), rng), same)
                self._rows.append((record, image_vector))
        self.lengths = [len(record.report) + len(serialise(record.triplets)) for record, _ in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[Record, Tensor]:
        return self._rows[number]


class Collator:
    """Batches of records as tensors, padded on the right; only the answer's tokens count."""

    def __init__(self, tokenizer: Any, settings: GeneratorSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings

    def __call__(self, rows: Sequence[tuple[Record, Tensor]]) -> dict[str, Tensor]:
        """input_ids, attention_mask and labels, (B, T), and image, (B, width)."""
        examples = [tokenize_record(self._tokenizer, self._settings, record) for record, _ in rows]
        max_tokens = max(len(prompt_ids) + len(answer_ids) for prompt_ids, answer_ids in examples)
        token_ids = torch.full((len(rows), max_tokens), self._tokenizer.pad_token_id)
        labels = torch.full((len(rows), max_tokens), -100)
        attention_mask = torch.zeros((len(rows), max_tokens), dtype=torch.long)
        for row_index, (prompt_ids, answer_ids) in enumerate(examples):
            token_count = len(prompt_ids) + len(answer_ids)
            token_ids[row_index, :token_count] = torch.tensor(prompt_ids + answer_ids)
            labels[row_index, len(prompt_ids) : token_count] = torch.tensor(answer_ids)
            attention_mask[row_index, :token_count] = 1
        image_vectors = torch.stack([image_vector for _, image_vector in rows])
        return {"input_ids": token_ids, "attention_mask": attention_mask, "labels": labels, "image": image_vectors}


def warn_cut_reports(tokenizer: Any, settings: GeneratorSettings, chosen: Sequence[Study]) -> None:
    """Tell how many reports, with their triplets, have more tokens than are read."""
    token_counts = [
        prompt_length(tokenizer, settings.instruction, record.report)
        + len(tokenizer(serialise(record.triplets), verbose=False)["input_ids"])
        for record in (study.record() for study in chosen)
    ]
    if cut_count := sum(token_count > settings.max_length for token_count in token_counts):
        logger.warning(
            f"{cut_count:,} of {len(token_counts):,} training reports are longer than max_length, "
            f"{settings.max_length} tokens, and cut"
        )


def tokenize_record(tokenizer: Any, settings: GeneratorSettings, record: Record) -> Example:
    """A record as both stages train on it."""
    answer_text = serialise(record.triplets)
    return example_tokens(tokenizer, settings.instruction, record.report, answer_text, settings.max_length)
