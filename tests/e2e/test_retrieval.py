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
from tests import ROOT
from tests.conftest import Kgp

pytestmark = pytest.mark.server

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
    """Synthetic studies that are paired: none is of the graph's."""
    studies_folder = tmp_path_factory.mktemp("paired")
    study_set.build_study_set(studies_folder, 60, 11, workers=2)
    return studies_folder


def _image_rows(folder: Path) -> list[tuple[str, str, str, Path, str]]:
    """Each image of the studies: number of its study, view, name, path and the report."""
    image_rows = []
    with (folder / "mimic-cxr-2.0.0-metadata.csv").open(newline="") as metadata_file:
        for metadata_row in csv.DictReader(metadata_file):
            subject_folder = folder / "files" / f"p{metadata_row['subject_id'][:2]}" / f"p{metadata_row['subject_id']}"
            image_path = subject_folder / f"s{metadata_row['study_id']}" / f"{metadata_row['dicom_id']}.png"
            report_text = (subject_folder / f"s{metadata_row['study_id']}.txt").read_text()
            image_rows.append(
                (
                    metadata_row["study_id"],
                    metadata_row["ViewPosition"],
                    metadata_row["dicom_id"],
                    image_path,
                    report_text,
                )
            )
    return image_rows


def as_openi_tables(folder: Path, out: Path) -> Path:
    """The studies as OpenI's CSV files and PNG folder."""
    (out / "images").mkdir(parents=True)
    with (
        (out / "indiana_reports.csv").open("w", newline="") as report_file,
        (out / "indiana_projections.csv").open("w", newline="") as projection_file,
    ):
        report_writer, projection_writer = csv.writer(report_file), csv.writer(projection_file)
        report_writer.writerow(
            ["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"]
        )
        projection_writer.writerow(["uid", "filename", "projection"])
        written_studies = set()
        for study_id, view, image_id, image_path, report_text in _image_rows(folder):
            file_name = f"{study_id}_IM-{image_id[:4]}-{image_id[-4:]}.dcm.png"
            shutil.copy(image_path, out / "images" / file_name)
            projection_writer.writerow([study_id, file_name, "Lateral" if view == "LATERAL" else "Frontal"])
            if study_id not in written_studies:
                report_sections = sections(report_text)
                section_texts = [
                    " ".join(report_sections.get(section_name, "").split())
                    for section_name in ("findings", "impression")
                ]
                report_writer.writerow([study_id, "", "", "", "", "", *section_texts])
                written_studies.add(study_id)
    return out


def as_openi_xml(folder: Path, out: Path) -> Path:
    """The studies as OpenI's XML reports and PNG folder."""
    (out / "images").mkdir(parents=True)
    (out / "ecgen-radiology").mkdir()
    images_by_study: dict[str, list[tuple[str, Path, str]]] = {}
    for study_id, _, image_id, image_path, report_text in _image_rows(folder):
        images_by_study.setdefault(study_id, []).append(
            (f"CXR{study_id}_IM-{image_id[:4]}-{image_id[-4:]}", image_path, report_text)
        )
    for study_id, study_images in images_by_study.items():
        report_sections = sections(study_images[0][2])
        abstract_xml = "".join(
            f'<AbstractText Label="{label}">{escape(report_sections.get(label.lower(), ""))}</AbstractText>'
            for label in ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
        )
        images_xml = "".join(
            f'<parentImage id="{image_name}"><figureId>F1</figureId></parentImage>' for image_name, _, _ in study_images
        )
        (out / "ecgen-radiology" / f"{study_id}.xml").write_text(
            f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{study_id}"/><MedlineCitation><Article>'
            f"<Abstract>{abstract_xml}</Abstract></Article></MedlineCitation>{images_xml}</eCitation>"
        )
        for image_name, image_path, _ in study_images:
            shutil.copy(image_path, out / "images" / f"{image_name}.png")
    return out


def yaml(folder: Path, method: str, graph: str = "full") -> Path:
    settings_path = folder / f"{method}-{graph}.yaml"
    settings_path.write_text(SETTINGS.format(method=method, graph=graph))
    return settings_path


def test_a_model_is_trained_with_the_graph_and_finds_images(
    kgp: Kgp, graph: Graph, synthetic_studies_folder: Path, paired: Path, tmp_path: Path
) -> None:
    assert kgp("construct", "run", synthetic_studies_folder).code == 0
    pairs_path, model_folder = tmp_path / "pairs.parquet", tmp_path / "model"
    pairing = kgp("pairs", "mimic-cxr", paired, "--out", pairs_path, "--json")
    assert pairing.code == 0, pairing.err
    assert pairing.json["in_training"]["test"] == {"report": 0, "text": 0, "subject": 0}
    assert kgp("audit", "--pairs", pairs_path, "--json").code == 0

    train_command = (
        "train",
        "retrieval",
        "--pairs",
        pairs_path,
        "--out",
        model_folder,
        "--images",
        synthetic_studies_folder,
    )
    training = kgp(*train_command, "--config", yaml(tmp_path, "knowledgeclip"), "--json")
    assert training.code == 0, training.err
    assert training.json["test"]["text_to_image"]["queries"] > 0
    assert 0 <= training.json["test"]["text_to_image"]["R@10"] <= 1
    assert "No " not in training.err  # no word of a report
    second_training = kgp(*train_command, "--config", yaml(tmp_path, "knowledgeclip"))
    assert (second_training.code, "holds a trained model" in second_training.err) == (2, True)

    embedding_run = kgp("embed", "--model", model_folder, "--images", synthetic_studies_folder, "--json")
    assert embedding_run.code == 0, embedding_run.err
    search_result = kgp("search", "There is a pleural effusion.", "--model", model_folder, "--top", "3", "--json")
    assert search_result.code == 0, search_result.err
    assert [search_hit["rank"] for search_hit in search_result.json["hits"]] == [1, 2, 3]


def test_every_method_runs_on_openis_tables_and_xml(
    kgp: Kgp, graph: Graph, synthetic_studies_folder: Path, paired: Path, tmp_path: Path
) -> None:
    assert kgp("construct", "run", synthetic_studies_folder).code == 0
    tables_folder = as_openi_tables(paired, tmp_path / "tables")
    xml_folder = as_openi_xml(paired, tmp_path / "xml")
    pair_counts = {}
    for form_name, source_folder in (("tables", tables_folder), ("xml", xml_folder)):
        completed = kgp(
            "pairs",
            "openi",
            source_folder,
            "--images",
            source_folder / "images",
            "--out",
            tmp_path / f"{form_name}.parquet",
            "--json",
        )
        assert completed.code == 0, completed.err
        pair_counts[form_name] = {
            part_name: part_sizes["pairs"] for part_name, part_sizes in completed.json["parts"].items()
        }
    assert pair_counts["tables"] == pair_counts["xml"]
    assert sum(pair_counts["xml"].values()) == len(_image_rows(paired))
    for form_name, method, graph_kind in (("tables", "fashionklip", "full"), ("xml", "knowledgeclip", "shuffled")):
        completed = kgp(
            *(
                "train",
                "retrieval",
                "--config",
                yaml(tmp_path, method, graph_kind),
                "--pairs",
                tmp_path / f"{form_name}.parquet",
            ),
            *(
                "--out",
                tmp_path / f"{form_name}-model",
                "--images",
                synthetic_studies_folder,
                "--lexicon",
                synthetic_studies_folder / "ontology",
                "--json",
            ),
        )
        assert completed.code == 0, completed.err
        assert completed.json["epochs"] == 2


def test_wrong_use_is_one_clear_line(kgp: Kgp, graph: Graph, paired: Path, tmp_path: Path) -> None:
    pairs_path = tmp_path / "pairs.parquet"
    assert kgp("pairs", "mimic-cxr", paired, "--no-exclude-graph", "--out", pairs_path).code == 0
    config_path, model_folder = yaml(tmp_path, "fashionklip"), tmp_path / "model"
    train_command = ("train", "retrieval", "--config", config_path, "--pairs", pairs_path, "--out", model_folder)
    for arguments, exit_code, message in (
        (train_command, 2, "fashionklip reads the graph"),
        ((*train_command, "--images", tmp_path), 1, "the graph has no image with a concept"),
        (
            ("train", "retrieval", "--config", config_path, "--pairs", config_path, "--out", model_folder),
            1,
            str(config_path),
        ),
    ):
        completed = kgp(*arguments)
        assert completed.code == exit_code
        assert message in completed.err
        assert "Traceback" not in completed.err
        assert not (model_folder / "retrieval.json").exists()


@pytest.mark.long
def test_the_benchmark_runs_to_the_end_and_writes_its_table(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.retrieval.run", "--studies", "24", "40", "--epochs", "1"]
    command += ["--seeds", "1", "--results", str(tmp_path / "results"), "--build", str(tmp_path / "build")]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}

    def run(*arguments: str) -> str:
        completed = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stderr

    assert run("--methods", "backbone,knowledgeclip", "--no-controls").count("; R@10") == 2
    [results_path] = (tmp_path / "results").glob("*.json")
    result_rows = json.loads(results_path.read_text())["runs"]
    rows_by_cell = {result_row["cell"]: result_row for result_row in result_rows}
    assert len(rows_by_cell) == len(result_rows) == 2
    assert rows_by_cell["knowledgeclip"]["test"] != rows_by_cell["backbone"]["test"]
    table_text = results_path.with_suffix(".md").read_text()
    assert "| + KnowledgeCLIP, minus backbone, fine-tuned |" in table_text
    assert "25.56" in table_text  # the paper's
