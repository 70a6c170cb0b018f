"""From studies to a model that finds images: pair, train with the graph, embed, search, as a user would type it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from kgp_loaders.phantom import study_set
from kgplatform.construct.sections import sections
from kgplatform.graph import Graph
from kgplatform.settings import Settings
from tests.conftest import Kgp

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[2]

SETTINGS = """\
backbone: new
method: {method}
graph: {graph}
small: {{pixels: 64, vocabulary: 400, hidden: 32, layers: 1, heads: 2}}
tuning: {{learning_rate: 1.0e-3, epochs: 2, batch: 16}}
fashion: {{concepts: 1, nearest: 1}}
knowledge: {{epochs: 1, batch: 16, learning_rate: 1.0e-3, layers: 1, pairs: 8}}
"""


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented studies that are paired: none is of the graph's."""
    folder = tmp_path_factory.mktemp("paired")
    study_set.build(folder, 60, 11, workers=2)
    return folder


def rows(folder: Path) -> list[tuple[str, str, str, Path, str]]:
    """Each image of the studies: number of its study, view, name, path and the report."""
    found = []
    with (folder / "mimic-cxr-2.0.0-metadata.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            place = folder / "files" / f"p{row['subject_id'][:2]}" / f"p{row['subject_id']}"
            image = place / f"s{row['study_id']}" / f"{row['dicom_id']}.png"
            text = (place / f"s{row['study_id']}.txt").read_text()
            found.append((row["study_id"], row["ViewPosition"], row["dicom_id"], image, text))
    return found


def as_openi_tables(folder: Path, out: Path) -> Path:
    """The studies as OpenI's CSV files and PNG folder."""
    (out / "images").mkdir(parents=True)
    with (
        (out / "indiana_reports.csv").open("w", newline="") as reports,
        (out / "indiana_projections.csv").open("w", newline="") as projections,
    ):
        of_report, of_image = csv.writer(reports), csv.writer(projections)
        of_report.writerow(["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"])
        of_image.writerow(["uid", "filename", "projection"])
        seen = set()
        for study, view, image, path, text in rows(folder):
            name = f"{study}_IM-{image[:4]}-{image[-4:]}.dcm.png"
            shutil.copy(path, out / "images" / name)
            of_image.writerow([study, name, "Lateral" if view == "LATERAL" else "Frontal"])
            if study not in seen:
                parts = sections(text)
                said = [" ".join(parts.get(part, "").split()) for part in ("findings", "impression")]
                of_report.writerow([study, "", "", "", "", "", *said])
                seen.add(study)
    return out


def as_openi_xml(folder: Path, out: Path) -> Path:
    """The studies as OpenI's XML reports and PNG folder."""
    (out / "images").mkdir(parents=True)
    (out / "ecgen-radiology").mkdir()
    by_study: dict[str, list[tuple[str, Path, str]]] = {}
    for study, _, image, path, text in rows(folder):
        by_study.setdefault(study, []).append((f"CXR{study}_IM-{image[:4]}-{image[-4:]}", path, text))
    for study, images in by_study.items():
        parts = sections(images[0][2])
        said = "".join(
            f'<AbstractText Label="{label}">{escape(parts.get(label.lower(), ""))}</AbstractText>'
            for label in ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
        )
        shown = "".join(f'<parentImage id="{name}"><figureId>F1</figureId></parentImage>' for name, _, _ in images)
        (out / "ecgen-radiology" / f"{study}.xml").write_text(
            f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{study}"/><MedlineCitation><Article>'
            f"<Abstract>{said}</Abstract></Article></MedlineCitation>{shown}</eCitation>"
        )
        for name, path, _ in images:
            shutil.copy(path, out / "images" / f"{name}.png")
    return out


def yaml(folder: Path, method: str, graph: str = "full") -> Path:
    path = folder / f"{method}-{graph}.yaml"
    path.write_text(SETTINGS.format(method=method, graph=graph))
    return path


def test_a_model_is_trained_with_the_graph_and_finds_images(
    kgp: Kgp, graph: Graph, invented: Path, paired: Path, tmp_path: Path
) -> None:
    assert kgp("construct", "run", invented).code == 0
    pairs, model = tmp_path / "pairs.parquet", tmp_path / "model"
    made = kgp("pairs", "mimic-cxr", paired, "--out", pairs, "--json")
    assert made.code == 0, made.err
    assert made.json["in_training"]["test"] == {"report": 0, "text": 0, "subject": 0}
    assert kgp("audit", "--pairs", pairs, "--json").code == 0

    train = ("train", "retrieval", "--pairs", pairs, "--out", model, "--images", invented)
    ran = kgp(*train, "--config", yaml(tmp_path, "knowledgeclip"), "--json")
    assert ran.code == 0, ran.err
    assert ran.json["test"]["text_to_image"]["queries"] > 0
    assert 0 <= ran.json["test"]["text_to_image"]["R@10"] <= 1
    assert "No " not in ran.err  # no word of a report
    again = kgp(*train, "--config", yaml(tmp_path, "knowledgeclip"))
    assert (again.code, "holds a trained model" in again.err) == (2, True)

    embedded = kgp("embed", "--model", model, "--images", invented, "--json")
    assert embedded.code == 0, embedded.err
    found = kgp("search", "There is a pleural effusion.", "--model", model, "--top", "3", "--json")
    assert found.code == 0, found.err
    assert [row["rank"] for row in found.json["hits"]] == [1, 2, 3]


def test_every_method_runs_on_openis_tables_and_xml(
    kgp: Kgp, graph: Graph, invented: Path, paired: Path, tmp_path: Path
) -> None:
    assert kgp("construct", "run", invented).code == 0
    tables = as_openi_tables(paired, tmp_path / "tables")
    xml = as_openi_xml(paired, tmp_path / "xml")
    made = {}
    for name, folder in (("tables", tables), ("xml", xml)):
        ran = kgp(
            "pairs", "openi", folder, "--images", folder / "images", "--out", tmp_path / f"{name}.parquet", "--json"
        )
        assert ran.code == 0, ran.err
        made[name] = {part: sizes["pairs"] for part, sizes in ran.json["parts"].items()}
    assert made["tables"] == made["xml"]
    assert sum(made["xml"].values()) == len(rows(paired))
    for name, method, of in (("tables", "fashionklip", "full"), ("xml", "knowledgeclip", "shuffled")):
        ran = kgp(
            *("train", "retrieval", "--config", yaml(tmp_path, method, of), "--pairs", tmp_path / f"{name}.parquet"),
            *("--out", tmp_path / f"{name}-model", "--images", invented, "--lexicon", invented / "ontology", "--json"),
        )
        assert ran.code == 0, ran.err
        assert ran.json["epochs"] == 2


def test_wrong_use_is_one_clear_line(kgp: Kgp, graph: Graph, paired: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.parquet"
    assert kgp("pairs", "mimic-cxr", paired, "--no-exclude-graph", "--out", pairs).code == 0
    config, out = yaml(tmp_path, "fashionklip"), tmp_path / "model"
    train = ("train", "retrieval", "--config", config, "--pairs", pairs, "--out", out)
    for arguments, code, what in (
        (train, 2, "fashionklip reads the graph"),
        ((*train, "--images", tmp_path), 1, "the graph has no image with a concept"),
        (("train", "retrieval", "--config", config, "--pairs", config, "--out", out), 1, str(config)),
    ):
        ran = kgp(*arguments)
        assert ran.code == code
        assert what in ran.err
        assert "Traceback" not in ran.err
        assert not (out / "retrieval.json").exists()


def test_the_benchmark_runs_to_the_end_and_writes_its_table(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "retrieval.py"), "--studies", "24", "40", "--epochs", "1"]
    command += ["--seeds", "1", "--results", str(tmp_path / "results"), "--build", str(tmp_path / "build")]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert run("--methods", "backbone,knowledgeclip", "--no-controls").count("; R@10") == 2
    [path] = (tmp_path / "results").glob("*.json")
    runs = json.loads(path.read_text())["runs"]
    by_cell = {row["cell"]: row for row in runs}
    assert len(by_cell) == len(runs) == 2
    assert by_cell["knowledgeclip"]["test"] != by_cell["backbone"]["test"]
    table = path.with_suffix(".md").read_text()
    assert "| + KnowledgeCLIP, minus backbone, fine-tuned |" in table
    assert "25.56" in table  # the paper's
