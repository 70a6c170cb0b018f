"""The small backbone that comes with the package: small, and it finds synthetic images that it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_loaders.phantom import study_set
from kgp_models.retrieval.checkpoint import SHIPPED
from kgp_models.retrieval.encode import open_encoder
from kgplatform.datasets import pair_metrics as metrics
from kgplatform.datasets import pairs

pytestmark = pytest.mark.slow


def test_it_is_small() -> None:
    assert sum(file_path.stat().st_size for file_path in SHIPPED.rglob("*") if file_path.is_file()) < 4 << 20


LONG = "the lungs are well inflated, and the bones are intact and normal; " * 12


def test_no_word_of_a_long_text_is_left_out() -> None:
    """A text that is longer than the 77 tokens that the model reads is read in parts, and the user is informed."""
    encoder = open_encoder("small")
    for long_text in (LONG, LONG.replace(", ", " ").replace("; ", " "), "x" * 500):
        reading = encoder.reading(long_text)
        assert reading.tokens > reading.longest == 77
        assert long_text.startswith("".join(reading.parts[:-1]))
        assert long_text.endswith(reading.parts[-1])
        assert sum(map(len, reading.parts)) >= len(long_text)
        token_counts = [encoder.reading(text_part).tokens for text_part in reading.parts]
        assert all(70 < token_count <= 77 for token_count in token_counts)  # short parts say less of a text
        assert f"the text has {reading.tokens:,} tokens, and the model reads 77 at a time" in reading.note
    ending_texts = [LONG + "with a large pneumothorax", LONG + "with severe cardiomegaly and a pacemaker"]
    first_vector, second_vector = encoder.texts(ending_texts)
    assert abs(first_vector - second_vector).max() > 0.01
    short_vectors = encoder.texts(["a large pneumothorax"])
    assert encoder.reading("a large pneumothorax").note == ""
    all_vectors = encoder.texts(["a large pneumothorax", *ending_texts])
    assert abs(all_vectors[0] - short_vectors[0]).max() < 1e-5
    assert abs(all_vectors[1:] - [first_vector, second_vector]).max() < 1e-5
    assert abs((all_vectors**2).sum(1) - 1).max() < 1e-5


def test_it_finds_unseen_images_far_better_than_chance(tmp_path: Path) -> None:
    study_set.build_study_set(tmp_path, 60, 29)
    image_pairs = pairs.read_pairs("mimic-cxr", tmp_path).pairs
    encoder = open_encoder("small")
    groups = pairs.pair_groups(image_pairs)
    texts = [
        next(pair.text for pair, pair_group in zip(image_pairs, groups, strict=True) if pair_group == group)
        for group in range(60)
    ]
    image_vectors = encoder.images([pair.path for pair in image_pairs])
    scores = metrics.retrieval_scores(image_vectors, encoder.texts(texts), groups)["text_to_image"]
    chance_means = metrics.chance(list(range(60)), groups).means()
    assert scores.means()["R@10"] > 3 * chance_means["R@10"]
    assert scores.means()["MRR"] > 2 * chance_means["MRR"]
