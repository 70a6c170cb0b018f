"""A VQA model from its settings: frozen backbone, questions, the graph's knowledge, training, test."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kgp_models.retrieval.build import varied_graph
from kgp_models.retrieval.inputs import warn_truncated
from kgp_models.towers.backbone import Backbone
from kgp_models.training.training_state import claim
from kgp_models.vqa.base import Base, Method, Sizes
from kgp_models.vqa.graph_vectors import GraphVectors, graph_vectors
from kgp_models.vqa.inputs import PathTexts, QuestionExamples, positive_pairs, questions_with_images
from kgp_models.vqa.k_pathvqa import KPathVQA
from kgp_models.vqa.settings import PLAIN, VQASettings
from kgp_models.vqa.tower_features import Images, Texts, encode_images, encode_texts
from kgp_models.vqa.train import VQATrainingResult, answers, train_vqa_method
from kgplatform import trained_on
from kgplatform.datasets.knowledge import Knowledge
from kgplatform.datasets.question_metrics import Answers
from kgplatform.datasets.questions import PARTS, Question, QuestionSet
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.trained_on import TrainedOn
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.subgraph import EMPTY, Neighbourhoods


@dataclass(frozen=True)
class VQAInputs:
    """What a training reads. `images` is the folder that the paths of the graph's images begin in, None where they are
    not available; `lexicon` names concepts in addition to the graph's names; `cache` keeps pictures that were read.
    """

    questions: QuestionSet
    knowledge: Knowledge
    images: Path | None = None
    lexicon: Sequence[Path] = ()
    own_words: bool = False
    cache: Path | None = None
    progress: SubjectProgress = silent_progress

    def trained_on(self, towers: Backbone) -> TrainedOn:
        """The data sets of the training: those of the towers, of the questions, and of the graph's images, where
        available.
        """
        question_sources = trained_on.from_images(
            trained_on.TrainingImage(question.dataset, question.image) for question in self.questions.parts["train"]
        )
        graph_sources = self.knowledge.image_sources() if self.images is not None else ()
        return trained_on.merge_trained_on(towers.trained_on, question_sources, graph_sources)


@dataclass(frozen=True, eq=False)
class QuestionFeatures:
    """What the frozen backbone makes of the questions and of the graph's images: the same for every method and seed."""

    backbone: Backbone
    images: Images
    texts: Texts
    text_rows: Mapping[str, int]


def encode_questions(backbone: Backbone, questions: Sequence[Question], inputs: VQAInputs) -> QuestionFeatures:
    """What the towers make of questions and images; images that cannot be read are reported."""
    image_paths = {question.image: question.path for question in questions}
    images = encode_images(backbone, image_paths, inputs.cache, inputs.progress("images"))
    question_texts = sorted({question.text for question in questions})
    warn_truncated(backbone, question_texts, "questions")
    return QuestionFeatures(
        backbone,
        images,
        encode_texts(backbone, question_texts, inputs.cache),
        {question_text: text_row for text_row, question_text in enumerate(question_texts)},
    )


@dataclass(frozen=True, eq=False)
class VQATrainingData:
    """What a method is trained on: questions by part with their subgraphs, and the graph, or one of its controls."""

    parts: Mapping[str, QuestionExamples]
    knowledge: Knowledge
    graph: GraphVectors

    @property
    def sha256(self) -> str:
        """A hash of the questions' subgraphs, and of which of the graph's images have pictures."""
        digest = hashlib.sha256(self.graph.pictured.numpy().tobytes())
        for part_name in PARTS:
            for subgraph in self.parts[part_name].subgraphs:
                digest.update(subgraph.nodes.tobytes() + b"|" + subgraph.edges.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class VQAModel:
    """A trained model, what it was trained on, and its answers to the test's questions, in their order."""

    method: Method
    sizes: Sizes
    training_data: VQATrainingData
    trained: VQATrainingResult
    test: Answers

    @property
    def questions(self) -> Sequence[Question]:
        """The test's questions."""
        return self.training_data.parts["test"].questions

    def with_base(self, base: VQAModel) -> Answers:
        """The model's own answers where a question has a subgraph, and the base model's where it has none."""
        has_subgraph = [len(subgraph) > 0 for subgraph in self.training_data.parts["test"].subgraphs]
        return Answers.checked(self.test.yes, np.where(has_subgraph, self.test.probabilities, base.test.probabilities))


def prepared(settings: VQASettings, inputs: VQAInputs, features: QuestionFeatures, seed: int) -> VQATrainingData:
    """Find the questions' subgraphs and what the towers make of the graph. `seed` is of the shuffled graph."""
    knowledge = varied_graph(inputs.knowledge, settings.graph, seed)
    question_tagger = QuestionTagger(inputs.knowledge, inputs.lexicon, own_words=inputs.own_words)
    neighbourhoods = Neighbourhoods(knowledge, hops=settings.hops, cap=settings.cap, images=settings.images)
    graph = graph_vectors(
        features.backbone, knowledge, features.images, inputs.images, inputs.cache, inputs.progress("graph")
    )
    without_graph = settings.graph == "empty" or settings.method in PLAIN
    questions_by_part = {
        part_name: questions_with_images(features.images, inputs.questions.parts[part_name]) for part_name in PARTS
    }
    subgraphs_by_part = {
        part_name: [
            EMPTY if without_graph else neighbourhoods.subgraph(question_tagger.concepts(question.text))
            for question in part_questions
        ]
        for part_name, part_questions in questions_by_part.items()
    }
    path_texts = None
    if settings.method == "k-pathvqa":
        all_subgraphs = [subgraph for part_subgraphs in subgraphs_by_part.values() for subgraph in part_subgraphs]
        path_texts = PathTexts(features.backbone, knowledge, all_subgraphs, inputs.cache)
    examples = {
        part_name: QuestionExamples(
            part_questions,
            features.images,
            features.texts,
            features.text_rows,
            graph,
            subgraphs_by_part[part_name],
            path_texts,
        )
        for part_name, part_questions in questions_by_part.items()
    }
    return VQATrainingData(examples, knowledge, graph)


def model_sizes(settings: VQASettings, images: Images, texts: Texts) -> Sizes:
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


def build_method(settings: VQASettings, sizes: Sizes, kinds: Tensor, positives: Tensor) -> Method:
    """A new model, its weights drawn by chance. `kinds` (K, Dt) are the text tower's vectors of the kinds' names;
    `positives` (n, 2) those of `positive_pairs`, for training.
    """
    builders: dict[str, Callable[[], Method]] = {
        "base": lambda: Base(sizes),
        "question-only": lambda: Base(sizes, "question"),
        "image-only": lambda: Base(sizes, "image"),
        "k-pathvqa": lambda: KPathVQA(sizes),
    }
    if settings.method in builders:
        return builders[settings.method]()
    return _message_passing_method(settings, sizes, kinds, positives)


def _message_passing_method(settings: VQASettings, sizes: Sizes, kinds: Tensor, positives: Tensor) -> Method:
    """Methods with message passing; PyG takes seconds to import, which the others need not wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, as PyG is imported
        from kgp_models.vqa.ekgrl import EKGRL
        from kgp_models.vqa.krisp import KRISP
        from kgp_models.vqa.mkbn import MKBN
        from kgp_models.vqa.mr_mkg import MRMKG

    builders: dict[str, Callable[[], Method]] = {
        "krisp": lambda: KRISP(sizes, 2 * len(kinds)),
        "mkbn": lambda: MKBN(sizes, kinds),
        "ekgrl": lambda: EKGRL(sizes, kinds),
        "mr-mkg": lambda: MRMKG(sizes, kinds, positives, align=settings.align),
    }
    return builders[settings.method]()


def fit(
    settings: VQASettings, inputs: VQAInputs, features: QuestionFeatures, folder: Path, seed: int, device: str = "cpu"
) -> VQAModel:
    """Train and test a model; `folder` keeps where the training is, so that it goes on."""
    training_inputs = prepared(settings, inputs, features, seed)
    run_description = {"settings": settings.as_dict(), "seed": seed, "questions": inputs.questions.sha256}
    claim(folder, {**run_description, "graph": inputs.knowledge.sha256, "subgraphs": training_inputs.sha256})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = model_sizes(settings, features.images, features.texts)
        method = build_method(
            settings, sizes, training_inputs.graph.kinds, positive_pairs(training_inputs.knowledge)
        ).to(device)
    trained = train_vqa_method(
        method,
        training_inputs.parts["train"],
        training_inputs.parts["valid"],
        settings.tuning,
        folder,
        seed,
        inputs.progress(f"{settings.method}, steps"),
    )
    return VQAModel(method, sizes, training_inputs, trained, answers(method, training_inputs.parts["test"]))
