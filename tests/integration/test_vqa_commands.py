"""`kgp train vqa`, `kgp ask` and `kgp vqa explain` on a live graph, and the model that is shipped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch_geometric")
from kgp_loaders.phantom.question_set import FILES
from kgp_models.vqa import answering, checkpoint
from kgp_models.vqa.answering import Answerer
from kgplatform import queries
from kgplatform.datasets.questions import QuestionSet
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.integration import answering_worlds

pytestmark = pytest.mark.server

vqa_answering_folder = answering_worlds.vqa_answering_folder
vqa_question_set = answering_worlds.vqa_question_set


class TestCommands:
    """`kgp vqa explain`, `kgp train vqa`, `kgp ask`."""

    def test_explain(self, graph: Graph, vqa_question_set: QuestionSet, kgp: Kgp, vqa_answering_folder: Path) -> None:
        question = "Can zorevane treat effusion?"
        completed = kgp("vqa", "explain", question)
        assert "zorevane (C0000004), effusion (C0000000)" in completed.out or "effusion (C0000000)" in completed.out
        assert "may_treat" in completed.out
        explanation = kgp(
            "vqa", "explain", question, "--json", "--svg", vqa_answering_folder / "q.svg", "--no-images"
        ).json
        assert [concept["name"] for concept in explanation["concepts"]] == ["zorevane", "effusion"]
        assert explanation["edges"][0] == {
            "head": {"cui": "C0000004", "name": "zorevane"},
            "kind": "may_treat",
            "tail": {"cui": "C0000000", "name": "effusion"},
        }
        assert not any("image" in edge["head"] for edge in explanation["edges"])
        assert (vqa_answering_folder / "q.svg").read_text(encoding="utf-8").startswith("<svg")
        assert "no concept" in kgp("vqa", "explain", "Is it a zebra?").out
        assert explanation["read_as"] == {}
        guessed_run = kgp("vqa", "explain", "Can zorevone treat effusion?")
        assert "note: zorevone is read as zorevane" in guessed_run.err
        assert kgp("vqa", "explain", question, "--svg", vqa_answering_folder / "q.png").code == 2
        for empty_question in ("", "  "):
            refused = kgp("vqa", "explain", empty_question)
            assert (refused.code, refused.out) == (2, "")
            assert "the question is empty" in refused.err

    def test_explain_says_how_to_see_it_in_neo4j_browser(
        self, graph: Graph, vqa_question_set: QuestionSet, kgp: Kgp
    ) -> None:
        stdout = kgp("vqa", "explain", "Can zorevane treat effusion?", "--cap", "9").out
        named_query = queries.get("vqa/neighbourhood")
        parameters_text = stdout.partition(":params ")[2].partition(", then")[0]
        parameter_names = re.findall(r"(\w+):", parameters_text)
        assert sorted(parameter_names) == sorted(named_query.parameters)
        [hint_record] = graph.read(
            parse_query("tests/hint", f"// What the hint says.\nRETURN {parameters_text} AS given")
        )
        records = graph.read(named_query, **hint_record["given"])
        assert {record["name"] for record in records} == {"zorevane", "effusion"}

    def test_train_and_ask(self, graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tmp_path: Path) -> None:
        questions_folder, settings_path, studies_folder = (
            tmp_path / "questions",
            tmp_path / "krisp.yaml",
            tmp_path / "others",
        )
        kgp("construct", "run", synthetic_studies_folder)
        kgp("phantom", "build", studies_folder, "--studies", "60", "--seed", "8")
        kgp("phantom", "questions", studies_folder, questions_folder, "--count", "200")
        kgp("ingest", "triples", questions_folder / "knowledge.csv")
        settings_path.write_text("backbone: small\nmethod: krisp\ntuning: {learning_rate: 1.0e-3, epochs: 1}\n")
        train_options = (
            "--config",
            settings_path,
            "--data",
            "phantom",
            "--folder",
            questions_folder,
            "--images",
            studies_folder,
        )
        training = kgp(
            "train", "vqa", *train_options, "--out", tmp_path / "model", "--graph-images", synthetic_studies_folder
        )
        assert "krisp is in" in training.out
        assert "as kgp ask answers" in training.out
        assert "Warning" not in training.err
        [question_row, *_] = json.loads((questions_folder / "testset.json").read_text())
        reply_document: dict[str, Any] = kgp(
            "ask",
            studies_folder / question_row["image_name"],
            question_row["question"],
            "--model",
            tmp_path / "model",
            "--json",
        ).json
        assert reply_document["answer"] in ("yes", "no")
        assert 0 < reply_document["probability"] < 1
        assert (
            kgp(
                "ask",
                studies_folder / question_row["image_name"],
                question_row["question"],
                "--model",
                tmp_path / "model",
            ).err
            == ""
        )
        assert (
            kgp(
                "ask", studies_folder / question_row["image_name"], "Is it?", "--graph-images", tmp_path / "nowhere"
            ).code
            == 2
        )
        [data_set] = reply_document["trained_on"]
        assert (data_set["name"], data_set["synthetic"], data_set["licence"]) == ("Phantom", True, "Apache-2.0")
        assert data_set["images"] > 0
        assert reply_document["warnings"] == []
        model_options = ("--model", tmp_path / "model")
        failed_run = kgp("ask", tmp_path / "none.png", "Is there a pneumothorax?", *model_options)
        assert (failed_run.code, failed_run.out) == (1, "")
        assert f"error: {tmp_path / 'none.png'}" in failed_run.err
        base_run = kgp(
            "ask", tmp_path / "none.png", "Is there a pneumothorax?", "--without-image", *model_options, "--json"
        )
        assert (base_run.json["by"], base_run.json["flags"]) == ("base", [answering.WITHOUT_IMAGE])
        assert f"note: {tmp_path / 'none.png'} is ignored: --without-image" in base_run.err

    def test_what_the_graph_knows_is_not_asked_and_controls_are_not_for_use(
        self, graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tmp_path: Path
    ) -> None:
        settings_path = tmp_path / "krisp.yaml"
        settings_path.write_text("backbone: small\nmethod: krisp\n")
        kgp("construct", "run", synthetic_studies_folder)
        kgp("phantom", "questions", synthetic_studies_folder, tmp_path / "questions", "--count", "200")
        train_options = (
            "--data",
            "phantom",
            "--folder",
            tmp_path / "questions",
            "--images",
            synthetic_studies_folder,
            "--out",
            tmp_path / "m",
        )
        training = kgp("train", "vqa", "--config", settings_path, *train_options)
        assert training.code == 2
        assert "the graph was built from the images, or the subjects, of" in training.err
        settings_path.write_text("backbone: small\nmethod: krisp\ngraph: shuffled\n")
        training = kgp("train", "vqa", "--config", settings_path, *train_options)
        assert training.code == 2
        assert "is a control" in training.err
        assert not (tmp_path / "m").exists()
        settings_path.write_text("backbone: small\nmethod: krisp\n")
        training = kgp(
            "train", "vqa", "--config", settings_path, *train_options, "--graph-images", tmp_path / "nowhere"
        )
        assert (training.code, "does not exist" in training.err) == (2, True)
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "README.md").write_text("my own notes")
        training = kgp("train", "vqa", "--config", settings_path, *train_options)
        assert (training.code, "holds other files" in training.err) == (2, True)
        assert (tmp_path / "m" / "README.md").read_text() == "my own notes"


def test_the_shipped_model_answers_about_remedies_and_studies_that_it_has_never_seen(
    graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tmp_path: Path
) -> None:
    kgp("construct", "run", synthetic_studies_folder)
    kgp("phantom", "questions", synthetic_studies_folder, tmp_path, "--count", "400", "--seed", "5")
    kgp("ingest", "triples", tmp_path / "knowledge.csv")
    questions = [
        question for file_name in FILES.values() for question in json.loads((tmp_path / file_name).read_text())
    ]
    ontology_questions = [question for question in questions if question["needs"] == "ontology"][:40]
    answerer = Answerer(
        checkpoint.load_vqa_model(checkpoint.SHIPPED), graph, lexicon=(synthetic_studies_folder / "ontology",)
    )
    replies = [
        answerer.ask(synthetic_studies_folder / question["image_name"], question["question"])
        for question in ontology_questions
    ]
    correct = [
        question["answer"] == ("yes" if reply.yes else "no")
        for question, reply in zip(ontology_questions, replies, strict=True)
    ]
    base_correct = [
        question["answer"] == ("yes" if reply.base >= 0.5 else "no")
        for question, reply in zip(ontology_questions, replies, strict=True)
    ]
    assert sum(correct) >= 0.8 * len(ontology_questions)
    assert sum(base_correct) <= 0.65 * len(ontology_questions)  # which no reading of the question tells
    completed = kgp(
        "ask", synthetic_studies_folder / ontology_questions[0]["image_name"], ontology_questions[0]["question"]
    )
    assert completed.code == 0
    assert f"by {answerer.model.settings.method}" in completed.out
