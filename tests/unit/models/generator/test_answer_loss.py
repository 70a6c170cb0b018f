"""The loss by the answer's positions alone, against the loss over all positions; and what a base model states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from kgp_models.generator.language import base_model
from kgp_models.generator.model import NOT_COUNTED, answer_loss, answer_positions
from tests import generators


@pytest.mark.parametrize("starts", [(3, 5), (0, 6), (1, 1)])
def test_it_is_the_loss_over_all_positions(starts: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 8, 11, generator=rng)
    labels = torch.randint(0, 11, (2, 8), generator=rng)
    for row, start in enumerate(starts):
        labels[row, :start] = NOT_COUNTED
    expected = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=NOT_COUNTED)
    kept_positions = answer_positions(labels)
    assert kept_positions == 8 - max(0, min(starts) - 1)
    torch.testing.assert_close(answer_loss(logits[:, -kept_positions:], labels), expected)
    counted = int((labels[:, 1:] != NOT_COUNTED).sum())
    torch.testing.assert_close(answer_loss(logits[:, -kept_positions:], labels, 2 * counted), expected / 2)


def test_a_base_model_states_the_licence_of_its_card_or_that_it_states_none(tmp_path: Path) -> None:
    (tmp_path / "Qwen").mkdir()
    settings = replace(generators.tiny_generator_settings(), language_model="Qwen")
    assert base_model(settings, tmp_path) == {"name": "Qwen", "licence": "not stated"}
    (tmp_path / "Qwen" / "README.md").write_text("---\nlicense: mit\n---\nlicense: other\n", encoding="utf-8")
    assert base_model(settings, tmp_path) == {"name": "Qwen", "licence": "mit"}
