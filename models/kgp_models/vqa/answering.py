"""Answers to questions about images, by a trained model and a live graph: probability, subgraph, evidence, flags.

An answer needs an image that can be read and a yes/no question; anything else is an error. Where the graph says nothing
about a question (it names no concept of the graph, or the graph has no edge of its concepts), the base model answers
from image and question alone, as it was trained to, and a flag says why. Without an image (None) the base model answers
too: the mean of training's images stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from kgp_models.retrieval.inputs import Told
from kgp_models.vqa.checkpoint import Loaded
from kgp_models.vqa.inputs import (
    Evidence,
    Examples,
    GraphVectors,
    Images,
    PathTexts,
    Texts,
    images_of,
    texts_of,
    vectors_of,
)
from kgp_models.vqa.settings import PLAIN
from kgp_models.vqa.train import probabilities
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.radiograph import place
from kgplatform.retrieval.knowledge import STANCES, GraphImage, Knowledge
from kgplatform.trained_on import is_synthetic
from kgplatform.vqa import live
from kgplatform.vqa.closed import checked
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.live import Edge, Node
from kgplatform.vqa.questions import Question
from kgplatform.vqa.subgraph import EMPTY, Subgraph

WITHOUT_IMAGE: Final = "without an image: the base model answers, and the mean of training's images stands for it"
CUT: Final = "the model reads the first {} of the question's {} tokens"
EMPTY_GRAPH: Final = "the graph has no concepts"
NO_PICTURE: Final = "none of the graph's images around the question is in the folder of its images"
GUESS: Final = "{} is read as {}"
NO_CONCEPT: Final = "the question names no concept of the graph"
NO_EDGE: Final = "the graph knows nothing of the question's concepts"
UNKNOWN: Final = "{} edges of kinds that the model has not seen are left out"


@dataclass(frozen=True)
class Reply:
    """An answer: `yes`, its probability of yes by the model that gave it, `by` (a method, or ``base``), and the base
    model's. `edges` are those of the subgraph, each with by how much the probability falls without it (of the base
    model's answers 0); `shown` are concepts and how likely the image shows them by the graph's own images.
    """

    yes: bool
    probability: float
    by: str
    base: float
    concepts: tuple[Node, ...]
    edges: tuple[tuple[Edge, float], ...]
    shown: tuple[tuple[Node, float], ...]
    flags: tuple[str, ...]
    warnings: tuple[str, ...] = ()  # what is not to be relied on, as the model was trained on other images


class Answerer:
    """Answers questions with a model and a graph. `images` is where the paths of the graph's images begin, None where
    they are not at hand; `lexicon` names concepts beside the graph's names.
    """

    def __init__(
        self,
        model: Loaded,
        graph: Graph,
        *,
        images: Path | None = None,
        lexicon: Sequence[Path] = (),
        own_words: bool = False,
        told: Told = lambda _: None,
    ) -> None:
        self.model, self.graph, self.images = model, graph, images
        self._tagger = QuestionTagger(graph, lexicon, own_words=own_words, told=told)

    def ask(self, image: Path | None, text: str) -> Reply:
        """Answer a yes/no question about an image, or without one (None).

        Raises `InputError` for an image that cannot be read, and where the text is no yes/no question.
        """
        text = checked(image, text)
        flags: list[str] = []
        seeds = self._tagger.concepts(text)
        asked = tuple(Node(self._tagger.cuis[seed], self._tagger.names[seed]) for seed in seeds)
        flags += (GUESS.format(*guess) for guess in self._tagger.guesses(text).items())
        edges = self._edges(asked, flags)
        seen = self._image(image, flags)
        warnings = tuple(provenance.warnings(self.model.trained_on, 1, int(is_synthetic(image)))) if image else ()
        local = _Local(self.model, asked, edges, self.images)
        if self.images is not None and len(local.pictured) and not local.pictured.any():
            flags.append(NO_PICTURE)
        tokens = self.model.backbone.tokens
        if (count := tokens.count(text)) > tokens.longest:
            flags.append(CUT.format(tokens.longest, count))
        words = texts_of(self.model.backbone, [text])
        question = Question("", text, "", seen.name, image or Path(), "", "")
        base = local.probabilities([question], seen.images, words, [EMPTY], base=True)[0]
        shown = local.shown(seen.images) if seen.there else ()
        if self.model.settings.method in PLAIN or not seen.there or not edges:
            uncounted = tuple((edge, 0.0) for edge in edges)
            return Reply(base >= 0.5, base, "base", base, asked, uncounted, shown, tuple(flags), warnings)
        without = [local.subgraph(leave_out=number) for number in range(len(edges))]
        found = local.probabilities([question] * (1 + len(edges)), seen.images, words, [local.subgraph(), *without])
        falls = tuple((edge, found[0] - other) for edge, other in zip(edges, found[1:], strict=True))
        method = self.model.settings.method
        return Reply(found[0] >= 0.5, found[0], method, base, asked, falls, shown, tuple(flags), warnings)

    def _edges(self, asked: Sequence[Node], flags: list[str]) -> list[Edge]:
        if not asked:
            flags.append(NO_CONCEPT if self._tagger.cuis else EMPTY_GRAPH)
            return []
        settings = self.model.settings
        cuis = [node.key for node in asked]
        (edges,) = live.subgraphs(self.graph, [cuis], hops=settings.hops, cap=settings.cap, images=settings.images)
        if not edges:
            flags.append(NO_EDGE)
        known = {*STANCES, *self.model.relations}
        if left_out := sum(edge.kind not in known for edge in edges):
            flags.append(UNKNOWN.format(left_out))
        return [edge for edge in edges if edge.kind in known]

    def _image(self, path: Path | None, flags: list[str]) -> _Seen:
        if path is not None:
            return _Seen(str(path), images_of(self.model.backbone, {str(path): path}), there=True)
        flags.append(WITHOUT_IMAGE)
        vector, region = self.model.mean_image, self.model.mean_region
        return _Seen("", Images(vector[None], region[None, None].half(), {"": 0}), there=False)


@dataclass(frozen=True, eq=False)
class _Seen:
    name: str
    images: Images
    there: bool


class _Local:
    """A question's own small graph: the nodes and edges of its subgraph, as the models take them."""

    def __init__(self, model: Loaded, asked: Sequence[Node], edges: Sequence[Edge], folder: Path | None) -> None:
        self.model, self.asked, self.edges = model, asked, edges
        ends = [node for edge in edges for node in (edge.head, edge.tail)]
        self.concepts = list(dict.fromkeys([*asked, *(node for node in ends if not node.image)]))
        pictures = list(dict.fromkeys(node for node in ends if node.image))
        none = np.empty((0, 3), dtype=np.int64)
        self.knowledge = Knowledge(
            [GraphImage(node.key, node.name) for node in pictures],
            [node.key for node in self.concepts],
            [node.name for node in self.concepts],
            model.relations,
            none,
            none,
        )
        self.place = {node: number for number, node in enumerate([*self.concepts, *pictures])}
        self.kind = {name: number for number, name in enumerate([*STANCES, *model.relations])}
        self.evidence = _of_concepts(model, self.knowledge.cuis)
        self._vectors(folder)

    def _vectors(self, folder: Path | None) -> None:
        """The concepts' names and the images' pictures by the towers."""
        towers, width = self.model.backbone, len(self.model.mean_image)
        self.names = vectors_of(towers, self.knowledge.concepts or [""])[: len(self.concepts)]
        self.pictures = torch.zeros(len(self.knowledge.images), width)
        self.pictured = torch.zeros(len(self.knowledge.images), dtype=torch.bool)
        for number, image in enumerate(self.knowledge.images):
            path = None if folder is None else place(folder, image.path)
            if path is not None and path.is_file():
                try:
                    self.pictures[number] = images_of(towers, {image.id: path}, regions=False).vectors[0]
                    self.pictured[number] = True
                except InputError:
                    continue  # a damaged image is one that has no picture

    def subgraph(self, leave_out: int = -1) -> Subgraph:
        """The subgraph in the order in which the graph gave it, with or without one of its edges."""
        place = {self.place[node]: number for number, node in enumerate(self.asked)}
        rows = []
        for number, edge in enumerate(self.edges):
            head, tail = (place.setdefault(self.place[node], len(place)) for node in (edge.head, edge.tail))
            if number != leave_out:
                rows.append((head, self.kind[edge.kind], tail))
        nodes = np.fromiter(place, dtype=np.int64, count=len(place))
        return Subgraph(nodes, np.array(rows, dtype=np.int64).reshape(-1, 3), len(self.asked))

    def shown(self, images: Images) -> tuple[tuple[Node, float], ...]:
        """The concepts that the graph's images tell of, the likeliest shown first."""
        found = self.evidence(images.vectors)[0].tolist()
        rows = [(node, found[n]) for n, node in enumerate(self.concepts) if bool(self.evidence.told[n])]
        return tuple(sorted(rows, key=lambda row: -row[1]))

    def probabilities(
        self,
        questions: Sequence[Question],
        images: Images,
        words: Texts,
        subgraphs: Sequence[Subgraph],
        *,
        base: bool = False,
    ) -> list[float]:
        """Of yes, for each question with its subgraph."""
        told_of = self.evidence(images.vectors), self.evidence.lift(images.vectors)
        graph = GraphVectors(self.names, self.pictures, self.pictured, self.model.kinds, self.evidence, *told_of)
        paths = None
        if self.model.settings.method == "k-pathvqa":
            paths = PathTexts(self.model.backbone, self.knowledge, subgraphs)
        rows = {questions[0].text: 0}
        examples = Examples(questions, images, words, rows, graph, subgraphs, paths)
        found: list[float] = probabilities(self.model.base if base else self.model.method, examples).tolist()
        return found


def _of_concepts(model: Loaded, cuis: Sequence[str]) -> Evidence:
    """The model's evidence of these concepts; nothing is told of those it does not know."""
    places = {cui: number for number, cui in enumerate(model.cuis)}
    columns = [places.get(cui, -1) for cui in cuis]
    told = torch.tensor([column >= 0 for column in columns], dtype=torch.bool)
    own = model.evidence
    weights, centre = (functional.pad(of, (0, 1))[..., columns] for of in (own.weights, own.centre))
    spread = functional.pad(own.spread, (0, 1), value=1.0)[columns]
    return replace(own, weights=weights, centre=centre, spread=spread, told=told)
