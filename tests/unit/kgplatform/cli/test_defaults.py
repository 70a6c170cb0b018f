"""A default that a command and the library both state is the same in both."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

from kgp_models.generator.decoding import Decoding
from kgplatform import stats
from kgplatform.assess import rating
from kgplatform.cli import assess, construct_compare, embed, generate, pairs, vqa
from kgplatform.cli import stats as stats_command
from kgplatform.construct import compare
from kgplatform.datasets import pair_making
from kgplatform.search import embed as embedding
from kgplatform.vqa import explain


def _default(function: Callable[..., Any], parameter: str) -> Any:
    return inspect.signature(function).parameters[parameter].default


@pytest.mark.parametrize(
    ("command", "function", "parameters"),
    [
        (generate.generate_command, Decoding, ["beams", "max_new_tokens", "batch", "constrained"]),
        (embed.embed_command, embedding.embed, ["batch"]),
        (assess.sample_command, rating.write_rating_sample, ["images", "concepts", "max_images", "seed"]),
        (vqa.explain_question, explain.explain_by_graph, ["hops", "cap", "images", "own_words"]),
        (pairs.pairs, pair_making.make_pairs, ["seed", "require_images"]),
        (construct_compare.compare_command, compare.compare_judges, ["limit"]),
        (stats_command.stats, stats.collect_stats, ["top"]),
    ],
)
def test_a_command_and_its_function_agree(
    command: Callable[..., Any], function: Callable[..., Any], parameters: list[str]
) -> None:
    for parameter in parameters:
        assert _default(command, parameter) == _default(function, parameter), parameter
