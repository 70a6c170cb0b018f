"""Drawn replies: as often as their probability says, the same whatever is asked with them, in every kind of layer."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kgp_models.generator.checkpoint import GeneratorCheckpoint
from kgp_models.generator.decoding import SHARE, Decoding, Search
from kgp_models.generator.generate import Generator
from kgp_models.generator.sampling import sampled_replies, uniforms
from kgplatform.generate.backend import GenerationRequest
from kgplatform.triplets.text import parse_triplets
from tests.unit.models.generator import untrained_generators
from tests.unit.models.generator.test_search import END, KINDS, language, prompts
from tests.unit.models.generator.untrained_generators import REPORTS, replies

pytestmark = pytest.mark.slow

untrained = untrained_generators.untrained
synthetic_image_paths = untrained_generators.synthetic_image_paths
ALLOWED = (50, 51, END)


def hold(_: Tensor, logits: Tensor) -> Tensor:
    """Only three tokens may be written."""
    allowed = torch.full_like(logits, -torch.inf)
    allowed[:, ALLOWED] = logits[:, ALLOWED]
    return allowed


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_drawn_as_often_as_they_are_probable(kind: str) -> None:
    """An oracle that works out the probability of every reply of up to three of three tokens."""
    model = language(kind, 5, ends=1)
    embeddings, mask = prompts(model, [5, 3])
    samples = 4_000
    sampled = sampled_replies(model, embeddings, mask, samples=samples, max_new_tokens=3, end=END, logits_filter=hold)
    for row in range(2):
        prompt = embeddings[row, mask[row].bool()]
        counts = Counter(map(tuple, sampled[row]))
        assert sum(counts.values()) == samples
        for reply in (
            tokens
            for length in (1, 2, 3)
            for tokens in itertools.product(ALLOWED, repeat=length)
            if END not in tokens[:-1] and (length == 3 or tokens[-1] == END)
        ):
            words = model.get_input_embeddings()(torch.tensor(reply))
            with torch.no_grad():
                logits = model(inputs_embeds=torch.cat([prompt, words])[None]).logits[0, len(prompt) - 1 : -1]
            chances = logits[:, ALLOWED].softmax(-1)
            columns = torch.tensor([[ALLOWED.index(token)] for token in reply])
            probability = float(chances.gather(1, columns).prod())
            assert counts[reply] / samples == pytest.approx(probability, abs=0.03)


def test_a_reply_does_not_depend_on_what_is_asked_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language("qwen2", 2, ends=3)
    embeddings, mask = prompts(model, [6, 3, 8, 5])
    options: Any = {"samples": 20, "max_new_tokens": 12, "end": END}
    together = sampled_replies(model, embeddings, mask, **options)
    monkeypatch.setattr("kgp_models.generator.sampling.PROMPT_POSITIONS", 1)  # one prompt at a time
    alone = sampled_replies(model, embeddings, mask, **options)
    pairs = zip(itertools.chain.from_iterable(together), itertools.chain.from_iterable(alone), strict=True)
    same_count = sum(first == second for first, second in pairs)
    assert same_count >= 78  # of 80: rounding may turn one
    assert len({tuple(reply) for reply in together[0]}) > 5


def test_the_first_tokens_are_spread_evenly() -> None:
    numbers = uniforms(10, 4)
    assert (numbers[:, 0] * 10).long().sort().values.tolist() == list(range(10))
    assert torch.equal(numbers, uniforms(10, 4))
    assert bool((numbers >= 0).all()) and bool((numbers < 1).all())


def test_a_model_that_gives_no_numbers_gives_no_replies() -> None:
    model = language("qwen2")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    embeddings, mask = prompts(model, [4, 2])
    assert sampled_replies(model, embeddings, mask, samples=3, max_new_tokens=500, end=END) == [[], []]


def test_triplets_of_a_share_of_the_replies_are_written_with_their_shares(
    untrained: GeneratorCheckpoint, synthetic_image_paths: list[Path]
) -> None:
    requests = [
        GenerationRequest(f"I{number}", synthetic_image_paths[number % len(synthetic_image_paths)], report)
        for number, report in enumerate((*REPORTS, "", ""))
    ]
    decoding: Any = {"max_new_tokens": 40, "constrained": True, "samples": 25}
    all_replies = replies(Generator(untrained, Decoding(**decoding, share=0.0)), requests)
    some_replies = replies(Generator(untrained, Decoding(**decoding, share=0.08)), requests)
    assert len(all_replies) == len(requests)
    for image_id, reply in some_replies.items():
        scores = [scored.score for scored in reply.triplets]
        assert scores == sorted(scores, key=lambda score: -(score or 0.0))
        assert list(reply.triplets) == [
            scored for scored in all_replies[image_id].triplets if scored.score is not None and scored.score >= 0.08
        ]
        assert list(parse_triplets(reply.text).triplets) == [scored.triplet for scored in reply.triplets]
    assert any(reply.triplets for reply in all_replies.values())


def test_what_a_call_leaves_open_is_as_in_validation() -> None:
    most_probable, sampled = Search(1.0, 0.15), Search(samples=32, share=0.2)
    assert Decoding().search(most_probable) == most_probable
    assert Decoding().search(sampled) == sampled
    assert Decoding(share=0.4).search(sampled) == Search(samples=32, share=0.4)
    assert Decoding(samples=8).search(most_probable) == Search(samples=8, share=SHARE)
    assert Decoding(samples=8).search(sampled) == Search(samples=8, share=0.2)
    assert Decoding(samples=0).search(sampled) == Search()
    assert Decoding(token_reward=0.5).search(sampled) == Search(token_reward=0.5)
    assert Search.read(sampled.document()) == sampled
    assert str(sampled) == "share 0.2 of 32 replies"
