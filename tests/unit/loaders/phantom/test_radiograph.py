"""The synthetic radiographs: deterministic, plausible, and each finding changes the picture where it is said to be."""

from __future__ import annotations

from pathlib import Path
from time import strptime

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from kgp_loaders.phantom import study_set
from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, View, Zone
from kgp_loaders.phantom.radiograph import render_radiograph
from kgp_loaders.phantom.studies import synthetic_studies

SIZE = 128
SIDED = [Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.CONSOLIDATION, Kind.ATELECTASIS, Kind.NODULE, Kind.MASS, Kind.GRANULOMA,
         Kind.THICKENING, Kind.FRACTURE, Kind.DIAPHRAGM, Kind.HILUM, Kind.CHEST_TUBE]  # fmt: skip
SIZED = [Kind.CARDIOMEGALY, Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.CONSOLIDATION, Kind.NODULE, Kind.MASS, Kind.EDEMA,
         Kind.INTERSTITIAL, Kind.THICKENING, Kind.DIAPHRAGM, Kind.HERNIA]  # fmt: skip


def difference(finding: RadiographFinding, seed: int = 1, view: View = View.FRONTAL) -> np.ndarray:
    """How much each pixel changes for the finding, in grey values."""
    with_finding = render_radiograph(view, [finding], np.random.default_rng(seed), SIZE).astype(float)
    return np.abs(with_finding - render_radiograph(view, [], np.random.default_rng(seed), SIZE))


@pytest.mark.parametrize("view", list(View))
def test_the_same_seed_gives_the_same_picture(view: View) -> None:
    findings = [RadiographFinding(kind, Side.LEFT) for kind in Kind]
    first_image = render_radiograph(view, findings, np.random.default_rng(5))
    assert first_image.dtype == np.uint8
    assert first_image.shape == (256, 256)
    assert np.array_equal(first_image, render_radiograph(view, findings[::-1], np.random.default_rng(5)))
    assert not np.array_equal(first_image, render_radiograph(view, findings, np.random.default_rng(6)))


@pytest.mark.parametrize("seed", range(5))
def test_a_normal_chest_has_dark_lungs_and_a_bright_middle_and_belly(seed: int) -> None:
    radiograph = render_radiograph(View.FRONTAL, [], np.random.default_rng(seed)).astype(float)
    right_lung, left_lung = radiograph[70:140, 50:90].mean(), radiograph[70:110, 165:200].mean()
    mediastinum, abdomen = radiograph[120:165, 115:140].mean(), radiograph[215:250, 70:190].mean()
    assert max(left_lung, right_lung) < 0.5 * mediastinum
    assert abdomen > 2 * max(left_lung, right_lung)
    assert radiograph[:20, :10].mean() < 40  # beside the neck there is nothing


@pytest.mark.parametrize("kind", list(Kind))
def test_every_finding_can_be_seen(kind: Kind) -> None:
    pixel_change = difference(RadiographFinding(kind, Side.LEFT, Zone.UPPER, Severity.LARGE))
    assert np.sort(pixel_change, axis=None)[-40:].mean() > 15


@pytest.mark.parametrize("kind", SIDED)
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_a_finding_is_on_its_side_which_is_the_viewers_other(kind: Kind, side: Side) -> None:
    pixel_change = difference(RadiographFinding(kind, side, Zone.UPPER, Severity.LARGE))
    viewers_left, viewers_right = pixel_change[:, : SIZE // 2].sum(), pixel_change[:, SIZE // 2 :].sum()
    same_side, other_side = (viewers_right, viewers_left) if side is Side.LEFT else (viewers_left, viewers_right)
    assert same_side > 3 * other_side


@pytest.mark.parametrize("kind", [Kind.CONSOLIDATION, Kind.NODULE, Kind.MASS, Kind.GRANULOMA])
def test_a_finding_is_in_its_zone(kind: Kind) -> None:
    row_numbers = np.arange(SIZE)
    heights = []
    for zone in (Zone.UPPER, Zone.MIDDLE, Zone.LOWER):
        pixel_change = difference(RadiographFinding(kind, Side.RIGHT, zone, Severity.LARGE)).clip(15) - 15
        heights.append((pixel_change.sum(axis=1) * row_numbers).sum() / pixel_change.sum())
    assert heights[0] + SIZE / 13 < heights[1] < heights[2] - SIZE / 26


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIZED)
def test_the_more_severe_it_is_the_more_there_is_to_see(kind: Kind) -> None:
    change_sums = [
        sum(difference(RadiographFinding(kind, Side.RIGHT, Zone.LOWER, severity), seed).sum() for seed in range(3))
        for severity in Severity
    ]
    assert change_sums == sorted(change_sums)
    assert change_sums[2] > 1.15 * change_sums[0]


@pytest.mark.parametrize("size", [0, 100, 32, 4096])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        render_radiograph(View.FRONTAL, [], np.random.default_rng(1), size)


def test_times_of_studies_are_times() -> None:
    for study in synthetic_studies(500, 7):
        assert strptime(study.time, "%H%M%S")


@pytest.mark.slow
def test_a_study_set_has_the_images_of_its_metadata_and_dicom_of_the_same_pixels(tmp_path: Path) -> None:
    study_set.build_study_set(tmp_path / "a", 9, 7)
    study_set.build_study_set(tmp_path / "b", 9, 7, workers=2)
    file_names = sorted(
        str(file_path.relative_to(tmp_path / "a")) for file_path in (tmp_path / "a").rglob("*") if file_path.is_file()
    )
    assert all(
        (tmp_path / "a" / file_name).read_bytes() == (tmp_path / "b" / file_name).read_bytes()
        for file_name in file_names
    )
    assert {Path(file_name).stem for file_name in file_names if file_name.endswith(".png")} == {
        image_id for phantom_study in synthetic_studies(9, 7) for image_id in phantom_study.images
    }
    for phantom_study in synthetic_studies(9, 7):
        for image_id, view in zip(phantom_study.images, phantom_study.views, strict=True):
            file_path = tmp_path / "a" / phantom_study.folder / f"s{phantom_study.study}" / f"{image_id}.dcm"
            if file_path.exists():
                dataset = dcmread(file_path)
                assert (dataset.PatientID, dataset.Modality, dataset.PatientIdentityRemoved) == (
                    str(phantom_study.subject),
                    "DX",
                    "YES",
                )
                assert dataset.StudyTime < "240000"
                assert int(dataset.StudyTime[2:4]) < 60
                assert dataset.ViewPosition == ("LL" if view == "LATERAL" else view)
                with Image.open(file_path.with_suffix(".png")) as png_image:
                    assert np.array_equal(dataset.pixel_array, np.asarray(png_image))
    assert sum(file_name.endswith(".dcm") for file_name in file_names) >= 2
