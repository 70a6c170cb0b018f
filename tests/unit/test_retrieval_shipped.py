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


LONG = "the lungs are well inflated, and the bones are intact and normal; " * 12


def test_no_word_of_a_long_text_is_left_out() -> None:
    """A text that is longer than the 77 tokens that the model reads is read in parts, and the user is told."""
    encoder = open_encoder("small")
    for text in (LONG, LONG.replace(", ", " ").replace("; ", " "), "x" * 500):
        reading = encoder.reading(text)
        assert reading.tokens > reading.longest == 77
        assert text.startswith("".join(reading.parts[:-1]))
        assert text.endswith(reading.parts[-1])
        assert sum(map(len, reading.parts)) >= len(text)
        sizes = [encoder.reading(part).tokens for part in reading.parts]
        assert all(70 < size <= 77 for size in sizes)  # short parts say less of a text
        assert f"the text has {reading.tokens:,} tokens, and the model reads 77 at a time" in reading.note
    ends = [LONG + "with a large pneumothorax", LONG + "with severe cardiomegaly and a pacemaker"]
    one, other = encoder.texts(ends)
    assert abs(one - other).max() > 0.01
    short = encoder.texts(["a large pneumothorax"])
    assert encoder.reading("a large pneumothorax").note == ""
    together = encoder.texts(["a large pneumothorax", *ends])
    assert abs(together[0] - short[0]).max() < 1e-5
    assert abs(together[1:] - [one, other]).max() < 1e-5
    assert abs((together**2).sum(1) - 1).max() < 1e-5


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
