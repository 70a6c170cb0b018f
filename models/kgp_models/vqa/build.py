"""A VQA model from its settings: frozen backbone, questions, the graph's knowledge, training, test."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from kgp_models.retrieval import checkpoint
from kgp_models.retrieval.backbone import Backbone
from kgp_models.retrieval.backbones import KINDS, open_backbone
from kgp_models.retrieval.build import ProgressOf, quiet, varied_graph
from kgp_models.retrieval.inputs import Told, tell_longer
from kgp_models.retrieval.small import KIND as SMALL
from kgp_models.training_state import claim
from kgp_models.vqa.base import Base, Method, Sizes
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
from kgp_models.vqa.settings import PLAIN, VQASettings
from kgp_models.vqa.train import Trained, answers, train
from kgplatform import trained_on
from kgplatform.errors import UsageError
from kgplatform.retrieval.knowledge import Knowledge
from kgplatform.suggest import did_you_mean
from kgplatform.trained_on import TrainedOn
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.metrics import Answers
from kgplatform.vqa.questions import PARTS, Question, QuestionSet
from kgplatform.vqa.subgraph import EMPTY, Neighbourhoods

TRAINED: Final = "model"  # a backbone of `kgp train retrieval`


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

    def trained_on(self, towers: Backbone) -> TrainedOn:
        """The data sets of the training: those of the towers, of the questions, and of the graph's images at hand."""
        asked = trained_on.of_names(one.dataset for one in self.questions.parts["train"])
        of_graph = trained_on.of_names(one.dataset for one in self.knowledge.images) if self.images is not None else ()
        return trained_on.joined(towers.trained_on, asked, of_graph)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the frozen backbone makes of the questions and of the graph's images: the same for every method and seed."""

    backbone: Backbone
    images: Images
    texts: Texts
    text_rows: Mapping[str, int]


def opened(spec: str) -> Backbone:
    """The frozen backbone: small, offline, KIND:FOLDER as `open_backbone` has them, or model:FOLDER, of `kgp train
    retrieval`. Raises as `open_backbone` does.
    """
    kind, colon, folder = spec.partition(":")
    if kind not in (SMALL, TRAINED, *KINDS):
        known = (SMALL, TRAINED, *KINDS)
        raise UsageError(
            f"there is no such backbone: {kind}", did_you_mean(kind, known, f"Backbones: {', '.join(known)}.")
        )
    if kind == SMALL and colon:
        raise UsageError("small has no folder", "Say small.")
    if kind in (SMALL, TRAINED):
        backbone = checkpoint.load(checkpoint.SHIPPED if kind == SMALL else Path(folder))
        backbone.requires_grad_(False)
        return backbone.eval()
    return open_backbone(spec, frozen=True)


def seen(backbone: Backbone, questions: Sequence[Question], inputs: Inputs) -> Seen:
    """What the towers make of questions and images; images that cannot be read are told."""
    paths = {one.image: one.path for one in questions}
    images = images_of(backbone, paths, inputs.cache, inputs.told, inputs.progress("images"))
    words = sorted({one.text for one in questions})
    tell_longer(backbone, words, "questions", inputs.told)
    return Seen(
        backbone, images, texts_of(backbone, words, inputs.cache), {text: row for row, text in enumerate(words)}
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a method is trained on: questions by part with their subgraphs, and the graph, or one of its controls."""

    parts: Mapping[str, Examples]
    knowledge: Knowledge
    graph: GraphVectors

    @property
    def sha256(self) -> str:
        """A hash of the questions' subgraphs, and of which of the graph's images have pictures."""
        digest = hashlib.sha256(self.graph.pictured.numpy().tobytes())
        for part in PARTS:
            for subgraph in self.parts[part].subgraphs:
                digest.update(subgraph.nodes.tobytes() + b"|" + subgraph.edges.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Model:
    """A trained model, what it was trained on, and its answers to the test's questions, in their order."""

    method: Method
    sizes: Sizes
    given: Prepared
    trained: Trained
    test: Answers

    @property
    def questions(self) -> Sequence[Question]:
        """The test's questions."""
        return self.given.parts["test"].questions

    def with_base(self, base: Model) -> Answers:
        """The model's own answers where a question has a subgraph, and the base model's where it has none."""
        known = [len(subgraph) > 0 for subgraph in self.given.parts["test"].subgraphs]
        return Answers.of(self.test.yes, np.where(known, self.test.said, base.test.said))


def prepared(settings: VQASettings, inputs: Inputs, known: Seen, seed: int) -> Prepared:
    """Find the questions' subgraphs and what the towers make of the graph. `seed` is of the shuffled graph."""
    knowledge = varied_graph(inputs.knowledge, settings.graph, seed)
    tagger = QuestionTagger(inputs.knowledge, inputs.lexicon, own_words=inputs.own_words, told=inputs.told)
    around = Neighbourhoods(knowledge, hops=settings.hops, cap=settings.cap, images=settings.images)
    graph = graph_vectors(
        known.backbone, knowledge, known.images, inputs.images, inputs.cache, inputs.told, inputs.progress("graph")
    )
    none = settings.graph == "empty" or settings.method in PLAIN
    parts = {part: checked(known.images, inputs.questions.parts[part]) for part in PARTS}
    found = {
        part: [EMPTY if none else around.of(tagger.concepts(one.text)) for one in those]
        for part, those in parts.items()
    }
    paths = None
    if settings.method == "k-pathvqa":
        every = [subgraph for those in found.values() for subgraph in those]
        paths = PathTexts(known.backbone, knowledge, every, inputs.cache)
    examples = {
        part: Examples(those, known.images, known.texts, known.text_rows, graph, found[part], paths)
        for part, those in parts.items()
    }
    return Prepared(examples, knowledge, graph)


def sizes_of(settings: VQASettings, images: Images, texts: Texts) -> Sizes:
    """A model's widths, by its settings and the towers' vectors."""
    return Sizes(
        image=images.vectors.shape[1],
        region=images.regions.shape[2],
        text=texts.vectors.shape[1],
        hidden=settings.hidden,
        graph=settings.width,
        layers=settings.layers,
        dropout=settings.dropout,
        graph_dropout=settings.graph_dropout,
    )


def method_of(settings: VQASettings, sizes: Sizes, kinds: Tensor, positives: Tensor) -> Method:
    """A new model, its weights drawn by chance. `kinds` (K, Dt) are the text tower's vectors of the kinds' names;
    `positives` (n, 2) those of `positives_of`, for training.
    """
    made: dict[str, Callable[[], Method]] = {
        "base": lambda: Base(sizes),
        "question-only": lambda: Base(sizes, "question"),
        "image-only": lambda: Base(sizes, "image"),
        "k-pathvqa": lambda: KPathVQA(sizes),
    }
    if settings.method in made:
        return made[settings.method]()
    return _of_messages(settings, sizes, kinds, positives)


def _of_messages(settings: VQASettings, sizes: Sizes, kinds: Tensor, positives: Tensor) -> Method:
    """Methods with message passing; PyG takes seconds to import, which the others need not wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, as PyG is imported
        from kgp_models.vqa.ekgrl import EKGRL
        from kgp_models.vqa.krisp import KRISP
        from kgp_models.vqa.mkbn import MKBN
        from kgp_models.vqa.mr_mkg import MRMKG

    made: dict[str, Callable[[], Method]] = {
        "krisp": lambda: KRISP(sizes, 2 * len(kinds)),
        "mkbn": lambda: MKBN(sizes, kinds),
        "ekgrl": lambda: EKGRL(sizes, kinds),
        "mr-mkg": lambda: MRMKG(sizes, kinds, positives, align=settings.align),
    }
    return made[settings.method]()


def fit(settings: VQASettings, inputs: Inputs, known: Seen, folder: Path, seed: int, device: str = "cpu") -> Model:
    """Train and test a model; `folder` keeps where the training is, so that it goes on."""
    given = prepared(settings, inputs, known, seed)
    about = {"settings": settings.as_dict(), "seed": seed, "questions": inputs.questions.sha256}
    claim(folder, {**about, "graph": inputs.knowledge.sha256, "subgraphs": given.sha256})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = sizes_of(settings, known.images, known.texts)
        method = method_of(settings, sizes, given.graph.kinds, positives_of(given.knowledge)).to(device)
    trained = train(
        method,
        given.parts["train"],
        given.parts["valid"],
        settings.tuning,
        folder,
        seed,
        inputs.progress(f"{settings.method}, steps"),
        inputs.told,
    )
    return Model(method, sizes, given, trained, answers(method, given.parts["test"]))
