"""`kgp train images` and `kgp predict image`: an encoder learns what the graph states, and predicts for new images."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
from kgplatform import queries
from kgplatform.datasets.knowledge import read_anatomy
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.unit.kgplatform.test_dicom_image import write_dicom

pytestmark = pytest.mark.server

PREDICTED = parse_query(
    "tests/predicted",
    "// The predictions of the graph.\n"
    "MATCH (i:Image)-[p:PREDICTED]->(c:Concept)\n"
    "RETURN i.id AS image, p.relation AS stance, c.cui AS cui, p.score AS score ORDER BY image, stance, cui",
)


def test_an_encoder_is_trained_and_predicts_for_images_that_the_graph_has_never_seen(
    graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tmp_path: Path
) -> None:
    kgp("construct", "run", synthetic_studies_folder)
    _check_wrong_input(kgp, synthetic_studies_folder, tmp_path)
    settings_path = tmp_path / "small.yaml"
    settings_path.write_text(
        "backbone: small\nleast: 3\nbatch: 8\nlearning_rate: 1.0e-3\nepochs: 2\nreport_weight: 0.01\n", encoding="utf-8"
    )
    model = tmp_path / "model"
    options = ("--config", settings_path, "--images", synthetic_studies_folder, "--out", model)
    trained = kgp("train", "images", *options, "--json").json
    assert set(trained["test"]) <= {"validate", "test"}
    assert "macro AUC" in trained["test"]["test"]
    assert all(row["low"] <= row["auc"] <= row["high"] for row in trained["auc_by_link"])
    anatomy = read_anatomy(graph)
    assert anatomy, "reports name parts of the body"
    assert not anatomy & {row["cui"] for row in trained["auc_by_link"]}
    with (model / "auc_by_link.csv").open(encoding="utf-8", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in trained["auc_by_link"]]
    again = kgp("train", "images", *options)
    assert again.code == 2
    assert "holds a trained model" in again.err
    assert not list(model.glob("work"))

    new_studies = tmp_path / "new"
    kgp("phantom", "build", new_studies, "--studies", "4", "--seed", "9")
    new_images = tmp_path / "pictures"
    new_images.mkdir()
    for number, image_path in enumerate(sorted(new_studies.rglob("*.png"))[:3]):
        shutil.copy(image_path, new_images / f"{number}.png")
    write_dicom(new_images / "ct.dcm", Modality="CT")
    (new_images / "damaged.png").write_bytes(b"no image")

    alone = kgp("predict", "image", new_images, "--model", model, "--least", "0", "--top", "3", "--json").json
    assert "encoder alone" in alone["notes"][0]
    assert [len(image["links"]) for image in alone["images"] if image["problem"] is None] == [3, 3, 3]
    assert [reject["reason"] for reject in alone["left_out"]] == [
        "is not a radiograph: its header states CT (--any-modality processes it)"
    ]
    assert sum(image["problem"] is not None for image in alone["images"]) == 1
    assert "not known to be synthetic" in alone["warnings"][0]
    assert alone["trained_on"][0]["synthetic"] is True
    assert graph.read(PREDICTED) == [], "nothing is written without --write"

    by_study = kgp(
        "predict", "image", new_images, "--by-study", "--model", model, "--least", "0", "--top", "3", "--json"
    )
    together = by_study.json
    links_by_image = [image["links"] for image in together["images"] if image["problem"] is None]
    assert len(links_by_image) == 3
    assert links_by_image[0] == links_by_image[1] == links_by_image[2], "the pictures of a folder are one study"

    embedded = kgp("embed", "--model", f"images:{model}", "--images", synthetic_studies_folder, "--only", "images")
    assert embedded.code == 0, embedded.err
    both = kgp("predict", "image", new_images, "--model", model, "--least", "0", "--top", "5", "--write", "--json").json
    assert both["notes"] == []
    assert {link["by"] for image in both["images"] for link in image["links"]} <= {"encoder and graph", "graph"}
    assert not anatomy & {link["cui"] for image in both["images"] for link in image["links"]}
    predicted = graph.read(PREDICTED)
    assert len(predicted) == both["written"] == sum(len(image["links"]) for image in both["images"])
    for image in both["images"]:
        probabilities = [link["probability"] for link in image["links"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(0.0 <= probability <= 1.0 for probability in probabilities)
    repeated = kgp(
        "predict", "image", new_images, "--model", model, "--least", "0", "--top", "5", "--write", "--json"
    ).json
    assert repeated["written"] == 0
    assert graph.read(PREDICTED) == predicted
    for run in reversed(both["runs"]):
        assert kgp("runs", "undo", run, "--yes").code == 0
    assert graph.read(PREDICTED) == []
    images_left = {row["id"] for row in graph.read(queries.get("datasets/images"))}
    assert not images_left & {image["image"] for image in both["images"]}


def _check_wrong_input(kgp: Kgp, synthetic_studies_folder: Path, tmp_path: Path) -> None:
    """It is one clear line."""
    image_path = next(synthetic_studies_folder.rglob("*.png"))
    missing_model = kgp("predict", "image", image_path, "--model", tmp_path / "none")
    assert missing_model.code == 1
    assert "there is no image encoder here" in missing_model.err
    settings_path = tmp_path / "a.yaml"
    settings_path.write_text("backbone: small\nleast: 100000\n", encoding="utf-8")
    options = ("--config", settings_path, "--out", tmp_path / "refused")
    too_rare = kgp("train", "images", *options, "--images", synthetic_studies_folder)
    assert too_rare.code == 1
    assert "no link is that of 100,000 training studies" in too_rare.err
    elsewhere = kgp("train", "images", *options, "--images", tmp_path)
    assert elsewhere.code == 1
    assert "none of the graph's images is here" in elsewhere.err
    pictures = tmp_path / "pictures alone"
    picture_path = pictures / image_path.relative_to(synthetic_studies_folder)
    picture_path.parent.mkdir(parents=True)
    shutil.copy(image_path, picture_path)
    no_data_set = kgp("train", "images", *options, "--images", pictures, "--every-image")
    assert no_data_set.code == 1
    assert "no data set that states the images of a study" in no_data_set.err
    settings_path.write_text("backbone: small\nstances: [MAYBE]\n", encoding="utf-8")
    wrong_stance = kgp("train", "images", *options, "--images", synthetic_studies_folder)
    assert "stances are not some of the three" in wrong_stance.err
    for completed in (missing_model, too_rare, elsewhere, no_data_set, wrong_stance):
        assert "Traceback" not in completed.err
