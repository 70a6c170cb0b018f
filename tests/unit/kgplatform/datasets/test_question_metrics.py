"""Accuracy, precision, recall and F1 of closed questions, against scikit-learn's and against plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from kgplatform.datasets.question_metrics import Answers, majority

answers = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60)


@pytest.mark.slow
@given(answers)
def test_figures_are_scikit_learns(example_values: list[tuple[bool, float]]) -> None:
    true_answers, probabilities = map(list, zip(*example_values, strict=True))
    predicted_answers = [probability >= 0.5 for probability in probabilities]
    computed_figures = Answers.checked(true_answers, probabilities).figures()
    expected_figures = {
        "accuracy": sklearn.accuracy_score(true_answers, predicted_answers),
        "precision": sklearn.precision_score(true_answers, predicted_answers, zero_division=0.0),
        "recall": sklearn.recall_score(true_answers, predicted_answers, zero_division=0.0),
        "F1": sklearn.f1_score(true_answers, predicted_answers, zero_division=0.0),
    }
    assert computed_figures == pytest.approx(expected_figures)


def test_by_hand() -> None:
    example_answers = Answers.checked([True, True, True, False, False], [0.9, 0.5, 0.1, 0.8, 0.2])
    assert example_answers.correct.tolist() == [1, 1, 0, 0, 1]
    assert example_answers.as_dict() == {
        "questions": 5, "yes": 3, "accuracy": 0.6, "precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3),
        "F1": pytest.approx(2 / 3),
    }  # fmt: skip


def test_majority_says_what_is_commoner_in_training() -> None:
    assert majority([True, False, True], [False, False, True]).figures()["accuracy"] == pytest.approx(1 / 3)
    assert majority([False, False, True], [False, False, True]).figures() == {
        "accuracy": pytest.approx(2 / 3), "precision": 0, "recall": 0, "F1": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("yes", "probabilities"),
    [([], []), ([True], [0.1, 0.2]), ([True], [1.1]), ([True], [-0.1]), ([False], [np.nan]), ([[True]], [[0.5]])],
)
def test_what_is_no_answer(yes: object, probabilities: object) -> None:
    with pytest.raises(ValueError, match=r"answers|probability"):
        Answers.checked(yes, probabilities)  # type: ignore[arg-type]
