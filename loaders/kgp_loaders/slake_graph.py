"""SLAKE's knowledge graph as a source: ``kgp ingest with slake DIR``, the release's folder with ``KG/``.

A row is ``head#attribute#value``. A value that is a list ("chest pain, dyspnea") is one edge for each entry; sentences
(the values of `TEXTS`, and entries of more than `MAX_ENTRY` characters) are no relations and are left out, counted. A
name that is, as a whole, one of the open lexicon's names becomes that `Concept`, so that the facts stand next to those
of MedMKG; any other is a `Thing` of the type `SlakeEntity`. Attributes are relations with `_` between their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from kgp_loaders.slake import GRAPH, Fact, facts
from kgplatform.batches import GraphBatch, NodeRef, Properties, Reject
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.open_lexicon import ontology_names, own_words
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError
from kgplatform.schema import relation_problem

TYPE: Final = "SlakeEntity"
MAX_ENTRY: Final = 60  # characters of an entity; longer values are sentences
TEXTS: Final = frozenset({"chunk", "definition", "description"})  # attributes whose values are sentences
SENTENCES: Final = "values that are sentences"
ITSELF: Final = "facts that join a concept to itself: head and value are two names of one"
_ENTRIES: Final = re.compile(r"\s*[,;]\s*")


class SlakeGraph:
    """The facts as a `kgplatform.batches.Source`. Raises `InputError` where there are none."""

    kind = "slake"
    version = 1

    def __init__(self, folder: Path) -> None:
        graph_folder = folder / "KG" if (folder / "KG").is_dir() else folder
        self.files = tuple(path for name in GRAPH if (path := graph_folder / name).is_file())
        if not self.files:
            hint = f"Give SLAKE's folder, with KG/{GRAPH[0]}."
            raise InputError("there is no knowledge graph of SLAKE here", hint, path=folder)
        self.parameters: Mapping[str, Any] = {}

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` rows."""
        rows = (row for path in self.files for row in facts(path))
        while chunk := list(islice(rows, size)):
            batch = GraphBatch(read=len(chunk), stated_edges=0)
            for row in chunk:
                if isinstance(row, Reject):
                    batch.rejects.append(row)
                else:
                    self._add(batch, row)
            yield batch

    def _add(self, batch: GraphBatch, fact: Fact) -> None:
        relation = re.sub(r"\W+", "_", fact.relation.strip().casefold()).strip("_")
        if relation in TEXTS:
            batch.left_out[SENTENCES] = batch.left_out.get(SENTENCES, 0) + 1
            return
        head = self._node(fact.head)
        for entry in filter(None, _ENTRIES.split(fact.tail.strip(" ."))):
            if len(entry) > MAX_ENTRY:
                batch.left_out[SENTENCES] = batch.left_out.get(SENTENCES, 0) + 1
                continue
            tail = self._node(entry)
            if head[0] == tail[0] or relation_problem(relation, head[0][0], tail[0][0]) is not None:
                batch.left_out[ITSELF] = batch.left_out.get(ITSELF, 0) + 1
                continue
            for node, properties in (head, tail):
                batch.nodes[node] = {**properties, **batch.nodes.get(node, {})}
            batch.edges[head[0], relation, tail[0]] = {}
            batch.stated_edges = (batch.stated_edges or 0) + 1

    def _node(self, name: str) -> tuple[NodeRef, Properties]:
        for mention in self._tagger.tag(name):
            if (mention.start, mention.end) == (0, len(name)):
                candidate = mention.candidates[0]
                return ("Concept", candidate.cui), {"name": candidate.name}
        return ("Thing", f"{TYPE}:{name.casefold()}"), {"type": TYPE, "name": name}

    @cached_property
    def _tagger(self) -> DictionaryTagger:
        return DictionaryTagger(Lexicon([*own_words(), *ontology_names()]), Allowed())
