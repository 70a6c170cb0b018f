"""SLAKE and PathVQA, small and exactly in their released form, go through the benchmark: read, trained on, tested."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("torch_geometric")
from kgp_loaders.triples import Triples
from kgplatform.datasets.questions import Question, read_questions
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.settings import Settings
from tests import ROOT
from tests.unit.models.vqa import vqa_world as world

pytestmark = pytest.mark.server

GRAPH = (
    "head,relation,tail,head_name,tail_name\n"
    "C0000004,may_treat,C0000000,zorevane,effusion\nC0000004,may_treat,C0000001,zorevane,pneumothorax\n"
    "I10000001,POSITIVE,C0000000,,effusion\nI10000001,NEGATIVE,C0000001,,pneumothorax\n"
)


def _question_parts(folder: Path) -> dict[str, list[Question]]:
    """Questions of a tiny world, by part, each with a picture."""
    return dict(world.finding_question_set(folder, count=24).parts)


def _write_slake(folder: Path, parts: dict[str, list[Question]]) -> Path:
    """`train.json`, `validate.json`, `test.json`, and a folder of each image with its mask's boxes."""
    for part_name, file_stem in (("train", "train"), ("valid", "validate"), ("test", "test")):
        rows: list[dict[str, Any]] = []
        for question in parts[part_name]:
            image_number = int(question.path.stem)
            image_folder = folder / "imgs" / f"xmlab{image_number}"
            image_folder.mkdir(parents=True, exist_ok=True)
            Image.open(question.path).convert("RGB").save(image_folder / "source.jpg")
            (image_folder / "detection.json").write_text(json.dumps([{"Lung": [1.0, 2.0, 8.0, 9.0]}]))
            entry = {"img_id": image_number, "img_name": f"xmlab{image_number}/source.jpg", "question": question.text,
                     "answer": "Yes" if question.yes else "No", "q_lang": "en", "location": "Chest_lung",
                     "modality": "X-Ray", "answer_type": "CLOSED", "base_type": "vqa", "content_type": "Abnormality",
                     "triple": ["vhead", "_", "_"], "qid": len(rows)}  # fmt: skip
            rows += [entry, {**entry, "q_lang": "zh", "question": "图中有肺吗？", "answer": "有"}]
            rows.append({**entry, "question": "What is shown?", "answer": "Lung", "answer_type": "OPEN"})
        (folder / f"{file_stem}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "KG").mkdir()
    (folder / "KG" / "en_disease.csv").write_text("Pneumonia#Location#Lung\n", encoding="utf-8")
    return folder


def _write_path_vqa(folder: Path, parts: dict[str, list[Question]]) -> Path:
    """`qas/PART/PART_qa.pkl`, and `images/PART`."""
    for part_name, folder_name in (("train", "train"), ("valid", "val"), ("test", "test")):
        image_folder, question_folder = folder / "images" / folder_name, folder / "qas" / folder_name
        image_folder.mkdir(parents=True)
        question_folder.mkdir(parents=True)
        rows = []
        for question in parts[part_name]:
            image_name = f"{folder_name}_{int(question.path.stem):04d}"
            Image.open(question.path).convert("RGB").save(image_folder / f"{image_name}.jpg")
            rows.append({"image": image_name, "question": question.text, "answer": "yes" if question.yes else "no"})
            rows.append({"image": image_name, "question": "What is seen?", "answer": "a cyst"})
        (question_folder / f"{folder_name}_qa.pkl").write_bytes(pickle.dumps(rows))
    return folder


FORMS = {"slake": _write_slake, "path_vqa": _write_path_vqa}


@pytest.mark.parametrize("kind", list(FORMS))
def test_a_data_set_in_its_released_form(kind: str, graph: Graph, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "graph.csv").write_text(GRAPH, encoding="utf-8")
    ingest(graph, Triples(tmp_path / "graph.csv"))
    questions_by_part = _question_parts(tmp_path / "pictures")
    data_folder = FORMS[kind](tmp_path / kind, questions_by_part)
    questions, rejects = read_questions(kind, data_folder)
    assert not rejects
    assert [question.text for question in questions] == [
        question.text for part_name in ("train", "valid", "test") for question in questions_by_part[part_name]
    ]

    command = [sys.executable, "-m", "benchmarks.vqa.run", "--data", kind, "--folder", data_folder, "--running",
               "--backbone", "small", "--methods", "krisp", "--no-controls", "--seeds", "1", "--epochs", "1",
               "--jobs", "1", "--results", tmp_path / "results", "--build", tmp_path / "build"]  # fmt: skip
    completed = subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env={**os.environ, "KGP_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    results = json.loads((tmp_path / "results" / f"vqa_{kind}_small_official.json").read_text(encoding="utf-8"))
    assert sorted(run_record["cell"] for run_record in results["runs"]) == [
        "base",
        "image-only",
        "krisp",
        "question-only",
    ]
    [fold_record] = results["about"]["folds"]
    assert fold_record["sizes"] == {
        part_name: len(part_questions) for part_name, part_questions in questions_by_part.items()
    }
    assert fold_record["yes"] == "".join("01"[question.yes is True] for question in questions_by_part["test"])
    assert all(set(run_record["answers"]) <= {"0", "1"} for run_record in results["runs"])
    assert "| KRISP |" in (tmp_path / "results" / f"vqa_{kind}_small_official.md").read_text(encoding="utf-8")
