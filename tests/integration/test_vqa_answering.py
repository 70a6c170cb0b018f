"""A trained model answers from a live graph as it did from arrays; what it cannot answer it flags."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("torch_geometric")
from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom.question_set import FILES
from kgp_loaders.triples import Triples
from kgp_models.vqa import answering, build, checkpoint
from kgp_models.vqa.answering import Answerer
from kgp_models.vqa.settings import Tuning, VQASettings
from kgplatform import queries, trained_on
from kgplatform.datasets.knowledge import STANCES, Knowledge, read_knowledge
from kgplatform.datasets.questions import QuestionSet
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.integration.sources import write_medmkg
from tests.unit.models.vqa import vqa_world as world

pytestmark = pytest.mark.server

SETTINGS = VQASettings(
    backbone="small", hidden=32, width=16, dropout=0.0, graph_dropout=0.0, tuning=Tuning(3e-3, epochs=3, batch=16)
)


def _write_medmkg_release(known: Knowledge, folder: Path) -> Path:
    """A graph in the form of the release, its images with their paths."""
    medmkg_rows = [
        (
            known.images[image_number].id,
            STANCES[stance],
            known.cuis[concept],
            known.images[image_number].path,
            known.concepts[concept],
        )
        for image_number, stance, concept in known.stances.tolist()
    ]
    medmkg_rows += [
        (known.cuis[head], known.relation_names[relation], known.cuis[tail], known.concepts[head], known.concepts[tail])
        for head, relation, tail in known.relations.tolist()
    ]
    mapping_rows = [f"{image.id},{image.path}" for image in known.images]
    return write_medmkg(folder, [",".join(medmkg_row) for medmkg_row in medmkg_rows], mapping_rows)


@pytest.fixture(scope="module")
def vqa_answering_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vqa-answering")


@pytest.fixture
def vqa_question_set(graph: Graph, vqa_answering_folder: Path) -> QuestionSet:
    ingest(
        graph,
        MedMKG.find(
            _write_medmkg_release(
                world.remedy_knowledge(vqa_answering_folder / "graph"), vqa_answering_folder / "release"
            )
        ),
    )
    return world.finding_question_set(vqa_answering_folder / "asked")


def _trained_model(graph: Graph, asked: QuestionSet, folder: Path, method: str) -> tuple[build.VQAModel, Path]:
    """A model of the tiny world, on disk; its graph is read from Neo4j."""
    inputs = build.VQAInputs(asked, read_knowledge(graph), folder / "graph")
    towers_seen = build.encode_questions(world.tiny_frozen_backbone(), asked.questions, inputs)
    settings = replace(SETTINGS, method=method)  # type: ignore[arg-type]
    model_folder = folder / method
    base_model = build.fit(replace(settings, method="base"), inputs, towers_seen, model_folder / "work" / "base", 1)
    model = build.fit(settings, inputs, towers_seen, model_folder / "work" / "method", 1)
    checkpoint.save_vqa_model(
        model_folder,
        model,
        base_model,
        settings,
        inputs=inputs,
        towers=towers_seen.backbone,
        backbone="small",
        data={},
        figures={},
    )
    return model, model_folder


@pytest.mark.parametrize("method", ["krisp", "mkbn", "k-pathvqa", "ekgrl", "mr-mkg"])
def test_it_answers_as_it_did_from_arrays(
    method: str,
    graph: Graph,
    vqa_question_set: QuestionSet,
    vqa_answering_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: world.tiny_frozen_backbone())
    model, model_folder = _trained_model(graph, vqa_question_set, vqa_answering_folder, method)
    answerer = Answerer(checkpoint.load_vqa_model(model_folder), graph, images=vqa_answering_folder / "graph")
    for question, expected_probability in zip(model.questions, model.test.said, strict=True):
        reply = answerer.ask(question.path, question.text)
        assert reply.flags == ()
        assert reply.by == method
        assert reply.concepts[0].name in question.text
        assert len(reply.edges) > 0
        assert reply.yes == (reply.probability >= 0.5)
        assert reply.probability == pytest.approx(
            float(expected_probability), abs=0.01
        )  # its weights are kept as half floats
    assert any(abs(contribution) > 0 for _, contribution in reply.edges)
    assert {node.name for node, _ in reply.shown} <= {*world.FINDINGS}


class TestFlags:
    """What cannot be answered with the graph is answered by the base model, and said to be."""

    @pytest.fixture
    def answerer(
        self, graph: Graph, vqa_question_set: QuestionSet, vqa_answering_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Answerer:
        monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: world.tiny_frozen_backbone())
        _, model_folder = _trained_model(graph, vqa_question_set, vqa_answering_folder, "krisp")
        return Answerer(checkpoint.load_vqa_model(model_folder), graph)

    def test_a_question_without_concepts(self, answerer: Answerer, vqa_answering_folder: Path) -> None:
        image_path = vqa_answering_folder / "asked" / "0.png"
        reply = answerer.ask(image_path, "Is there a Zebra in the picture?")
        assert reply.flags == (answering.NO_CONCEPT,)
        assert (reply.by, reply.edges, reply.concepts) == ("base", (), ())
        assert answerer.ask(image_path, "Is there effusion \udcff?").by == "krisp"  # bytes that are no UTF-8

    @pytest.mark.parametrize(
        ("question_text", "message", "hint"),
        [
            ("Is the sky blue?", answering.NO_CONCEPT, "--lexicon"),
            ("Is asdf qwer?", answering.NO_CONCEPT, "--lexicon"),
            ("Is it?", answering.NO_CONCEPT, "--lexicon"),
            ("Does the image show a finding?", answering.NO_CONCEPT, "--lexicon"),
            ("Can aspirin treat a pneumothorax?", "about aspirin, which names no concept", ""),
            ("Is there a pneumothorax and an effusion?", "several questions", "alone"),
        ],
    )
    def test_a_model_of_synthetic_studies_refuses_what_it_does_not_know(
        self, answerer: Answerer, vqa_answering_folder: Path, question_text: str, message: str, hint: str
    ) -> None:
        synthetic_model = replace(answerer.model, trained_on=trained_on.of_names(["Phantom"]))
        for image_path in (vqa_answering_folder / "asked" / "0.png", None):
            with pytest.raises(InputError, match=message) as raised:
                Answerer(synthetic_model, answerer.graph).ask(image_path, question_text)
            assert hint in raised.value.hint

    def test_words_that_a_model_of_synthetic_studies_does_not_read_are_a_flag(
        self, answerer: Answerer, vqa_answering_folder: Path
    ) -> None:
        synthetic_model = replace(answerer.model, trained_on=trained_on.of_names(["Phantom"]))
        reply = Answerer(synthetic_model, answerer.graph).ask(
            vqa_answering_folder / "asked" / "0.png", "Is there a huge calcified effusion?"
        )
        assert answering.UNREAD.format("huge, calcified") in reply.flags

    def test_of_two_concepts_of_one_name_the_choice_is_a_flag(
        self, answerer: Answerer, graph: Graph, vqa_answering_folder: Path
    ) -> None:
        (vqa_answering_folder / "twin.csv").write_text("head,relation,tail,head_name\nC0000088,isa,C0000001,Effusion\n")
        ingest(graph, Triples(vqa_answering_folder / "twin.csv"))
        reply = Answerer(answerer.model, graph).ask(vqa_answering_folder / "asked" / "0.png", "Is there effusion?")
        [flag] = [flag for flag in reply.flags if "the first is taken" in flag]
        assert flag.startswith("effusion may be ")
        assert "Effusion (C0000088)" in flag

    def test_a_misspelled_name_is_read_as_the_right_one(self, answerer: Answerer, vqa_answering_folder: Path) -> None:
        image_path = vqa_answering_folder / "asked" / "0.png"
        right, misspelled = (
            answerer.ask(image_path, f"Can zorevane treat {name}?") for name in ("effusion", "effusoin")
        )
        assert misspelled.probability == right.probability

    def test_an_image_that_cannot_be_read_is_an_error(
        self, answerer: Answerer, vqa_answering_folder: Path, tmp_path: Path
    ) -> None:
        text_path, empty_path, damaged_path = tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "damaged.dcm"
        text_path.write_text("no image")
        empty_path.write_bytes(b"")
        damaged_path.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 64)
        blank_path, tiny_path = tmp_path / "blank.png", tmp_path / "tiny.png"
        Image.new("L", (64, 64), 90).save(blank_path)
        Image.effect_noise((3, 3), 50).save(tiny_path)
        for image_path in (
            tmp_path / "none.png", tmp_path, text_path, empty_path, damaged_path, blank_path, tiny_path,
        ):  # fmt: skip
            with pytest.raises(InputError) as raised:
                answerer.ask(image_path, "Is there effusion?")
            assert raised.value.path == image_path

    def test_an_open_question_is_an_error(self, answerer: Answerer, vqa_answering_folder: Path) -> None:
        for question_text in ("Where is the effusion?", "", "effusion"):
            with pytest.raises(InputError, match="only yes/no questions"):
                answerer.ask(vqa_answering_folder / "asked" / "0.png", question_text)

    def test_an_image_that_is_not_synthetic_is_warned_of(self, answerer: Answerer, vqa_answering_folder: Path) -> None:
        synthetic_model = replace(answerer.model, trained_on=trained_on.of_names(["Phantom"]))
        reply = Answerer(synthetic_model, answerer.graph).ask(
            vqa_answering_folder / "asked" / "0.png", "Is there effusion?"
        )
        assert "the image is not known to be synthetic" in reply.warnings[0]
        assert Answerer(synthetic_model, answerer.graph).ask(None, "Is there effusion?").warnings == ()

    def test_without_an_image_the_base_model_answers(self, answerer: Answerer) -> None:
        reply = answerer.ask(None, "Is there effusion?")
        assert reply.flags == (answering.WITHOUT_IMAGE,)
        assert (reply.by, reply.probability, reply.shown) == ("base", reply.base, ())
        assert 0 < reply.probability < 1

    def test_a_name_that_is_guessed_is_told(self, answerer: Answerer, vqa_answering_folder: Path) -> None:
        reply = answerer.ask(vqa_answering_folder / "asked" / "0.png", "Can zorevone treat effusion?")
        assert reply.flags == (answering.GUESS.format("zorevone", "zorevane"),)
        assert [concept.name for concept in reply.concepts] == ["zorevane", "effusion"]

    def test_the_graphs_images_are_elsewhere(
        self, answerer: Answerer, graph: Graph, vqa_answering_folder: Path
    ) -> None:
        (vqa_answering_folder / "elsewhere").mkdir(exist_ok=True)
        other_answerer = Answerer(answerer.model, graph, images=vqa_answering_folder / "elsewhere")
        assert other_answerer.ask(vqa_answering_folder / "asked" / "0.png", "Is there effusion?").flags == (
            answering.NO_PICTURE,
        )

    def test_the_graph_knows_less_or_other_things_than_it_did(
        self, answerer: Answerer, graph: Graph, vqa_answering_folder: Path
    ) -> None:
        image_path = vqa_answering_folder / "asked" / "0.png"
        (vqa_answering_folder / "more.csv").write_text(
            "head,relation,tail,head_name,tail_name\nC0000004,prevents,C0000001,zorevane,pneumothorax\n"
        )
        ingest(graph, Triples(vqa_answering_folder / "more.csv"))
        reply = answerer.ask(image_path, "Can zorevane treat effusion?")
        assert reply.flags == (answering.UNKNOWN.format(1),)
        assert reply.by == "krisp"

    def test_a_concept_that_nothing_is_known_of_but_images(
        self, answerer: Answerer, graph: Graph, vqa_answering_folder: Path
    ) -> None:
        (vqa_answering_folder / "more.csv").write_text(
            "head,relation,tail,head_name,tail_name\nI10000001,POSITIVE,C0000077,,fibrosis\n"
        )
        ingest(graph, Triples(vqa_answering_folder / "more.csv"))
        answerer = Answerer(replace(answerer.model, settings=replace(SETTINGS, method="krisp", images=False)), graph)
        reply = answerer.ask(vqa_answering_folder / "asked" / "0.png", "Is there fibrosis?")
        assert reply.flags == (answering.NO_EDGE,)
        assert reply.by == "base"
        assert reply.concepts[0].name == "fibrosis"


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
        assert (reply_document["trained_on"], reply_document["warnings"]) == (
            [{"name": "Phantom", "synthetic": True}],
            [],
        )
        model_options = ("--model", tmp_path / "model")
        failed_run = kgp("ask", tmp_path / "none.png", "Is there a pneumothorax?", *model_options)
        assert (failed_run.code, failed_run.out) == (1, "")
        assert f"error: {tmp_path / 'none.png'}" in failed_run.err
        base_run = kgp(
            "ask", tmp_path / "none.png", "Is there a pneumothorax?", "--without-image", *model_options, "--json"
        )
        assert (base_run.json["by"], base_run.json["flags"]) == ("base", [answering.WITHOUT_IMAGE])
        assert f"note: {tmp_path / 'none.png'} is not looked at" in base_run.err

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
