"""Search for images: by text, by concept and stance, and by both (``cypher/search/``).

By text, the images come whose embeddings are most similar to the text's, or, `by` concepts, those that are POSITIVE for
the concepts whose names are. Similarities are cosines, from -1 to 1; of several concepts, their sum. Where a text
states the side, severity … of a finding, images whose edges state the same come first (`attribute_ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kgplatform import queries
from kgplatform.errors import DatabaseError, KgpError, UsageError
from kgplatform.graph import Graph
from kgplatform.schema import Stance
from kgplatform.search import index
from kgplatform.search.attribute_ranking import (
    FindingEdge,
    FindingEdges,
    described_findings,
    read_edges,
    unstated_note,
)
from kgplatform.search.attributes import DescribedFinding, required_values
from kgplatform.search.encoder import Encoder
from kgplatform.search.index import EmbeddingState, EncoderIdentity, Part
from kgplatform.search.names import GraphConcept, find_concept, text_note
from kgplatform.search.readiness import embedding_notes, require_ready
from kgplatform.trained_on import TrainedOn
from kgplatform.vqa.negation import is_negated

# Measured in benchmarks/graph/search_speed.py: on 100,000 images, recall@10 and the time that is comparing and asking
# take.
CANDIDATES: Final = 100  # candidates from the index for each ten images that are to be found
COMPARED: Final = 2000  # up to this many images that have the concepts are compared with the text one by one
SPARE: Final = 4  # times as many candidates as are needed if concepts and text are independent
CONCEPTS_PER_TEXT: Final = 5  # concepts that a text stands for
CONCEPT_CANDIDATES: Final = (200, 20_000)  # of which many have no image; the second, where too few of the first have
MAX_TEXT_LENGTH: Final = 10_000  # characters of a text
NEGATED: Final = "the model does not read negation: --without, or --concept with --stance negative, find what is absent"
MAX_IMAGES: Final = 10_000  # images to be found


@dataclass(frozen=True)
class NearConcept:
    """A concept near the text, with the cosine of its name and the number of its POSITIVE images."""

    cui: str
    name: str
    similarity: float
    images: int


@dataclass(frozen=True)
class Hit:
    """An image: rank from 1, the cosine (or the sum of cosines of the `matched` concepts, CUIs), NaF score, path, and
    the names of the concepts that it is POSITIVE for; `edges` to findings that were looked for with attributes.
    """

    rank: int
    id: str
    similarity: float | None
    naf: float | None
    path: str | None
    concepts: tuple[str, ...]
    matched: tuple[str, ...] = ()
    edges: tuple[FindingEdge, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """What was found. `by` says how a text was compared, None without a text; `notes` are for the person who asked;
    `trained_on` says of the model of a text what it was trained on, and `warnings` what is not to be relied on.
    `understood` are the findings whose attributes were compared.
    """

    by: Part | None
    hits: tuple[Hit, ...]
    near: tuple[NearConcept, ...] = ()
    wanted: tuple[GraphConcept, ...] = ()
    without: tuple[GraphConcept, ...] = ()
    notes: tuple[str, ...] = ()
    trained_on: TrainedOn = ()
    warnings: tuple[str, ...] = ()
    understood: tuple[DescribedFinding, ...] = ()


class Searcher:
    """Searches one graph, again and again; `encoder` is called when the first text comes, and is not needed before.

    The state of embeddings and indexes is looked at once, and again when a search fails or finds nothing.
    """

    def __init__(self, graph: Graph, encoder: Callable[[], Encoder] | None = None) -> None:
        self._graph = graph
        self._open = encoder
        self._encoder: tuple[Encoder, EncoderIdentity] | None = None
        self._states: dict[Part, EmbeddingState] = {}
        self._warned: tuple[str, ...] | None = None

    def search(
        self,
        text: str = "",
        *,
        concepts: Sequence[str] = (),
        stance: Stance = Stance.POSITIVE,
        without: Sequence[str] = (),
        by: Part | None = None,
        top: int = 10,
        side: str | None = None,
        location: str | None = None,
        severity: str | None = None,
        change: str | None = None,
    ) -> SearchResult:
        """The best images for a text, concepts (CUIs or names) that the image has that stance to, or both; `without`
        leaves out images that are POSITIVE for one of these. Without `by`, a text is compared with images, or with
        concepts where no image has an embedding. `side`, `location`, `severity` and `change` are what the edges to the
        concepts, or else to the findings of the text, must state exactly.

        Raises `UsageError` where there is nothing to search for, `NotFoundError` for an unknown or ambiguous concept,
        and `KgpError` where embeddings or indexes are missing, not ready, or another model's.
        """
        text = text.strip()
        required = required_values(side=side, location=location, severity=severity, change=change)
        check_search(text, concepts, by, top)
        required_concepts = tuple(dict.fromkeys(find_concept(self._graph, concept_name) for concept_name in concepts))
        unwanted_concepts = tuple(dict.fromkeys(find_concept(self._graph, concept_name) for concept_name in without))
        conditions: dict[str, Any] = {
            "wanted": [concept.cui for concept in required_concepts],
            "stance": stance.value,
            "without": [concept.cui for concept in unwanted_concepts],
        }
        findings = described_findings(self._graph, text, required_concepts, stance, required)
        edges = read_edges(self._graph, findings, **conditions)
        conditions["top"] = top
        if not text:
            return self._by_concepts_alone(edges, conditions, required_concepts, unwanted_concepts)
        encoder, model = self._encode_with()
        search_part = by or self._route()
        part_state = self._ready(search_part, model)
        embedded_count = part_state.models[model.digits]
        text_vector = encoder.texts([text])[0].tolist()
        try:
            near_concepts, hits = self._ask(search_part, text_vector, model.digits, embedded_count, conditions)
        except DatabaseError:
            self._states.clear()
            self._ready(search_part, model)  # raises the index's problem, if that is the cause
            raise
        if edges.is_stated or edges.is_required:
            hits = self._by_attributes(edges, search_part, text_vector, model.digits, near_concepts, hits, top)
        if not hits:
            self._states.clear()
            part_state = self._ready(search_part, model)
        notes = embedding_notes(part_state, model.digits, chosen=by is not None)
        if length_note := encoder.reading(text).note:
            notes = (length_note, *notes)
        if is_negated(text):
            notes = (NEGATED, *notes)
        if unknown_note := text_note(self._graph, text):
            notes = (unknown_note, *notes)
        if search_part is Part.CONCEPTS:
            notes += self._naf_notes()
        if note := unstated_note(self._graph, edges):
            notes += (note,)
        understood = edges.findings if edges.is_stated or edges.is_required else ()
        return SearchResult(
            search_part,
            hits,
            near_concepts,
            required_concepts,
            unwanted_concepts,
            notes,
            encoder.trained_on,
            self._warnings(encoder),
            understood,
        )

    def _by_concepts_alone(
        self,
        edges: FindingEdges,
        conditions: dict[str, Any],
        required_concepts: tuple[GraphConcept, ...],
        unwanted_concepts: tuple[GraphConcept, ...],
    ) -> SearchResult:
        """The images of a search without a text, best NaF first."""
        if not edges.findings:
            hits = _hits(self._graph.read(queries.get("search/image_concepts"), **conditions))
            return SearchResult(None, hits, (), required_concepts, unwanted_concepts, self._naf_notes())
        hit_limit = conditions["top"]
        naf_query = queries.get("search/among_by_naf")
        rows = edges.best(lambda ids: self._graph.read(naf_query, ids=ids, top=hit_limit), hit_limit)
        notes = self._naf_notes()
        if note := unstated_note(self._graph, edges):
            notes += (note,)
        hits = _hits(rows, edges)
        return SearchResult(None, hits, (), required_concepts, unwanted_concepts, notes, understood=edges.findings)

    def _by_attributes(
        self,
        edges: FindingEdges,
        part: Part,
        text_vector: list[float],
        model_digits: str,
        near_concepts: Sequence[NearConcept],
        similar_hits: Sequence[Hit],
        top: int,
    ) -> tuple[Hit, ...]:
        """The images whose edges agree best with the findings, then, unless attributes are required, the others."""
        near_pairs = [[concept.cui, concept.similarity] for concept in near_concepts]

        def rank(ids: list[str]) -> list[dict[str, Any]]:
            if part is Part.CONCEPTS:
                concept_query = queries.get("search/among_by_concepts")
                return self._graph.read(concept_query, ids=ids, near=near_pairs, top=top)
            text_query = queries.get("search/among_by_text")
            return self._graph.read(text_query, ids=ids, vector=text_vector, model=model_digits, top=top)

        hits = _hits(edges.best(rank, top), edges)
        others = () if edges.is_required else (hit for hit in similar_hits if hit.id not in edges.edges)
        return tuple(replace(hit, rank=number) for number, hit in enumerate((*hits, *others), 1))[:top]

    def _warnings(self, encoder: Encoder) -> tuple[str, ...]:
        if self._warned is None:
            self._warned = index.graph_warnings(self._graph, encoder.trained_on)
        return self._warned

    def _encode_with(self) -> tuple[Encoder, EncoderIdentity]:
        if self._encoder is None:
            if self._open is None:
                raise UsageError("a text needs an encoder", "Give the searcher one.")
            encoder = self._open()
            self._encoder = encoder, EncoderIdentity.from_encoder(encoder)
        return self._encoder

    def _state(self, part: Part) -> EmbeddingState:
        if part not in self._states:
            self._states[part] = index.state(self._graph, part)
        return self._states[part]

    def _route(self) -> Part:
        """Images, unless only concepts have embeddings."""
        if not self._state(Part.IMAGES).models and self._state(Part.CONCEPTS).models:
            return Part.CONCEPTS
        return Part.IMAGES

    def _ready(self, part: Part, model: EncoderIdentity) -> EmbeddingState:
        """The part's state. Raises `KgpError` where it cannot be searched with this model."""
        part_state = self._state(part)
        try:
            require_ready(self._graph, part_state, model)
        except KgpError:
            self._states.clear()  # it may be repaired before the next search
            raise
        return part_state

    def _ask(
        self, part: Part, text_vector: list[float], model_digits: str, embedded_count: int, conditions: dict[str, Any]
    ) -> tuple[tuple[NearConcept, ...], tuple[Hit, ...]]:
        """The hits by index; where it proposes too few that are still in the graph, all images are compared."""
        hit_limit = conditions["top"]
        candidate_count = max(CANDIDATES, CANDIDATES * hit_limit // 10)
        if part is Part.CONCEPTS:
            concept_rows = self._near(text_vector, model_digits)
            near_pairs = [[concept_row["cui"], concept_row["similarity"]] for concept_row in concept_rows]
            image_rows = self._graph.read(queries.get("search/image_by_concepts"), near=near_pairs, **conditions)
            return tuple(NearConcept(**concept_row) for concept_row in concept_rows), _hits(image_rows)
        if not (conditions["wanted"] or conditions["without"]):
            image_query = queries.get("search/image_text")
            image_rows = self._graph.read(
                image_query, vector=text_vector, model=model_digits, asked=candidate_count, top=hit_limit
            )
            if len(image_rows) >= min(hit_limit, embedded_count):
                return (), _hits(image_rows)
        image_rows = self._graph.read(
            queries.get("search/image_both"),
            vector=text_vector,
            model=model_digits,
            asked=candidate_count,
            compared=COMPARED,
            spare=SPARE,
            **conditions,
        )
        return (), _hits(image_rows)

    def _near(self, text_vector: list[float], model_digits: str) -> list[dict[str, Any]]:
        """The concepts near a text that have images; the index is asked for more where it proposes too few of them."""
        concept_rows: list[dict[str, Any]] = []
        for candidate_count in CONCEPT_CANDIDATES:
            concept_query = queries.get("search/concept_text")
            concept_rows = self._graph.read(
                concept_query, vector=text_vector, model=model_digits, asked=candidate_count, top=CONCEPTS_PER_TEXT
            )
            if len(concept_rows) == CONCEPTS_PER_TEXT:
                break
        return concept_rows

    def _naf_notes(self) -> tuple[str, ...]:
        [naf_state] = self._graph.read(queries.get("naf/state"))
        if naf_state["current"]:
            return ()
        problem = "are out of date" if naf_state["scored"] else "have not been computed"
        return (f"the images are ranked by NaF scores that {problem}: run `kgp naf score`",)


def check_search(text: str, concepts: Sequence[str], by: Part | None, top: int) -> None:
    """Raise `UsageError` unless there is something to search for."""
    if not text.strip() and not concepts:
        raise UsageError("there is nothing to search for", "Give a text, --concept, or both.")
    if not text.strip() and by is not None:
        raise UsageError("without a text there is nothing to compare with embeddings", "Leave out --by.")
    if len(text) > MAX_TEXT_LENGTH:
        raise UsageError(
            f"the text has more than {MAX_TEXT_LENGTH:,} characters", "Describe what to search for in one sentence."
        )
    if not 1 <= top <= MAX_IMAGES:
        raise UsageError(f"1 to {MAX_IMAGES:,} images can be found at a time", "Change --top.")


def _hits(hit_rows: Sequence[dict[str, Any]], edges: FindingEdges | None = None) -> tuple[Hit, ...]:
    return tuple(
        Hit(
            rank,
            hit_row["id"],
            hit_row["similarity"],
            hit_row["naf"],
            hit_row["path"],
            tuple(hit_row["concepts"]),
            tuple(hit_row.get("matched", ())),
            () if edges is None else edges.image_edges(hit_row["id"]),
        )
        for rank, hit_row in enumerate(hit_rows, 1)
    )
