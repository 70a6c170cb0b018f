"""The server's remarks on a user's statement in the user's terms: names that the graph does not have, deprecations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.graph_records import Notice
from kgplatform.suggest import nearest

# By GQL status: what does not exist, its prefix, and the query that lists the graph's names.
_UNKNOWN: Final = {
    "01N50": ("label", ":", "readonly/labels"),
    "01N51": ("relationship type", ":", "readonly/relations"),
    "01N52": ("property key", ".", "readonly/properties"),
}
_DEPRECATED: Final = ("01N00", "01N01", "01N02", "01N03")
_NAME: Final = re.compile(r"`(.+?)` does not exist", re.DOTALL)


def remarks(notices: Iterable[Notice], graph: Graph) -> Iterator[str]:
    """A line for each unknown label, relationship type and property key, with the nearest names of the graph, and for
    each deprecated feature.
    """
    for notice in dict.fromkeys(notices):
        location = f" (line {notice.line}, column {notice.column})" if notice.line else ""
        name_match = _NAME.search(notice.text)
        if notice.status in _UNKNOWN and name_match:
            kind, prefix, query_name = _UNKNOWN[notice.status]
            suggestions = nearest(name_match[1], (record["name"] for record in graph.read(queries.get(query_name))))
            hint = (
                f"; did you mean {' or '.join(prefix + suggestion for suggestion in suggestions)}?"
                if suggestions
                else ""
            )
            yield f"warning: the graph has no {kind} {name_match[1]}{location}{hint}"
        elif notice.status in _DEPRECATED:
            yield f"warning: {notice.text.removeprefix('warn: ')}{location}"
