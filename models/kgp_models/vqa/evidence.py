"""What an image shows, by regression on the graph's images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from kgplatform.datasets.knowledge import NEGATIVE, POSITIVE, UNCERTAIN, Knowledge

RIDGE: Final = 10.0  # of the evidence: the penalty, for each image of the graph
MIN_IMAGES: Final = 5  # fewest images with a stance to a concept from which the graph's images say something about it


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """How likely an image shows each concept, by ridge regression on the graph's images: `weights` (Di, C), for images
    less `mean` over `scale` (Di,), and `centre` (C,), what is likely of any image; `spread` (C,) is the standard
    deviation over the graph's images. `informative` (C,): the concepts of which these images show anything.
    """

    weights: Tensor
    mean: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor
    informative: Tensor

    @classmethod
    def learn(cls, knowledge: Knowledge, pictures: Tensor, pictured: Tensor) -> ImageEvidence:
        """Learnt from the graph's images with pictures (I, Di): 1 for those that are POSITIVE to a concept, 0.5 for
        UNCERTAIN ones, 0 for all others, so that a NEGATIVE one counts against it. A concept counts as known where at
        least `MIN_IMAGES` images have either answer.
        """
        concept_count, vector_width = len(knowledge.cuis), pictures.shape[1]
        stance_rows = torch.from_numpy(knowledge.stances)
        stance_rows = stance_rows[pictured[stance_rows[:, 0]]]
        if not len(stance_rows):
            no_evidence = (
                torch.zeros(vector_width, concept_count),
                torch.zeros(vector_width),
                torch.ones(vector_width),
                torch.zeros(concept_count),
            )
            return cls(*no_evidence, torch.ones(concept_count), torch.zeros(concept_count, dtype=torch.bool))
        targets = torch.zeros(len(pictures), concept_count, dtype=torch.float64)
        for stance, label in ((NEGATIVE, 0.0), (UNCERTAIN, 0.5), (POSITIVE, 1.0)):  # of several stances the strongest
            matching_rows = stance_rows[stance_rows[:, 1] == stance]
            targets[matching_rows[:, 0], matching_rows[:, 2]] = label
        targets = targets[pictured]
        inputs = pictures[pictured].double()
        mean, scale = inputs.mean(0), inputs.std(0).clamp(min=1e-6)
        inputs = (inputs - mean) / scale
        centre = targets.mean(0)
        gram_matrix = inputs.T @ inputs + RIDGE * len(inputs) ** 0.5 * torch.eye(vector_width, dtype=torch.float64)
        weights = torch.linalg.solve(gram_matrix, inputs.T @ (targets - centre))
        positive_counts = (targets > 0.5).sum(0)
        has_evidence = (positive_counts >= MIN_IMAGES) & (len(inputs) - positive_counts >= MIN_IMAGES)
        spread = (inputs @ weights).std(0).clamp(min=1e-6)
        return cls(weights.float(), mean.float(), scale.float(), centre.float(), spread.float(), has_evidence)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (n, Di) to (n, C), from 0 to 1; 0 for concepts that nothing is known of."""
        return (self._deviation(images) + self.centre).clamp(0, 1) * self.informative

    def lift(self, images: Tensor) -> Tensor:
        """How much likelier an image shows each concept than the graph's images do, in their standard deviations, from
        -3 to 3: (n, C). A rare finding is seldom likely, regardless of what the image shows.
        """
        return (self._deviation(images) / self.spread).clamp(-3, 3) * self.informative

    def _deviation(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.scale) @ self.weights
