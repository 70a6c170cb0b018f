"""Other ways of decoding a reply: held to the grammar, with other settings, on Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kgp_models.generator.checkpoint import IMAGE_ALONE, GeneratorCheckpoint, load_generator
from kgp_models.generator.classifier import TripletClassifier
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator, _parts
from kgplatform.errors import SettingsError, UsageError
from kgplatform.generate.backend import GenerationRequest
from kgplatform.triplets.text import Relation, Triplet, parse_triplets, serialise
from tests.unit.models.generator import untrained_generators
from tests.unit.models.generator.untrained_generators import REPORTS, generation_requests, replies

pytestmark = pytest.mark.slow  # a model is trained first

untrained = untrained_generators.untrained
synthetic_image_paths = untrained_generators.synthetic_image_paths


def test_parts_between_semicolons() -> None:
    assert list(_parts(["a", ",", ";", "b", "; ", ";", "c"])) == [(0, 2), (3, 4), (6, 7)]
    assert list(_parts([])) == list(_parts([";"])) == []


@pytest.mark.parametrize("beams", [1, 4])
def test_held_to_the_grammar_an_untrained_model_writes_triplets_alone(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path], beams: int
) -> None:
    generator = Generator(untrained, Decoding(beams, 96, 16, constrained=True))
    requests = [
        GenerationRequest(
            f"I{image_number}",
            synthetic_image_paths[image_number % len(synthetic_image_paths)],
            f"{REPORTS[image_number % 5]} {image_number}",
        )
        for image_number in range(64)
    ]
    replies_by_id = replies(generator, requests)
    assert len(replies_by_id) == 64
    ended_count = 0
    for reply in replies_by_id.values():
        is_cut = reply.tokens == 96
        ended_count += not is_cut
        assert reply.left_out <= is_cut, reply.text
        assert parse_triplets(serialise(scored_triplet.triplet for scored_triplet in reply.triplets)).left_out == 0
        assert all(
            scored_triplet.score is not None and 0 < scored_triplet.score <= 1 for scored_triplet in reply.triplets
        )
    assert sum(len(reply.triplets) for reply in replies_by_id.values()) > 0
    assert generator.parameters["constrained"] is True


def test_other_ways_of_decoding_are_other_runs_and_impossible_ones_wrong_usage(untrained: GeneratorCheckpoint) -> None:
    parameter_texts = {
        str(Generator(untrained, decoding).parameters)
        for decoding in (
            Decoding(),
            Decoding(2),
            Decoding(4, 9),
            Decoding(token_reward=1.0),
            Decoding(samples=8),
            Decoding(samples=8, share=0.5),
        )
    }
    assert len(parameter_texts) == 6
    assert Generator(untrained, Decoding(batch=2)).parameters == Generator(untrained).parameters
    impossible_options: tuple[dict[str, Any], ...] = (
        {"beams": 0},
        {"beams": 65},
        {"max_new_tokens": 0},
        {"batch": 0},
        {"max_new_tokens": 5_000},
        {"length_penalty": -1.0},
        {"token_reward": 5.5},
        {"samples": 2_000},
        {"share": 1.5},
    )
    for options in impossible_options:
        with pytest.raises(UsageError, match=next(iter(options))):
            Decoding(**options)


def test_images_alone_are_answered_by_the_classifier_where_that_was_best_on_validation(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path]
) -> None:
    """Studies with a report never are, and an option of the language model's search asks for that."""
    assert untrained.vision is not None
    triplets = [Triplet("opacity", Relation.LOCATED_AT, "lung"), Triplet("mild", Relation.MODIFY, "opacity")]
    classifier = TripletClassifier(triplets, torch.zeros(2, untrained.vision.width), torch.tensor([2.0, -2.0]), 0.5)
    trained = replace(untrained, classifier=classifier, about={**untrained.about, IMAGE_ALONE: {"classifier": True}})
    requests = generation_requests(synthetic_image_paths)
    classified = replies(Generator(trained), requests)
    for request in requests:
        reply = classified[request.id]
        assert reply.classified is not bool(request.report)
        if reply.classified:
            assert [row.triplet for row in reply.triplets] == triplets[:1]
            assert reply.triplets[0].score == pytest.approx(0.8808, abs=1e-4)
            assert reply.text == "opacity, located_at, lung"
    assert Generator(trained).parameters["image alone"] == {"classifier": True}
    for decoding in (
        Decoding(samples=0),
        Decoding(length_penalty=0.0),
        Decoding(samples=2),
        Decoding(classifier=False),
    ):
        assert not any(reply.classified for reply in replies(Generator(trained, decoding), requests).values())
    without = replies(Generator(untrained, Decoding(classifier=True, max_new_tokens=4)), requests)
    assert not any(reply.classified for reply in without.values()), "a model that has none writes as before"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_on_ray_the_replies_are_the_same(tiny_generator_folder: Path, synthetic_image_paths: list[Path]) -> None:
    pytest.importorskip("ray")
    from kgp_models.generator.spread import CHUNK, OnRay

    decoding = Decoding(2, 6, 1)
    local_generator, ray_generator = (
        Generator(load_generator(tiny_generator_folder / "vlm-kg"), decoding),
        OnRay(tiny_generator_folder / "vlm-kg", None, decoding),
    )
    assert (ray_generator.name, ray_generator.sha256, ray_generator.parameters) == (
        local_generator.name,
        local_generator.sha256,
        local_generator.parameters,
    )
    requests = generation_requests(synthetic_image_paths, 2 * CHUNK + 1)
    local_replies = {reply.request: reply for batch in local_generator.replies(iter(requests)) for reply in batch}
    ray_replies = {reply.request: reply for batch in ray_generator.replies(iter(requests)) for reply in batch}
    assert {request: (reply.text, reply.tokens) for request, reply in ray_replies.items()} == {
        request: (reply.text, reply.tokens) for request, reply in local_replies.items()
    }
    assert list(ray_generator.replies(iter(()))) == []


def test_without_ray_it_is_wrong_usage(tiny_generator_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from kgp_models.generator.spread import OnRay

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match="this needs Ray, which is not installed"):
        OnRay(tiny_generator_folder / "vlm-kg", None, Decoding())
