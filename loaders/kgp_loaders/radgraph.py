"""RadGraph's graphs of reports (Jain et al. 2021; RadGraph-XL: Delbrouck et al. 2024), as its files hold them.

    {"p10/p10000032/s50414267.txt": {
       "text": "Small left effusion .",
       "entities": {"1": {"tokens": "effusion", "label": "OBS-DP", "start_ix": 2, "end_ix": 2,
                          "relations": [["located_at", "2"]]}, …},
       "data_source": "MIMIC-CXR", "data_split": "train"}, …}

The files of RadGraph 1.0 (train, dev, test, inference), and what RadGraph-XL writes. Where two people labelled a report
(the test files), its graphs stand side by side as `labeler_1` and `labeler_2`. Places are those of words of
`text.split(" ")`, the last one included. Not every file keeps to that (in mocked ones nearly all places are off), so an
entity says what its `tokens` say, and its places are passed on unchecked.

A file is read as a whole: that of all of MIMIC-CXR has some 500 MB, and takes about five times that in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from kgp_loaders.mimic_cxr import DATASET, PHANTOM
from kgp_loaders.phantom.studies import FIRST_SUBJECT
from kgp_loaders.reports import MAX_ID, image_id
from kgplatform import files
from kgplatform.batches import GraphBatch, NodeRef, Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.schema import CONCEPT_ID, Stance
from kgplatform.triplets.text import Relation, Triplet, entity

if TYPE_CHECKING:
    from kgplatform.triplets.linking import Link

Kind: TypeAlias = Literal["Anatomy", "Observation"]
Presence: TypeAlias = Literal["present", "absent", "uncertain"]

PRESENCE_STANCE: Final[Mapping[Presence, Stance]] = {
    "present": Stance.POSITIVE,
    "absent": Stance.NEGATIVE,
    "uncertain": Stance.UNCERTAIN,
}
ELSEWHERE: Final = "RadGraph"  # the data set of a graph whose name is no MIMIC-CXR study
MAX_BYTES: Final = 2 << 30  # of a file
MAX_ENTITIES: Final = 5_000  # of a graph; a report has some 30
MAX_RELATIONS: Final = 1_000  # of an entity
MAX_TOKENS: Final = 200  # characters of an entity
MAX_PLACE: Final = 1_000_000  # words before an entity
GRAPHS: Final = 250  # of a batch: as many nodes and edges as the rows of other loaders' batches give
FIRST_GRAPHS: Final = 10  # of the first batch, which may be planned on an empty graph (docs/decisions/0002)

_LABEL: Final = re.compile(
    r"(?:ANAT|OBS)-(?P<presence>DP|DA|U)"
    r"|(?:Anatomy|Observation)(?:::measurement)?::(?P<xl_presence>definitely present|definitely absent|uncertain)"
)
_KINDS: Final[Mapping[str, Kind]] = {"A": "Anatomy", "O": "Observation"}  # by first letter
_PRESENCES: Final[Mapping[str, Presence]] = {
    "DP": "present", "DA": "absent", "U": "uncertain",
    "definitely present": "present", "definitely absent": "absent", "uncertain": "uncertain",
}  # fmt: skip
_RELATIONS: Final = {relation.value: relation for relation in Relation}
_ENTITY_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,20}")
_STUDY: Final = re.compile(r"(?:files/)?p([0-9]{2})/p(\1[0-9]{6})/s([0-9]{8})\.txt")


@dataclass(frozen=True, slots=True)
class Entity:
    """A phrase of a report; `start` and `end` are its first and last word as the file tells them."""

    id: str
    text: str
    kind: Kind
    presence: Presence
    start: int
    end: int
    relations: tuple[tuple[Relation, str], ...] = ()  # to entities of the same graph, by id


@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of a report."""

    name: str
    text: str = field(repr=False)  # never in a log
    entities: tuple[Entity, ...]
    source: str
    split: str


class Image(NamedTuple):
    """The image that a graph is about: its id in the graph, and what else is known of it."""

    id: str
    properties: Mapping[str, str]


def read(path: Path, labeler: int = 1) -> Iterator[Graph | Reject]:
    """Yield the graphs of a file, or why one is none; its row is its number in the file. `labeler` counts where a
    report has several graphs.

    Raises `InputError` for a file that is none of RadGraph's.
    """
    for number, (name, content) in enumerate(_document(path).items(), 1):
        try:
            yield _graph(name, content, labeler)
        except _Damage as damage:
            yield Reject(path, number, str(damage))


def triplets(graph: Graph) -> list[Triplet]:
    """The relations of a graph as triplets, each once, in the order of the heads. An entity of which `triplets.text`
    leaves nothing (a mark, an overlong phrase) gives none.
    """
    texts = {one.id: entity(one.text) for one in graph.entities}
    found = {
        Triplet(texts[head.id], relation, texts[tail]): None
        for head in graph.entities
        for relation, tail in head.relations
        if texts[head.id] and texts[tail]
    }
    return list(found)


def image(graph: Graph) -> Image:
    """The image of a graph: the study's, where its name is a path of MIMIC-CXR or of invented studies."""
    study = _STUDY.fullmatch(graph.name)
    if study is None:
        return Image(image_id(ELSEWHERE, graph.name), {"dataset": ELSEWHERE, "study_id": graph.name})
    dataset = DATASET if int(study[2]) < FIRST_SUBJECT else PHANTOM
    return Image(f"I{study[3]}", {"dataset": dataset, "study_id": study[3], "subject_id": study[2]})


class RadGraph:
    """The file as a `kgplatform.batches.Source` whose rows are graphs.

    `link` gives the concept that a phrase means; `about` is what decides its answers, as JSON.
    Raises `InputError` where the file is not there, `UsageError` for a labeler below 1.
    """

    kind = "radgraph"
    version = 1

    def __init__(
        self,
        path: Path,
        labeler: int = 1,
        link: Callable[[str], Link | None] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if not path.is_file():
            raise InputError("no such file", "Give a JSON file of RadGraph.", path=path)
        if labeler < 1:
            raise UsageError("labelers count from 1")
        self.files = (path,)
        self.labeler = labeler
        self._link = link or (lambda text: None)
        self.parameters: Mapping[str, Any] = {"labeler": labeler, "link": dict(about or {})}

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` graphs."""
        rows = read(self.files[0], self.labeler)
        count = min(size, FIRST_GRAPHS)
        while chunk := list(islice(rows, count)):
            batch = GraphBatch(read=len(chunk), rejects=[row for row in chunk if isinstance(row, Reject)])
            for row in chunk:
                if isinstance(row, Graph):
                    self._add(batch, row)
            batch.given = len(batch.edges)
            yield batch
            count = min(size, GRAPHS)

    def _add(self, batch: GraphBatch, graph: Graph) -> None:
        """Put a graph into the batch; one without entities says nothing of its image."""
        shown, tag = image(graph), _tag(graph)
        refs: dict[str, NodeRef] = {one.id: ("Entity", f"{shown.id}:{tag}:{one.id}") for one in graph.entities}
        whole: NodeRef = ("Image", shown.id)
        for one in graph.entities:
            batch.nodes[whole] = shown.properties
            batch.nodes[refs[one.id]] = {"text": one.text, "kind": one.kind, "presence": one.presence}
            batch.edges[whole, "SHOWS", refs[one.id]] = {}
            for relation, tail in one.relations:
                batch.edges[refs[one.id], relation.name, refs[tail]] = {}
            self._refer(batch, refs[one.id], one)

    def _refer(self, batch: GraphBatch, ref: NodeRef, one: Entity) -> None:
        """Join an entity to the concept that it means, where there is one."""
        link = self._link(one.text)
        if link is None or CONCEPT_ID.fullmatch(link.cui) is None:
            return
        types = {"semantic_types": list(link.types)} if link.types else {}
        batch.nodes.setdefault(("Concept", link.cui), {"name": link.name, **types})
        stance = PRESENCE_STANCE[one.presence].value
        said = {"score": link.score, "method": link.method, "stance": stance}
        batch.edges[ref, "REFERS_TO", ("Concept", link.cui)] = said


def _tag(graph: Graph) -> str:
    """What tells a graph's entities from those of other graphs of the same image (another labeler's, another
    version's): its name and its entities, so the same graph in two files is one.
    """
    entities = [astuple(one) for one in graph.entities]
    identity = json.dumps(["radgraph", graph.name, entities])
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


class _Damage(Exception):
    """Why something is no graph; never quotes it."""


def _document(path: Path) -> dict[str, Any]:
    hint = "Give a JSON file of RadGraph: a graph a report, by the report's name."
    document = files.read_json(path, MAX_BYTES, hint, _object, errors="surrogateescape")
    if not isinstance(document, dict):
        raise InputError("the file is not one JSON object, or a name stands in it twice", hint, path=path)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """A JSON object; None where a name stands in it twice, because then one of the two would be lost."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def _graph(name: str, content: Any, labeler: int) -> Graph:
    if not 0 < len(name) <= MAX_ID or not name.isprintable():
        raise _Damage(f"the graph's name is not 1-{MAX_ID} printable characters")
    whole = _mapping(content, "the graph")
    part = whole if "entities" in whole and labeler == 1 else _labelled(whole, labeler)
    text = part.get("text", whole.get("text"))
    if not isinstance(text, str):
        raise _Damage("there is no text")
    if not files.is_text(text):
        raise _Damage("the text is not valid UTF-8")
    entities = _mapping(part.get("entities"), "entities")
    if len(entities) > MAX_ENTITIES:
        raise _Damage(f"there are more than {MAX_ENTITIES:,} entities")
    source, split = (value if isinstance(value := whole.get(key), str) else "" for key in ("data_source", "data_split"))
    found = (_entity(f"entity {number}", key, entities) for number, key in enumerate(entities, 1))
    return Graph(name, text, tuple(found), source, split)


def _labelled(whole: Mapping[str, Any], labeler: int) -> Mapping[str, Any]:
    """The part of a labeler."""
    if f"labeler_{labeler}" not in whole:
        raise _Damage(f"there are no entities of labeler {labeler}")
    return _mapping(whole[f"labeler_{labeler}"], "the labeler's part")


def _entity(which: str, key: str, entities: Mapping[str, Any]) -> Entity:
    """The entity under that key; `which` names it by its number, because a key may be anything."""
    if _ENTITY_ID.fullmatch(key) is None:
        raise _Damage(f"{which}: the id is not 1-20 letters and digits")
    values = _mapping(entities[key], which)
    tokens, label, start, end = (values.get(name) for name in ("tokens", "label", "start_ix", "end_ix"))
    text = " ".join(tokens.split()) if isinstance(tokens, str) else ""
    if not 0 < len(text) <= MAX_TOKENS or not text.isprintable():
        raise _Damage(f"{which}: the tokens are not 1-{MAX_TOKENS} printable characters")
    found = _LABEL.fullmatch(label) if isinstance(label, str) else None
    if found is None:
        raise _Damage(f"{which}: the label is none of RadGraph's")
    kind = _KINDS[found[0][0]]
    presence = _PRESENCES[found["presence"] or found["xl_presence"]]
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= MAX_PLACE:
        raise _Damage(f"{which}: start_ix and end_ix are not two places in order")
    return Entity(key, text, kind, presence, start, end, _relations(which, key, values.get("relations"), entities))


def _relations(which: str, key: str, content: Any, entities: Mapping[str, Any]) -> tuple[tuple[Relation, str], ...]:
    if not isinstance(content, list) or len(content) > MAX_RELATIONS:
        raise _Damage(f"{which}: relations are not a list of at most {MAX_RELATIONS:,}")
    found = []
    for item in content:
        if not isinstance(item, list) or len(item) != 2 or not all(isinstance(value, str) for value in item):
            raise _Damage(f"{which}: a relation is not a name and an entity's id")
        name, tail = item
        if name not in _RELATIONS:
            raise _Damage(f"{which}: the relation is none of RadGraph's")
        if tail not in entities:
            raise _Damage(f"{which}: a relation leads to an entity that is not there")
        if tail == key:
            raise _Damage(f"{which}: a relation leads from the entity to itself")
        found.append((_RELATIONS[name], tail))
    return tuple(found)


def _mapping(content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise _Damage(f"{what}: not a JSON object, or a name stands in it twice")
    return content
