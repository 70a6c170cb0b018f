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

from kgp_models.retrieval.backbone import Backbone
from kgp_models.retrieval.inputs import KEPT, Progress, Told, read_pictures, shifted, tell_longer, text_features
from kgp_models.vqa.batch import FLAGS, IMAGE, LIFT, NAMED, PATH_FLAGS, PICTURED, SEED, SEEN, TOLD, Batch, joined
from kgp_models.vqa.kept import kept, of_files
from kgplatform.errors import InputError
from kgplatform.radiograph import place
from kgplatform.retrieval.knowledge import NEGATIVE, POSITIVE, UNCERTAIN, Knowledge
from kgplatform.vqa.questions import Question
from kgplatform.vqa.subgraph import Subgraph

BLOCK: Final = 64  # pictures or texts at a time
SIDE: Final = 4  # regions of an image's side: a projection of 49 regions takes most of a training's time
PATHS: Final = 16  # of a question
RIDGE: Final = 10.0  # of the evidence: the penalty, for each image of the graph
FEWEST: Final = 5  # images with a stance to a concept, below which the graph's images tell nothing of it
STANCE_WORDS: Final = ("shows", "may show", "does not show")  # in the order of `STANCES`


def kind_words(relations: Sequence[str]) -> list[str]:
    """The kinds of edges in words, stances first."""
    return [*STANCE_WORDS, *(name.replace("_", " ") for name in relations)]


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
    (K, Dt); `shown` and `lift` (n, C) are what the evidence tells of the questions' images.
    """

    names: Tensor
    pictures: Tensor
    pictured: Tensor
    kinds: Tensor
    evidence: Evidence
    shown: Tensor
    lift: Tensor


def texts_of(backbone: Backbone, texts: Sequence[str], cache: Path | None = None) -> Texts:
    """What the frozen text tower makes of texts, from the cache where it is there."""
    return Texts(**kept(cache, backbone, ["texts", *texts], lambda: _texts(backbone, texts)))


@torch.no_grad()  # what it gives is learnt from
def _texts(backbone: Backbone, texts: Sequence[str]) -> dict[str, Tensor]:
    vectors, words, masks = [], [], []
    for start in range(0, len(texts), BLOCK):
        tokens = backbone.tokens(list(texts[start : start + BLOCK]))
        vector, spread, mask = backbone.text_words(tokens)
        vectors.append(vector.float())
        words.append(spread.float())
        masks.append(mask)
    longest = max(part.shape[1] for part in words)
    return {
        "vectors": torch.cat(vectors),
        "words": torch.cat([functional.pad(part, (0, 0, 0, longest - part.shape[1])) for part in words]),
        "mask": torch.cat([functional.pad(part, (0, longest - part.shape[1])) for part in masks]),
    }


def vectors_of(backbone: Backbone, texts: Sequence[str], cache: Path | None = None) -> Tensor:
    """The texts' vectors alone, (n, Dt), from the cache where they are there."""

    def made() -> dict[str, Tensor]:
        return {"vectors": text_features(backbone, texts).clone()}  # what is learnt from is no tensor of inference

    return kept(cache, backbone, ["vectors", *texts], made)["vectors"]


def images_of(
    backbone: Backbone,
    paths: Mapping[str, Path],
    cache: Path | None = None,
    told: Told = lambda _: None,
    progress: Progress = lambda done, total: None,
    *,
    regions: bool = True,
) -> Images:
    """What the frozen image tower makes of images, by name; those that cannot be read are told and left out.

    What is in the cache is not read again. Raises `InputError` where no image can be read.
    """
    names = sorted(paths)
    found: list[Mapping[str, Tensor]] = []
    known: list[str] = []
    problem: InputError | None = None
    for start in range(0, len(names), KEPT):  # each kept on its own, so that one who is stopped goes on
        block = names[start : start + KEPT]
        those = [paths[name] for name in block]
        tell = partial(shifted, progress, start, len(names))
        make = partial(_images, backbone, those, told, tell, regions=regions)
        try:
            found.append(kept(cache, backbone, [f"images, regions {regions}", *of_files(those)], make))
        except InputError as error:
            problem = error
        else:
            known += [block[number] for number in found[-1]["places"].tolist()]
    if not found:
        raise problem or InputError("none of the images can be read", "Check the folder of images.")
    vectors, spreads = (torch.cat([part[name] for part in found]) for name in ("vectors", "regions"))
    return Images(vectors, spreads, {name: row for row, name in enumerate(known)})


@torch.no_grad()  # what it gives is learnt from
def _images(
    backbone: Backbone, paths: Sequence[Path], told: Told, progress: Progress, *, regions: bool
) -> dict[str, Tensor]:
    read = read_pictures(paths, backbone.picture, None, told, progress)
    vectors, spreads = [], []
    for block in torch.split(read.values, BLOCK):
        vector, spread = backbone.image_regions(block)
        vectors.append(vector.float())
        spreads.append((fewer(spread) if regions else spread[:, :0]).half())
    return {"vectors": torch.cat(vectors), "regions": torch.cat(spreads), "places": torch.tensor(read.kept)}


def fewer(regions: Tensor) -> Tensor:
    """Regions in rows of a square (B, R, D) as those of a square of `SIDE` a side at most, each the mean of its own."""
    count, number, width = regions.shape
    side = math.isqrt(number)
    if side <= SIDE or side * side != number:
        return regions
    square = regions.transpose(1, 2).reshape(count, width, side, side)
    return functional.adaptive_avg_pool2d(square, SIDE).flatten(2).transpose(1, 2)


def graph_vectors(
    backbone: Backbone,
    knowledge: Knowledge,
    images: Images,
    folder: Path | None,
    cache: Path | None = None,
    told: Told = lambda _: None,
    progress: Progress = lambda done, total: None,
) -> GraphVectors:
    """The graph as models take it. `folder` is where its images' paths begin; None, or none there, for a graph whose
    images are not at hand.
    """
    tell_longer(backbone, knowledge.concepts, "concept names", told)
    names = vectors_of(backbone, knowledge.concepts, cache) if knowledge.concepts else torch.zeros(0, 1)
    kinds = kind_words(knowledge.relation_names)
    width = images.vectors.shape[1]
    pictures, pictured = torch.zeros(len(knowledge.images), width), torch.zeros(len(knowledge.images), dtype=torch.bool)
    paths = {} if folder is None else {image.id: place(folder, image.path) for image in knowledge.images}
    there = {image: path for image, path in paths.items() if path is not None and path.is_file()}
    if folder is not None and len(there) < len(paths):
        told(f"{len(there):,} of {len(paths):,} images of the graph are in {folder}")
    if there:
        read = images_of(backbone, there, cache, told, progress, regions=False)
        rows = {image.id: row for row, image in enumerate(knowledge.images)}
        places = torch.tensor([rows[name] for name in read.known])
        pictures[places] = read.vectors[list(read.known.values())]
        pictured[places] = True
    evidence = Evidence.of(knowledge, pictures, pictured)
    told_of = evidence(images.vectors), evidence.lift(images.vectors)
    return GraphVectors(names, pictures, pictured, vectors_of(backbone, kinds, cache), evidence, *told_of)


@dataclass(frozen=True, eq=False)
class Evidence:
    """How likely an image shows each concept, by ridge regression on the graph's images: `weights` (Di, C), for images
    less `mean` over `scale` (Di,), and `centre` (C,), what is likely of any image; `spread` (C,) is the standard
    deviation over the graph's images. `told` (C,) says of which concepts these images tell anything.
    """

    weights: Tensor
    mean: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor
    told: Tensor

    @classmethod
    def of(cls, knowledge: Knowledge, pictures: Tensor, pictured: Tensor) -> Evidence:
        """Learnt from the graph's images with pictures (I, Di): 1 for those that are POSITIVE to a concept, 0.5 for
        UNCERTAIN ones, 0 for all others, so that a NEGATIVE one counts against it. A concept is told of where at least
        `FEWEST` images have either answer.
        """
        concepts, width = len(knowledge.cuis), pictures.shape[1]
        rows = torch.from_numpy(knowledge.stances)
        rows = rows[pictured[rows[:, 0]]]
        if not len(rows):
            nothing = torch.zeros(width, concepts), torch.zeros(width), torch.ones(width), torch.zeros(concepts)
            return cls(*nothing, torch.ones(concepts), torch.zeros(concepts, dtype=torch.bool))
        wanted = torch.zeros(len(pictures), concepts, dtype=torch.float64)
        for stance, value in ((NEGATIVE, 0.0), (UNCERTAIN, 0.5), (POSITIVE, 1.0)):  # of several stances the strongest
            those = rows[rows[:, 1] == stance]
            wanted[those[:, 0], those[:, 2]] = value
        wanted = wanted[pictured]
        x = pictures[pictured].double()
        mean, scale = x.mean(0), x.std(0).clamp(min=1e-6)
        x = (x - mean) / scale
        centre = wanted.mean(0)
        gram = x.T @ x + RIDGE * len(x) ** 0.5 * torch.eye(width, dtype=torch.float64)
        weights = torch.linalg.solve(gram, x.T @ (wanted - centre))
        positive = (wanted > 0.5).sum(0)
        told = (positive >= FEWEST) & (len(x) - positive >= FEWEST)
        spread = (x @ weights).std(0).clamp(min=1e-6)
        return cls(weights.float(), mean.float(), scale.float(), centre.float(), spread.float(), told)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (n, Di) to (n, C), from 0 to 1; 0 for concepts that nothing is told of."""
        return (self._beside(images) + self.centre).clamp(0, 1) * self.told

    def lift(self, images: Tensor) -> Tensor:
        """How much likelier an image shows each concept than the graph's images do, in their standard deviations, from
        -3 to 3: (n, C). A rare finding is seldom likely, whatever the image shows.
        """
        return (self._beside(images) / self.spread).clamp(-3, 3) * self.told

    def _beside(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.scale) @ self.weights


class Examples:
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
        self.image_rows = torch.tensor([images.known[one.image] for one in questions], dtype=torch.int64)
        self.text_rows = torch.tensor([text_rows[one.text] for one in questions], dtype=torch.int64)
        self.yes = torch.tensor([float(one.yes is True) for one in questions])
        self.subgraphs = list(subgraphs)

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self.questions)

    def batch(self, rows: Sequence[int]) -> Batch:
        """The questions of rows."""
        chosen = torch.tensor(list(rows), dtype=torch.int64)
        image, text = self.image_rows[chosen], self.text_rows[chosen]
        subgraphs = [self.subgraphs[row] for row in rows]
        graph = joined(subgraphs, len(self.graph.kinds))
        concepts = len(self.graph.names)
        is_image = graph.nodes >= concepts
        names = self.graph.names.new_zeros(len(graph.nodes), self.graph.names.shape[1])
        names[~is_image] = self.graph.names[graph.nodes[~is_image]]
        pictures = self.images.vectors.new_zeros(len(graph.nodes), self.images.vectors.shape[1])
        pictures[is_image] = self.graph.pictures[graph.nodes[is_image] - concepts]
        flags = torch.zeros(len(graph.nodes), FLAGS)
        flags[:, SEED], flags[:, IMAGE] = graph.seeds.float(), is_image.float()
        flags[is_image, PICTURED] = self.graph.pictured[graph.nodes[is_image] - concepts].float()
        plain = graph.nodes[~is_image]
        flags[~is_image, SEEN] = self.graph.shown[image[graph.of[~is_image]], plain]
        flags[~is_image, LIFT] = self.graph.lift[image[graph.of[~is_image]], plain]
        flags[~is_image, TOLD] = self.graph.evidence.told[plain].float()
        mask = self.texts.mask[text]
        longest = int(mask.sum(1).max())
        paths, path_flags, path_mask = self._paths(subgraphs, image)
        return Batch(
            self.images.vectors[image],
            self.images.regions[image].float(),
            self.texts.vectors[text],
            self.texts.words[text][:, :longest],
            mask[:, :longest],
            names,
            pictures,
            flags,
            graph.nodes,
            graph.of,
            graph.ends,
            graph.kinds,
            paths,
            path_flags,
            path_mask,
            self.yes[chosen],
        )

    def _paths(self, subgraphs: Sequence[Subgraph], image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.paths is None:
            nothing = self.texts.vectors.new_zeros(len(subgraphs), 0, self.texts.vectors.shape[1])
            return nothing, nothing[..., :PATH_FLAGS], torch.zeros(len(subgraphs), 0, dtype=torch.bool)
        found = [self.paths.of(one) for one in subgraphs]
        longest = max(1, max(len(row) for row, _ in found))
        vectors = self.texts.vectors.new_zeros(len(found), longest, self.texts.vectors.shape[1])
        flags, mask = torch.zeros(len(found), longest, PATH_FLAGS), torch.zeros(len(found), longest, dtype=torch.bool)
        for number, (row, paths) in enumerate(found):
            vectors[number, : len(row)] = self.paths.vectors[list(row)]
            mask[number, : len(row)] = True
            for place_, path in enumerate(paths):
                flags[number, place_, NAMED] = path.named
                known = [node for node in path.others if bool(self.graph.evidence.told[node])]
                if known:
                    flags[number, place_, NAMED + 1 :] = torch.stack(
                        [of[image[number], known].max() for of in (self.graph.shown, self.graph.lift)]
                        + [torch.ones(())]
                    )
        return vectors, flags, mask


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
        rows: dict[str, int] = {}
        for one in subgraphs:
            if id(one) not in self._known:
                found = tuple(islice(self.paths(one), PATHS))
                self._known[id(one)] = tuple(rows.setdefault(path.text, len(rows)) for path in found), found
        self._kept = list(subgraphs)  # so that their ids stay theirs
        self.texts = list(rows)
        self.vectors = vectors_of(backbone, self.texts or [""], cache)

    def of(self, subgraph: Subgraph) -> tuple[tuple[int, ...], tuple[GraphPath, ...]]:
        """A subgraph's paths, and before them the rows of their texts in `vectors`."""
        return self._known[id(subgraph)]

    def paths(self, subgraph: Subgraph) -> Iterator[GraphPath]:
        """The paths of two edges that join concepts of the question, then all single edges between concepts."""
        nodes, concepts = subgraph.nodes.tolist(), len(self._names)
        edges = [edge for edge in subgraph.edges.tolist() if max(nodes[edge[0]], nodes[edge[2]]) < concepts]
        for one, other in combinations(range(subgraph.seeds), 2):
            for first in edges:
                for second in edges:
                    middle = {first[0], first[2]} & {second[0], second[2]} - {one, other}
                    if middle and one in (first[0], first[2]) and other in (second[0], second[2]):
                        text = f"{self._said(first, nodes)}; {self._said(second, nodes)}"
                        yield GraphPath(text, 1.0, self._new(middle, nodes, subgraph))
        for edge in edges:
            named = sum(end < subgraph.seeds for end in (edge[0], edge[2])) / 2
            yield GraphPath(self._said(edge, nodes), named, self._new({edge[0], edge[2]}, nodes, subgraph))

    def _said(self, edge: Sequence[int], nodes: Sequence[int]) -> str:
        return f"{self._names[nodes[edge[0]]]} {self._kinds[edge[1]]} {self._names[nodes[edge[2]]]}"

    def _new(self, places: set[int], nodes: Sequence[int], subgraph: Subgraph) -> tuple[int, ...]:
        return tuple(sorted(nodes[one] for one in places if one >= subgraph.seeds))


def checked(images: Images, questions: Sequence[Question]) -> list[Question]:
    """The questions whose image could be read. Raises `InputError` where none is left."""
    left = [one for one in questions if one.image in images.known]
    if not left:
        raise InputError("no question has an image that can be read", "Check the folder of images.")
    return left


def positives_of(knowledge: Knowledge) -> Tensor:
    """Places of images, after all concepts, and of the concepts that they are POSITIVE to, (n, 2)."""
    rows = knowledge.stances[knowledge.stances[:, 1] == POSITIVE]
    return torch.from_numpy(np.stack([rows[:, 0] + len(knowledge.cuis), rows[:, 2]], 1))
