"""The invented radiographs: deterministic, plausible, and each finding changes the picture where it is said to be."""

from __future__ import annotations

from pathlib import Path
from time import strptime

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from kgp_loaders.phantom import study_set
from kgp_loaders.phantom.findings import Kind, Severity, Shown, Side, View, Zone
from kgp_loaders.phantom.radiograph import draw
from kgp_loaders.phantom.studies import studies

SIZE = 128
SIDED = [Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.CONSOLIDATION, Kind.ATELECTASIS, Kind.NODULE, Kind.MASS, Kind.GRANULOMA,
         Kind.THICKENING, Kind.FRACTURE, Kind.DIAPHRAGM, Kind.HILUM, Kind.CHEST_TUBE]  # fmt: skip
SIZED = [Kind.CARDIOMEGALY, Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.CONSOLIDATION, Kind.NODULE, Kind.MASS, Kind.EDEMA,
         Kind.INTERSTITIAL, Kind.THICKENING, Kind.DIAPHRAGM, Kind.HERNIA]  # fmt: skip


def difference(shown: Shown, seed: int = 1, view: View = View.FRONTAL) -> np.ndarray:
    """How much each pixel changes for the finding, in grey values."""
    with_it = draw(view, [shown], np.random.default_rng(seed), SIZE).astype(float)
    return np.abs(with_it - draw(view, [], np.random.default_rng(seed), SIZE))


@pytest.mark.parametrize("view", list(View))
def test_the_same_seed_gives_the_same_picture(view: View) -> None:
    shown = [Shown(kind, Side.LEFT) for kind in Kind]
    first = draw(view, shown, np.random.default_rng(5))
    assert first.dtype == np.uint8
    assert first.shape == (256, 256)
    assert np.array_equal(first, draw(view, shown[::-1], np.random.default_rng(5)))
    assert not np.array_equal(first, draw(view, shown, np.random.default_rng(6)))


@pytest.mark.parametrize("seed", range(5))
def test_a_normal_chest_has_dark_lungs_and_a_bright_middle_and_belly(seed: int) -> None:
    picture = draw(View.FRONTAL, [], np.random.default_rng(seed)).astype(float)
    right, left = picture[70:140, 50:90].mean(), picture[70:110, 165:200].mean()
    middle, belly = picture[120:165, 115:140].mean(), picture[215:250, 70:190].mean()
    assert max(left, right) < 0.5 * middle
    assert belly > 2 * max(left, right)
    assert picture[:20, :10].mean() < 40  # beside the neck there is nothing


@pytest.mark.parametrize("kind", list(Kind))
def test_every_finding_can_be_seen(kind: Kind) -> None:
    changed = difference(Shown(kind, Side.LEFT, Zone.UPPER, Severity.LARGE))
    assert np.sort(changed, axis=None)[-40:].mean() > 15


@pytest.mark.parametrize("kind", SIDED)
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_a_finding_is_on_its_side_which_is_the_viewers_other(kind: Kind, side: Side) -> None:
    changed = difference(Shown(kind, side, Zone.UPPER, Severity.LARGE))
    viewers_left, viewers_right = changed[:, : SIZE // 2].sum(), changed[:, SIZE // 2 :].sum()
    there, elsewhere = (viewers_right, viewers_left) if side is Side.LEFT else (viewers_left, viewers_right)
    assert there > 3 * elsewhere


@pytest.mark.parametrize("kind", [Kind.CONSOLIDATION, Kind.NODULE, Kind.MASS, Kind.GRANULOMA])
def test_a_finding_is_in_its_zone(kind: Kind) -> None:
    rows = np.arange(SIZE)
    heights = []
    for zone in (Zone.UPPER, Zone.MIDDLE, Zone.LOWER):
        changed = difference(Shown(kind, Side.RIGHT, zone, Severity.LARGE)).clip(15) - 15
        heights.append((changed.sum(axis=1) * rows).sum() / changed.sum())
    assert heights[0] + SIZE / 13 < heights[1] < heights[2] - SIZE / 26


@pytest.mark.parametrize("kind", SIZED)
def test_the_more_severe_it_is_the_more_there_is_to_see(kind: Kind) -> None:
    sums = [
        sum(difference(Shown(kind, Side.RIGHT, Zone.LOWER, severity), seed).sum() for seed in range(3))
        for severity in Severity
    ]
    assert sums == sorted(sums)
    assert sums[2] > 1.15 * sums[0]


@pytest.mark.parametrize("size", [0, 100, 32, 4096])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        draw(View.FRONTAL, [], np.random.default_rng(1), size)


def test_times_of_studies_are_times() -> None:
    for one in studies(500, 7):
        assert strptime(one.time, "%H%M%S")


def test_a_study_set_has_the_images_of_its_metadata_and_dicom_of_the_same_pixels(tmp_path: Path) -> None:
    study_set.build(tmp_path / "a", 9, 7)
    study_set.build(tmp_path / "b", 9, 7, workers=2)
    names = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert {Path(name).stem for name in names if name.endswith(".png")} == {
        image for one in studies(9, 7) for image in one.images
    }
    for one in studies(9, 7):
        for image, view in zip(one.images, one.views, strict=True):
            path = tmp_path / "a" / one.folder / f"s{one.study}" / f"{image}.dcm"
            if path.exists():
                data = dcmread(path)
                assert (data.PatientID, data.Modality, data.PatientIdentityRemoved) == (str(one.subject), "DX", "YES")
                assert data.StudyTime < "240000"
                assert int(data.StudyTime[2:4]) < 60
                assert data.ViewPosition == ("LL" if view == "LATERAL" else view)
                with Image.open(path.with_suffix(".png")) as png:
                    assert np.array_equal(data.pixel_array, np.asarray(png))
    assert sum(name.endswith(".dcm") for name in names) >= 2
