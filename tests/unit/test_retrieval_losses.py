"""The contrastive losses against plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kgp_models.retrieval.losses import both_ways, contrastive, distillation, image_text


def oracle(logits: np.ndarray, positive: np.ndarray, ignored: np.ndarray, weights: np.ndarray) -> float:
    """The loss in plain words: −log of a positive's share among all that are not ignored."""
    total = whole = 0.0
    for row, is_positive, is_ignored, weight in zip(logits, positive, ignored, weights, strict=True):
        among = [math.exp(x) for x, p, i in zip(row, is_positive, is_ignored, strict=True) if p or not i]
        shares = [math.exp(x) / sum(among) for x, p in zip(row, is_positive, strict=True) if p]
        if shares:
            total += weight * sum(-math.log(share) for share in shares) / len(shares)
            whole += weight
    return total / whole if whole else 0.0


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_the_loss_is_the_mean_log_share_of_the_positives(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (rows, columns))
    positive, ignored = rng.random((rows, columns)) < 0.4, rng.random((rows, columns)) < 0.3
    weights = rng.random(rows) + 0.1
    found = contrastive(*(torch.from_numpy(of) for of in (logits, positive, ignored, weights)))
    assert float(found) == pytest.approx(oracle(logits, positive, ignored, weights), abs=1e-8)


def test_with_one_positive_a_row_it_is_clips_cross_entropy() -> None:
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    same = torch.eye(5, dtype=torch.bool)
    plain = torch.nn.functional.cross_entropy
    expected = (plain(logits, torch.arange(5)) + plain(logits.T, torch.arange(5))) / 2
    assert float(both_ways(logits, same)) == pytest.approx(float(expected))


def test_an_equal_report_is_a_positive_and_no_negative() -> None:
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    scale = torch.tensor(50.0)
    apart = image_text(vectors, vectors, scale, torch.tensor([0, 1, 2]))
    together = image_text(vectors, vectors, scale, torch.tensor([0, 0, 2]))
    assert float(apart) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)  # each of the two can only be half sure
    assert float(together) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    worse = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), dim=1)
    assert float(image_text(worse, worse, scale, torch.tensor([0, 0, 2]))) > float(together)


def test_rows_without_a_positive_do_not_count_and_none_is_no_loss() -> None:
    logits = torch.randn(3, 4)
    positive = torch.zeros(3, 4, dtype=torch.bool)
    assert float(contrastive(logits, positive)) == 0.0
    positive[1, 2] = True
    alone = contrastive(logits[1:2], positive[1:2])
    assert float(contrastive(logits, positive)) == pytest.approx(float(alone))


def test_gradients_are_finite_where_all_but_the_positive_is_ignored() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    positive = torch.tensor([[True, False, False], [False, False, False]])
    contrastive(logits, positive, ~positive).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_distillation_is_nothing_for_the_teacher_itself_and_more_for_another() -> None:
    rng = torch.Generator().manual_seed(2)
    images, texts = (torch.nn.functional.normalize(torch.randn(4, 8, generator=rng), dim=1) for _ in range(2))
    scale = torch.tensor(10.0)
    known = scale * images @ texts.T
    assert float(distillation(images, texts, scale, known)) == pytest.approx(0.0, abs=1e-6)
    other = torch.nn.functional.normalize(torch.randn(4, 8, generator=rng), dim=1)
    mine, its = (scale * other @ texts.T).softmax(1).numpy(), known.softmax(1).numpy()
    across = (scale * other @ texts.T).T.softmax(1).numpy(), known.T.softmax(1).numpy()
    kl = [float((t * np.log(t / m)).sum(1).mean()) for m, t in ((mine, its), across)]
    assert float(distillation(other, texts, scale, known)) == pytest.approx(sum(kl) / 2, rel=1e-4)
