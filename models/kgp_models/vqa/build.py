"""A VQA model from its settings: frozen backbone, questions, the graph's knowledge, training, test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kgp_models.retrieval import checkpoint
from kgp_models.retrieval.backbone import Backbone
from kgp_models.retrieval.backbones import open_backbone
from kgp_models.retrieval.build import ProgressOf, quiet, varied_graph
from kgp_models.retrieval.inputs import Told
from kgp_models.retrieval.small import KIND as SMALL
from kgp_models.vqa.base import Base, Method, Sizes
from kgp_models.vqa.ekgrl import EKGRL
from kgp_models.vqa.inputs import (
    Examples,
    GraphVectors,
    Images,
    PathTexts,
    Texts,
    checked,
    graph_vectors,
    images_of,
    positives_of,
    texts_of,
)
from kgp_models.vqa.k_pathvqa import KPathVQA
from kgp_models.vqa.krisp import KRISP
from kgp_models.vqa.mkbn import MKBN
from kgp_models.vqa.mr_mkg import MRMKG
from kgp_models.vqa.settings import VQASettings
from kgp_models.vqa.train import Trained, answers, train
from kgplatform.retrieval.knowledge import Knowledge
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.metrics import Answers
from kgplatform.vqa.questions import PARTS, Question, QuestionSet
from kgplatform.vqa.subgraph import Neighbourhoods


@dataclass(frozen=True)
class Inputs:
    """What a training reads. `images` is the folder that the paths of the graph's images begin in, None where they are
    not at hand; `lexicon` names concepts beside the graph's names; `cache` keeps pictures that were read.
    """

    questions: QuestionSet
    knowledge: Knowledge
    images: Path | None = None
    lexicon: Sequence[Path] = ()
    own_words: bool = False
    cache: Path | None = None
    told: Told = lambda _: None
    progress: ProgressOf = quiet


@dataclass(frozen=True, eq=False)
class Seen:
    """What the frozen backbone makes of the questions and of the graph's images: the same for every method and seed."""

    backbone: Backbone
    images: Images
    texts: Texts
    text_rows: Mapping[str, int]


@dataclass(frozen=True)
class Model:
    """A trained model and its answers to the test's questions, in their order."""

    method: Method
    trained: Trained
    test: Answers
    questions: Sequence[Question]


def opened(spec: str) -> Backbone:
    """The frozen backbone. Raises as `open_backbone` does."""
    if spec == SMALL or Path(spec).is_dir():
        backbone = checkpoint.load(checkpoint.SHIPPED if spec == SMALL else Path(spec))
        backbone.requires_grad_(False)
        return backbone.eval()
    return open_backbone(spec, frozen=True)


def seen(backbone: Backbone, questions: Sequence[Question], inputs: Inputs) -> Seen:
    """What the towers make of questions and images; images that cannot be read are told."""
    paths = {one.image: one.path for one in questions}
    images = images_of(backbone, paths, inputs.cache, inputs.told, inputs.progress("images"))
    words = sorted({one.text for one in questions})
    return Seen(backbone, images, texts_of(backbone, words), {text: row for row, text in enumerate(words)})


def examples(
    settings: VQASettings, inputs: Inputs, known: Seen, seed: int
) -> tuple[dict[str, Examples], Neighbourhoods, GraphVectors]:
    """The questions of each part with their subgraphs, of the graph or of one of its controls."""
    knowledge = varied_graph(inputs.knowledge, settings.graph, seed)
    tagger = QuestionTagger(inputs.knowledge, inputs.lexicon, own_words=inputs.own_words, told=inputs.told)
    around = Neighbourhoods(knowledge, hops=settings.hops, cap=settings.cap, images=settings.images)
    graph = graph_vectors(
        known.backbone, knowledge, known.images, inputs.images, inputs.cache, inputs.told, inputs.progress("graph")
    )
    parts = {part: checked(known.images, inputs.questions.parts[part]) for part in PARTS}
    seeds = {part: [tagger.concepts(one.text) for one in those] for part, those in parts.items()}
    if settings.graph == "empty":
        seeds = {part: [[] for _ in those] for part, those in seeds.items()}
    paths = None
    if settings.method == "k-pathvqa":
        every = [around.of(concepts) for those in seeds.values() for concepts in those]
        paths = PathTexts(known.backbone, around, every)
    made = {
        part: Examples(those, known.images, known.texts, known.text_rows, graph, around, seeds[part], paths)
        for part, those in parts.items()
    }
    return made, around, graph


def method_of(settings: VQASettings, known: Seen, around: Neighbourhoods, graph: GraphVectors) -> Method:
    """A new model, its weights drawn by chance."""
    sizes = Sizes(
        image=known.images.vectors.shape[1],
        region=known.images.regions.shape[2],
        text=known.texts.vectors.shape[1],
        hidden=settings.hidden,
        graph=settings.width,
        layers=settings.layers,
        dropout=settings.dropout,
    )
    made: dict[str, Callable[[], Method]] = {
        "base": lambda: Base(sizes),
        "question-only": lambda: Base(sizes, "question"),
        "image-only": lambda: Base(sizes, "image"),
        "krisp": lambda: KRISP(sizes, 2 * len(around.kinds)),
        "mkbn": lambda: MKBN(sizes, graph.kinds),
        "k-pathvqa": lambda: KPathVQA(sizes),
        "ekgrl": lambda: EKGRL(sizes, graph.kinds),
        "mr-mkg": lambda: MRMKG(sizes, graph.kinds, positives_of(around), align=settings.align),
    }
    return made[settings.method]()


def fit(settings: VQASettings, inputs: Inputs, known: Seen, folder: Path, seed: int, device: str = "cpu") -> Model:
    """Train and test a model; `folder` keeps where the training is, so that it goes on."""
    parts, around, graph = examples(settings, inputs, known, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = method_of(settings, known, around, graph).to(device)
    trained = train(
        method, parts["train"], parts["valid"], settings.tuning, folder, seed, inputs.progress("questions, steps")
    )
    return Model(method, trained, answers(method, parts["test"]), parts["test"].questions)
