"""`--epochs` of `kgp train`: a training cut short."""

from __future__ import annotations

import pytest

from kgp_models.training.short import limit_epochs

pytest.importorskip("torch")

from kgp_models.generator.settings import GeneratorSettings
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.vqa.settings import VQASettings


def test_no_part_of_a_training_has_more_epochs() -> None:
    generator = limit_epochs(GeneratorSettings(), 1)
    assert (generator.language.epochs, generator.visual.epochs, generator.small.vision_epochs) == (1.0, 1.0, 1.0)
    assert isinstance(generator.language.epochs, float)
    retrieval = limit_epochs(RetrievalSettings(method="knowledgeclip"), 2)
    assert (retrieval.tuning.epochs, retrieval.knowledge.epochs) == (2, 2)
    assert limit_epochs(VQASettings(), 3).tuning.epochs == 3
    assert limit_epochs(TrainingSettings("transe"), 4).epochs == 4


def test_a_training_is_never_made_longer_and_nothing_else_changes() -> None:
    settings = TrainingSettings("transe", epochs=3)
    assert limit_epochs(settings, 10) == settings
    assert limit_epochs(settings, None) is settings
    assert limit_epochs(VQASettings(hops=2), 1).hops == 2
