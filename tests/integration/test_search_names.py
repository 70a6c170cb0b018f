"""Names of concepts in a search of a real graph: any case, brackets, typing errors, and hostile text."""

from __future__ import annotations

import pytest

from kgplatform import queries
from kgplatform.errors import NotFoundError
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.integration import searchable_graphs
from tests.integration.searchable_graphs import ids, search_images

pytestmark = pytest.mark.server

search_image_root = searchable_graphs.search_image_root
searchable_graph = searchable_graphs.searchable_graph

HOSTILE = [
    "'",
    '"',
    "`",
    "') RETURN 1 //",
    "$vector",
    "{x: 1}",
    "\\",
    "\u2028 AND OR NOT * ~ ? [ ] ( ) ^ :",
    "\U0001fac1",
]


def test_concepts_are_found_by_cui_and_by_name_in_any_case(searchable_graph: Graph) -> None:
    result_by_cui = search_images(searchable_graph, concepts=["C9900003"])
    assert result_by_cui.hits
    for concept_name in ("finding C9900003", "FINDING c9900003", " c9900003 "):
        assert search_images(searchable_graph, concepts=[concept_name]).hits == result_by_cui.hits


def test_a_name_may_lack_what_stands_in_brackets_unless_several_do(searchable_graph: Graph) -> None:
    create_query = parse_query(
        "t/b",
        "// One.\n// param cui string: it\nMATCH (i:Image {id: 'I10000001'}) "
        "CREATE (i)-[:POSITIVE]->(:Concept {cui: $cui, name: 'Lung collapse (' + $cui + ')'})",
    )
    searchable_graph.write(create_query, cui="C1111111")
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    assert ids(search_images(searchable_graph, concepts=["lung COLLAPSE"])) == ["I10000001"]
    searchable_graph.write(create_query, cui="C1111112")
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="2 concepts are named lung collapse"):
        search_images(searchable_graph, concepts=["lung collapse"])


def test_a_concept_is_found_by_the_platforms_word_for_it(searchable_graph: Graph) -> None:
    """MedMKG has pneumothorax under the name of "free air in the chest outside the lung"."""
    create_query = parse_query(
        "t/o",
        "// One.\nMATCH (i:Image {id: 'I10000001'}) "
        "CREATE (i)-[:POSITIVE]->(:Concept {cui: 'C0032326', name: 'free air in the chest outside the lung'})",
    )
    searchable_graph.write(create_query)
    assert ids(search_images(searchable_graph, concepts=["Pneumothorax"])) == ["I10000001"]


def test_unknown_and_ambiguous_names_suggest_others(searchable_graph: Graph) -> None:
    with pytest.raises(NotFoundError, match="no concept is named finding") as unknown_error:
        search_images(searchable_graph, concepts=["finding"])
    assert "finding C99000" in unknown_error.value.hint
    with pytest.raises(NotFoundError, match="no concept is named zebra"):
        search_images(searchable_graph, without=["zebra"], concepts=["C9900003"])
    searchable_graph.write(
        parse_query("t/d", "// The same name.\nCREATE (:Concept {cui: 'C1111111', name: 'Finding c9900003'})")
    )
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="2 concepts are named finding c9900003") as ambiguous_error:
        search_images(searchable_graph, concepts=["finding c9900003"])
    assert "C1111111" in ambiguous_error.value.hint
    assert "C9900003" in ambiguous_error.value.hint


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_a_parameter(searchable_graph: Graph, text: str) -> None:
    assert len(search_images(searchable_graph, text).hits) == 10
    assert len(search_images(searchable_graph, text, concepts=["C9900003"], without=["C9900001"]).hits) > 0
    with pytest.raises(NotFoundError):
        search_images(searchable_graph, concepts=[text])


@pytest.mark.parametrize("typed", ["pleural effuson", "Plueral effusion", "PLEURAL EFFUSIONS", "pleural-efusion"])
def test_a_concept_with_a_typing_error_is_suggested_with_its_cui(searchable_graph: Graph, typed: str) -> None:
    create_query = parse_query(
        "t/s",
        "// Two.\nUNWIND [['C0032227', 'Pleural effusion'], ['C0032285', 'Pneumonia']] AS row\n"
        "CREATE (:Concept {cui: row[0], name: row[1]})",
    )
    searchable_graph.write(create_query)
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="no concept is named") as unknown_error:
        search_images(searchable_graph, concepts=["C9900003"], without=[typed])
    assert unknown_error.value.hint == "Did you mean Pleural effusion (C0032227)?"


def test_other_names_of_the_graph_are_suggested(searchable_graph: Graph, kgp: Kgp) -> None:
    for arguments, suggestion in (
        (("naf", "explain", "I1000001"), "Did you mean I10000001"),
        (("naf", "explain", "10000001"), "Did you mean I10000001"),
        (("construct", "explain", "I1000001", "C9900003"), "Did you mean I10000001"),
        (("export", "csv", "--relation", "postive", "--out", "x"), "Did you mean POSITIVE?"),
        (("export", "csv", "--around", "C990003", "--out", "x"), "Did you mean C9900003"),
        (("query", "explore/figur3"), "Did you mean explore/figure3"),
        (("query", "explore/figure3", "--param", "nmes=[]"), "Did you mean names?"),
    ):
        refused_run = kgp(*arguments)
        assert refused_run.code in (1, 2), arguments
        assert suggestion in refused_run.err, arguments
