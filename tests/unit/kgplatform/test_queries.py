"""Query files: the form is checked when one is loaded, and every file of ``cypher/`` keeps to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform import queries
from kgplatform.browser import for_browser, grass, write_setup
from kgplatform.errors import NotFoundError, QueryRefused, UsageError
from kgplatform.queries import parse_query
from kgplatform.readonly import check_query_text
from kgplatform.schema import PRESENCE_LABELS

NAME = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=":"), max_size=20),
    "integer": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "list": st.lists(st.integers(), max_size=3),
    "map": st.dictionaries(NAME, st.integers(), max_size=3),
}
DECLARED = st.dictionaries(
    NAME, st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])), max_size=4
)


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))  # ": " ends a default


@given(DECLARED)
def test_what_is_declared_is_what_is_bound(declared: dict[str, tuple[str, Any]]) -> None:
    parameter_lines = [
        f"// param {parameter_name} {type_name} = {compact(default)}: a value"
        for parameter_name, (type_name, default) in declared.items()
    ]
    returned_columns = (
        ", ".join(f"${parameter_name} AS {parameter_name}_out" for parameter_name in declared) or "1 AS one"
    )
    query = parse_query(
        "tests/made", "\n".join(["// What it answers.", *parameter_lines, f"RETURN {returned_columns}"])
    )
    assert query.doc == "What it answers."
    assert query.bind({}) == {parameter_name: default for parameter_name, (_, default) in declared.items()}


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused_as_value_error(source: str) -> None:
    try:
        query = parse_query("tests/any", source)
    except ValueError:
        return
    assert query.doc


@pytest.mark.parametrize(
    "source",
    [
        "RETURN 1",
        "// param x integer: only a parameter\nRETURN $x",
        "// Doc.\nRETURN $x",
        "// Doc.\n// param x integer: unused\nRETURN 1",
        "// Doc.\n// param x number: no such type\nRETURN $x",
        "// Doc.\n// param x\nRETURN $x",
    ],
)
def test_a_file_without_the_form_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="tests/bad"):
        parse_query("tests/bad", source)


def test_a_dollar_in_a_text_or_comment_is_no_parameter() -> None:
    query = parse_query("tests/text", "// Doc.\nRETURN '$a' AS a, \"$b\" AS b, `$c` AS c // $d\n/* $e */")
    assert query.parameters == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "x"), ("integer", "1.5"), ("integer", "true"), ("list", "1"), ("boolean", "yes"), ("map", "[]")],
)
def test_a_value_of_another_type_is_a_usage_error(kind: str, text: str) -> None:
    query = parse_query("tests/typed", f"// Doc.\n// param x {kind}: a value\nRETURN $x")
    with pytest.raises(UsageError, match="parameter x"):
        query.parameters["x"].parse(text)


@pytest.mark.parametrize("values", [{}, {"y": 1}, {"x": "text"}])
def test_missing_unknown_and_ill_typed_values_are_usage_errors(values: dict[str, Any]) -> None:
    query = parse_query("tests/bind", "// Doc.\n// param x integer: a number\nRETURN $x")
    with pytest.raises(UsageError):
        query.bind(values)


@pytest.mark.parametrize(
    "name", ["explore/none", "explore", "../secrets/x", "/etc/passwd", "explore/../stats/hubs", ""]
)
def test_a_name_that_is_no_query_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        queries.get(name)


@pytest.mark.parametrize("name", queries.query_names())
def test_every_query_loads_and_says_what_it_answers(name: str) -> None:
    query = queries.get(name)
    assert len(query.doc) > 15
    assert all(len(parameter.doc) > 3 for parameter in query.parameters.values())


@pytest.mark.parametrize("name", queries.query_names("explore"))
def test_every_explore_query_reads_and_has_defaults(name: str) -> None:
    query = queries.get(name)
    check_query_text(query.text)
    for parameter in query.parameters.values():
        assert not parameter.required
        parameter.check(parameter.default)


def test_there_are_enough_explore_queries() -> None:
    assert len(queries.query_names("explore")) >= 18


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n) WHERE false DELETE n",
        "RETURN [i IN [1] | COLLECT { LOAD CSV FROM 'file:///x' AS l RETURN l }] AS x",
        "WITH 1 AS as LOAD CSV FROM 'file:///x' AS l RETURN l",
        "RETURN genai.vector.encode('x', 'OpenAI') AS x",
        "RETURN `apoc`.`static`.`get`('x') AS x",
        "RETURN 1; RETURN 2",
        "EXPLAIN RETURN 1",
        "/**/ CYPHER 5 RETURN 1",
        r"MATCH (n:`x\u0060) DETACH DELETE n //`) RETURN n",
    ],
)
def test_what_no_plan_shows_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(QueryRefused):
        check_query_text(text)


@given(st.text(max_size=200))
def test_checking_any_text_ends_in_a_verdict(text: str) -> None:
    try:
        check_query_text(text)
    except QueryRefused as refusal:
        assert "\n" not in refusal.message


def test_favourites_stand_alone_and_the_style_colours_the_stances(tmp_path: Path) -> None:
    favourite = for_browser(queries.get("explore/positive_not"))
    assert favourite.startswith("// Positive not\n// Images that show one finding")
    assert 'a.cui = "C0004144" DESC' in favourite
    assert favourite.endswith("LIMIT 50;\n")
    assert for_browser(queries.get("explore/figure3")).startswith("// Figure 3\n")
    assert not any("$" in for_browser(queries.get(query_name)) for query_name in queries.query_names("explore"))
    style = json.loads(grass())
    assert style["relationship.PREDICTED"]["caption"] == "{relation}"
    assert len({style[f"relationship.{stance}"]["color"] for stance in ("POSITIVE", "NEGATIVE", "UNCERTAIN")}) == 3
    presence_styles = [style[f"node.{label}"] for label in PRESENCE_LABELS.values()]
    assert [presence_style["caption"] for presence_style in presence_styles] == ["{text}", "no {text}", "{text}?"]
    assert (
        len(
            {
                (presence_style["color"], presence_style["border-color"])
                for presence_style in (style["node.Entity"], *presence_styles)
            }
        )
        == 4
    )
    assert list(style).index("node.Entity") < min(
        list(style).index(f"node.{label}") for label in PRESENCE_LABELS.values()
    )
    first_content = write_setup(tmp_path).favourites.read_bytes()
    assert write_setup(tmp_path).favourites.read_bytes() == first_content
