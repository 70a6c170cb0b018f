"""RadGraph's graphs of reports (Jain et al. 2021; RadGraph-XL: Delbrouck et al. 2024), as its files hold them.

    {"p10/p10000032/s50414267.txt": {
       "text": "Small left effusion .",
       "entities": {"1": {"tokens": "effusion", "label": "OBS-DP", "start_ix": 2, "end_ix": 2,
                          "relations": [["located_at", "2"]]}, …},
       "data_source": "MIMIC-CXR", "data_split": "train"}, …}

The files of RadGraph 1.0 (train, dev, test, inference), what RadGraph-XL writes, and DyGIE++'s form (`dygie`).

Where two people labelled a report (the test files), its graphs are next to each other as `labeler_1` and `labeler_2`.
Positions are those of words of `text.split(" ")`, the last one included. Not every file keeps to that (in mocked ones
nearly all positions are off), so an entity has the text of its `tokens`, and its positions are passed on unchecked.

A file is read as a whole: that of all of MIMIC-CXR has some 500 MB, and takes about five times that in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from kgp_loaders.dygie import GraphDamage, graph_of_line, is_dygie, read_lines, require_object
from kgp_loaders.mimic_cxr import DATASET, PHANTOM
from kgp_loaders.phantom.studies import FIRST_SUBJECT
from kgp_loaders.reports import MAX_ID
from kgplatform import files
from kgplatform.batches import GraphBatch, NodeRef, Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.schema import CONCEPT_ID, Stance, image_id
from kgplatform.triplets.text import Relation, Triplet, entity

if TYPE_CHECKING:
    from kgplatform.triplets.linking import ConceptLink

Kind: TypeAlias = Literal["Anatomy", "Observation"]
Presence: TypeAlias = Literal["present", "absent", "uncertain"]

PRESENCE_STANCE: Final[Mapping[Presence, Stance]] = {
    "present": Stance.POSITIVE,
    "absent": Stance.NEGATIVE,
    "uncertain": Stance.UNCERTAIN,
}
ELSEWHERE: Final = "RadGraph"  # the data set of a graph whose name is not a MIMIC-CXR study
SELF_RELATIONS: Final = "relations of an entity to itself"
NOT_A_GRAPH: Final = "radgraph_annotations"  # a list that the radgraph package adds to what it writes
MAX_BYTES: Final = 2 << 30  # of a file
MAX_ENTITIES: Final = 5_000  # of a graph; a report has about 30
MAX_RELATIONS: Final = 1_000  # of an entity
MAX_TOKENS: Final = 200  # characters of an entity
MAX_WORD_POSITION: Final = 1_000_000  # words before an entity
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
    """A phrase of a report; `start` and `end` are its first and last word as the file states them."""

    id: str
    text: str
    kind: Kind
    presence: Presence
    start: int
    end: int
    relations: tuple[tuple[Relation, str], ...] = ()  # to entities of the same graph, by id


@dataclass(frozen=True, slots=True)
class ReportGraph:
    """The graph of a report."""

    name: str
    text: str = field(repr=False)  # never in a log
    entities: tuple[Entity, ...]
    source: str
    split: str
    self_relations: int = 0  # relations of an entity to itself, which are left out


class Image(NamedTuple):
    """The image that a graph is about: its id in the graph, and what else is known of it."""

    id: str
    properties: Mapping[str, str]


def read_report_graphs(path: Path, labeler: int = 1) -> Iterator[ReportGraph | Reject]:
    """Yield the graphs of a file, or why one is none; its row is its number in the file. `labeler` counts where a
    report has several graphs.

    Raises `InputError` for a file that is none of RadGraph's.
    """
    if is_dygie(path):
        previous_names: set[str] = set()
        for line_number, document in read_lines(path):
            try:
                graph = _graph(*graph_of_line(document), labeler)
                if graph.name in previous_names:
                    raise GraphDamage("the doc_key already occurs in an earlier line")
                previous_names.add(graph.name)
                yield graph
            except GraphDamage as damage:
                yield Reject(path, line_number, str(damage))
        return
    for graph_number, (graph_name, graph_content) in enumerate(_document(path).items(), 1):
        if graph_name == NOT_A_GRAPH:
            continue
        try:
            yield _graph(graph_name, graph_content, labeler)
        except GraphDamage as damage:
            yield Reject(path, graph_number, str(damage))


def triplets(graph: ReportGraph) -> list[Triplet]:
    """The relations of a graph as triplets, each once, in the order of the heads. An entity of which `triplets.text`
    leaves nothing (a mark, an overlong phrase) gives none.
    """
    entity_texts = {graph_entity.id: entity(graph_entity.text) for graph_entity in graph.entities}
    unique_triplets = {
        Triplet(entity_texts[head.id], relation, entity_texts[tail]): None
        for head in graph.entities
        for relation, tail in head.relations
        if entity_texts[head.id] and entity_texts[tail]
    }
    return list(unique_triplets)


def image(graph: ReportGraph) -> Image:
    """The image of a graph: the study's, where its name is a path of MIMIC-CXR or of synthetic studies."""
    study_match = _STUDY.fullmatch(graph.name)
    if study_match is None:
        return Image(image_id(ELSEWHERE, graph.name), {"dataset": ELSEWHERE, "study_id": graph.name})
    dataset = DATASET if int(study_match[2]) < FIRST_SUBJECT else PHANTOM
    return Image(f"I{study_match[3]}", {"dataset": dataset, "study_id": study_match[3], "subject_id": study_match[2]})


class RadGraph:
    """The file as a `kgplatform.batches.Source` whose rows are graphs.

    `link` gives the concept that a phrase means; `about` is what decides its answers, as JSON.
    Raises `InputError` where the file is missing, `UsageError` for a labeler below 1.
    """

    kind = "radgraph"
    version = 1

    def __init__(
        self,
        path: Path,
        labeler: int = 1,
        link: Callable[[str], ConceptLink | None] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if not path.is_file():
            raise InputError("no such file", "Give a JSON file of RadGraph.", path=path)
        if labeler < 1:
            raise UsageError("labelers count from 1")
        self.files = (path,)
        self.labeler = labeler
        self._link = link or (lambda entity_text: None)
        self.parameters: Mapping[str, Any] = {"labeler": labeler, "link": dict(about or {})}

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` graphs."""
        entries = read_report_graphs(self.files[0], self.labeler)
        batch_size = min(size, FIRST_GRAPHS)
        while chunk := list(islice(entries, batch_size)):
            batch = GraphBatch(read=len(chunk), rejects=[entry for entry in chunk if isinstance(entry, Reject)])
            for entry in chunk:
                if isinstance(entry, ReportGraph):
                    self._add(batch, entry)
                    if entry.self_relations:
                        batch.left_out[SELF_RELATIONS] = batch.left_out.get(SELF_RELATIONS, 0) + entry.self_relations
            batch.stated_edges = len(batch.edges)
            yield batch
            batch_size = min(size, GRAPHS)

    def _add(self, batch: GraphBatch, graph: ReportGraph) -> None:
        """Put a graph into the batch; one without entities says nothing of its image."""
        graph_image, graph_tag = image(graph), _tag(graph)
        entity_refs: dict[str, NodeRef] = {
            graph_entity.id: ("Entity", f"{graph_image.id}:{graph_tag}:{graph_entity.id}")
            for graph_entity in graph.entities
        }
        image_ref: NodeRef = ("Image", graph_image.id)
        for graph_entity in graph.entities:
            batch.nodes[image_ref] = graph_image.properties
            batch.nodes[entity_refs[graph_entity.id]] = {
                "text": graph_entity.text,
                "kind": graph_entity.kind,
                "presence": graph_entity.presence,
            }
            batch.edges[image_ref, "SHOWS", entity_refs[graph_entity.id]] = {}
            for relation, tail in graph_entity.relations:
                batch.edges[entity_refs[graph_entity.id], relation.name, entity_refs[tail]] = {}
            self._refer(batch, entity_refs[graph_entity.id], graph_entity)

    def _refer(self, batch: GraphBatch, ref: NodeRef, graph_entity: Entity) -> None:
        """Join an entity to the concept that it means, where there is one."""
        link = self._link(graph_entity.text)
        if link is None or CONCEPT_ID.fullmatch(link.cui) is None:
            return
        type_properties = {"semantic_types": list(link.types)} if link.types else {}
        batch.nodes.setdefault(("Concept", link.cui), {"name": link.name, **type_properties})
        stance = PRESENCE_STANCE[graph_entity.presence].value
        properties = {"score": link.score, "method": link.method, "stance": stance}
        batch.edges[ref, "REFERS_TO", ("Concept", link.cui)] = properties


def _tag(graph: ReportGraph) -> str:
    """What distinguishes a graph's entities from those of other graphs of the same image (another labeler's, another
    version's): its name and its entities, so the same graph in two files is one.
    """
    entity_tuples = [astuple(graph_entity) for graph_entity in graph.entities]
    identity = json.dumps(["radgraph", graph.name, entity_tuples])
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _document(path: Path) -> dict[str, Any]:
    hint = "Give a JSON file of RadGraph: one graph for each report, under the report's name."
    document = files.read_json(path, MAX_BYTES, hint, _object, errors="surrogateescape")
    if not isinstance(document, dict):
        raise InputError("the file is not one JSON object, or a name occurs twice in it", hint, path=path)
    return document


def _object(members: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """A JSON object; None where a name is in it twice, because then one of the two would be lost."""
    mapping = dict(members)
    return mapping if len(mapping) == len(members) else None


def _graph(graph_name: str, content: Any, labeler: int) -> ReportGraph:
    if not 0 < len(graph_name) <= MAX_ID or not graph_name.isprintable():
        raise GraphDamage(f"the graph's name is not 1-{MAX_ID} printable characters")
    graph_mapping = require_object(content, "the graph")
    labelled_part = graph_mapping if "entities" in graph_mapping and labeler == 1 else _labelled(graph_mapping, labeler)
    report_text = labelled_part.get("text", graph_mapping.get("text"))
    if not isinstance(report_text, str):
        raise GraphDamage("there is no text")
    if not files.is_text(report_text):
        raise GraphDamage("the text is not valid UTF-8")
    entities = require_object(labelled_part.get("entities"), "entities")
    if len(entities) > MAX_ENTITIES:
        raise GraphDamage(f"there are more than {MAX_ENTITIES:,} entities")
    data_source, data_split = (
        value if isinstance(value := graph_mapping.get(entry_key), str) else ""
        for entry_key in ("data_source", "data_split")
    )
    parsed_entities = tuple(
        _entity(f"entity {entity_number}", entry_key, entities) for entity_number, entry_key in enumerate(entities, 1)
    )
    self_relations = sum(
        tail == graph_entity.id for graph_entity in parsed_entities for _, tail in graph_entity.relations
    )
    entities_without = tuple(
        replace(graph_entity, relations=tuple(r for r in graph_entity.relations if r[1] != graph_entity.id))
        for graph_entity in parsed_entities
    )
    return ReportGraph(graph_name, report_text, entities_without, data_source, data_split, self_relations)


def _labelled(graph_mapping: Mapping[str, Any], labeler: int) -> Mapping[str, Any]:
    """The part of a labeler."""
    if f"labeler_{labeler}" not in graph_mapping:
        raise GraphDamage(f"there are no entities of labeler {labeler}")
    return require_object(graph_mapping[f"labeler_{labeler}"], "the labeler's part")


def _entity(entity_name: str, entity_id: str, entities: Mapping[str, Any]) -> Entity:
    """The entity under that key; `entity_name` names it by its number, because a key may be anything."""
    if _ENTITY_ID.fullmatch(entity_id) is None:
        raise GraphDamage(f"{entity_name}: the id is not 1-20 letters and digits")
    fields = require_object(entities[entity_id], entity_name)
    tokens, label, first_token, last_token = (
        fields.get(field_name) for field_name in ("tokens", "label", "start_ix", "end_ix")
    )
    entity_text = " ".join(tokens.split()) if isinstance(tokens, str) else ""
    if not 0 < len(entity_text) <= MAX_TOKENS or not entity_text.isprintable():
        raise GraphDamage(f"{entity_name}: the tokens are not 1-{MAX_TOKENS} printable characters")
    label_match = _LABEL.fullmatch(label) if isinstance(label, str) else None
    if label_match is None:
        raise GraphDamage(f"{entity_name}: the label is not one of RadGraph's")
    kind = _KINDS[label_match[0][0]]
    presence = _PRESENCES[label_match["presence"] or label_match["xl_presence"]]
    if (
        type(first_token) is not int
        or type(last_token) is not int
        or not 0 <= first_token <= last_token <= MAX_WORD_POSITION
    ):
        raise GraphDamage(f"{entity_name}: start_ix and end_ix are not two positions in order")
    return Entity(
        entity_id,
        entity_text,
        kind,
        presence,
        first_token,
        last_token,
        _relations(entity_name, fields.get("relations"), entities),
    )


def _relations(entity_name: str, content: Any, entities: Mapping[str, Any]) -> tuple[tuple[Relation, str], ...]:
    if not isinstance(content, list) or len(content) > MAX_RELATIONS:
        raise GraphDamage(f"{entity_name}: relations are not a list of at most {MAX_RELATIONS:,}")
    relations = []
    for pair in content:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(member, str) for member in pair):
            raise GraphDamage(f"{entity_name}: a relation is not a name and an entity's id")
        relation_name, tail = pair
        if relation_name not in _RELATIONS:
            raise GraphDamage(f"{entity_name}: the relation is not one of RadGraph's")
        if tail not in entities:
            raise GraphDamage(f"{entity_name}: a relation leads to an entity that does not exist")
        relations.append((_RELATIONS[relation_name], tail))
    return tuple(relations)
