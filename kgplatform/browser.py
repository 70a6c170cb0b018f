"""What makes Neo4j Browser at home in this graph: favourites from ``cypher/explore/`` and a graph style.

Both formats were read from the Browser's own code (neo4j-browser 5.24.0):

- Favourites: a zip of ``.cypher`` files. Each becomes one favourite, named by its first line when that is a ``//``
  comment; the folder in the zip becomes the folder in the pane. (A plain ``.cypher`` file becomes a single favourite.)
- Style: a ``.grass`` file, JSON or CSS-like: selectors ``node``, ``node.LABEL``, ``relationship``,
  ``relationship.TYPE``; `caption` names properties in braces, ``<type>`` is a relationship's type.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kgplatform import queries
from kgplatform.files import replacing
from kgplatform.queries import Query
from kgplatform.schema import PRESENCE_LABELS, Stance

FOLDER: Final = "Knowledge graph"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever the zip is written

_PARAMETER = re.compile(r"\$(\w+)")
_GREEN, _RED, _AMBER = "#2E9E5B", "#D64545", "#E6A117"
_STANCE_COLOURS: Final = {Stance.POSITIVE: _GREEN, Stance.NEGATIVE: _RED, Stance.UNCERTAIN: _AMBER}
# Browser breaks a caption between words only, and cuts off what does not fit the circle. With these sizes 97 % of the
# names of MedMKG's concepts fit (30 % in 60px with a font of 10px), and all texts of entities that were tried.
_NODES: Final = {
    "Image": {"color": "#3B6FB6", "diameter": "90px", "font-size": "10px", "caption": "{id}"},
    "Concept": {"color": "#8C6BB1", "diameter": "96px", "font-size": "9px", "caption": "{name}"},
    "Entity": {"color": "#3FA7A0", "diameter": "80px", "font-size": "9px", "caption": "{text}"},
    "Thing": {"color": "#B5838D", "diameter": "96px", "font-size": "9px", "caption": "{name} {id}"},
    "Run": {"color": "#6C757D", "diameter": "70px", "font-size": "10px", "caption": "{kind}"},
}
# An entity that the report negates or doubts has a pale fill, a broad border and a caption that says so. A later rule
# takes precedence over an earlier one.
_PALE: Final = {"border-width": "4px", "text-color-internal": "#2A2C34"}
_PRESENCES: Final = {
    "present": {"color": _GREEN, "border-color": _GREEN, "caption": "{text}"},
    "absent": {**_PALE, "color": "#FBE3E3", "border-color": _RED, "caption": "no {text}"},
    "uncertain": {**_PALE, "color": "#FDF1D6", "border-color": _AMBER, "caption": "{text}?"},
}


@dataclass(frozen=True)
class Setup:
    """Where the files for Neo4j Browser were written."""

    favourites: Path
    style: Path


def write_setup(folder: Path) -> Setup:
    """Write the favourites and the style into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    setup = Setup(folder / "kgp-favourites.zip", folder / "kgp.grass")
    with (
        replacing(setup.favourites, _is_favourites) as staged_path,
        zipfile.ZipFile(staged_path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for query_name in queries.query_names("explore"):
            zip_entry = zipfile.ZipInfo(f"{FOLDER}/{query_name.rpartition('/')[2]}.cypher", EPOCH)
            archive.writestr(zip_entry, for_browser(queries.get(query_name)))
    with replacing(setup.style, lambda style_path: b"relationship.PREDICTED" in style_path.read_bytes()) as staged_path:
        staged_path.write_text(grass(), encoding="utf-8")
    return setup


def _is_favourites(archive_path: Path) -> bool:
    with zipfile.ZipFile(archive_path) as archive:
        return all(member_name.startswith(f"{FOLDER}/") for member_name in archive.namelist())


def for_browser(query: Query) -> str:
    """A query as one favourite: a title, its documentation, and its text with the defaults in place of parameters.

    One statement is drawn; where ``:param`` commands come before it, Browser only lists which of them went well.
    """
    title = re.sub(r"(\d+)", r" \1", query.name.rpartition("/")[2]).replace("_", " ").capitalize()

    def default(match: re.Match[str]) -> str:
        return json.dumps(query.parameters[match[1]].default, ensure_ascii=False)  # JSON's values are Cypher's, too

    query_lines = query.text.splitlines()
    favourite_lines = [
        query_line if query_line.startswith("//") else _PARAMETER.sub(default, query_line) for query_line in query_lines
    ]
    return "\n".join([f"// {title}", *favourite_lines]) + ";\n"


def grass() -> str:
    """The graph style: stances and presences in green, red and amber, predictions in blue, a colour for each label."""
    rules: dict[str, dict[str, str]] = {
        "node": {**_colours("#A5ABB6"), "diameter": "50px", "font-size": "10px", "caption": "{name}"},
        "relationship": {
            **_colours("#A5ABB6"),
            "shaft-width": "1px",
            "font-size": "8px",
            "padding": "3px",
            "text-color-external": "#000000",
            "text-color-internal": "#FFFFFF",
            "caption": "<type>",
        },
    }
    for label, style in _NODES.items():
        rules[f"node.{label}"] = {**_colours(style["color"]), **style}
    for presence, style in _PRESENCES.items():
        rules[f"node.{PRESENCE_LABELS[presence]}"] = style
    for stance, colour in _STANCE_COLOURS.items():
        rules[f"relationship.{stance}"] = {**_colours(colour), "shaft-width": "3px", "caption": "<type>"}
    # a prediction shows the relation that it predicts, and is thinner than a fact
    rules["relationship.PREDICTED"] = {**_colours("#1B9AAA"), "shaft-width": "2px", "caption": "{relation}"}
    return json.dumps(rules, indent=2) + "\n"


def _colours(colour: str) -> dict[str, str]:
    return {"color": colour, "border-color": colour, "text-color-internal": "#FFFFFF"}
