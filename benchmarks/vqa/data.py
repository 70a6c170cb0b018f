"""What the VQA benchmark runs on: a data set's questions, dealt out, and the graph that is asked about them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import kgplatform
from benchmarks.harness.own_graph import own_graph, prepare_studies
from kgp_loaders.phantom import question_set
from kgplatform.cli.output import note
from kgplatform.datasets import question_checks as checks
from kgplatform.datasets import questions
from kgplatform.datasets.knowledge import Knowledge, read_knowledge
from kgplatform.datasets.questions import QuestionSet
from kgplatform.errors import UsageError
from kgplatform.settings import Settings

STUDIES = (3000, 2000)  # for the graph, and for the questions
QUESTIONS = 6_000
GRAPH_SEED, QUESTION_SEED = 7, 12


@dataclass(frozen=True)
class VQAData:
    """A data set dealt out, once (official) or in folds; the graph; where the graph's images are, if anywhere; and what
    names concepts in questions.
    """

    name: str
    folds: Sequence[QuestionSet]
    knowledge: Knowledge
    images: Path | None = None
    lexicon: Sequence[Path] = ()
    own_words: bool = True

    @property
    def sha256(self) -> str:
        """The hash of all questions and how they are dealt out."""
        return hashlib.sha256("".join(fold.sha256 for fold in self.folds).encode()).hexdigest()


def released_vqa_data(
    kind: str, folder: Path | None, images: Path | None, medmkg: Path | None, protocol: str, folds: int, build: Path
) -> VQAData:
    """A released data set, and the released MedMKG in a Neo4j of the benchmark's own: its images are not available.
    With SLAKE its own graph is loaded, too: of its facts those between two concepts count.

    Without a folder, what is in the setting KGP_DATA_DIR. Raises `UsageError`.
    """
    data_folder = Settings.from_env().data_dir
    folder, medmkg = (
        option_path or data_set_folder(data_folder, dataset_name)
        for option_path, dataset_name in ((folder, kind), (medmkg, "medmkg"))
    )
    all_questions, rejects = questions.read_questions(kind, folder, images)
    note(f"{kind}: {len(all_questions):,} closed questions")
    if rejects:
        note(questions.left_out(rejects))
    if difference_note := questions.unlike_release(kind, all_questions):
        note(difference_note)
    with own_graph(build / f"neo4j-medmkg{'-slake' if kind == 'slake' else ''}") as graph:
        graph.ingest("medmkg", medmkg)
        if kind == "slake":
            graph.ingest("slake", folder, on_error="skip")
        knowledge = read_knowledge(graph)
    return VQAData(kind, _split_questions(all_questions, protocol, folds), knowledge)


def phantom_vqa_data(
    build: Path, protocol: str, folds: int, graph_study_count: int, question_study_count: int, count: int
) -> VQAData:
    """Synthetic studies, the graph that construction reads from them and the facts about remedies; and questions about
    other studies, of other subjects.
    """
    graph_studies = prepare_studies(build / f"graph-{graph_study_count}", graph_study_count, GRAPH_SEED)
    question_studies = prepare_studies(build / f"asked-{question_study_count}", question_study_count, QUESTION_SEED)
    folder = build / f"questions-{question_study_count}-{count}"
    question_set.build_question_set(question_studies, folder, count, QUESTION_SEED, replace=True)
    with own_graph(build / f"neo4j-{graph_study_count}") as graph:
        graph.construct(None, graph_studies, score=False)
        graph.ingest("triples", folder / question_set.KNOWLEDGE)
        knowledge = read_knowledge(graph)
    all_questions, _ = questions.read_questions("phantom", folder, question_studies)
    fold_sets = _split_questions(all_questions, protocol, folds)
    for fold_set in fold_sets:
        checks.refuse_graph_questions(fold_set, knowledge.images, graph_studies)
    return VQAData("phantom", fold_sets, knowledge, graph_studies, [graph_studies / "ontology"], own_words=False)


def running_vqa_data(
    kind: str, folder: Path, images: Path | None, graph_images: Path | None, protocol: str, folds: int
) -> VQAData:
    """A data set and the graph in the running Neo4j, whose images' paths begin in `graph_images`."""
    all_questions, rejects = questions.read_questions(kind, folder, images)
    if rejects:
        note(questions.left_out(rejects))
    with kgplatform.open() as graph:
        knowledge = read_knowledge(graph)
    fold_sets = _split_questions(all_questions, protocol, folds)
    for fold_set in fold_sets:
        checks.refuse_graph_questions(fold_set, knowledge.images, graph_images)
    return VQAData(kind, fold_sets, knowledge, graph_images)


def _split_questions(read_questions: Sequence[questions.Question], protocol: str, folds: int) -> list[QuestionSet]:
    """The questions by a protocol."""
    if protocol == "official":
        return [questions.official(read_questions)]
    image_groups = questions.pictures(read_questions)
    if protocol == "validation":
        return [questions.on_validation(read_questions, image_groups)]
    return [questions.image_disjoint(read_questions, image_groups, fold, folds) for fold in range(folds)]


def data_set_folder(data_folder: Path | None, name: str) -> Path:
    """A data set in KGP_DATA_DIR. Raises `UsageError` where that is not set."""
    if data_folder is None:
        raise UsageError(f"where is {name}?", "Set KGP_DATA_DIR, or name the folders: --folder, --medmkg.")
    return data_folder / name
