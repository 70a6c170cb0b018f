"""Replies of a generator: a batch as one by one, cut reports, unreadable images, scores, and held to the grammar."""

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

from kgp_models.generator.checkpoint import Checkpoint, load
from kgp_models.generator.generate import BUCKET, Decoding, Generator, _parts, buckets
from kgp_models.generator.language import prompt
from kgplatform.errors import UsageError
from kgplatform.generate.backend import Asked, Reply
from kgplatform.triplets.text import parse, serialise

pytestmark = pytest.mark.slow  # a model is trained first

REPORTS = [
    "Small left effusion .",
    "",
    "No edema of the lungs . " * 4,
    "Nodule .",
    "A tube terminates in the stomach .",
]


@pytest.fixture(scope="module")
def untrained(tiny: Path) -> Checkpoint:
    """A generator whose replies differ from image to image: its weights are large and random."""
    one = load(tiny / "vlm-kg")
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in one.model.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=rng) * 0.3)
        assert one.model.projector is not None
        one.model.projector.spread.weight *= 30
    return one


@pytest.fixture(scope="module")
def pictures(invented: Path) -> list[Path]:
    return sorted(invented.rglob("*.png"))


def asked(pictures: list[Path], count: int = 5) -> list[Asked]:
    return [Asked(f"I{n}", pictures[n % len(pictures)], REPORTS[n % len(REPORTS)]) for n in range(count)]


def replies(generator: Generator, rows: list[Asked]) -> dict[str, Reply]:
    found = {reply.asked.id: reply for batch in generator.replies(iter(rows)) for reply in batch}
    assert list(found) or not rows
    return found


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("constrained", [False, True])
def test_a_batch_gives_what_one_by_one_gives(
    untrained: Checkpoint, pictures: list[Path], beams: int, constrained: bool
) -> None:
    rows = asked(pictures)
    many = Generator(untrained, Decoding(beams, 24, 5, constrained))
    one = Generator(untrained, Decoding(beams, 24, 1, constrained))
    batched, alone = replies(many, rows), replies(one, rows)
    assert len({reply.text for reply in alone.values()}) > 2
    for name, reply in alone.items():
        other = batched[name]
        assert (other.text, other.tokens, other.left_out) == (reply.text, reply.tokens, reply.left_out)
        for mine, its in zip(other.triplets, reply.triplets, strict=True):
            assert mine.triplet == its.triplet
            assert mine.score == pytest.approx(its.score, rel=1e-3)


def test_a_run_that_goes_on_after_any_batch_has_the_batches_of_one_that_was_not_stopped(
    untrained: Checkpoint, pictures: list[Path]
) -> None:
    generator = Generator(untrained, Decoding(1, 8, 2))
    rows = [row._replace(position=number) for number, row in enumerate(asked(pictures, 3 * 2 * BUCKET + 5))]
    whole = list(generator.replies(iter(rows)))
    assert [reply.asked.id for batch in whole for reply in batch] != [row.id for row in rows]  # sorted by length
    for count in (1, BUCKET - 1, BUCKET, BUCKET + 1, 2 * BUCKET, len(whole) - 1):
        done = {reply.asked.id for batch in whole[:count] for reply in batch}
        assert list(generator.replies(row for row in rows if row.id not in done)) == whole[count:]


@given(st.integers(0, 60), st.integers(1, 9), st.data())
def test_groups_by_position_are_the_same_whatever_was_done_before(count: int, size: int, data: st.DataObject) -> None:
    rows = [(Asked(str(number), None, "", number), number) for number in range(count)]
    done = data.draw(st.sets(st.integers(0, max(0, count - 1))))
    whole = list(buckets(rows, size))
    assert [pair for bucket in whole for pair in bucket] == rows
    assert all(len(bucket) == size for bucket in whole[:-1])
    left = [[pair for pair in bucket if pair[1] not in done] for bucket in whole]
    assert list(buckets((pair for pair in rows if pair[1] not in done), size)) == [bucket for bucket in left if bucket]


def test_image_and_report_decide_the_reply(untrained: Checkpoint, pictures: list[Path]) -> None:
    generator = Generator(untrained, Decoding(1, 16, 4))
    rows = [Asked("a", pictures[0], "x"), Asked("b", pictures[0], "x"), Asked("c", pictures[0], "Small effusion .")]
    seen = torch.randn(2, 512, generator=torch.Generator().manual_seed(1))
    found = generator.write(rows, seen[[0, 1, 0]])
    assert len({reply.text for reply in found}) == 3


def test_llm_kg_needs_no_image(tiny: Path) -> None:
    generator = Generator(load(tiny / "llm-kg"), Decoding(1, 4, 2))
    assert generator.name.startswith("LLM-KG ")
    [reply] = replies(generator, [Asked("I1", None, "Small effusion .")]).values()
    assert (reply.problem, reply.tokens) == (None, 4)


def test_an_image_that_is_missing_or_unreadable_is_told_and_the_others_go_on(
    untrained: Checkpoint, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"zebrafinch")
    rows = [
        *asked(pictures, 3),
        Asked("bad", tmp_path / "bad.png", "secret"),
        Asked("gone", tmp_path / "gone.png", ""),
        Asked("none", None, "secret"),
    ]
    found = replies(Generator(untrained, Decoding(1, 4, 2)), rows)
    assert len(found) == 6
    told = {name: reply.problem for name, reply in found.items() if reply.problem is not None}
    assert told.keys() == {"bad", "gone", "none"}
    assert "no readable radiograph" in (told["bad"] or "")
    assert "there is no image" in (told["none"] or "")
    assert "zebrafinch" not in str(told)
    assert "secret" not in str(told)


def test_a_model_that_gives_no_numbers_is_told_and_not_taken_for_seeing_nothing(
    tiny: Path, pictures: list[Path]
) -> None:
    broken = load(tiny / "vlm-kg")
    with torch.no_grad():
        broken.model.language.get_input_embeddings().weight.fill_(torch.nan)
    found = replies(Generator(broken, Decoding(2, 8, 2)), asked(pictures, 2))
    assert {reply.problem for reply in found.values()} == {"the model gave no numbers"}


def test_nothing_asked_is_nothing_said_and_images_are_read_a_little_ahead(
    untrained: Checkpoint, pictures: list[Path]
) -> None:
    generator = Generator(untrained, Decoding(1, 1, 1))
    assert list(generator.replies(iter(()))) == []
    taken = 0

    def rows() -> Iterator[Asked]:
        nonlocal taken
        for one in asked(pictures, 4 * BUCKET):
            taken += 1
            yield one

    batches = generator.replies(rows())
    next(batches)
    assert taken <= BUCKET + 4
    assert sum(map(len, batches)) == 4 * BUCKET - 1


def test_a_report_that_is_too_long_is_cut_but_the_question_stays(untrained: Checkpoint, pictures: list[Path]) -> None:
    words = prompt(untrained.settings.instruction, "x")
    longest = len(untrained.tokenizer(words)["input_ids"]) + 5
    short = replace(untrained, settings=replace(untrained.settings, max_length=longest))
    generator = Generator(short, Decoding(1, 4, 2))
    given = generator._prompts([Asked("a", pictures[0], "effusion " * 500), Asked("b", pictures[0], "x")])
    assert given["input_ids"].shape[1] == longest
    found = replies(generator, [Asked("a", pictures[0], "effusion " * 500), Asked("b", pictures[0], "x")])
    assert (found["a"].unread > 400, found["b"].unread) == (True, 0)
    assert not found["a"].finished  # 4 tokens are no reply
    for row in given["input_ids"]:
        assert short.tokenizer.decode(row).endswith("\ntriplets:")
    assert given["attention_mask"][1, 0] == 0, "padded on the left"
    assert replies(generator, [Asked("a", pictures[0], "effusion " * 500)])["a"].problem is None


class Noting(Generator):
    """Also keeps the tokens that were written, without the end mark."""

    written: dict[str, list[int]]

    def _reply(self, asked: Asked, row: Sequence[int], chances: Sequence[float]) -> Reply:
        end = self._tokenizer.eos_token_id
        self.written[asked.id] = list(row[: row.index(end)] if end in row else row)
        return super()._reply(asked, row, chances)


@pytest.mark.parametrize("beams", [1, 4])
def test_scores_are_the_geometric_mean_of_the_tokens_probabilities(
    untrained: Checkpoint, pictures: list[Path], beams: int
) -> None:
    """An oracle that takes one token at a time."""
    generator = Noting(untrained, Decoding(beams, 60, 4, constrained=True))
    generator.written = {}
    checked = 0
    for name, reply in replies(generator, asked(pictures, 4)).items():
        tokens = generator.written[name]
        chances = _chances(untrained, reply.asked, tokens, generator)
        wanted: dict[Any, float] = {}
        for first, last in _parts([untrained.tokenizer.decode([token]) for token in tokens]):
            for triplet in parse(untrained.tokenizer.decode(tokens[first:last])).triplets:
                wanted.setdefault(triplet, math.exp(sum(chances[first:last]) / (last - first)))
        assert reply.tokens == len(tokens)
        for triplet, score in reply.triplets:
            assert score == pytest.approx(wanted[triplet], rel=1e-3)
            assert 0 < wanted[triplet] <= 1
            checked += 1
    assert checked


def _chances(trained: Checkpoint, one: Asked, tokens: list[int], generator: Generator) -> list[float]:
    assert trained.vision is not None
    assert one.image is not None
    image = trained.vision.encode([trained.vision.pixels(one.image)])
    before = generator._prompts([one])["input_ids"]
    found = []
    with torch.no_grad():
        for at, token in enumerate(tokens):
            ids = torch.cat([before, torch.tensor([tokens[:at]], dtype=torch.long)], 1)
            logits = trained.model(ids, torch.ones_like(ids), image=image)["logits"][0, -1]
            found.append(float(logits.log_softmax(-1)[token]))
    return found


def test_parts_between_semicolons() -> None:
    assert list(_parts(["a", ",", ";", "b", "; ", ";", "c"])) == [(0, 2), (3, 4), (6, 7)]
    assert list(_parts([])) == list(_parts([";"])) == []


@pytest.mark.parametrize("beams", [1, 4])
def test_held_to_the_grammar_an_untrained_model_writes_triplets_alone(
    untrained: Checkpoint, pictures: list[Path], beams: int
) -> None:
    generator = Generator(untrained, Decoding(beams, 96, 16, constrained=True))
    rows = [Asked(f"I{n}", pictures[n % len(pictures)], f"{REPORTS[n % 5]} {n}") for n in range(64)]
    found = replies(generator, rows)
    assert len(found) == 64
    ended = 0
    for reply in found.values():
        cut = reply.tokens == 96
        ended += not cut
        assert reply.left_out <= cut, reply.text
        assert parse(serialise(one.triplet for one in reply.triplets)).left_out == 0
        assert all(one.score is not None and 0 < one.score <= 1 for one in reply.triplets)
    assert sum(len(reply.triplets) for reply in found.values()) > 0
    assert generator.parameters["constrained"] is True


def test_other_ways_of_decoding_are_other_runs_and_impossible_ones_wrong_usage(untrained: Checkpoint) -> None:
    found = {str(Generator(untrained, decoding).parameters) for decoding in (Decoding(), Decoding(2), Decoding(4, 9))}
    assert len(found) == 3
    assert Generator(untrained, Decoding(batch=2)).parameters == Generator(untrained).parameters
    impossible: tuple[dict[str, Any], ...] = (
        {"beams": 0},
        {"beams": 65},
        {"max_new_tokens": 0},
        {"batch": 0},
        {"max_new_tokens": 5_000},
    )
    for wrong in impossible:
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Decoding(**wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_on_ray_the_replies_are_the_same(tiny: Path, pictures: list[Path]) -> None:
    pytest.importorskip("ray")
    from kgp_models.generator.spread import CHUNK, OnRay

    decoding = Decoding(2, 6, 1)
    one, many = Generator(load(tiny / "vlm-kg"), decoding), OnRay(tiny / "vlm-kg", None, decoding)
    assert (many.name, many.sha256, many.parameters) == (one.name, one.sha256, one.parameters)
    rows = asked(pictures, 2 * CHUNK + 1)
    here = {row.asked: row for batch in one.replies(iter(rows)) for row in batch}
    there = {row.asked: row for batch in many.replies(iter(rows)) for row in batch}
    assert {key: (row.text, row.tokens) for key, row in there.items()} == {
        key: (row.text, row.tokens) for key, row in here.items()
    }
    assert list(many.replies(iter(()))) == []


def test_without_ray_it_is_wrong_usage(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from kgp_models.generator.spread import OnRay

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="Ray is not installed"):
        OnRay(tiny / "vlm-kg", None, Decoding())
