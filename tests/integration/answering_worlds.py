"""A data set of questions on a live graph, and a model that is trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch_geometric")
from kgp_loaders.medmkg import MedMKG
from kgplatform.datasets.knowledge import STANCES, Knowledge
from kgplatform.datasets.questions import QuestionSet
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from tests.integration.sources import write_medmkg
from tests.unit.models.vqa import vqa_world as world


def write_medmkg_release(knowledge: Knowledge, folder: Path) -> Path:
    """A graph in the form of the release, its images with their paths."""
    medmkg_rows = [
        (
            knowledge.images[image_number].id,
            STANCES[stance],
            knowledge.cuis[concept],
            knowledge.images[image_number].path,
            knowledge.concepts[concept],
        )
        for image_number, stance, concept in knowledge.stances.tolist()
    ]
    medmkg_rows += [
        (
            knowledge.cuis[head],
            knowledge.relation_names[relation],
            knowledge.cuis[tail],
            knowledge.concepts[head],
            knowledge.concepts[tail],
        )
        for head, relation, tail in knowledge.relations.tolist()
    ]
    mapping_rows = [f"{image.id},{image.path}" for image in knowledge.images]
    return write_medmkg(folder, [",".join(medmkg_row) for medmkg_row in medmkg_rows], mapping_rows)


@pytest.fixture(scope="module")
def vqa_answering_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vqa-answering")


@pytest.fixture
def vqa_question_set(graph: Graph, vqa_answering_folder: Path) -> QuestionSet:
    ingest(
        graph,
        MedMKG.find(
            write_medmkg_release(
                world.remedy_knowledge(vqa_answering_folder / "graph"), vqa_answering_folder / "release"
            )
        ),
    )
    return world.finding_question_set(vqa_answering_folder / "asked")
