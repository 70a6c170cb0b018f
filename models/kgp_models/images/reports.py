"""A further target of an image encoder: to tell an image's report among all reports of the training.

Links say little of most images: a third of OpenI's studies have no code at all, and most have one or two. Their reports
say more. The text tower is frozen, and its vectors of the reports are computed once, so that an image is compared with
all reports and not with those of its batch alone.

Sources: Zhang et al. 2022, "Contrastive Learning of Medical Visual Representations from Paired Images and Text"
(ConVIRT); Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning", for the frozen tower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.retrieval.inputs import frozen_text_features
from kgp_models.towers.backbone import MAX_SCALE, TEMPERATURE, Backbone

WIDTH: Final = 256  # of the space in which images and reports are compared
REPORT_TOKENS: Final = 256  # that are read of a report, where the text tower reads so many
NO_REPORT: Final = -1


@dataclass(frozen=True, eq=False)
class Reports:
    """The distinct reports of a training as vectors, (reports, width), and which one each image has, (images,);
    `NO_REPORT` where there is none.
    """

    vectors: Tensor
    rows: Tensor


def read_report_vectors(texts: Sequence[str], backbone: Backbone, cache: Path) -> Reports:
    """The reports of images, by the text tower of a frozen backbone; `cache` keeps the vectors."""
    distinct_texts = sorted({text for text in texts if text})
    numbers = {text: number for number, text in enumerate(distinct_texts)}
    rows = torch.tensor([numbers.get(text, NO_REPORT) for text in texts])
    return Reports(frozen_text_features(backbone, distinct_texts, cache), rows)


class ReportTarget(nn.Module):
    """Heads that bring images and reports together, and how well they do so."""

    def __init__(self, width: int, reports: Tensor) -> None:
        """`width` is that of the images' vectors; `reports` are the vectors of all reports, (reports, their width)."""
        super().__init__()
        self.reports: Tensor
        mean, deviation = reports.mean(0), reports.std(0, correction=0).clamp(min=1e-6)
        self.register_buffer("reports", (reports - mean) / deviation, persistent=False)
        self.image_head = nn.Linear(width, WIDTH)
        self.report_head = nn.Linear(reports.shape[1], WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.0 / TEMPERATURE)))

    def forward(self, images: Tensor, rows: Tensor) -> Tensor:
        """The mean cross-entropy of the images' own reports among all, of vectors (B, width) and the numbers of their
        reports (B,); 0 where none of the images has a report.
        """
        has_report = rows != NO_REPORT
        if not has_report.any():
            return images.sum() * 0.0
        directions = functional.normalize(self.image_head(images[has_report]), dim=-1)
        report_directions = functional.normalize(self.report_head(self.reports), dim=-1)
        scale = self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()
        return functional.cross_entropy(directions @ report_directions.T * scale, rows[has_report])
