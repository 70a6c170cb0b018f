"""The contrastive losses against plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kgp_models.retrieval.losses import contrastive, distillation, image_text, symmetric_contrastive


def _loss_by_definition(logits: np.ndarray, positive: np.ndarray, ignored: np.ndarray, weights: np.ndarray) -> float:
    """The loss in plain words: −log of a positive's share among all that are not ignored."""
    weighted_loss = total_weight = 0.0
    for row_logits, is_positive, is_ignored, weight in zip(logits, positive, ignored, weights, strict=True):
        exponentials = [
            math.exp(logit)
            for logit, positive_cell, ignored_cell in zip(row_logits, is_positive, is_ignored, strict=True)
            if positive_cell or not ignored_cell
        ]
        shares = [
            math.exp(logit) / sum(exponentials)
            for logit, positive_cell in zip(row_logits, is_positive, strict=True)
            if positive_cell
        ]
        if shares:
            weighted_loss += weight * sum(-math.log(share) for share in shares) / len(shares)
            total_weight += weight
    return weighted_loss / total_weight if total_weight else 0.0


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_the_loss_is_the_mean_log_share_of_the_positives(rows: int, columns: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (rows, columns))
    positive, ignored = generator.random((rows, columns)) < 0.4, generator.random((rows, columns)) < 0.3
    weights = generator.random(rows) + 0.1
    loss = contrastive(*(torch.from_numpy(matrix) for matrix in (logits, positive, ignored, weights)))
    assert float(loss) == pytest.approx(_loss_by_definition(logits, positive, ignored, weights), abs=1e-8)


def test_with_one_positive_a_row_it_is_clips_cross_entropy() -> None:
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    diagonal = torch.eye(5, dtype=torch.bool)
    plain_loss = torch.nn.functional.cross_entropy
    expected = (plain_loss(logits, torch.arange(5)) + plain_loss(logits.T, torch.arange(5))) / 2
    assert float(symmetric_contrastive(logits, diagonal)) == pytest.approx(float(expected))


def test_an_equal_report_is_a_positive_and_no_negative() -> None:
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    scale = torch.tensor(50.0)
    separate_loss = image_text(vectors, vectors, scale, torch.tensor([0, 1, 2]))
    shared_loss = image_text(vectors, vectors, scale, torch.tensor([0, 0, 2]))
    assert float(separate_loss) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)  # each of the two can only be half sure
    assert float(shared_loss) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    worse_vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), dim=1)
    assert float(image_text(worse_vectors, worse_vectors, scale, torch.tensor([0, 0, 2]))) > float(shared_loss)


def test_rows_without_a_positive_do_not_count_and_none_is_no_loss() -> None:
    logits = torch.randn(3, 4)
    positive = torch.zeros(3, 4, dtype=torch.bool)
    assert float(contrastive(logits, positive)) == 0.0
    positive[1, 2] = True
    row_loss = contrastive(logits[1:2], positive[1:2])
    assert float(contrastive(logits, positive)) == pytest.approx(float(row_loss))


def test_gradients_are_finite_where_all_but_the_positive_is_ignored() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    positive = torch.tensor([[True, False, False], [False, False, False]])
    contrastive(logits, positive, ~positive).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_distillation_is_nothing_for_the_teacher_itself_and_more_for_another() -> None:
    random_state = torch.Generator().manual_seed(2)
    images, texts = (torch.nn.functional.normalize(torch.randn(4, 8, generator=random_state), dim=1) for _ in range(2))
    scale = torch.tensor(10.0)
    teacher_logits = scale * images @ texts.T
    assert float(distillation(images, texts, scale, teacher_logits)) == pytest.approx(0.0, abs=1e-6)
    other_images = torch.nn.functional.normalize(torch.randn(4, 8, generator=random_state), dim=1)
    student_shares, teacher_shares = (
        (scale * other_images @ texts.T).softmax(1).numpy(),
        teacher_logits.softmax(1).numpy(),
    )
    text_shares = (scale * other_images @ texts.T).T.softmax(1).numpy(), teacher_logits.T.softmax(1).numpy()
    divergences = [
        float((teacher * np.log(teacher / student)).sum(1).mean())
        for student, teacher in ((student_shares, teacher_shares), text_shares)
    ]
    assert float(distillation(other_images, texts, scale, teacher_logits)) == pytest.approx(
        sum(divergences) / 2, rel=1e-4
    )
