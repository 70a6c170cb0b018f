"""The sample for human assessment, drawn from a real graph."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from openpyxl import load_workbook
from PIL import Image

from kgplatform.assess.sample import draw
from kgplatform.assess.workbook import IMAGES
from kgplatform.graph import Graph
from kgplatform.queries import parse
from tests.conftest import Kgp
from tests.unit.test_assess import fill, raters

pytestmark = pytest.mark.server


@pytest.fixture
def built(graph: Graph, kgp: Kgp, tmp_path: Path) -> Path:
    rows = [
        f"I{n},{stance},C990000{c},,finding {c}"
        for n in range(40)
        for c, stance in ((n % 5, "POSITIVE"), (7, "NEGATIVE"))
    ]
    table = tmp_path / "MedMKG.csv"
    table.write_text("Head,Relation,Tail,Head_Name,Tail_Name\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert kgp("ingest", "medmkg", table).code == 0
    return tmp_path


def test_the_same_graph_and_seed_give_the_same_sample(graph: Graph, built: Path) -> None:
    first = draw(graph, images=10, concepts=3, max_images=4)
    assert first == draw(graph, images=10, concepts=3, max_images=4)
    assert first.identity != draw(graph, images=10, concepts=3, max_images=4, seed=43).identity
    assert len(first.images) == 10
    assert all({shown.relation for shown in item.concepts} == {"POSITIVE", "NEGATIVE"} for item in first.images)
    assert all((len(item.images), item.total) == (4, 8) for item in first.concepts)
    assert "C9900007" not in {item.id for item in draw(graph, concepts=30).concepts}  # nowhere positive


def test_the_command_writes_a_workbook_with_reports_only_when_asked(graph: Graph, kgp: Kgp, built: Path) -> None:
    done = kgp("assess", "sample", built / "w.xlsx", "--images", "5", "--json")
    assert done.code == 0, done.err
    assert (done.json["images"], done.json["concepts"], done.json["reports"]) == (5, 5, 0)
    again = kgp("assess", "sample", built / "w.xlsx")
    assert again.code == 1
    assert "is there already" in again.err
    table = built / "openi"
    table.mkdir()
    (table / "indiana_reports.csv").write_text(
        "uid,findings,impression\n" + "".join(f"{n},canary {n},\n" for n in range(40)), encoding="utf-8"
    )
    (table / "indiana_projections.csv").write_text(
        "uid,filename,projection\n" + "".join(f"{n},{n}.png,Frontal\n" for n in range(40)), encoding="utf-8"
    )
    done = kgp("assess", "sample", built / "w.xlsx", "--force", "--reports", "openi", table)
    assert "holds the text of 30 reports" in done.err
    assert "canary" not in done.out + done.err
    texts = [cell.value for cell in load_workbook(built / "w.xlsx")["Image2Concept"]["E"] if cell.value]
    assert sum("canary" in text for text in texts) == 30


def test_an_empty_graph_is_one_clear_error(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    done = kgp("assess", "sample", tmp_path / "w.xlsx")
    assert done.code == 1
    assert "no image of the graph has a concept" in done.err
    assert not (tmp_path / "w.xlsx").exists()


def test_the_command_scores_and_draws(kgp: Kgp, tmp_path: Path) -> None:
    paths = raters(tmp_path, {2: 8, 3: 9}, {2: 7, 3: 9})
    done = kgp("assess", "score", *paths, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "Concept Coverage" in done.out
    assert "8.250" in done.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scores.json", "assessment.svg", "assessment.png"}
    found = kgp("assess", "score", *paths, "--json").json
    assert found["metrics"][0]["mean"] == 8.25
    shutil.copy(paths[0], tmp_path / "c.xlsx")
    fill(tmp_path / "c.xlsx", {f"{IMAGES}!F": {2: 99}})
    wrong = kgp("assess", "score", tmp_path / "c.xlsx")
    assert wrong.code == 1
    assert "cell F2" in wrong.err
    assert "Traceback" not in wrong.err


def test_only_images_with_a_readable_file_are_drawn(graph: Graph, kgp: Kgp, built: Path) -> None:
    graph.write(parse("t/paths", "// Paths.\nMATCH (i:Image) WHERE i.id <> 'I0' SET i.path = i.id + '.png'"))
    images = built / "images"
    refused = kgp("assess", "sample", built / "w.xlsx", "--image-root", images)
    assert (refused.code, "there is no such folder" in refused.err) == (1, True)
    images.mkdir()
    refused = kgp("assess", "sample", built / "w.xlsx", "--image-root", images)
    assert refused.code == 1
    assert "none of the graph's 40 images with a concept has a readable file here" in refused.err
    assert not (built / "w.xlsx").exists()
    for number in range(1, 9):
        Image.new("L", (8, 8), number).save(images / f"I{number}.png")
    (images / "I9.png").write_bytes(b"no image")
    done = kgp("assess", "sample", built / "w.xlsx", "--image-root", images, "--images", "30", "--json")
    assert done.code == 0, done.err
    assert done.json["images"] == 8
    assert done.json["left_out"] == {
        "whose file is not in the folder": 30,
        "whose file cannot be read as an image": 1,
        "without a path in the graph": 1,
    }
    assert "8 images instead of 30" in done.err
    assert "30 images whose file is not in the folder" in done.err
    drawn = draw(graph, images=3, max_images=2, can_show=lambda path: path in {"I1.png", "I6.png", "I2.png"})
    assert {item.id for item in drawn.images} == {"I1", "I2", "I6"}
    assert {image for item in drawn.concepts for image, _ in item.images} == {"I1", "I2", "I6"}
    assert {item.id for item in drawn.concepts} == {"C9900001", "C9900002"}
