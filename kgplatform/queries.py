"""Loads the Cypher files of ``cypher/``: one named query a file.

A file begins with a comment that is its documentation, and may declare parameters::

    // What the query answers, in a sentence or two.
    // param image string: the image's id
    // param limit integer = 10: how many rows
    MATCH (i:Image {id: $image}) …

The name is the path without the suffix (``naf/explain``). A file without a description, with an undeclared or an
unused parameter is refused when it is loaded. Types: string, integer, float, boolean, list, map; a default is JSON.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kgplatform.errors import NotFoundError, UsageError
from kgplatform.suggest import did_you_mean

_PACKAGED = Path(__file__).parent / "cypher"  # in a wheel
ROOT: Final = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent / "cypher"  # in a checkout

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "float": (float, int),
    "boolean": (bool,),
    "list": (list, tuple),
    "map": (dict,),
}
_PARAM = re.compile(r"param (?P<name>\w+) (?P<type>\w+)(?P<rest>.*)")
_NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?:``|[^`])*`", re.DOTALL)
_USED = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Parameter:
    """A declared parameter; `required` ones have no default."""

    name: str
    type: str
    doc: str
    required: bool
    default: Any = None

    def parse(self, text: str) -> Any:
        """The value that a user typed, as the declared type; raises `UsageError`."""
        if self.type == "string":
            return text
        try:
            parsed_value = json.loads(text)
        except json.JSONDecodeError:
            parsed_value = None
        self.check(parsed_value, label=text)
        return parsed_value

    def check(self, value: Any, label: str = "the value") -> None:
        """Raise `UsageError` unless `value` has the declared type."""
        is_wrong_bool = isinstance(value, bool) and self.type in ("integer", "float")
        if is_wrong_bool or not isinstance(value, _TYPES[self.type]):
            raise UsageError(f"parameter {self.name}: {label} is not of type {self.type}", self.doc)


@dataclass(frozen=True)
class Query:
    """A named Cypher statement with its documentation and declared parameters."""

    name: str
    text: str
    doc: str
    parameters: Mapping[str, Parameter]

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters with defaults filled in; raises `UsageError` on a missing, unknown or ill-typed one."""
        unknown_names = values.keys() - self.parameters.keys()
        if unknown_names:
            parameter_names = ", ".join(self.parameters) or "none"
            hint = did_you_mean(min(unknown_names), self.parameters, f"Its parameters: {parameter_names}.")
            raise UsageError(f"{self.name} has no parameter {min(unknown_names)}", hint)
        bound_values = {}
        for parameter in self.parameters.values():
            if parameter.name in values:
                parameter.check(values[parameter.name])
            elif parameter.required:
                raise UsageError(f"{self.name} needs the parameter {parameter.name}", parameter.doc)
            bound_values[parameter.name] = values.get(parameter.name, parameter.default)
        return bound_values


def parse_query(name: str, source: str) -> Query:
    """Read one file's text. Raises `ValueError` where it does not keep to the form above."""
    doc_lines: list[str] = []
    parameters: dict[str, Parameter] = {}
    for source_line in source.splitlines():
        if not source_line.startswith("//"):
            break
        comment = source_line.removeprefix("//").strip()
        if not comment.startswith("param "):
            doc_lines.append(comment)
            continue
        parameter_match = _PARAM.fullmatch(comment)
        if parameter_match is None or parameter_match["type"] not in _TYPES:
            raise ValueError(f"{name}: cannot read '{comment}'; write 'param NAME TYPE = DEFAULT: what it is'")
        parameters[parameter_match["name"]] = _parameter(
            name, parameter_match["name"], parameter_match["type"], parameter_match["rest"]
        )
    if not any(doc_lines):
        raise ValueError(f"{name}: the first comment must say what the query answers")
    used_names = set(_USED.findall(_NOT_CODE.sub(" ", source)))
    if used_names != parameters.keys():
        differing_names = sorted(used_names ^ parameters.keys())
        raise ValueError(f"{name}: declared and used parameters differ: {', '.join(differing_names)}")
    return Query(name, source.strip().rstrip(";"), "\n".join(doc_lines).strip(), parameters)


def _parameter(query_name: str, parameter_name: str, type_name: str, declaration: str) -> Parameter:
    """A parameter from what follows its type: ``= DEFAULT: what it is``, or ``: what it is``."""
    default, is_required = None, not declaration.startswith(" = ")
    if not is_required:
        try:
            default, default_end = json.JSONDecoder().raw_decode(declaration, 3)
        except json.JSONDecodeError:
            raise ValueError(f"{query_name}: the default of {parameter_name} is not JSON") from None
        declaration = declaration[default_end:]
    if not declaration.startswith(": ") or not declaration[2:].strip():
        raise ValueError(f"{query_name}: the parameter {parameter_name} is not described")
    return Parameter(parameter_name, type_name, declaration[2:], is_required, default)


@functools.cache
def get(name: str) -> Query:
    """The query of that name; raises `NotFoundError`."""
    query_path = ROOT / f"{name}.cypher"
    if not re.fullmatch(r"[a-z_]+/[a-z0-9_]+", name) or not query_path.is_file():
        raise NotFoundError(
            f"no query is named {name}", did_you_mean(name, query_names(), "`kgp query --list` shows them.")
        )
    return parse_query(name, query_path.read_text(encoding="utf-8"))


def query_names(folder: str = "") -> list[str]:
    """All query names, or those of one folder, sorted."""
    query_paths = ROOT.joinpath(folder).rglob("*.cypher")
    return sorted(str(query_path.relative_to(ROOT).with_suffix("")).replace("\\", "/") for query_path in query_paths)
