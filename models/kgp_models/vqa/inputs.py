"""What frozen towers make of questions, images and the graph, computed once; and batches of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.retrieval.inputs import KEPT, Log, Progress, read_pictures, shifted, tell_longer, text_features
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.feature_cache import load_or_compute, of_files
from kgp_models.vqa.batch import (
    FLAGS,
    IMAGE,
    LIFT,
    NAMED,
    PATH_FLAGS,
    PICTURED,
    SEED,
    SEEN,
    TOLD,
    QuestionBatch,
    join_subgraphs,
)
from kgplatform.datasets.knowledge import NEGATIVE, POSITIVE, UNCERTAIN, Knowledge
from kgplatform.datasets.questions import Question
from kgplatform.errors import InputError
from kgplatform.radiograph import place
from kgplatform.vqa.subgraph import Subgraph

BLOCK: Final = 64  # pictures or texts at a time
SIDE: Final = 4  # regions of an image's side: a projection of 49 regions takes most of a training's time
PATHS: Final = 16  # of a question
RIDGE: Final = 10.0  # of the evidence: the penalty, for each image of the graph
MIN_IMAGES: Final = 5  # images with a stance to a concept, below which the graph's images tell nothing of it
STANCE_WORDS: Final = ("shows", "may show", "does not show")  # in the order of `STANCES`


def kind_words(relations: Sequence[str]) -> list[str]:
    """The kinds of edges in words, stances first."""
    return [*STANCE_WORDS, *(relation_name.replace("_", " ") for relation_name in relations)]


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts by the text tower: `vectors` (n, Dt), `words` (n, T, Dt), `mask` (n, T)."""

    vectors: Tensor
    words: Tensor
    mask: Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """Images by the image tower: `vectors` (n, Di), `regions` (n, R, their width), 16 at most, as half floats, with R 0
    where they were not asked for; `known` is the place of each by its name.
    """

    vectors: Tensor
    regions: Tensor
    known: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class GraphVectors:
    """The graph by the towers: `names` (C, Dt), `pictures` (I, Di), zeros where there is none, `pictured` (I,), `kinds`
    (K, Dt); `shown` and `lift` (n, C) are what the evidence states of the questions' images.
    """

    names: Tensor
    pictures: Tensor
    pictured: Tensor
    kinds: Tensor
    evidence: ImageEvidence
    shown: Tensor
    lift: Tensor


def texts_of(backbone: Backbone, texts: Sequence[str], cache: Path | None = None) -> Texts:
    """What the frozen text tower makes of texts, from the cache where it is there."""
    return Texts(**load_or_compute(cache, backbone, ["texts", *texts], lambda: _texts(backbone, texts)))


@torch.no_grad()  # what it gives is learnt from
def _texts(backbone: Backbone, texts: Sequence[str]) -> dict[str, Tensor]:
    text_vectors, word_vectors, word_masks = [], [], []
    for block_start in range(0, len(texts), BLOCK):
        tokens = backbone.tokens(list(texts[block_start : block_start + BLOCK]))
        text_vector, word_states, word_mask = backbone.text_words(tokens)
        text_vectors.append(text_vector.float())
        word_vectors.append(word_states.float())
        word_masks.append(word_mask)
    max_length = max(text_part.shape[1] for text_part in word_vectors)
    return {
        "vectors": torch.cat(text_vectors),
        "words": torch.cat(
            [functional.pad(text_part, (0, 0, 0, max_length - text_part.shape[1])) for text_part in word_vectors]
        ),
        "mask": torch.cat(
            [functional.pad(text_part, (0, max_length - text_part.shape[1])) for text_part in word_masks]
        ),
    }


def vectors_of(backbone: Backbone, texts: Sequence[str], cache: Path | None = None) -> Tensor:
    """The texts' vectors alone, (n, Dt), from the cache where they are there."""

    def compute() -> dict[str, Tensor]:
        return {"vectors": text_features(backbone, texts).clone()}  # what is learnt from is no tensor of inference

    return load_or_compute(cache, backbone, ["vectors", *texts], compute)["vectors"]


def images_of(
    backbone: Backbone,
    paths: Mapping[str, Path],
    cache: Path | None = None,
    log: Log = lambda _: None,
    progress: Progress = lambda done_count, total_count: None,
    *,
    regions: bool = True,
) -> Images:
    """What the frozen image tower makes of images, by name; those that cannot be read are reported and left out.

    What is in the cache is not read again. Raises `InputError` where no image can be read.
    """
    image_names = sorted(paths)
    image_parts: list[Mapping[str, Tensor]] = []
    readable_names: list[str] = []
    problem: InputError | None = None
    for block_start in range(0, len(image_names), KEPT):  # each kept on its own, so that one who is stopped goes on
        block_names = image_names[block_start : block_start + KEPT]
        block_paths = [paths[image_name] for image_name in block_names]
        report_progress = partial(shifted, progress, block_start, len(image_names))
        read_block = partial(_images, backbone, block_paths, log, report_progress, regions=regions)
        try:
            image_parts.append(
                load_or_compute(cache, backbone, [f"images, regions {regions}", *of_files(block_paths)], read_block)
            )
        except InputError as error:
            problem = error
        else:
            readable_names += [block_names[image_number] for image_number in image_parts[-1]["places"].tolist()]
    if not image_parts:
        raise problem or InputError("none of the images can be read", "Check the folder of images.")
    image_vectors, region_vectors = (
        torch.cat([image_part[part_key] for image_part in image_parts]) for part_key in ("vectors", "regions")
    )
    return Images(image_vectors, region_vectors, {image_name: index for index, image_name in enumerate(readable_names)})


@torch.no_grad()  # what it gives is learnt from
def _images(
    backbone: Backbone, paths: Sequence[Path], log: Log, progress: Progress, *, regions: bool
) -> dict[str, Tensor]:
    loaded_images = read_pictures(paths, backbone.picture, None, log, progress)
    vector_blocks, region_blocks = [], []
    for pixel_block in torch.split(loaded_images.values, BLOCK):
        block_vectors, block_regions = backbone.image_regions(pixel_block)
        vector_blocks.append(block_vectors.float())
        region_blocks.append((fewer(block_regions) if regions else block_regions[:, :0]).half())
    return {
        "vectors": torch.cat(vector_blocks),
        "regions": torch.cat(region_blocks),
        "places": torch.tensor(loaded_images.kept),
    }


def fewer(regions: Tensor) -> Tensor:
    """Regions in rows of a square (B, R, D) as those of a square of `SIDE` a side at most, each the mean of its
    part.
    """
    image_count, region_count, vector_width = regions.shape
    grid_side = math.isqrt(region_count)
    if grid_side <= SIDE or grid_side * grid_side != region_count:
        return regions
    region_grid = regions.transpose(1, 2).reshape(image_count, vector_width, grid_side, grid_side)
    return functional.adaptive_avg_pool2d(region_grid, SIDE).flatten(2).transpose(1, 2)


def graph_vectors(
    backbone: Backbone,
    knowledge: Knowledge,
    images: Images,
    folder: Path | None,
    cache: Path | None = None,
    log: Log = lambda _: None,
    progress: Progress = lambda done_count, total_count: None,
) -> GraphVectors:
    """The graph as models take it. `folder` is where its images' paths begin; None, or none there, for a graph whose
    images are not available.
    """
    tell_longer(backbone, knowledge.concepts, "concept names", log)
    name_vectors = vectors_of(backbone, knowledge.concepts, cache) if knowledge.concepts else torch.zeros(0, 1)
    kind_names = kind_words(knowledge.relation_names)
    vector_width = images.vectors.shape[1]
    pictures, pictured = (
        torch.zeros(len(knowledge.images), vector_width),
        torch.zeros(len(knowledge.images), dtype=torch.bool),
    )
    candidate_paths = {} if folder is None else {image.id: place(folder, image.path) for image in knowledge.images}
    existing_paths = {
        image: image_path
        for image, image_path in candidate_paths.items()
        if image_path is not None and image_path.is_file()
    }
    if folder is not None and len(existing_paths) < len(candidate_paths):
        log(f"{len(existing_paths):,} of {len(candidate_paths):,} images of the graph are in {folder}")
    if existing_paths:
        loaded_images = images_of(backbone, existing_paths, cache, log, progress, regions=False)
        image_rows = {image.id: row_number for row_number, image in enumerate(knowledge.images)}
        row_numbers = torch.tensor([image_rows[image_name] for image_name in loaded_images.known])
        pictures[row_numbers] = loaded_images.vectors[list(loaded_images.known.values())]
        pictured[row_numbers] = True
    evidence = ImageEvidence.of(knowledge, pictures, pictured)
    image_evidence = evidence(images.vectors), evidence.lift(images.vectors)
    return GraphVectors(
        name_vectors, pictures, pictured, vectors_of(backbone, kind_names, cache), evidence, *image_evidence
    )


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """How likely an image shows each concept, by ridge regression on the graph's images: `weights` (Di, C), for images
    less `mean` over `scale` (Di,), and `centre` (C,), what is likely of any image; `spread` (C,) is the standard
    deviation over the graph's images. `informative` (C,): the concepts of which these images show anything.
    """

    weights: Tensor
    mean: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor
    informative: Tensor

    @classmethod
    def of(cls, knowledge: Knowledge, pictures: Tensor, pictured: Tensor) -> ImageEvidence:
        """Learnt from the graph's images with pictures (I, Di): 1 for those that are POSITIVE to a concept, 0.5 for
        UNCERTAIN ones, 0 for all others, so that a NEGATIVE one counts against it. A concept counts as known where at
        least `MIN_IMAGES` images have either answer.
        """
        concept_count, vector_width = len(knowledge.cuis), pictures.shape[1]
        stance_rows = torch.from_numpy(knowledge.stances)
        stance_rows = stance_rows[pictured[stance_rows[:, 0]]]
        if not len(stance_rows):
            no_evidence = (
                torch.zeros(vector_width, concept_count),
                torch.zeros(vector_width),
                torch.ones(vector_width),
                torch.zeros(concept_count),
            )
            return cls(*no_evidence, torch.ones(concept_count), torch.zeros(concept_count, dtype=torch.bool))
        targets = torch.zeros(len(pictures), concept_count, dtype=torch.float64)
        for stance, label in ((NEGATIVE, 0.0), (UNCERTAIN, 0.5), (POSITIVE, 1.0)):  # of several stances the strongest
            matching_rows = stance_rows[stance_rows[:, 1] == stance]
            targets[matching_rows[:, 0], matching_rows[:, 2]] = label
        targets = targets[pictured]
        inputs = pictures[pictured].double()
        mean, scale = inputs.mean(0), inputs.std(0).clamp(min=1e-6)
        inputs = (inputs - mean) / scale
        centre = targets.mean(0)
        gram_matrix = inputs.T @ inputs + RIDGE * len(inputs) ** 0.5 * torch.eye(vector_width, dtype=torch.float64)
        weights = torch.linalg.solve(gram_matrix, inputs.T @ (targets - centre))
        positive_counts = (targets > 0.5).sum(0)
        has_evidence = (positive_counts >= MIN_IMAGES) & (len(inputs) - positive_counts >= MIN_IMAGES)
        spread = (inputs @ weights).std(0).clamp(min=1e-6)
        return cls(weights.float(), mean.float(), scale.float(), centre.float(), spread.float(), has_evidence)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (n, Di) to (n, C), from 0 to 1; 0 for concepts that nothing is known of."""
        return (self._beside(images) + self.centre).clamp(0, 1) * self.informative

    def lift(self, images: Tensor) -> Tensor:
        """How much likelier an image shows each concept than the graph's images do, in their standard deviations, from
        -3 to 3: (n, C). A rare finding is seldom likely, regardless of what the image shows.
        """
        return (self._beside(images) / self.spread).clamp(-3, 3) * self.informative

    def _beside(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.scale) @ self.weights


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
        self.image_rows = torch.tensor([images.known[question.image] for question in questions], dtype=torch.int64)
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
        node_flags[~is_image, SEEN] = self.graph.shown[image_numbers[joined_graph.of[~is_image]], concept_nodes]
        node_flags[~is_image, LIFT] = self.graph.lift[image_numbers[joined_graph.of[~is_image]], concept_nodes]
        node_flags[~is_image, TOLD] = self.graph.evidence.informative[concept_nodes].float()
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
            joined_graph.of,
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
        path_sets = [self.paths.of(subgraph) for subgraph in subgraphs]
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
                            for evidence_table in (self.graph.shown, self.graph.lift)
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
        self._known: dict[int, tuple[tuple[int, ...], tuple[GraphPath, ...]]] = {}
        text_rows: dict[str, int] = {}
        for subgraph in subgraphs:
            if id(subgraph) not in self._known:
                subgraph_paths = tuple(islice(self.paths(subgraph), PATHS))
                self._known[id(subgraph)] = (
                    tuple(text_rows.setdefault(graph_path.text, len(text_rows)) for graph_path in subgraph_paths),
                    subgraph_paths,
                )
        self._kept = list(subgraphs)  # so that their ids stay theirs
        self.texts = list(text_rows)
        self.vectors = vectors_of(backbone, self.texts or [""], cache)

    def of(self, subgraph: Subgraph) -> tuple[tuple[int, ...], tuple[GraphPath, ...]]:
        """A subgraph's paths, and before them the rows of their texts in `vectors`."""
        return self._known[id(subgraph)]

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
                        path_text = f"{self._said(first_edge, node_ids)}; {self._said(second_edge, node_ids)}"
                        yield GraphPath(path_text, 1.0, self._new(middle_nodes, node_ids, subgraph))
        for edge in edges:
            named_share = sum(edge_end < subgraph.seeds for edge_end in (edge[0], edge[2])) / 2
            yield GraphPath(self._said(edge, node_ids), named_share, self._new({edge[0], edge[2]}, node_ids, subgraph))

    def _said(self, edge: Sequence[int], node_ids: Sequence[int]) -> str:
        return f"{self._names[node_ids[edge[0]]]} {self._kinds[edge[1]]} {self._names[node_ids[edge[2]]]}"

    def _new(self, node_positions: set[int], node_ids: Sequence[int], subgraph: Subgraph) -> tuple[int, ...]:
        return tuple(sorted(node_ids[position] for position in node_positions if position >= subgraph.seeds))


def questions_with_images(images: Images, questions: Sequence[Question]) -> list[Question]:
    """The questions whose image could be read. Raises `InputError` where none is left."""
    readable_questions = [question for question in questions if question.image in images.known]
    if not readable_questions:
        raise InputError("no question has an image that can be read", "Check the folder of images.")
    return readable_questions


def positives_of(knowledge: Knowledge) -> Tensor:
    """Places of images, after all concepts, and of the concepts that they are POSITIVE to, (n, 2)."""
    positive_rows = knowledge.stances[knowledge.stances[:, 1] == POSITIVE]
    return torch.from_numpy(np.stack([positive_rows[:, 0] + len(knowledge.cuis), positive_rows[:, 2]], 1))
