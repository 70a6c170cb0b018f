"""An image that is far from all training images is recognised as such."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_models.generator.checkpoint import SHIPPED, load_generator
from kgp_models.training.reference_vectors import FILE, QUANTILE, SAMPLE, ReferenceVectors
from kgplatform.construct.report import Report
from kgplatform.errors import InputError


def cloud(count: int, seed: int, direction: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    vectors = 0.2 * torch.randn(count, 16, generator=rng)
    vectors[:, direction] += 1.0
    return vectors


@pytest.mark.parametrize("has_held_out", [True, False])
def test_images_like_those_of_the_training_are_near_and_others_far(has_held_out: bool) -> None:
    held_out = cloud(400, 2, 0)
    reference = ReferenceVectors.from_training(cloud(900, 1, 0), held_out if has_held_out else None)
    assert len(reference.vectors) == SAMPLE
    near = (reference.distances(cloud(400, 3, 0)) > reference.threshold).float().mean()
    assert near < 3 * (1 - QUANTILE)
    assert (reference.distances(cloud(100, 4, 5)) > reference.threshold).all()


def test_the_distance_is_one_minus_the_cosine_to_the_kth_nearest() -> None:
    reference = ReferenceVectors(torch.eye(3), 0.5, nearest=2)
    [distance] = reference.distances(torch.tensor([[3.0, 4.0, 0.0]]))
    assert distance == pytest.approx(1 - 0.6)


def test_it_is_stored_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    reference = ReferenceVectors.from_training(cloud(40, 1, 0))
    description = {"reference": reference.save(tmp_path)}
    loaded = ReferenceVectors.load(tmp_path, description)
    assert loaded is not None
    assert torch.equal(loaded.vectors, reference.vectors)
    assert loaded.threshold == pytest.approx(reference.threshold, abs=1e-6)
    assert ReferenceVectors.load(tmp_path, {}) is None
    (tmp_path / FILE).write_bytes(b"changed")
    with pytest.raises(InputError, match="changed"):
        ReferenceVectors.load(tmp_path, description)
    (tmp_path / FILE).unlink()
    with pytest.raises(InputError):
        ReferenceVectors.load(tmp_path, description)


@pytest.mark.data
@pytest.mark.slow
def test_the_shipped_generator_tells_synthetic_radiographs_from_others(
    data_dir: Path, synthetic_studies_folder: Path
) -> None:
    """Of other synthetic studies 1 of 100 may be reported; of real radiographs most are, as docs/images.md states."""
    shipped = load_generator(SHIPPED)
    assert shipped.vision is not None
    assert shipped.reference is not None

    def unlike_share(paths: Iterable[Path]) -> float:
        assert shipped.vision is not None
        assert shipped.reference is not None
        vectors = torch.cat([shipped.vision.encode([shipped.vision.pixels(path)]) for path in paths])
        return float((shipped.reference.distances(vectors) > shipped.reference.threshold).float().mean())

    reports = MIMICCXR(synthetic_studies_folder, views=("AP", "PA")).reports()  # it has seen no lateral one
    frontal = [synthetic_studies_folder / report.image["path"] for report in reports if isinstance(report, Report)]
    assert unlike_share(frontal) <= 0.1
    assert unlike_share(sorted((data_dir / "openi_xray" / "images").iterdir())[::200]) > 0.5
    assert unlike_share([data_dir / "dicom" / "CT_small.dcm", data_dir / "dicom" / "MR_small.dcm"]) == 1.0
