"""What new radiographs show: links with probabilities, by an image encoder and similar images of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from kgp_models.images.combine import NEAREST, SMOOTHING, make_terms, related_links, smoothed_shares
from kgp_models.images.examples import Link
from kgp_models.images.model import ImageModel, image_outputs
from kgp_models.images.prediction import BY_BOTH, BY_ENCODER, BY_NEIGHBOURS, PredictedImage, PredictedLink
from kgp_models.images.studies import combine_links, group_by_study
from kgp_models.retrieval.encode import BackboneEncoder
from kgplatform import queries
from kgplatform.datasets.knowledge import read_anatomy
from kgplatform.errors import InputError
from kgplatform.generate.inputs import Input
from kgplatform.graph import Graph
from kgplatform.progress import Progress, no_progress
from kgplatform.schema import Stance
from kgplatform.search import index
from kgplatform.search.index import EncoderIdentity, Part

BATCH: Final = 32
CANDIDATES: Final = 10  # that the index is asked for, for each neighbour
NO_EMBEDDINGS: Final = "no image of the graph has an embedding of this model: the encoder alone predicts"
NO_COMBINATION: Final = "the model has no validation images: the encoder alone predicts"


class ImagePredictor:
    """A model with a graph: its images with embeddings of the model are what new images are compared with."""

    def __init__(self, model: ImageModel, encoder: BackboneEncoder, graph: Graph) -> None:
        self.model, self._encoder, self._graph = model, encoder, graph
        self._digits = EncoderIdentity.from_encoder(encoder).digits
        has_embeddings = bool(index.state(graph, Part.IMAGES).models.get(self._digits))
        self.uses_graph = has_embeddings and model.combination is not None
        self.note = "" if self.uses_graph else NO_EMBEDDINGS if model.combination is not None else NO_COMBINATION
        concept_rows = graph.read(queries.get("predict/concepts"), cuis=sorted({link.cui for link in model.links}))
        self.known_cuis = {str(row["cui"]) for row in concept_rows}
        anatomy = read_anatomy(graph) if self.uses_graph else frozenset()
        learns_anatomy = any(link.cui in anatomy for link in model.links)
        self._left_out = frozenset() if learns_anatomy else anatomy
        pairs = [(row["cui"], other) for row in concept_rows for other in row["related"]]
        self._related = related_links(model.links, pairs)

    def predict(
        self,
        images: Sequence[Input],
        *,
        top: int,
        least: float,
        by_study: bool = False,
        progress: Progress = no_progress,
    ) -> Iterator[PredictedImage]:
        """For each image the links of probability `least` and more, `top` at most; with `by_study` those of all images
        of its study together.

        Raises `InputError` where images do not state their study, and a folder has more than a study's.
        """
        groups = group_by_study(images) if by_study else []
        predicted = self._all_links(images, progress)
        if by_study:
            predicted = _with_study_links(list(predicted), images, groups)
        for image in predicted:
            chosen = islice((link for link in image.links if link.probability >= least), top)
            yield replace(image, links=tuple(chosen))

    def _all_links(self, images: Sequence[Input], progress: Progress) -> Iterator[PredictedImage]:
        remaining = iter(images)
        done = 0
        while batch := list(islice(remaining, BATCH)):
            yield from self._batch(batch)
            done += len(batch)
            progress(done, len(images))

    def _batch(self, batch: Sequence[Input]) -> Iterator[PredictedImage]:
        grey, readable, problems = [], [], []
        for image in batch:
            try:
                grey.append(self._read(image))
                readable.append(image)
            except InputError as error:
                problems.append(PredictedImage(image, problem=error.problem))
        if readable:
            pictures = torch.stack(grey)
            vectors, logits = image_outputs(self.model.classifier, self.model.picture, pictures)
            distances = self._distances(vectors)
            neighbours = self._neighbours(readable, vectors) if self.uses_graph else [[] for _ in readable]
            for row, image in enumerate(readable):
                links = tuple(self._links(logits[row], neighbours[row]))
                distance = None if distances is None else round(float(distances[row]), 4)
                is_unlike = bool(
                    distance is not None and self.model.reference and distance > self.model.reference.threshold
                )
                yield PredictedImage(image, links, distance, is_unlike)
        yield from problems

    def _read(self, image: Input) -> Tensor:
        if image.path is None:
            raise InputError("there is no image")
        return self.model.picture.read(image.path, blank=False)

    def _distances(self, vectors: Tensor) -> Tensor | None:
        return None if self.model.reference is None else self.model.reference.distances(vectors)

    def _neighbours(self, images: Sequence[Input], vectors: Tensor) -> list[list[frozenset[Link]]]:
        """The links of the graph's images that are most similar to each image, whose tower's `vectors` these are."""
        with torch.inference_mode():
            vectors = self._encoder.backbone.embed_images(vectors)
        query = queries.get("predict/neighbours")
        asked = CANDIDATES * NEAREST
        return [
            [
                frozenset(Link(*stance) for stance in row["stances"])
                for row in self._graph.read(
                    query, vector=vector.tolist(), model=self._digits, id=image.id, asked=asked, top=NEAREST
                )
            ]
            for image, vector in zip(images, vectors, strict=True)
        ]

    def _links(self, logits: Tensor, neighbours: Sequence[frozenset[Link]]) -> list[PredictedLink]:
        """All links with their probabilities, the likeliest first."""
        if not neighbours or self.model.combination is None:
            probabilities = self.model.calibration.probabilities(logits[None])[0]
            by = BY_ENCODER
        else:
            shares = smoothed_shares(neighbour_targets(self.model.links, neighbours)[None], self.model.shares)
            terms = make_terms(logits[None], shares, self.model.shares, self._related)
            probabilities = torch.sigmoid(self.model.combination.logits(terms))[0]
            by = BY_BOTH
        predicted = [
            PredictedLink(link, float(probability), by)
            for link, probability in zip(self.model.links, probabilities, strict=True)
        ]
        rare = rare_links(self.model.links, neighbours)
        predicted += [entry for entry in rare if entry.link.cui not in self._left_out]
        return sorted(predicted, key=lambda link: (-link.probability, link.link))


def _with_study_links(
    predicted: Sequence[PredictedImage], images: Sequence[Input], groups: Sequence[Sequence[int]]
) -> Iterator[PredictedImage]:
    """The images, each with the links of all images of its study that could be read; `groups` are rows of `images`. Of
    readable images with the same id in the graph the first comes; those that could not be read all do.
    """
    by_image = {id(entry.image): entry for entry in predicted}
    for rows in groups:
        entries = [by_image[id(images[row])] for row in rows]
        readable = [entry for entry in entries if entry.problem is None]
        links = tuple(combine_links([entry.links for entry in readable]))
        first_by_id = {entry.image.id: entry for entry in reversed(readable)}
        yield from (replace(entry, links=links) for entry in reversed(first_by_id.values()))
        yield from (entry for entry in entries if entry.problem is not None)


def neighbour_targets(links: Sequence[Link], neighbours: Sequence[frozenset[Link]]) -> Tensor:
    """Which neighbour has which link, (neighbours, links): 1, 0, NaN for POSITIVE where it is UNCERTAIN."""
    by_cui = [{(link.stance, link.cui) for link in neighbour} for neighbour in neighbours]
    return torch.tensor([[_target(link, stances) for link in links] for stances in by_cui], dtype=torch.float32)


def _target(link: Link, stances: set[tuple[str, str]]) -> float:
    if (link.stance, link.cui) in stances:
        return 1.0
    is_open = link.stance == Stance.POSITIVE.value and (Stance.UNCERTAIN.value, link.cui) in stances
    return float("nan") if is_open else 0.0


def rare_links(links: Iterable[Link], neighbours: Sequence[frozenset[Link]]) -> list[PredictedLink]:
    """Links of the neighbours that the encoder does not know, by their share among the neighbours, drawn towards 0."""
    learnt = {(link.stance, link.cui) for link in links}
    counts: dict[Link, int] = {}
    for neighbour in neighbours:
        for link in neighbour:
            if (link.stance, link.cui) not in learnt:
                counts[link] = counts.get(link, 0) + 1
    return [PredictedLink(link, count / (len(neighbours) + SMOOTHING), BY_NEIGHBOURS) for link, count in counts.items()]


def model_spec(folder: Path) -> str:
    """The backbone that the model in a folder is, as `kgp embed --model` takes it."""
    return f"images:{folder}"
