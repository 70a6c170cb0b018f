"""Replies of a generator: a batch as one at a time, cut reports, unreadable images, scores, and held to the grammar."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kgp_models.generator.checkpoint import GeneratorCheckpoint, load_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import BUCKET, Generator, _parts, buckets
from kgp_models.generator.language import prompt
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.triplets.text import parse_triplets
from tests.unit.models.generator import untrained_generators
from tests.unit.models.generator.untrained_generators import generation_requests, replies

pytestmark = pytest.mark.slow  # a model is trained first

untrained = untrained_generators.untrained
synthetic_image_paths = untrained_generators.synthetic_image_paths


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("constrained", [False, True])
def test_a_batch_gives_what_one_by_one_gives(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path], beams: int, constrained: bool
) -> None:
    requests = generation_requests(synthetic_image_paths)
    batch_generator = Generator(untrained, Decoding(beams, 24, 5, constrained))
    single_generator = Generator(untrained, Decoding(beams, 24, 1, constrained))
    batched_replies, single_replies = replies(batch_generator, requests), replies(single_generator, requests)
    assert len({single_reply.text for single_reply in single_replies.values()}) > 2
    for image_id, single_reply in single_replies.items():
        batched_reply = batched_replies[image_id]
        assert (batched_reply.text, batched_reply.tokens, batched_reply.left_out) == (
            single_reply.text,
            single_reply.tokens,
            single_reply.left_out,
        )
        for batched_triplet, single_triplet in zip(batched_reply.triplets, single_reply.triplets, strict=True):
            assert batched_triplet.triplet == single_triplet.triplet
            assert batched_triplet.score == pytest.approx(single_triplet.score, rel=1e-3)


def test_a_run_that_goes_on_after_any_batch_has_the_batches_of_one_that_was_not_stopped(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path]
) -> None:
    generator = Generator(untrained, Decoding(1, 8, 2))
    requests = [
        request._replace(position=row_number)
        for row_number, request in enumerate(generation_requests(synthetic_image_paths, 3 * 2 * BUCKET + 5))
    ]
    all_batches = list(generator.replies(iter(requests)))
    assert [reply.request.id for batch in all_batches for reply in batch] != [
        request.id for request in requests
    ]  # sorted by length
    for batch_count in (1, BUCKET - 1, BUCKET, BUCKET + 1, 2 * BUCKET, len(all_batches) - 1):
        finished_ids = {reply.request.id for batch in all_batches[:batch_count] for reply in batch}
        assert (
            list(generator.replies(request for request in requests if request.id not in finished_ids))
            == all_batches[batch_count:]
        )


@given(st.integers(0, 60), st.integers(1, 9), st.data())
def test_groups_by_position_are_the_same_whatever_was_done_before(count: int, size: int, data: st.DataObject) -> None:
    numbered_rows = [
        (GenerationRequest(str(row_number), None, "", row_number), row_number) for row_number in range(count)
    ]
    finished = data.draw(st.sets(st.integers(0, max(0, count - 1))))
    all_buckets = list(buckets(numbered_rows, size))
    assert [pair for bucket in all_buckets for pair in bucket] == numbered_rows
    assert all(len(bucket) == size for bucket in all_buckets[:-1])
    remaining = [[pair for pair in bucket if pair[1] not in finished] for bucket in all_buckets]
    assert list(buckets((pair for pair in numbered_rows if pair[1] not in finished), size)) == [
        bucket for bucket in remaining if bucket
    ]


def test_image_and_report_decide_the_reply(untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path]) -> None:
    generator = Generator(untrained, Decoding(1, 16, 4))
    requests = [
        GenerationRequest("a", synthetic_image_paths[0], "x"),
        GenerationRequest("b", synthetic_image_paths[0], "x"),
        GenerationRequest("c", synthetic_image_paths[0], "Small effusion ."),
    ]
    image_features = torch.randn(2, 512, generator=torch.Generator().manual_seed(1))
    written_replies = generator.write(requests, image_features[[0, 1, 0]])
    assert len({reply.text for reply in written_replies}) == 3


def test_llm_kg_needs_no_image(tiny_generator_folder: Path) -> None:
    generator = Generator(load_generator(tiny_generator_folder / "llm-kg"), Decoding(1, 4, 2))
    assert generator.name.startswith("LLM-KG ")
    [reply] = replies(generator, [GenerationRequest("I1", None, "Small effusion .")]).values()
    assert (reply.problem, reply.tokens) == (None, 4)


def test_an_image_that_is_missing_or_unreadable_is_told_and_the_others_go_on(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"zebrafinch")
    Image.new("L", (64, 64), 90).save(tmp_path / "blank.png")
    requests = [
        *generation_requests(synthetic_image_paths, 3),
        GenerationRequest("bad", tmp_path / "bad.png", "secret"),
        GenerationRequest("gone", tmp_path / "gone.png", ""),
        GenerationRequest("blank", tmp_path / "blank.png", ""),
        GenerationRequest("none", None, "secret"),
    ]
    replies_by_id = replies(Generator(untrained, Decoding(1, 4, 2)), requests)
    assert len(replies_by_id) == 7
    problems = {image_id: reply.problem for image_id, reply in replies_by_id.items() if reply.problem is not None}
    assert problems.keys() == {"bad", "gone", "none", "blank"}
    assert "not a readable radiograph" in (problems["bad"] or "")
    assert "there is no image" in (problems["none"] or "")
    assert "is blank" in (problems["blank"] or "")
    assert "zebrafinch" not in str(problems)
    assert "secret" not in str(problems)


def test_a_model_that_gives_no_numbers_is_told_and_not_taken_for_seeing_nothing(
    tiny_generator_folder: Path, synthetic_image_paths: list[Path]
) -> None:
    broken_checkpoint = load_generator(tiny_generator_folder / "vlm-kg")
    requests = generation_requests(synthetic_image_paths, 2)
    with torch.no_grad():
        broken_checkpoint.model.language.get_input_embeddings().weight.fill_(torch.nan)
    for is_classified in (False, True):  # an image alone is the classifier's
        if is_classified:
            assert broken_checkpoint.classifier is not None
            broken_checkpoint.classifier.weights.fill_(torch.nan)
        decoding = Decoding(2, 8, 2, classifier=is_classified)
        replies_by_id = replies(Generator(broken_checkpoint, decoding), requests)
        assert {reply.problem for reply in replies_by_id.values()} == {"the model gave no numbers"}


def test_nothing_asked_is_nothing_said_and_images_are_read_a_little_ahead(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path]
) -> None:
    generator = Generator(untrained, Decoding(1, 1, 1))
    assert list(generator.replies(iter(()))) == []
    read_count = 0

    def rows() -> Iterator[GenerationRequest]:
        nonlocal read_count
        for request in generation_requests(synthetic_image_paths, 4 * BUCKET):
            read_count += 1
            yield request

    batches = generator.replies(rows())
    next(batches)
    assert read_count <= BUCKET + 4
    assert sum(map(len, batches)) == 4 * BUCKET - 1


def test_a_report_that_is_too_long_is_cut_but_the_question_stays(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path]
) -> None:
    prompt_text = prompt(untrained.settings.instruction, "x")
    token_limit = len(untrained.tokenizer(prompt_text)["input_ids"]) + 5
    short_checkpoint = replace(untrained, settings=replace(untrained.settings, max_length=token_limit))
    generator = Generator(short_checkpoint, Decoding(1, 4, 2))
    prompt_inputs = generator._prompts(
        [
            GenerationRequest("a", synthetic_image_paths[0], "effusion " * 500),
            GenerationRequest("b", synthetic_image_paths[0], "x"),
        ]
    )
    assert prompt_inputs["input_ids"].shape[1] == token_limit
    replies_by_id = replies(
        generator,
        [
            GenerationRequest("a", synthetic_image_paths[0], "effusion " * 500),
            GenerationRequest("b", synthetic_image_paths[0], "x"),
        ],
    )
    assert (replies_by_id["a"].unread > 400, replies_by_id["b"].unread) == (True, 0)
    assert not replies_by_id["a"].finished  # 4 tokens are no reply
    for token_ids in prompt_inputs["input_ids"]:
        assert short_checkpoint.tokenizer.decode(token_ids).endswith("\ntriplets:")
    assert prompt_inputs["attention_mask"][1, 0] == 0, "padded on the left"
    assert (
        replies(generator, [GenerationRequest("a", synthetic_image_paths[0], "effusion " * 500)])["a"].problem is None
    )


class Noting(Generator):
    """Also keeps the tokens that were written, without the end mark."""

    written: dict[str, list[int]]

    def _reply(self, request: GenerationRequest, row: Sequence[int], chances: Sequence[float]) -> GeneratorReply:
        end_id = self._tokenizer.eos_token_id
        self.written[request.id] = list(row[: row.index(end_id)] if end_id in row else row)
        return super()._reply(request, row, chances)


@pytest.mark.parametrize("beams", [1, 4])
def test_scores_are_the_geometric_mean_of_the_tokens_probabilities(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path], beams: int
) -> None:
    """An oracle that takes one token at a time."""
    generator = Noting(untrained, Decoding(beams, 60, 4, constrained=True))
    generator.written = {}
    checked_count = 0
    for image_id, reply in replies(generator, generation_requests(synthetic_image_paths, 4)).items():
        token_ids = generator.written[image_id]
        log_probabilities = _chances(untrained, reply.request, token_ids, generator)
        expected_scores: dict[Any, float] = {}
        for part_start, part_end in _parts([untrained.tokenizer.decode([token_id]) for token_id in token_ids]):
            for triplet in parse_triplets(untrained.tokenizer.decode(token_ids[part_start:part_end])).triplets:
                expected_scores.setdefault(
                    triplet, math.exp(sum(log_probabilities[part_start:part_end]) / (part_end - part_start))
                )
        assert reply.tokens == len(token_ids)
        for triplet, score in reply.triplets:
            assert score == pytest.approx(expected_scores[triplet], rel=1e-3)
            assert 0 < expected_scores[triplet] <= 1
            checked_count += 1
    assert checked_count


def _chances(
    checkpoint: GeneratorCheckpoint, request: GenerationRequest, token_ids: list[int], generator: Generator
) -> list[float]:
    assert checkpoint.vision is not None
    assert request.image is not None
    image_features = checkpoint.vision.encode([checkpoint.vision.pixels(request.image)])
    prompt_ids = generator._prompts([request])["input_ids"]
    log_probabilities = []
    with torch.no_grad():
        for position, token_id in enumerate(token_ids):
            input_ids = torch.cat([prompt_ids, torch.tensor([token_ids[:position]], dtype=torch.long)], 1)
            logits = checkpoint.model(input_ids, torch.ones_like(input_ids), image=image_features)["logits"][0, -1]
            log_probabilities.append(float(logits.log_softmax(-1)[token_id]))
    return log_probabilities
