"""Answers to questions about images, by a trained model and a live graph: probability, subgraph, evidence, flags.

An answer needs an image that can be read and a yes/no question; anything else is an error. Where the graph says nothing
about a question (it names no concept of the graph, or the graph has no edge of its concepts), the base model answers
from image and question alone, as it was trained to, and a flag says why. A model that was trained on synthetic studies
only knows no words but those of their findings: it answers no question that names no concept. Without an image (None)
the base model answers too: the mean of training's images stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from kgp_models.vqa.checkpoint import Loaded
from kgp_models.vqa.evidence import ImageEvidence
from kgp_models.vqa.graph_vectors import GraphVectors
from kgp_models.vqa.inputs import PathTexts, QuestionExamples
from kgp_models.vqa.settings import PLAIN
from kgp_models.vqa.tower_features import Images, Texts, encode_images, encode_text_vectors, encode_texts
from kgp_models.vqa.train import probabilities
from kgplatform import radiograph
from kgplatform import trained_on as provenance
from kgplatform.datasets.knowledge import STANCES, GraphImage, Knowledge
from kgplatform.datasets.questions import Question
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.graph_names import concept_hint
from kgplatform.radiograph import find_image
from kgplatform.trained_on import TrainedOn, is_synthetic
from kgplatform.vqa import live
from kgplatform.vqa.closed import Form, validate_question
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.live import SubgraphEdge, SubgraphNode
from kgplatform.vqa.question_content import compares, content_words, joins_findings, question_subject
from kgplatform.vqa.subgraph import EMPTY, Subgraph

WITHOUT_IMAGE: Final = "without an image: the base model answers from the question and the mean of the training images"
CUT: Final = "the model reads the first {} of the question's {} tokens"
EMPTY_GRAPH: Final = "the graph has no concepts"
NO_PICTURE: Final = "the folder of the graph's images has none of the images around the question"
GUESS: Final = "{} is read as {}"
NO_CONCEPT: Final = "the question names no concept of the graph"
NO_EDGE: Final = "the graph contains nothing about the question's concepts"
KNOWS_FINDINGS: Final = "and the model, trained on synthetic studies, understands only names of concepts"
SHORT: Final = 4  # letters: a word this short is similar to many names
COMPARES: Final = "this question compares with another image, and the model sees only one"
SUBJECT: Final = "the question is about {}, which names no concept of the graph"
UNREAD: Final = "words that name no concept of the graph, so the answer does not depend on them: {}"
AMBIGUOUS: Final = "{} may be {}: the first is taken"
UNKNOWN: Final = "{} edges of kinds that the model has not seen are left out"


@dataclass(frozen=True)
class VQAReply:
    """An answer: `yes`, its probability of yes by the model that gave it, `by` (a method, or ``base``), and the base
    model's. `edges` are those of the subgraph, each with by how much the probability falls without it (of the base
    model's answers 0); `image_concepts` are concepts and how likely the image shows them by the graph's own images.
    """

    yes: bool
    probability: float
    by: str
    base: float
    concepts: tuple[SubgraphNode, ...]
    edges: tuple[tuple[SubgraphEdge, float], ...]
    image_concepts: tuple[tuple[SubgraphNode, float], ...]
    flags: tuple[str, ...]
    warnings: tuple[str, ...] = ()  # what is not to be relied on, as the model was trained on other images
    trained_on: TrainedOn = ()  # the model's training data
    lacks_lexicon: bool = False  # in training, concepts had more names than now: from files that are not in use


class Answerer:
    """Answers questions with a model and a graph. `images` is where the paths of the graph's images begin, None where
    they are not available; `lexicon` names concepts in addition to the graph's names. A question about a DICOM file
    that is no radiograph is answered with `any_modality` only.
    """

    def __init__(
        self,
        model: Loaded,
        graph: Graph,
        *,
        images: Path | None = None,
        lexicon: Sequence[Path] = (),
        own_words: bool = False,
        any_modality: bool = False,
    ) -> None:
        self._any_modality = any_modality
        self.model, self.graph, self.images = model, graph, images
        self._lacks_lexicon = bool(model.lexicon) and not lexicon
        self._tagger = QuestionTagger(graph, lexicon, own_words=own_words)

    def ask(self, image: Path | None, text: str) -> VQAReply:
        """Answer a yes/no question about an image, or without one (None).

        Raises `InputError` for an image that cannot be read, where the text is no yes/no question, and where it names
        no concept and the model was trained on synthetic studies only.
        """
        text = validate_question(image, text)
        flags: list[str] = []
        question_image = self._image(image, flags)
        seed_numbers = self._tagger.concepts(text)
        if provenance.synthetic_only(self.model.trained_on):
            seed_numbers = self._findings(text, flags)
        question_concepts = tuple(
            SubgraphNode(self._tagger.cuis[seed_number], self._tagger.names[seed_number])
            for seed_number in seed_numbers
        )
        flags += (GUESS.format(*guess) for guess in self._tagger.guesses(text).items())
        for phrase, meanings in self._tagger.ambiguous(text).items():
            listed = " or ".join(f"{self._tagger.names[number]} ({self._tagger.cuis[number]})" for number in meanings)
            flags.append(AMBIGUOUS.format(phrase, listed))
        text = self._tagger.mended(text)
        edges = self._edges(question_concepts, flags)
        warnings = (
            tuple(provenance.training_data_warnings(self.model.trained_on, 1, int(is_synthetic(image))))
            if image
            else ()
        )
        if self._is_unlike(question_image):
            warnings = (*warnings, provenance.unlike_warning(1, 1))
        local_graph = _Local(self.model, question_concepts, edges, self.images)
        if self.images is not None and len(local_graph.pictured) and not local_graph.pictured.any():
            flags.append(NO_PICTURE)
        tokens = self.model.backbone.tokens
        if (token_count := tokens.count(text)) > tokens.token_limit:
            flags.append(CUT.format(tokens.token_limit, token_count))
        question_texts = encode_texts(self.model.backbone, [text])
        question = Question("", text, "", question_image.name, image or Path(), "", "")
        base_probability = local_graph.probabilities(
            [question], question_image.images, question_texts, [EMPTY], base=True
        )[0]
        image_concepts = local_graph.image_concepts(question_image.images) if question_image.has_image else ()
        if self.model.settings.method in PLAIN or not question_image.has_image or not edges:
            uncounted_edges = tuple((edge, 0.0) for edge in edges)
            return VQAReply(
                base_probability >= 0.5,
                base_probability,
                "base",
                base_probability,
                question_concepts,
                uncounted_edges,
                image_concepts,
                tuple(flags),
                warnings,
                self.model.trained_on,
                self._lacks_lexicon,
            )
        reduced_subgraphs = [local_graph.subgraph(leave_out=edge_number) for edge_number in range(len(edges))]
        answer_probabilities = local_graph.probabilities(
            [question] * (1 + len(edges)),
            question_image.images,
            question_texts,
            [local_graph.subgraph(), *reduced_subgraphs],
        )
        counted_edges = tuple(
            (edge, answer_probabilities[0] - reduced_probability)
            for edge, reduced_probability in zip(edges, answer_probabilities[1:], strict=True)
        )
        method_name = self.model.settings.method
        return VQAReply(
            answer_probabilities[0] >= 0.5,
            answer_probabilities[0],
            method_name,
            base_probability,
            question_concepts,
            counted_edges,
            image_concepts,
            tuple(flags),
            warnings,
            self.model.trained_on,
            self._lacks_lexicon,
        )

    def _findings(self, text: str, flags: list[str]) -> list[int]:
        """The concepts of a question for a model of synthetic studies, which knows their findings alone: not those that
        its form names in a large graph ("show", "finding"). The words that it does not read become a flag.

        Raises `InputError` where the question names no concept, is about something that is none, or about two things.
        """
        if joins_findings(text):
            raise InputError(
                f"{Form.SEVERAL.value}, and the model answers questions about one finding only",
                "Ask about each finding separately.",
            )
        if compares(text):
            raise InputError(COMPARES, "Ask about this image only.")
        named = [(phrase, number) for phrase, number in self._tagger.named(text) if content_words(phrase)]
        if not named:
            raise InputError(f"{self._why_unknown()}, {KNOWS_FINDINGS}", self._hint(text))
        read_words = {word for phrase, _ in named for word in content_words(phrase)}
        subject = question_subject(text)
        if subject and not any(subject in phrase.casefold() for phrase, _ in named):
            raise InputError(SUBJECT.format(subject), concept_hint(self.graph, subject) or self._hint(text))
        if unread_words := [word for word in content_words(text) if word not in read_words]:
            flags.append(UNREAD.format(", ".join(unread_words)))
        return list(dict.fromkeys(number for _, number in named))

    def _why_unknown(self) -> str:
        """Why a question names no concept."""
        return NO_CONCEPT if self._tagger.cuis else EMPTY_GRAPH

    def _hint(self, text: str) -> str:
        if not self._tagger.cuis:
            return "Load a graph first (kgp construct run, kgp ingest), or give your own model with --model."
        hints = (concept_hint(self.graph, word) for word in content_words(text) if len(word) > SHORT)
        if near_hint := next((hint for hint in hints if hint), ""):
            return near_hint
        return (
            'Name a finding of the graph, "Is there a pleural effusion?", or add names of its concepts with --lexicon.'
        )

    def _edges(self, question_concepts: Sequence[SubgraphNode], flags: list[str]) -> list[SubgraphEdge]:
        if not question_concepts:
            flags.append(self._why_unknown())
            return []
        settings = self.model.settings
        concept_cuis = [node.key for node in question_concepts]
        (edges,) = live.subgraphs(
            self.graph, [concept_cuis], hops=settings.hops, cap=settings.cap, images=settings.images
        )
        if not edges:
            flags.append(NO_EDGE)
        edge_kinds = {*STANCES, *self.model.relations}
        if unknown_count := sum(edge.kind not in edge_kinds for edge in edges):
            flags.append(UNKNOWN.format(unknown_count))
        return [edge for edge in edges if edge.kind in edge_kinds]

    def _is_unlike(self, question_image: _ImageInput) -> bool:
        """Whether the image is unlike all images of the model's training."""
        reference = self.model.reference
        if reference is None or not question_image.has_image:
            return False
        return bool(reference.distances(question_image.images.vectors[:1])[0] > reference.threshold)

    def _image(self, image_path: Path | None, flags: list[str]) -> _ImageInput:
        if image_path is not None:
            if not self._any_modality:
                radiograph.require_radiograph(image_path)
            radiograph.read_radiograph(image_path, radiograph.LEAST_SIDE, blank=False)
            return _ImageInput(
                str(image_path), encode_images(self.model.backbone, {str(image_path): image_path}), has_image=True
            )
        flags.append(WITHOUT_IMAGE)
        mean_vector, region_vector = self.model.mean_image, self.model.mean_region
        return _ImageInput("", Images(mean_vector[None], region_vector[None, None].half(), {"": 0}), has_image=False)


@dataclass(frozen=True, eq=False)
class _ImageInput:
    name: str
    images: Images
    has_image: bool


class _Local:
    """A question's own small graph: the nodes and edges of its subgraph, as the models take them."""

    def __init__(
        self,
        model: Loaded,
        question_concepts: Sequence[SubgraphNode],
        edges: Sequence[SubgraphEdge],
        folder: Path | None,
    ) -> None:
        self.model, self.question_concepts, self.edges = model, question_concepts, edges
        edge_ends = [node for edge in edges for node in (edge.head, edge.tail)]
        self.concepts = list(dict.fromkeys([*question_concepts, *(node for node in edge_ends if not node.image)]))
        image_nodes = list(dict.fromkeys(node for node in edge_ends if node.image))
        empty_rows = np.empty((0, 3), dtype=np.int64)
        self.knowledge = Knowledge(
            [GraphImage(node.key, node.name) for node in image_nodes],
            [node.key for node in self.concepts],
            [node.name for node in self.concepts],
            model.relations,
            empty_rows,
            empty_rows,
        )
        self.row_by_node = {node: position for position, node in enumerate([*self.concepts, *image_nodes])}
        self.kind = {kind_name: position for position, kind_name in enumerate([*STANCES, *model.relations])}
        self.evidence = _concept_evidence(model, self.knowledge.cuis)
        self._vectors(folder)

    def _vectors(self, image_folder: Path | None) -> None:
        """The concepts' names and the images' pictures by the towers."""
        towers, vector_width = self.model.backbone, len(self.model.mean_image)
        self.names = encode_text_vectors(towers, self.knowledge.concepts or [""])[: len(self.concepts)]
        self.pictures = torch.zeros(len(self.knowledge.images), vector_width)
        self.pictured = torch.zeros(len(self.knowledge.images), dtype=torch.bool)
        for image_number, image in enumerate(self.knowledge.images):
            image_path = None if image_folder is None else find_image(image_folder, image.path)
            if image_path is not None and image_path.is_file():
                try:
                    images = encode_images(towers, {image.id: image_path}, regions=False)
                    self.pictures[image_number] = images.vectors[0]
                    self.pictured[image_number] = True
                except InputError:
                    continue  # a damaged image counts as one without a file

    def subgraph(self, leave_out: int = -1) -> Subgraph:
        """The subgraph in the order in which the graph gave it, with or without one of its edges."""
        node_rows = {self.row_by_node[node]: position for position, node in enumerate(self.question_concepts)}
        edge_rows = []
        for position, edge in enumerate(self.edges):
            head_row, tail_row = (
                node_rows.setdefault(self.row_by_node[node], len(node_rows)) for node in (edge.head, edge.tail)
            )
            if position != leave_out:
                edge_rows.append((head_row, self.kind[edge.kind], tail_row))
        nodes = np.fromiter(node_rows, dtype=np.int64, count=len(node_rows))
        return Subgraph(nodes, np.array(edge_rows, dtype=np.int64).reshape(-1, 3), len(self.question_concepts))

    def image_concepts(self, images: Images) -> tuple[tuple[SubgraphNode, float], ...]:
        """The concepts that the graph's images tell of, the likeliest shown first."""
        likelihoods = self.evidence(images.vectors)[0].tolist()
        image_concepts = [
            (node, likelihoods[number])
            for number, node in enumerate(self.concepts)
            if bool(self.evidence.informative[number])
        ]
        return tuple(sorted(image_concepts, key=lambda entry: -entry[1]))

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
        image_evidence = self.evidence(images.vectors), self.evidence.lift(images.vectors)
        graph_vectors = GraphVectors(
            self.names, self.pictures, self.pictured, self.model.kinds, self.evidence, *image_evidence
        )
        path_texts = None
        if self.model.settings.method == "k-pathvqa":
            path_texts = PathTexts(self.model.backbone, self.knowledge, subgraphs)
        text_rows = {questions[0].text: 0}
        examples = QuestionExamples(questions, images, words, text_rows, graph_vectors, subgraphs, path_texts)
        model = self.model.base if base else self.model.method
        return [float(probability) for probability in probabilities(model, examples)]


def _concept_evidence(model: Loaded, cuis: Sequence[str]) -> ImageEvidence:
    """The model's evidence of these concepts; nothing is known of those it does not know."""
    concept_columns = {cui: column_number for column_number, cui in enumerate(model.cuis)}
    columns = [concept_columns.get(cui, -1) for cui in cuis]
    has_evidence = torch.tensor([column >= 0 for column in columns], dtype=torch.bool)
    model_evidence = model.evidence
    weights, centre = (
        functional.pad(parameter, (0, 1))[..., columns] for parameter in (model_evidence.weights, model_evidence.centre)
    )
    spread = functional.pad(model_evidence.spread, (0, 1), value=1.0)[columns]
    return replace(model_evidence, weights=weights, centre=centre, spread=spread, informative=has_evidence)
