"""A trained model answers from a live graph as it did from arrays; what it cannot answer it flags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch_geometric")
from kgp_loaders.triples import Triples
from kgp_models.vqa import answering, build, checkpoint
from kgp_models.vqa.answering import Answerer
from kgp_models.vqa.settings import Tuning, VQASettings
from kgplatform import trained_on
from kgplatform.datasets.knowledge import read_knowledge
from kgplatform.datasets.questions import QuestionSet
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from tests.integration import answering_worlds
from tests.unit.models.vqa import vqa_world as world

pytestmark = pytest.mark.server

vqa_answering_folder = answering_worlds.vqa_answering_folder
vqa_question_set = answering_worlds.vqa_question_set

SETTINGS = VQASettings(
    backbone="small", hidden=32, width=16, dropout=0.0, graph_dropout=0.0, tuning=Tuning(3e-3, epochs=3, batch=16)
)


def trained_vqa_model(
    graph: Graph, question_set: QuestionSet, folder: Path, method: str
) -> tuple[build.VQAModel, Path]:
    """A model of the tiny world, on disk; its graph is read from Neo4j."""
    inputs = build.VQAInputs(question_set, read_knowledge(graph), folder / "graph")
    features = build.encode_questions(world.tiny_frozen_backbone(), question_set.questions, inputs)
    settings = replace(SETTINGS, method=method)  # type: ignore[arg-type]
    model_folder = folder / method
    base_model = build.fit(replace(settings, method="base"), inputs, features, model_folder / "work" / "base", 1)
    model = build.fit(settings, inputs, features, model_folder / "work" / "method", 1)
    checkpoint.save_vqa_model(
        model_folder,
        model,
        base_model,
        settings,
        inputs=inputs,
        towers=features.backbone,
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
    model, model_folder = trained_vqa_model(graph, vqa_question_set, vqa_answering_folder, method)
    answerer = Answerer(checkpoint.load_vqa_model(model_folder), graph, images=vqa_answering_folder / "graph")
    for question, expected_probability in zip(model.questions, model.test.probabilities, strict=True):
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
    assert {node.name for node, _ in reply.image_concepts} <= {*world.FINDINGS}


class TestFlags:
    """What cannot be answered with the graph is answered by the base model, and said to be."""

    @pytest.fixture
    def answerer(
        self, graph: Graph, vqa_question_set: QuestionSet, vqa_answering_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Answerer:
        monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: world.tiny_frozen_backbone())
        _, model_folder = trained_vqa_model(graph, vqa_question_set, vqa_answering_folder, "krisp")
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
            ("Is there a pneumothorax and an effusion?", "several questions", "separately"),
        ],
    )
    def test_a_model_of_synthetic_studies_refuses_what_it_does_not_know(
        self, answerer: Answerer, vqa_answering_folder: Path, question_text: str, message: str, hint: str
    ) -> None:
        synthetic_model = replace(answerer.model, trained_on=(trained_on.DataSet("Phantom", True),))
        for image_path in (vqa_answering_folder / "asked" / "0.png", None):
            with pytest.raises(InputError, match=message) as raised:
                Answerer(synthetic_model, answerer.graph).ask(image_path, question_text)
            assert hint in raised.value.hint

    def test_words_that_a_model_of_synthetic_studies_does_not_read_are_a_flag(
        self, answerer: Answerer, vqa_answering_folder: Path
    ) -> None:
        synthetic_model = replace(answerer.model, trained_on=(trained_on.DataSet("Phantom", True),))
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
        synthetic_model = replace(answerer.model, trained_on=(trained_on.DataSet("Phantom", True),))
        reply = Answerer(synthetic_model, answerer.graph).ask(
            vqa_answering_folder / "asked" / "0.png", "Is there effusion?"
        )
        assert "the image is not known to be synthetic" in reply.warnings[0]
        assert Answerer(synthetic_model, answerer.graph).ask(None, "Is there effusion?").warnings == ()

    def test_without_an_image_the_base_model_answers(self, answerer: Answerer) -> None:
        reply = answerer.ask(None, "Is there effusion?")
        assert reply.flags == (answering.WITHOUT_IMAGE,)
        assert (reply.by, reply.probability, reply.image_concepts) == ("base", reply.base, ())
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
