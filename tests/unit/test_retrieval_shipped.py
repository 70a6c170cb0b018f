"""The small backbone that comes with the package: small, and it finds invented images that it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_loaders.phantom import study_set
from kgp_models.retrieval.checkpoint import SHIPPED
from kgp_models.retrieval.encode import open_encoder
from kgplatform.retrieval import metrics, pairs

pytestmark = pytest.mark.slow


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 4 << 20


def test_it_finds_unseen_images_far_better_than_chance(tmp_path: Path) -> None:
    study_set.build(tmp_path, 60, 29)
    found, _ = pairs.read("mimic-cxr", tmp_path)
    encoder = open_encoder("small")
    groups = pairs.groups(found)
    texts = [next(pair.text for pair, g in zip(found, groups, strict=True) if g == group) for group in range(60)]
    images = encoder.images([pair.path for pair in found])
    scores = metrics.both(images, encoder.texts(texts), groups)["text_to_image"]
    chance = metrics.chance(list(range(60)), groups).means()
    assert scores.means()["R@10"] > 3 * chance["R@10"]
    assert scores.means()["MRR"] > 2 * chance["MRR"]
