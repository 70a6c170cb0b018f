"""How well closed questions are answered: accuracy, precision, recall and F1, where positive means yes (MedMKG app. K).

Of the questions with the answer yes, TP are answered by yes and FN by no; of those with the answer no, FP and TN:

    accuracy = (TP + TN) / n     precision = TP / (TP + FP)     recall = TP / (TP + FN)     F1 = 2 TP / (2 TP + FP + FN)

All from 0 to 1, more is better. A figure whose denominator is 0 is 0, as in the released code (scikit-learn's default).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers to closed questions: `yes` are the right ones, `probabilities` those of yes, (n,) each."""

    yes: NDArray[np.bool_]
    probabilities: NDArray[np.float64]

    @classmethod
    def checked(cls, yes: ArrayLike, probabilities: ArrayLike) -> Answers:
        """Checked. Raises `ValueError` for other shapes, and for what is no probability."""
        expected, checked_values = np.asarray(yes, dtype=np.bool_), np.asarray(probabilities, dtype=np.float64)
        if expected.ndim != 1 or expected.shape != checked_values.shape or not len(expected):
            raise ValueError(f"{expected.shape} answers do not go with {checked_values.shape} probabilities")
        if not ((checked_values >= 0) & (checked_values <= 1)).all():
            raise ValueError("a probability is not between 0 and 1")
        return cls(expected, checked_values)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """For each question whether it is answered by yes; a probability of just 0.5 says yes."""
        return self.probabilities >= THRESHOLD

    @property
    def correct(self) -> NDArray[np.float64]:
        """For each question 1 where it is answered right, else 0."""
        correctness: NDArray[np.float64] = (self.answered == self.yes).astype(np.float64)
        return correctness

    def figures(self) -> dict[str, float]:
        """Accuracy, precision, recall and F1."""
        answered = self.answered
        true_positives, false_positives = int((answered & self.yes).sum()), int((answered & ~self.yes).sum())
        false_negatives = int((~answered & self.yes).sum())
        return {
            "accuracy": float(self.correct.mean()),
            "precision": _share(true_positives, true_positives + false_positives),
            "recall": _share(true_positives, true_positives + false_negatives),
            "F1": _share(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        }

    def as_dict(self) -> dict[str, Any]:
        """The figures, and how many questions there were."""
        return {"questions": len(self.yes), "yes": int(self.yes.sum()), **self.figures()}


def majority(trained: ArrayLike, yes: ArrayLike) -> Answers:
    """What answering each question by the commoner answer in training gives: the trivial baseline."""
    majority_answer = float(np.asarray(trained, dtype=np.float64).mean() >= THRESHOLD)
    return Answers.checked(yes, np.full(len(np.asarray(yes)), majority_answer))


def _share(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0
