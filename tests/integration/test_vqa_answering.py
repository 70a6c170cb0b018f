"""A trained model answers from a live graph as it did from arrays; what it cannot answer it flags."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch_geometric")
from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom.question_set import FILES
from kgp_loaders.triples import Triples
from kgp_models.vqa import answering, build, checkpoint
from kgp_models.vqa.answering import Answerer
from kgp_models.vqa.settings import Tuning, VQASettings
from kgplatform import queries, trained_on
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.retrieval.knowledge import STANCES, Knowledge, read_knowledge
from kgplatform.vqa.questions import QuestionSet
from tests.conftest import Kgp
from tests.integration.sources import write_medmkg
from tests.unit import vqa_world as world

pytestmark = pytest.mark.server

SETTINGS = VQASettings(
    backbone="small", hidden=32, width=16, dropout=0.0, graph_dropout=0.0, tuning=Tuning(3e-3, epochs=3, batch=16)
)


def written(known: Knowledge, folder: Path) -> Path:
    """A graph in the form of the release, its images with their paths."""
    rows = [
        (known.images[i].id, STANCES[s], known.cuis[c], known.images[i].path, known.concepts[c])
        for i, s, c in known.stances.tolist()
    ]
    rows += [
        (known.cuis[h], known.relation_names[r], known.cuis[t], known.concepts[h], known.concepts[t])
        for h, r, t in known.relations.tolist()
    ]
    mapping = [f"{image.id},{image.path}" for image in known.images]
    return write_medmkg(folder, [",".join(row) for row in rows], mapping)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vqa-answering")


@pytest.fixture
def asked(graph: Graph, folder: Path) -> QuestionSet:
    ingest(graph, MedMKG.find(written(world.knowledge(folder / "graph"), folder / "release")))
    return world.questions(folder / "asked")


def trained(graph: Graph, asked: QuestionSet, folder: Path, method: str) -> tuple[build.Model, Path]:
    """A model of the tiny world, on disk; its graph is read from Neo4j."""
    inputs = build.Inputs(asked, read_knowledge(graph), folder / "graph")
    known = build.seen(world.backbone(), asked.questions, inputs)
    settings = replace(SETTINGS, method=method)  # type: ignore[arg-type]
    out = folder / method
    base = build.fit(replace(settings, method="base"), inputs, known, out / "work" / "base", 1)
    model = build.fit(settings, inputs, known, out / "work" / "method", 1)
    checkpoint.save(
        out, model, base, settings, inputs=inputs, towers=known.backbone, backbone="small", data={}, figures={}
    )
    return model, out


@pytest.mark.parametrize("method", ["krisp", "mkbn", "k-pathvqa", "ekgrl", "mr-mkg"])
def test_it_answers_as_it_did_from_arrays(
    method: str, graph: Graph, asked: QuestionSet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "opened", lambda _: world.backbone())
    model, out = trained(graph, asked, folder, method)
    answerer = Answerer(checkpoint.load(out), graph, images=folder / "graph")
    for question, wanted in zip(model.questions, model.test.said, strict=True):
        reply = answerer.ask(question.path, question.text)
        assert reply.flags == ()
        assert reply.by == method
        assert reply.concepts[0].name in question.text
        assert len(reply.edges) > 0
        assert reply.yes == (reply.probability >= 0.5)
        assert reply.probability == pytest.approx(float(wanted), abs=0.01)  # its weights are kept as half floats
    assert any(abs(counts) > 0 for _, counts in reply.edges)
    assert {node.name for node, _ in reply.shown} <= {*world.FINDINGS}


class TestFlags:
    """What cannot be answered with the graph is answered by the base model, and said to be."""

    @pytest.fixture
    def answerer(self, graph: Graph, asked: QuestionSet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Answerer:
        monkeypatch.setattr(checkpoint, "opened", lambda _: world.backbone())
        _, out = trained(graph, asked, folder, "krisp")
        return Answerer(checkpoint.load(out), graph)

    def test_a_question_without_concepts(self, answerer: Answerer, folder: Path) -> None:
        image = folder / "asked" / "0.png"
        reply = answerer.ask(image, "Is there a Zebra in the picture?")
        assert reply.flags == (answering.NO_CONCEPT,)
        assert (reply.by, reply.edges, reply.concepts) == ("base", (), ())
        assert answerer.ask(image, "Is there effusion \udcff?").by == "krisp"  # bytes that are no UTF-8

    def test_an_image_that_cannot_be_read_is_an_error(self, answerer: Answerer, folder: Path, tmp_path: Path) -> None:
        text, empty, damaged = tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "damaged.dcm"
        text.write_text("no image")
        empty.write_bytes(b"")
        damaged.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 64)
        for path in (tmp_path / "none.png", tmp_path, text, empty, damaged):
            with pytest.raises(InputError) as caught:
                answerer.ask(path, "Is there effusion?")
            assert caught.value.path == path

    def test_an_open_question_is_an_error(self, answerer: Answerer, folder: Path) -> None:
        for text in ("Where is the effusion?", "", "effusion"):
            with pytest.raises(InputError, match="only yes/no questions"):
                answerer.ask(folder / "asked" / "0.png", text)

    def test_an_image_that_is_not_synthetic_is_warned_of(self, answerer: Answerer, folder: Path) -> None:
        loaded = replace(answerer.model, trained_on=trained_on.of_names(["Phantom"]))
        reply = Answerer(loaded, answerer.graph).ask(folder / "asked" / "0.png", "Is there effusion?")
        assert "the image is not known to be synthetic" in reply.warnings[0]
        assert Answerer(loaded, answerer.graph).ask(None, "Is there effusion?").warnings == ()

    def test_without_an_image_the_base_model_answers(self, answerer: Answerer) -> None:
        reply = answerer.ask(None, "Is there effusion?")
        assert reply.flags == (answering.WITHOUT_IMAGE,)
        assert (reply.by, reply.probability, reply.shown) == ("base", reply.base, ())
        assert 0 < reply.probability < 1

    def test_a_name_that_is_guessed_is_told(self, answerer: Answerer, folder: Path) -> None:
        reply = answerer.ask(folder / "asked" / "0.png", "Can zorevone treat effusion?")
        assert reply.flags == (answering.GUESS.format("zorevone", "zorevane"),)
        assert [node.name for node in reply.concepts] == ["zorevane", "effusion"]

    def test_the_graphs_images_are_elsewhere(self, answerer: Answerer, graph: Graph, folder: Path) -> None:
        (folder / "elsewhere").mkdir(exist_ok=True)
        elsewhere = Answerer(answerer.model, graph, images=folder / "elsewhere")
        assert elsewhere.ask(folder / "asked" / "0.png", "Is there effusion?").flags == (answering.NO_PICTURE,)

    def test_the_graph_knows_less_or_other_things_than_it_did(
        self, answerer: Answerer, graph: Graph, folder: Path
    ) -> None:
        image = folder / "asked" / "0.png"
        (folder / "more.csv").write_text(
            "head,relation,tail,head_name,tail_name\nC0000004,prevents,C0000001,zorevane,pneumothorax\n"
        )
        ingest(graph, Triples(folder / "more.csv"))
        reply = answerer.ask(image, "Can zorevane treat effusion?")
        assert reply.flags == (answering.UNKNOWN.format(1),)
        assert reply.by == "krisp"

    def test_a_concept_that_nothing_is_known_of_but_images(
        self, answerer: Answerer, graph: Graph, folder: Path
    ) -> None:
        (folder / "more.csv").write_text(
            "head,relation,tail,head_name,tail_name\nI10000001,POSITIVE,C0000077,,fibrosis\n"
        )
        ingest(graph, Triples(folder / "more.csv"))
        answerer = Answerer(replace(answerer.model, settings=replace(SETTINGS, method="krisp", images=False)), graph)
        reply = answerer.ask(folder / "asked" / "0.png", "Is there fibrosis?")
        assert reply.flags == (answering.NO_EDGE,)
        assert reply.by == "base"
        assert reply.concepts[0].name == "fibrosis"


class TestCommands:
    """`kgp vqa explain`, `kgp train vqa`, `kgp ask`."""

    def test_explain(self, graph: Graph, asked: QuestionSet, kgp: Kgp, folder: Path) -> None:
        question = "Can zorevane treat effusion?"
        said = kgp("vqa", "explain", question)
        assert "zorevane (C0000004), effusion (C0000000)" in said.out or "effusion (C0000000)" in said.out
        assert "may_treat" in said.out
        told = kgp("vqa", "explain", question, "--json", "--svg", folder / "q.svg", "--no-images").json
        assert [concept["name"] for concept in told["concepts"]] == ["zorevane", "effusion"]
        assert told["edges"][0] == {
            "head": {"cui": "C0000004", "name": "zorevane"},
            "kind": "may_treat",
            "tail": {"cui": "C0000000", "name": "effusion"},
        }
        assert not any("image" in edge["head"] for edge in told["edges"])
        assert (folder / "q.svg").read_text(encoding="utf-8").startswith("<svg")
        assert "no concept" in kgp("vqa", "explain", "Is it a zebra?").out
        assert told["read_as"] == {}
        guessed = kgp("vqa", "explain", "Can zorevone treat effusion?")
        assert "note: zorevone is read as zorevane" in guessed.err
        assert kgp("vqa", "explain", question, "--svg", folder / "q.png").code == 2

    def test_explain_says_how_to_see_it_in_neo4j_browser(self, graph: Graph, asked: QuestionSet, kgp: Kgp) -> None:
        said = kgp("vqa", "explain", "Can zorevane treat effusion?", "--cap", "9").out
        query = queries.get("vqa/neighbourhood")
        given = said.partition(":params ")[2].partition(", then")[0]
        names = re.findall(r"(\w+):", given)
        assert sorted(names) == sorted(query.parameters)
        [told] = graph.read(parse("tests/hint", f"// What the hint says.\nRETURN {given} AS given"))
        rows = graph.read(query, **told["given"])
        assert {row["name"] for row in rows} == {"zorevane", "effusion"}

    def test_train_and_ask(self, graph: Graph, kgp: Kgp, invented: Path, tmp_path: Path) -> None:
        questions, settings, others = tmp_path / "questions", tmp_path / "krisp.yaml", tmp_path / "others"
        kgp("construct", "run", invented)
        kgp("phantom", "build", others, "--studies", "60", "--seed", "8")
        kgp("phantom", "questions", others, questions, "--count", "200")
        kgp("ingest", "triples", questions / "knowledge.csv")
        settings.write_text("backbone: small\nmethod: krisp\ntuning: {learning_rate: 1.0e-3, epochs: 1}\n")
        given = ("--config", settings, "--data", "phantom", "--folder", questions, "--images", others)
        said = kgp("train", "vqa", *given, "--out", tmp_path / "model", "--graph-images", invented)
        assert "krisp is in" in said.out
        assert "as kgp ask answers" in said.out
        assert "Warning" not in said.err
        [row, *_] = json.loads((questions / "testset.json").read_text())
        told: dict[str, Any] = kgp(
            "ask", others / row["image_name"], row["question"], "--model", tmp_path / "model", "--json"
        ).json
        assert told["answer"] in ("yes", "no")
        assert 0 < told["probability"] < 1
        assert kgp("ask", others / row["image_name"], row["question"], "--model", tmp_path / "model").err == ""
        assert kgp("ask", others / row["image_name"], "Is it?", "--graph-images", tmp_path / "nowhere").code == 2
        assert (told["trained_on"], told["warnings"]) == ([{"name": "Phantom", "synthetic": True}], [])
        model = ("--model", tmp_path / "model")
        nothing = kgp("ask", tmp_path / "none.png", "Is there a pneumothorax?", *model)
        assert (nothing.code, nothing.out) == (1, "")
        assert f"error: {tmp_path / 'none.png'}" in nothing.err
        ignored = kgp("ask", tmp_path / "none.png", "Is there a pneumothorax?", "--without-image", *model, "--json")
        assert (ignored.json["by"], ignored.json["flags"]) == ("base", [answering.WITHOUT_IMAGE])

    def test_what_the_graph_knows_is_not_asked_and_controls_are_not_for_use(
        self, graph: Graph, kgp: Kgp, invented: Path, tmp_path: Path
    ) -> None:
        settings = tmp_path / "krisp.yaml"
        settings.write_text("backbone: small\nmethod: krisp\n")
        kgp("construct", "run", invented)
        kgp("phantom", "questions", invented, tmp_path / "questions", "--count", "200")
        given = ("--data", "phantom", "--folder", tmp_path / "questions", "--images", invented, "--out", tmp_path / "m")
        said = kgp("train", "vqa", "--config", settings, *given)
        assert said.code == 2
        assert "the graph was built from the images, or the subjects, of" in said.err
        settings.write_text("backbone: small\nmethod: krisp\ngraph: shuffled\n")
        said = kgp("train", "vqa", "--config", settings, *given)
        assert said.code == 2
        assert "is a control" in said.err
        assert not (tmp_path / "m").exists()
        settings.write_text("backbone: small\nmethod: krisp\n")
        said = kgp("train", "vqa", "--config", settings, *given, "--graph-images", tmp_path / "nowhere")
        assert (said.code, "does not exist" in said.err) == (2, True)
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "README.md").write_text("my own notes")
        said = kgp("train", "vqa", "--config", settings, *given)
        assert (said.code, "holds other files" in said.err) == (2, True)
        assert (tmp_path / "m" / "README.md").read_text() == "my own notes"


def test_the_shipped_model_answers_about_remedies_and_studies_that_it_has_never_seen(
    graph: Graph, kgp: Kgp, invented: Path, tmp_path: Path
) -> None:
    kgp("construct", "run", invented)
    kgp("phantom", "questions", invented, tmp_path, "--count", "400", "--seed", "5")
    kgp("ingest", "triples", tmp_path / "knowledge.csv")
    rows = [row for name in FILES.values() for row in json.loads((tmp_path / name).read_text())]
    asked = [row for row in rows if row["needs"] == "ontology"][:40]
    answerer = Answerer(checkpoint.load(checkpoint.SHIPPED), graph, lexicon=(invented / "ontology",))
    replies = [answerer.ask(invented / row["image_name"], row["question"]) for row in asked]
    right = [row["answer"] == ("yes" if reply.yes else "no") for row, reply in zip(asked, replies, strict=True)]
    by_base = [
        row["answer"] == ("yes" if reply.base >= 0.5 else "no") for row, reply in zip(asked, replies, strict=True)
    ]
    assert sum(right) >= 0.8 * len(asked)
    assert sum(by_base) <= 0.65 * len(asked)  # which no reading of the question tells
    said = kgp("ask", invented / asked[0]["image_name"], asked[0]["question"])
    assert said.code == 0
    assert f"by {answerer.model.settings.method}" in said.out
