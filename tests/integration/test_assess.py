"""The sample for human assessment, drawn from a real graph."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from openpyxl import load_workbook
from PIL import Image

from kgplatform.assess.sample import draw_sample
from kgplatform.assess.workbook import IMAGES
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.unit.kgplatform.assess.test_assess import fill, raters

pytestmark = pytest.mark.server


@pytest.fixture
def assessment_folder(graph: Graph, kgp: Kgp, tmp_path: Path) -> Path:
    medmkg_rows = [
        f"I{image_number},{stance},C990000{concept_number},,finding {concept_number}"
        for image_number in range(40)
        for concept_number, stance in ((image_number % 5, "POSITIVE"), (7, "NEGATIVE"))
    ]
    table_path = tmp_path / "MedMKG.csv"
    table_path.write_text("Head,Relation,Tail,Head_Name,Tail_Name\n" + "\n".join(medmkg_rows) + "\n", encoding="utf-8")
    assert kgp("ingest", "medmkg", table_path).code == 0
    return tmp_path


def test_the_same_graph_and_seed_give_the_same_sample(graph: Graph, assessment_folder: Path) -> None:
    sample = draw_sample(graph, images=10, concepts=3, max_images=4)
    assert sample == draw_sample(graph, images=10, concepts=3, max_images=4)
    assert sample.identity != draw_sample(graph, images=10, concepts=3, max_images=4, seed=43).identity
    assert len(sample.images) == 10
    assert all({concept.relation for concept in item.concepts} == {"POSITIVE", "NEGATIVE"} for item in sample.images)
    assert all((len(item.images), item.total) == (4, 8) for item in sample.concepts)
    assert "C9900007" not in {item.id for item in draw_sample(graph, concepts=30).concepts}  # nowhere positive


def test_the_command_writes_a_workbook_with_reports_only_when_asked(
    graph: Graph, kgp: Kgp, assessment_folder: Path
) -> None:
    completed = kgp("assess", "sample", assessment_folder / "w.xlsx", "--images", "5", "--json")
    assert completed.code == 0, completed.err
    assert (completed.json["images"], completed.json["concepts"], completed.json["reports"]) == (5, 5, 0)
    second_run = kgp("assess", "sample", assessment_folder / "w.xlsx")
    assert second_run.code == 1
    assert "the file already exists" in second_run.err
    report_folder = assessment_folder / "openi"
    report_folder.mkdir()
    (report_folder / "indiana_reports.csv").write_text(
        "uid,findings,impression\n"
        + "".join(f"{report_number},canary {report_number},\n" for report_number in range(40)),
        encoding="utf-8",
    )
    (report_folder / "indiana_projections.csv").write_text(
        "uid,filename,projection\n"
        + "".join(f"{report_number},{report_number}.png,Frontal\n" for report_number in range(40)),
        encoding="utf-8",
    )
    (assessment_folder / "other.csv").write_text("id,text\nq,No effusion.\n", encoding="utf-8")
    failed_run = kgp(
        "assess", "sample", assessment_folder / "o.xlsx", "--reports", "reports", assessment_folder / "other.csv"
    )
    assert (failed_run.code, "none of these reports belongs to one of the images" in failed_run.err) == (1, True)
    assert not (assessment_folder / "o.xlsx").exists()
    assert kgp("assess", "sample", assessment_folder / "w.xls").code == 2
    completed = kgp("assess", "sample", assessment_folder / "w.xlsx", "--force", "--reports", "openi", report_folder)
    assert "holds the text of 30 reports" in completed.err
    assert "canary" not in completed.out + completed.err
    cell_texts = [
        cell.value for cell in load_workbook(assessment_folder / "w.xlsx")["Image2Concept"]["E"] if cell.value
    ]
    assert sum("canary" in cell_text for cell_text in cell_texts) == 30


def test_an_empty_graph_is_one_clear_error(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    completed = kgp("assess", "sample", tmp_path / "w.xlsx")
    assert completed.code == 1
    assert "no image of the graph has a concept" in completed.err
    assert not (tmp_path / "w.xlsx").exists()


def test_the_command_scores_and_draws(kgp: Kgp, tmp_path: Path) -> None:
    workbook_paths = raters(tmp_path, {2: 8, 3: 9}, {2: 7, 3: 9})
    completed = kgp("assess", "score", *workbook_paths, "--out", tmp_path / "out")
    assert completed.code == 0, completed.err
    assert "Concept Coverage" in completed.out
    assert "8.250" in completed.out
    assert {output_path.name for output_path in (tmp_path / "out").iterdir()} == {
        "scores.json",
        "assessment.svg",
        "assessment.png",
    }
    score_document = kgp("assess", "score", *workbook_paths, "--json").json
    assert score_document["metrics"][0]["mean"] == 8.25
    shutil.copy(workbook_paths[0], tmp_path / "c.xlsx")
    fill(tmp_path / "c.xlsx", {f"{IMAGES}!F": {2: 99}})
    failed_run = kgp("assess", "score", tmp_path / "c.xlsx")
    assert failed_run.code == 1
    assert "cell F2" in failed_run.err
    assert "Traceback" not in failed_run.err


def test_only_images_with_a_readable_file_are_drawn(graph: Graph, kgp: Kgp, assessment_folder: Path) -> None:
    graph.write(parse_query("t/paths", "// Paths.\nMATCH (i:Image) WHERE i.id <> 'I0' SET i.path = i.id + '.png'"))
    image_folder = assessment_folder / "images"
    refused = kgp("assess", "sample", assessment_folder / "w.xlsx", "--image-root", image_folder)
    assert (refused.code, "there is no such folder" in refused.err) == (1, True)
    image_folder.mkdir()
    refused = kgp("assess", "sample", assessment_folder / "w.xlsx", "--image-root", image_folder)
    assert refused.code == 1
    assert "none of the graph's 40 images with a concept has a readable file here" in refused.err
    assert not (assessment_folder / "w.xlsx").exists()
    for image_number in range(1, 9):
        Image.new("L", (8, 8), image_number).save(image_folder / f"I{image_number}.png")
    (image_folder / "I9.png").write_bytes(b"no image")
    completed = kgp(
        "assess", "sample", assessment_folder / "w.xlsx", "--image-root", image_folder, "--images", "30", "--json"
    )
    assert completed.code == 0, completed.err
    assert completed.json["images"] == 8
    assert completed.json["left_out"] == {
        "whose file is not in the folder": 30,
        "whose file cannot be read as an image": 1,
        "without a path in the graph": 1,
    }
    assert "8 images instead of 30" in completed.err
    assert "30 images whose file is not in the folder" in completed.err
    sample = draw_sample(
        graph, images=3, max_images=2, can_show=lambda image_path: image_path in {"I1.png", "I6.png", "I2.png"}
    )
    assert {item.id for item in sample.images} == {"I1", "I2", "I6"}
    assert {image for item in sample.concepts for image, _ in item.images} == {"I1", "I2", "I6"}
    assert {item.id for item in sample.concepts} == {"C9900001", "C9900002"}
