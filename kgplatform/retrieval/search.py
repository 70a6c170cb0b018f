"""Search for images: by text, by concept and stance, and by both (``cypher/search/``).

By text, the images come whose embeddings are most similar to the text's, or, `by` concepts, those that are POSITIVE for
the concepts whose names are. Similarities are cosines, from -1 to 1; of several concepts, their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kgplatform import queries
from kgplatform.errors import DatabaseError, KgpError, UsageError
from kgplatform.graph import Graph
from kgplatform.retrieval import index
from kgplatform.retrieval.encoder import Encoder
from kgplatform.retrieval.index import Model, Part, State
from kgplatform.retrieval.names import Concept, find_concept
from kgplatform.schema import Stance
from kgplatform.trained_on import TrainedOn
from kgplatform.upgrade import embeddings_outdated

# Measured in benchmarks/search_speed.py: on 100,000 images, recall@10 and the time that is comparing and asking take.
ASKED: Final = 100  # candidates from the index for each ten images that are to be found
COMPARED: Final = 2000  # up to so many images that have the concepts are compared with the text one by one
SPARE: Final = 4  # times as many candidates as are needed if concepts and text have nothing to do with each other
NEAR: Final = 5  # concepts that a text stands for
CONCEPTS_ASKED: Final = (200, 20_000)  # of which many have no image; the second, where too few of the first have
LONGEST: Final = 10_000  # characters of a text
MOST: Final = 10_000  # images to be found


@dataclass(frozen=True)
class Near:
    """A concept near the text, with the cosine of its name and the number of its POSITIVE images."""

    cui: str
    name: str
    similarity: float
    images: int


@dataclass(frozen=True)
class Hit:
    """An image: rank from 1, the cosine (or the sum of cosines of the `matched` concepts, CUIs), NaF score, path, and
    the names of the concepts that it is POSITIVE for.
    """

    rank: int
    id: str
    similarity: float | None
    naf: float | None
    path: str | None
    concepts: tuple[str, ...]
    matched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What was found. `by` says how a text was compared, None without a text; `notes` are for the person who asked;
    `trained_on` says of the model of a text what it was trained on, and `warnings` what is not to be relied on.
    """

    by: Part | None
    hits: tuple[Hit, ...]
    near: tuple[Near, ...] = ()
    wanted: tuple[Concept, ...] = ()
    without: tuple[Concept, ...] = ()
    notes: tuple[str, ...] = ()
    trained_on: TrainedOn = ()
    warnings: tuple[str, ...] = ()


class Searcher:
    """Searches one graph, again and again; `encoder` is called when the first text comes, and is not needed before.

    The state of embeddings and indexes is looked at once, and again when a search fails or finds nothing.
    """

    def __init__(self, graph: Graph, encoder: Callable[[], Encoder] | None = None) -> None:
        self._graph = graph
        self._open = encoder
        self._encoder: tuple[Encoder, Model] | None = None
        self._states: dict[Part, State] = {}
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
    ) -> Found:
        """The best images for a text, concepts (CUIs or names) that the image has that stance to, or both; `without`
        leaves out images that are POSITIVE for one of these. Without `by`, a text is compared with images, or with
        concepts where no image has an embedding.

        Raises `UsageError` where there is nothing to search for, `NotFoundError` for an unknown or ambiguous concept,
        and `KgpError` where embeddings or indexes are missing, not ready, or another model's.
        """
        text = text.strip()
        check(text, concepts, by, top)
        wanted = tuple(dict.fromkeys(find_concept(self._graph, name) for name in concepts))
        unwanted = tuple(dict.fromkeys(find_concept(self._graph, name) for name in without))
        conditions = {
            "wanted": [one.cui for one in wanted],
            "stance": stance.value,
            "without": [one.cui for one in unwanted],
            "top": top,
        }
        if not text:
            hits = _hits(self._graph.read(queries.get("search/image_concepts"), **conditions))
            return Found(None, hits, (), wanted, unwanted, self._naf_notes())
        encoder, model = self._encode_with()
        part = by or self._route()
        state = self._ready(part, model)
        embedded = state.models[model.digits]
        vector = encoder.texts([text])[0].tolist()
        try:
            near, hits = self._ask(part, vector, model.digits, embedded, conditions)
        except DatabaseError:
            self._states.clear()
            self._ready(part, model)  # tells what has happened to the index, if that is it
            raise
        if not hits:
            self._states.clear()
            state = self._ready(part, model)
        notes = _notes(state, model.digits, chosen=by is not None)
        if long := encoder.reading(text).note:
            notes = (long, *notes)
        if part is Part.CONCEPTS:
            notes += self._naf_notes()
        trained, warnings = encoder.trained_on, self._warnings(encoder)
        return Found(part, hits, near, wanted, unwanted, notes, trained, warnings)

    def _warnings(self, encoder: Encoder) -> tuple[str, ...]:
        if self._warned is None:
            self._warned = index.warnings(self._graph, encoder.trained_on)
        return self._warned

    def _encode_with(self) -> tuple[Encoder, Model]:
        if self._encoder is None:
            if self._open is None:
                raise UsageError("a text needs an encoder", "Give the searcher one.")
            encoder = self._open()
            self._encoder = encoder, Model.of(encoder)
        return self._encoder

    def _state(self, part: Part) -> State:
        if part not in self._states:
            self._states[part] = index.state(self._graph, part)
        return self._states[part]

    def _route(self) -> Part:
        """Images, unless only concepts have embeddings."""
        if not self._state(Part.IMAGES).models and self._state(Part.CONCEPTS).models:
            return Part.CONCEPTS
        return Part.IMAGES

    def _ready(self, part: Part, model: Model) -> State:
        """The part's state. Raises `KgpError` where it cannot be searched with this model."""
        state = self._state(part)
        try:
            _require(self._graph, state, model)
        except KgpError:
            self._states.clear()  # it may have been mended until the next search
            raise
        return state

    def _ask(
        self, part: Part, vector: list[float], model: str, embedded: int, conditions: dict[str, Any]
    ) -> tuple[tuple[Near, ...], tuple[Hit, ...]]:
        """The hits by index; where it proposes too few that are still in the graph, all images are compared."""
        top = conditions["top"]
        asked = max(ASKED, ASKED * top // 10)
        if part is Part.CONCEPTS:
            rows = self._near(vector, model)
            pairs = [[row["cui"], row["similarity"]] for row in rows]
            found = self._graph.read(queries.get("search/image_by_concepts"), near=pairs, **conditions)
            return tuple(Near(**row) for row in rows), _hits(found)
        if not (conditions["wanted"] or conditions["without"]):
            query = queries.get("search/image_text")
            found = self._graph.read(query, vector=vector, model=model, asked=asked, top=top)
            if len(found) >= min(top, embedded):
                return (), _hits(found)
        found = self._graph.read(
            queries.get("search/image_both"),
            vector=vector,
            model=model,
            asked=asked,
            compared=COMPARED,
            spare=SPARE,
            **conditions,
        )
        return (), _hits(found)

    def _near(self, vector: list[float], model: str) -> list[dict[str, Any]]:
        """The concepts near a text that have images; the index is asked for more where it proposes too few of them."""
        rows: list[dict[str, Any]] = []
        for asked in CONCEPTS_ASKED:
            query = queries.get("search/concept_text")
            rows = self._graph.read(query, vector=vector, model=model, asked=asked, top=NEAR)
            if len(rows) == NEAR:
                break
        return rows

    def _naf_notes(self) -> tuple[str, ...]:
        [state] = self._graph.read(queries.get("naf/state"))
        if state["current"]:
            return ()
        what = "are out of date" if state["scored"] else "have not been computed"
        return (f"the NaF scores {what}, and rank the images: run `kgp naf score`",)


def check(text: str, concepts: Sequence[str], by: Part | None, top: int) -> None:
    """Raise `UsageError` unless there is something to search for."""
    if not text.strip() and not concepts:
        raise UsageError("there is nothing to search for", "Give a text, --concept, or both.")
    if not text.strip() and by is not None:
        raise UsageError("without a text there is nothing to compare with embeddings", "Leave out --by.")
    if len(text) > LONGEST:
        raise UsageError(f"the text has more than {LONGEST:,} characters", "Give what is looked for, in a sentence.")
    if not 1 <= top <= MOST:
        raise UsageError(f"1 to {MOST:,} images can be found at a time", "Change --top.")


def _require(graph: Graph, state: State, model: Model) -> None:
    """Raise `KgpError` unless the part has embeddings of this model and an index that is ready."""
    what = state.part.plural
    command = f"kgp embed --only {what}" + (" --images DIR" if state.part is Part.IMAGES else "")
    if not state.models and embeddings_outdated(graph):
        hint = f"Bring it up to date: `{command}`; no vector is computed anew."
        raise KgpError("an earlier version wrote the graph, and its embeddings are not where they are now", hint)
    if not state.models:
        raise KgpError(f"no {what[:-1]} of the graph has an embedding", f"Make them: `{command}`")
    if model.digits not in state.models:
        known = index.names(graph)
        whose = ", ".join(known.get(one, "an unknown model") for one in sorted(state.models))
        hint = f"Search with that --model, or embed anew: `{command} --model … --replace`"
        if state.part is Part.IMAGES:
            hint += "; a model of texts alone can search --by concepts"
        raise KgpError(f"the {what} have embeddings of {whose}, not of {model.name}", hint)
    found = state.index
    name, again = state.part.index, f"The same `{command}` as before makes it; no vector is computed anew."
    if found is None:
        raise KgpError(f"the index {name} is missing", again)
    if found.state == "POPULATING":
        raise KgpError(f"the index {name} is still being built, {found.percent:.0f} %", "Try again in a while.")
    if found.state != "ONLINE":
        raise KgpError(f"the index {name} is {found.state}", again)
    if not index.fits(found, model.width):
        had = f"{found.dimensions} dimensions and the similarity {found.similarity}"
        raise KgpError(f"the index {name} has {had}, the model's vectors have {model.width} and COSINE", again)


def _notes(state: State, model: str, *, chosen: bool) -> tuple[str, ...]:
    notes = []
    if state.part is Part.CONCEPTS and not chosen:
        notes.append("no image has an embedding: the text is compared with the names of concepts")
    left = state.nodes - state.models.get(model, 0)
    if left:
        what = state.part.plural
        notes.append(f"{left:,} of {state.nodes:,} {what} have no embedding of this model and are not found by text")
    return tuple(notes)


def _hits(rows: Sequence[dict[str, Any]]) -> tuple[Hit, ...]:
    return tuple(
        Hit(
            rank,
            row["id"],
            row["similarity"],
            row["naf"],
            row["path"],
            tuple(row["concepts"]),
            tuple(row.get("matched", ())),
        )
        for rank, row in enumerate(rows, 1)
    )
