"""Questions ready to be batched: rows of images and texts, subgraphs, and paths between concepts in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kgp_models.towers.backbone import Backbone
from kgp_models.vqa.batch import (
    FLAGS,
    HAS_EVIDENCE,
    IMAGE,
    LIFT,
    LIKELIHOOD,
    NAMED,
    PATH_FLAGS,
    PICTURED,
    SEED,
    QuestionBatch,
    join_subgraphs,
)
from kgp_models.vqa.graph_vectors import GraphVectors, kind_words
from kgp_models.vqa.tower_features import Images, Texts, encode_text_vectors
from kgplatform.datasets.knowledge import POSITIVE, Knowledge
from kgplatform.datasets.questions import Question
from kgplatform.errors import InputError
from kgplatform.vqa.subgraph import Subgraph

PATHS: Final = 16  # of a question


class QuestionExamples:
    """Questions ready to be batched: rows of images and texts, subgraphs, paths."""

    def __init__(
        self,
        questions: Sequence[Question],
        images: Images,
        texts: Texts,
        text_rows: Mapping[str, int],
        graph: GraphVectors,
        subgraphs: Sequence[Subgraph],
        paths: PathTexts | None = None,
    ) -> None:
        """`text_rows` finds a question's words in `texts`; `subgraphs` are the questions', of the graph of `graph`."""
        self.questions = list(questions)
        self.images, self.texts, self.graph, self.paths = images, texts, graph, paths
        self.image_rows = torch.tensor(
            [images.row_by_name[question.image] for question in questions], dtype=torch.int64
        )
        self.text_rows = torch.tensor([text_rows[question.text] for question in questions], dtype=torch.int64)
        self.yes = torch.tensor([float(question.yes is True) for question in questions])
        self.subgraphs = list(subgraphs)

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self.questions)

    def batch(self, rows: Sequence[int]) -> QuestionBatch:
        """The questions of rows."""
        chosen_rows = torch.tensor(list(rows), dtype=torch.int64)
        image_numbers, text_numbers = self.image_rows[chosen_rows], self.text_rows[chosen_rows]
        subgraphs = [self.subgraphs[row_number] for row_number in rows]
        joined_graph = join_subgraphs(subgraphs, len(self.graph.kinds))
        concept_count = len(self.graph.names)
        is_image = joined_graph.nodes >= concept_count
        node_names = self.graph.names.new_zeros(len(joined_graph.nodes), self.graph.names.shape[1])
        node_names[~is_image] = self.graph.names[joined_graph.nodes[~is_image]]
        node_pictures = self.images.vectors.new_zeros(len(joined_graph.nodes), self.images.vectors.shape[1])
        node_pictures[is_image] = self.graph.pictures[joined_graph.nodes[is_image] - concept_count]
        node_flags = torch.zeros(len(joined_graph.nodes), FLAGS)
        node_flags[:, SEED], node_flags[:, IMAGE] = joined_graph.seeds.float(), is_image.float()
        node_flags[is_image, PICTURED] = self.graph.pictured[joined_graph.nodes[is_image] - concept_count].float()
        concept_nodes = joined_graph.nodes[~is_image]
        node_flags[~is_image, LIKELIHOOD] = self.graph.likelihoods[
            image_numbers[joined_graph.question_index[~is_image]], concept_nodes
        ]
        node_flags[~is_image, LIFT] = self.graph.lift[
            image_numbers[joined_graph.question_index[~is_image]], concept_nodes
        ]
        node_flags[~is_image, HAS_EVIDENCE] = self.graph.evidence.informative[concept_nodes].float()
        word_mask = self.texts.mask[text_numbers]
        max_words = int(word_mask.sum(1).max())
        paths, path_flags, path_mask = self._paths(subgraphs, image_numbers)
        return QuestionBatch(
            self.images.vectors[image_numbers],
            self.images.regions[image_numbers].float(),
            self.texts.vectors[text_numbers],
            self.texts.words[text_numbers][:, :max_words],
            word_mask[:, :max_words],
            node_names,
            node_pictures,
            node_flags,
            joined_graph.nodes,
            joined_graph.question_index,
            joined_graph.ends,
            joined_graph.kinds,
            paths,
            path_flags,
            path_mask,
            self.yes[chosen_rows],
        )

    def _paths(self, subgraphs: Sequence[Subgraph], image_numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.paths is None:
            no_paths = self.texts.vectors.new_zeros(len(subgraphs), 0, self.texts.vectors.shape[1])
            return no_paths, no_paths[..., :PATH_FLAGS], torch.zeros(len(subgraphs), 0, dtype=torch.bool)
        path_sets = [self.paths.rows_and_paths(subgraph) for subgraph in subgraphs]
        max_paths = max(1, max(len(path_rows) for path_rows, _ in path_sets))
        path_vectors = self.texts.vectors.new_zeros(len(path_sets), max_paths, self.texts.vectors.shape[1])
        path_flags, path_mask = (
            torch.zeros(len(path_sets), max_paths, PATH_FLAGS),
            torch.zeros(len(path_sets), max_paths, dtype=torch.bool),
        )
        for question_number, (path_rows, graph_paths) in enumerate(path_sets):
            path_vectors[question_number, : len(path_rows)] = self.paths.vectors[list(path_rows)]
            path_mask[question_number, : len(path_rows)] = True
            for path_number, path in enumerate(graph_paths):
                path_flags[question_number, path_number, NAMED] = path.named
                evidence_nodes = [node for node in path.others if bool(self.graph.evidence.informative[node])]
                if evidence_nodes:
                    path_flags[question_number, path_number, NAMED + 1 :] = torch.stack(
                        [
                            evidence_table[image_numbers[question_number], evidence_nodes].max()
                            for evidence_table in (self.graph.likelihoods, self.graph.lift)
                        ]
                        + [torch.ones(())]
                    )
        return path_vectors, path_flags, path_mask


class GraphPath(NamedTuple):
    """A path in words; which share of its ends the question names; its concepts that the question does not name."""

    text: str
    named: float
    others: tuple[int, ...]


class PathTexts:
    """Paths of subgraphs as sentences, by the text tower: "zorevane may treat pneumothorax", or two of these in one."""

    def __init__(
        self, backbone: Backbone, knowledge: Knowledge, subgraphs: Sequence[Subgraph], cache: Path | None = None
    ) -> None:
        self._names = knowledge.concepts
        self._kinds = kind_words(knowledge.relation_names)
        self._paths_by_subgraph: dict[int, tuple[tuple[int, ...], tuple[GraphPath, ...]]] = {}
        text_rows: dict[str, int] = {}
        for subgraph in subgraphs:
            if id(subgraph) not in self._paths_by_subgraph:
                subgraph_paths = tuple(islice(self.paths(subgraph), PATHS))
                self._paths_by_subgraph[id(subgraph)] = (
                    tuple(text_rows.setdefault(graph_path.text, len(text_rows)) for graph_path in subgraph_paths),
                    subgraph_paths,
                )
        self._subgraphs = list(subgraphs)  # so that their ids stay theirs
        self.texts = list(text_rows)
        self.vectors = encode_text_vectors(backbone, self.texts or [""], cache)

    def rows_and_paths(self, subgraph: Subgraph) -> tuple[tuple[int, ...], tuple[GraphPath, ...]]:
        """A subgraph's paths, and before them the rows of their texts in `vectors`."""
        return self._paths_by_subgraph[id(subgraph)]

    def paths(self, subgraph: Subgraph) -> Iterator[GraphPath]:
        """The paths of two edges that join concepts of the question, then all single edges between concepts."""
        node_ids, concept_count = subgraph.nodes.tolist(), len(self._names)
        edges = [edge for edge in subgraph.edges.tolist() if max(node_ids[edge[0]], node_ids[edge[2]]) < concept_count]
        for first_seed, second_seed in combinations(range(subgraph.seeds), 2):
            for first_edge in edges:
                for second_edge in edges:
                    middle_nodes = {first_edge[0], first_edge[2]} & {second_edge[0], second_edge[2]} - {
                        first_seed,
                        second_seed,
                    }
                    if (
                        middle_nodes
                        and first_seed in (first_edge[0], first_edge[2])
                        and second_seed in (second_edge[0], second_edge[2])
                    ):
                        path_text = (
                            f"{self._edge_sentence(first_edge, node_ids)}; {self._edge_sentence(second_edge, node_ids)}"
                        )
                        yield GraphPath(path_text, 1.0, self._new(middle_nodes, node_ids, subgraph))
        for edge in edges:
            named_share = sum(edge_end < subgraph.seeds for edge_end in (edge[0], edge[2])) / 2
            yield GraphPath(
                self._edge_sentence(edge, node_ids), named_share, self._new({edge[0], edge[2]}, node_ids, subgraph)
            )

    def _edge_sentence(self, edge: Sequence[int], node_ids: Sequence[int]) -> str:
        return f"{self._names[node_ids[edge[0]]]} {self._kinds[edge[1]]} {self._names[node_ids[edge[2]]]}"

    def _new(self, node_positions: set[int], node_ids: Sequence[int], subgraph: Subgraph) -> tuple[int, ...]:
        return tuple(sorted(node_ids[position] for position in node_positions if position >= subgraph.seeds))


def questions_with_images(images: Images, questions: Sequence[Question]) -> list[Question]:
    """The questions whose image could be read. Raises `InputError` where none is left."""
    readable_questions = [question for question in questions if question.image in images.row_by_name]
    if not readable_questions:
        raise InputError("no question has an image that can be read", "Check the folder of images.")
    return readable_questions


def positive_pairs(knowledge: Knowledge) -> Tensor:
    """Places of images, after all concepts, and of the concepts that they are POSITIVE to, (n, 2)."""
    positive_rows = knowledge.stances[knowledge.stances[:, 1] == POSITIVE]
    return torch.from_numpy(np.stack([positive_rows[:, 0] + len(knowledge.cuis), positive_rows[:, 2]], 1))
