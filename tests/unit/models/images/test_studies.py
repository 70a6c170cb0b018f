"""Images of a study are predicted together."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("torch")
from kgp_models.images.examples import ImageExamples, LabelledImage, Link
from kgp_models.images.predict import _with_study_links
from kgp_models.images.prediction import BY_ENCODER, BY_NEIGHBOURS, PredictedImage, PredictedLink
from kgp_models.images.studies import MOST_IMAGES, combine_links, group_by_study, with_study_images
from kgplatform.errors import InputError
from kgplatform.generate.inputs import Input, inputs

EFFUSION, NODULE = (Link("POSITIVE", cui, cui) for cui in ("C1", "C2"))


def image(path: str, **properties: str) -> Input:
    return Input(path, Path(path), properties)


def test_images_belong_to_the_study_that_the_data_set_states() -> None:
    images = [
        image("a/1.png", dataset="OpenI", study_id="7"),
        image("a/2.png", dataset="OpenI", study_id="8"),
        image("b/3.png", dataset="OpenI", study_id="7"),
        image("b/4.png", dataset="MIMIC-CXR", study_id="7"),
    ]
    assert group_by_study(images) == [[0, 2], [1], [3]]


def test_without_a_stated_study_a_folder_is_one() -> None:
    assert group_by_study([image("a/1.png"), image("b/2.png"), image("a/3.png")]) == [[0, 2], [1]]


def test_a_folder_of_many_images_is_not_one_study() -> None:
    with pytest.raises(InputError, match=f"a folder of {MOST_IMAGES + 1} images is not one study"):
        group_by_study([image(f"a/{number}.png") for number in range(MOST_IMAGES + 1)])


def test_log_odds_are_averaged_and_rare_links_by_their_share() -> None:
    frontal = [PredictedLink(EFFUSION, 0.8, BY_ENCODER), PredictedLink(NODULE, 0.2, BY_NEIGHBOURS)]
    lateral = [PredictedLink(EFFUSION, 0.4, BY_ENCODER)]
    combined = combine_links([frontal, lateral])
    assert [entry.link for entry in combined] == [EFFUSION, NODULE]
    odds = math.sqrt((0.8 / 0.2) * (0.4 / 0.6))  # the geometric mean of the odds
    assert combined[0].probability == pytest.approx(odds / (1 + odds))
    assert combined[1].probability == pytest.approx(0.1)


def test_of_a_study_with_one_id_the_first_readable_image_comes_and_unreadable_ones_are_reported() -> None:
    images = [Input("I1", Path(name), {"dataset": "OpenI", "study_id": "1"}) for name in ("a", "b", "c")]
    links = (PredictedLink(EFFUSION, 0.4, BY_ENCODER),)
    predicted = [
        PredictedImage(images[1], links),
        PredictedImage(images[2], links),
        PredictedImage(images[0], problem="damaged"),
    ]
    combined = list(_with_study_links(predicted, images, group_by_study(images)))
    assert [(entry.image.path, entry.problem) for entry in combined] == [(Path("b"), None), (Path("a"), "damaged")]
    assert [link.link for link in combined[0].links] == [EFFUSION]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_a_study_is_between_its_images(probabilities: list[float]) -> None:
    [combined] = combine_links([[PredictedLink(EFFUSION, probability, BY_ENCODER)] for probability in probabilities])
    assert min(probabilities) - 1e-5 <= combined.probability <= max(probabilities) + 1e-5


def test_a_data_set_gives_all_images_of_a_study(tmp_path: Path) -> None:
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
    (tmp_path / "indiana_reports.csv").write_text(
        header + "1,normal,,,,,Heart normal.,\n2,normal,,,,,Clear.,\n", encoding="utf-8"
    )
    (tmp_path / "indiana_projections.csv").write_text(
        "uid,filename,projection\n1,1_a.dcm.png,Frontal\n1,1_b.dcm.png,Lateral\n2,2_a.dcm.png,Lateral\n",
        encoding="utf-8",
    )
    (tmp_path / "images").mkdir()
    for name in ("1_a", "1_b", "2_a"):
        Image.new("L", (40, 40)).save(tmp_path / "images" / f"{name}.dcm.png")
    images = inputs(tmp_path, ids_by_path={}, with_reports=False, any_modality=True, every_image=True).rows
    assert [entry.path.name for entry in images if entry.path] == ["1_a.dcm.png", "1_b.dcm.png", "2_a.dcm.png"]
    assert group_by_study(images) == [[0, 1], [2]]
    one_image = inputs(tmp_path, ids_by_path={}, with_reports=False, any_modality=True).rows
    assert [entry.path.name for entry in one_image if entry.path] == ["1_a.dcm.png"]


def test_the_other_images_of_a_study_have_the_links_of_the_one_in_the_graph(tmp_path: Path) -> None:
    for name in ("frontal.png", "lateral.png", "other.png"):
        (tmp_path / name).touch()
    frontal, other = (
        LabelledImage(image_id, tmp_path / name, study, frozenset({link}), study=study)
        for image_id, name, study, link in (("I1", "frontal.png", "1", EFFUSION), ("I2", "other.png", "2", NODULE))
    )
    study_images = [
        Input("I1", tmp_path / "lateral.png", {"view": "Lateral"}),
        Input("I1", tmp_path / "frontal.png", {"view": "Frontal"}),
        Input("I1", tmp_path / "missing.png", {"view": "Lateral"}),
        Input("I1", None, {}),
        Input("I3", tmp_path / "held-out.png", {"view": "Frontal"}),
    ]
    extended = with_study_images(ImageExamples([frontal, other]), study_images).images
    assert [(image.id, image.path.name, image.view) for image in extended] == [
        ("I1", "frontal.png", "Frontal"),
        ("I1 lateral.png", "lateral.png", "Lateral"),
        ("I2", "other.png", ""),
    ]
    assert extended[1].links == frozenset({EFFUSION})
    assert extended[1].subject == extended[0].subject, "so that both are in one part"
