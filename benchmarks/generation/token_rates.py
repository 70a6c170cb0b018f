"""Tokens a second of a generator: its own search in batches and one image at a time, and a plain loop of `generate`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from kgp_models.generator.checkpoint import load_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator, generator_device
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.generate.inputs import inputs
from kgplatform.triplets.text import report_text

BATCH: Final = 16
Row = TypeVar("Row")


def _image_requests(data: Path, count: int) -> list[GenerationRequest]:
    """Images with their reports, as `kgp generate` asks of them."""
    input_rows = [
        input_row
        for input_row in inputs(data, ids_by_path={}).rows
        if input_row.path is not None and input_row.path.is_file()
    ]
    return [
        GenerationRequest(input_row.id, input_row.path, report_text(input_row.sections.values()))
        for input_row in input_rows[:count]
    ]


def _batches(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    """The rows in the order in which they come."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


MOST_PROBABLE: Final = {"early_stopping": "never", "length_penalty": 0.0}  # our search, as transformers has it


class Plain:
    """What a user writes first: for each batch, the prompts' embeddings, `generate`, decode. No scores."""

    def __init__(self, generator: Generator, vectors: Tensor | None, rows: Sequence[GenerationRequest]) -> None:
        self._generator = generator
        self._vectors = vectors
        self._rows = rows
        self._search = {
            "num_beams": generator.decoding.beams,
            "do_sample": False,
            "max_new_tokens": generator.decoding.max_new_tokens,
            "pad_token_id": generator.trained.tokenizer.pad_token_id,
            "eos_token_id": generator.trained.tokenizer.eos_token_id,
        }

    @torch.inference_mode()
    def __call__(self, size: int, **search: Any) -> int:
        """Answer all; returns how many tokens were written."""
        generator, token_count, start = self._generator, 0, 0
        tokenizer, model = generator.trained.tokenizer, generator.trained.model
        for batch in _batches(self._rows, size):
            prompt_inputs = generator._prompts(batch)  # the same prompts
            image_vectors = None if self._vectors is None else self._vectors[start : start + len(batch)]
            embeddings, mask = model.embedded(
                prompt_inputs["input_ids"], prompt_inputs["attention_mask"], image_vectors
            )
            output_ids = model.language.generate(
                inputs_embeds=embeddings, attention_mask=mask, **self._search, **search
            )
            tokenizer.batch_decode(output_ids, skip_special_tokens=True)
            token_count += sum(_written(reply_ids, tokenizer.eos_token_id) for reply_ids in output_ids.tolist())
            start += len(batch)
        return token_count


def _written(reply_ids: Sequence[int], end_token_id: int) -> int:
    return reply_ids.index(end_token_id) if end_token_id in reply_ids else len(reply_ids)


def _tokens(replies: Sequence[GeneratorReply]) -> int:
    return sum(reply.tokens for reply in replies)


def measure_token_rates(model: Path, data: Path, count: int, repeats: int, beams: int) -> dict[str, Any]:
    """Tokens a second of each way, in turn so that a busy machine slows all alike."""
    trained_generator = load_generator(model, generator_device())
    requests = _image_requests(data, count)
    batch_generator, single_generator = (
        Generator(trained_generator, Decoding(beams=beams, batch=batch_size)) for batch_size in (BATCH, 1)
    )
    pixels = (
        None
        if trained_generator.vision is None
        else [trained_generator.vision.pixels(request.image) for request in requests if request.image]
    )
    vectors = None
    if trained_generator.vision is not None and pixels is not None:
        vectors = torch.cat(
            [trained_generator.vision.encode(pixel_batch) for pixel_batch in _batches(pixels, BATCH)]
        ).to(trained_generator.model.device)
    plain_loop, search_options = Plain(batch_generator, vectors, requests), MOST_PROBABLE if beams > 1 else {}

    def write() -> int:
        index_batches = _batches(range(len(requests)), BATCH)
        return sum(
            _tokens(
                batch_generator.write(
                    [requests[row_index] for row_index in row_indices],
                    None if vectors is None else vectors[list(row_indices)],
                )
            )
            for row_indices in index_batches
        )

    methods: dict[str, Callable[[], int]] = {
        "plain generate, batches of 16": lambda: plain_loop(BATCH, **search_options),
        "the same, with its own stop": lambda: plain_loop(BATCH),
        "ours, write": write,
        "ours, replies": lambda: sum(_tokens(batch) for batch in batch_generator.replies(iter(requests))),
        "ours, one by one": lambda: sum(_tokens(batch) for batch in single_generator.replies(iter(requests))),
        "plain generate, one by one": lambda: plain_loop(1, **search_options),
    }
    plain_loop(BATCH)  # caches, imports
    timings: dict[str, list[tuple[int, float]]] = {method_name: [] for method_name in methods}
    for _ in range(repeats):
        for method_name, method in methods.items():
            start_time = time.perf_counter()
            token_count = method()
            _wait()
            timings[method_name].append((token_count, time.perf_counter() - start_time))
    measurements = {
        method_name: _measured(method_timings, len(requests)) for method_name, method_timings in timings.items()
    }
    rates = {method_name: measurement["tokens_per_second"] for method_name, measurement in measurements.items()}
    return {
        "model": trained_generator.name,
        "images": len(requests),
        "beams": beams,
        "rounds": repeats,
        "measured": measurements,
        "plain_to_write": rates["plain generate, batches of 16"] / rates["ours, write"],
        "plain_to_replies": rates["plain generate, batches of 16"] / rates["ours, replies"],
        "batches_to_one_by_one": rates["ours, replies"] / rates["ours, one by one"],
        "batches_to_plain_one_by_one": rates["ours, replies"] / rates["plain generate, one by one"],
    }


def _measured(timings: Sequence[tuple[int, float]], image_count: int) -> dict[str, Any]:
    seconds = statistics.median(run_seconds for _, run_seconds in timings)
    return {
        "tokens": timings[0][0],
        "seconds": seconds,
        "all": [run_seconds for _, run_seconds in timings],
        "tokens_per_second": timings[0][0] / seconds,
        "images_per_second": image_count / seconds,
    }


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
