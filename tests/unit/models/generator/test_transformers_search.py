"""transformers' own search gives what the platform's does, and takes its place where that does not run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from kgp_models.generator import search
from kgp_models.generator.checkpoint import load_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator
from kgp_models.generator.search import most_probable
from kgp_models.generator.transformers_search import generate_replies
from kgplatform.generate.backend import GenerationRequest
from tests.unit.models.generator.test_search import END, language, only, prompts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("beams", [1, 4])
def test_its_replies_and_log_probabilities_are_those_of_the_platforms_search(beams: int) -> None:
    model = language("qwen2", 3)
    embeddings, mask = prompts(model, [9, 4, 7], 3)
    for token_filter in (None, only(40, 41, 42, 43, 44)):
        options: dict[str, Any] = {"beams": beams, "max_new_tokens": 20, "end": END, "logits_filter": token_filter}
        own_replies = most_probable(model, embeddings, mask, **options)
        for own_reply, reply in zip(own_replies, generate_replies(model, embeddings, mask, **options), strict=True):
            assert reply.tokens == own_reply.tokens
            assert reply.chances == pytest.approx(own_reply.chances, abs=1e-4)


def test_a_release_of_transformers_that_breaks_the_search_is_noticed_once_and_replies_stay(
    tiny_generator_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [
        GenerationRequest(f"I{number}", None, report) for number, report in enumerate(("Small effusion .", "No mass ."))
    ]
    trained = load_generator(tiny_generator_folder / "llm-kg")
    expected = [(reply.text, reply.triplets) for reply in Generator(trained, Decoding(2, 8, 1)).write(requests, None)]

    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("'DynamicCache' object has no attribute 'layers'")

    monkeypatch.setattr(search, "most_probable", broken)
    generator = Generator(trained, Decoding(2, 8, 1))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            replies = generator.write(requests, None)
            assert [reply.text for reply in replies] == [text for text, _ in expected]
    [record] = caplog.records
    assert "the platform's beam search does not run with transformers" in record.getMessage()
    assert "no attribute 'layers'" in record.getMessage()
