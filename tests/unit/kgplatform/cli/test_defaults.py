"""A default that a command and the library both state is the same in both."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

from kgp_models.generator.generate import Decoding
from kgplatform import readonly
from kgplatform.cli.embed import embed_command
from kgplatform.cli.generate import generate_command
from kgplatform.library import KnowledgeGraph
from kgplatform.search import embed


def _default(function: Callable[..., Any], parameter: str) -> Any:
    return inspect.signature(function).parameters[parameter].default


def test_the_size_of_a_batch_of_embeddings() -> None:
    assert _default(embed_command, "batch") == embed.BATCH


@pytest.mark.parametrize("option", ["beams", "max_new_tokens", "batch", "constrained"])
def test_how_a_generator_searches(option: str) -> None:
    assert _default(generate_command, option) == getattr(Decoding(), option)


def test_the_seconds_of_a_query() -> None:
    assert _default(KnowledgeGraph.query, "seconds") == readonly.SECONDS
