"""NaF against an independent computation: a few plain lines over the CSV (MedMKG §3.4, appendix F.4)."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.medmkg import MedMKG
from kgplatform import naf, queries
from kgplatform.errors import KgpError, NotFoundError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from tests.conftest import WIPE
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server

SCORES = parse(
    "t/s", "// Scores.\nMATCH (i:Image) RETURN i.id AS id, i.naf AS naf, i.naf_rank AS rank, i.naf_kept AS kept"
)
STANCES = {"POSITIVE", "NEGATIVE", "UNCERTAIN"}

Pairs = set[tuple[str, str, str]]


def pairs_of(path: Path) -> Pairs:
    with path.open(newline="", encoding="utf-8") as file:
        return {(r["Head"], r["Relation"], r["Tail"]) for r in csv.DictReader(file) if r["Relation"] in STANCES}


def oracle(pairs: Pairs) -> dict[str, float]:
    images = {image for image, _, _ in pairs}
    sharing: dict[tuple[str, str], int] = defaultdict(int)
    for _, relation, concept in pairs:
        sharing[relation, concept] += 1
    terms: dict[str, list[float]] = defaultdict(list)
    for image, relation, concept in pairs:
        terms[image].append(math.log(len(images) / sharing[relation, concept]))
    return {image: math.fsum(of_image) for image, of_image in terms.items()}


def ranking(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda image: (-round(scores[image], 9), image))


def algorithm1(pairs: Pairs, order: list[str]) -> list[str]:
    concepts = {concept for _, _, concept in pairs}
    of_image: dict[str, set[str]] = defaultdict(set)
    for image, _, concept in pairs:
        of_image[image].add(concept)
    kept: list[str] = []
    covered: set[str] = set()
    for image in order:
        if covered == concepts:
            break
        kept.append(image)
        covered |= of_image[image]
    return kept


@pytest.mark.data
def test_scores_and_ranks_of_the_released_graph(medmkg_graph: Graph, data_dir: Path) -> None:
    wanted = oracle(pairs_of(data_dir / "medmkg" / "MedMKG.csv"))
    found = {row["id"]: row for row in medmkg_graph.read(SCORES)}
    assert found.keys() == wanted.keys()
    assert len(found) == 4_868
    assert max(abs(found[image]["naf"] - wanted[image]) for image in wanted) < 1e-9
    assert sorted(found, key=lambda image: found[image]["rank"]) == ranking(wanted)
    top = naf.score(medmkg_graph, top=3).top
    assert [(t["id"], round(t["naf"], 3)) for t in top] == [
        ("I50978146", 145.402),
        ("I58123117", 85.129),
        ("I50870612", 83.093),
    ]


@pytest.mark.data
def test_algorithm_1_keeps_the_first_4641_images(medmkg_graph: Graph, data_dir: Path) -> None:
    pairs = pairs_of(data_dir / "medmkg" / "MedMKG.csv")
    filtered = naf.filter_images(medmkg_graph)
    assert (filtered.kept, filtered.images, filtered.concepts) == (4_641, 4_868, 3_149)
    kept = {row["id"] for row in medmkg_graph.read(SCORES) if row["kept"]}
    assert kept == set(algorithm1(pairs, ranking(oracle(pairs))))
    assert filtered.curve[-1] == (4_641, 3_149)


@pytest.mark.data
def test_explained_contributions_sum_to_the_score(medmkg_graph: Graph) -> None:
    image, contributions = naf.explain(medmkg_graph, "I50978146")
    assert math.isclose(math.fsum(c["contribution"] for c in contributions), image["naf"], abs_tol=1e-9)
    assert all(math.isclose(c["contribution"], math.log(4_868 / c["images"])) for c in contributions)


@pytest.mark.data
def test_greedy_cover_is_a_cover_and_never_larger_than_algorithm_1(medmkg_graph: Graph, data_dir: Path) -> None:
    greedy = naf.filter_images(medmkg_graph, "greedy")
    kept = {row["id"] for row in medmkg_graph.read(SCORES) if row["kept"]}
    algorithm = naf.filter_images(medmkg_graph)
    pairs = pairs_of(data_dir / "medmkg" / "MedMKG.csv")
    assert {concept for image, _, concept in pairs if image in kept} == {concept for _, _, concept in pairs}
    assert len(kept) == greedy.kept < algorithm.kept


@pytest.mark.data
def test_the_filtered_graph_can_be_exported_and_read_again(medmkg_graph: Graph, tmp_path: Path) -> None:
    naf.filter_images(medmkg_graph)
    rows = naf.export_kept(medmkg_graph, tmp_path)
    batches = list(MedMKG.find(tmp_path).batches(10**9))
    assert not any(batch.rejects for batch in batches)
    edges = [edge for batch in batches for edge in batch.edges]
    assert len(edges) == rows["MedMKG.csv"]
    assert len({head for head, _, _ in edges if head[0] == "Image"}) == 4_641
    assert sum(head[0] == "Concept" for head, _, _ in edges) == 14_682


# Few images and concepts, so that ties and conflicts of stance are common.
small_graphs = st.sets(
    st.tuples(
        st.integers(1, 8).map(lambda i: f"I{i}"),
        st.sampled_from(sorted(STANCES)),
        st.integers(1, 6).map(lambda c: f"C99{c:05d}"),
    ),
    min_size=1,
    max_size=30,
)


@example_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=small_graphs)
def test_small_graphs_with_ties_agree_with_the_oracle(graph: Graph, tmp_path: Path, pairs: Pairs) -> None:
    graph.run_unmanaged(WIPE)
    rows = [f"{image},{stance},{concept},x,name" for image, stance, concept in sorted(pairs)]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, rows)))
    naf.score(graph)
    filtered = naf.filter_images(graph)
    scores = oracle(pairs)
    found = graph.read(SCORES)
    assert {row["id"]: round(row["naf"], 9) for row in found} == {i: round(s, 9) for i, s in scores.items()}
    assert [row["id"] for row in sorted(found, key=lambda row: row["rank"])] == ranking(scores)
    kept = algorithm1(pairs, ranking(scores))
    assert {row["id"] for row in found if row["rank"] <= filtered.kept} == set(kept)


def test_conflicting_stances_count_each_or_the_strongest(graph: Graph, tmp_path: Path) -> None:
    rows = [
        "I1,POSITIVE,C9900001,x,a",
        "I1,UNCERTAIN,C9900001,x,a",
        "I1,NEGATIVE,C9900002,x,b",
        "I1,UNCERTAIN,C9900002,x,b",
        "I2,NEGATIVE,C9900003,x,c",
    ]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, rows)))
    naf.score(graph)
    assert naf.explain(graph, "I1")[0]["naf"] == pytest.approx(4 * math.log(2))
    naf.score(graph, one_stance=True)
    image, pairs = naf.explain(graph, "I1")
    assert image["naf"] == pytest.approx(2 * math.log(2)) == pytest.approx(sum(p["contribution"] for p in pairs))
    assert [pair["relation"] for pair in pairs] == ["POSITIVE", "UNCERTAIN"]
    assert naf.explain(graph, "I2")[0]["naf"] == pytest.approx(math.log(2))


def test_scores_are_brought_up_to_date_after_new_images(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", ["I1,POSITIVE,C9900001,x,a"])))
    naf.score(graph)
    naf.filter_images(graph)
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "b", ["I2,POSITIVE,C9900002,x,b"])))
    with pytest.raises(KgpError, match="out of date"):
        naf.filter_images(graph)
    assert naf.score(graph).images == 2
    assert naf.explain(graph, "I1")[0]["naf"] == pytest.approx(math.log(2))
    assert naf.filter_images(graph).kept == 2


def test_a_load_that_changes_nothing_leaves_the_scores_current(graph: Graph, tmp_path: Path) -> None:
    source = MedMKG.find(write_medmkg(tmp_path, small_rows(3, 5)))
    ingest(graph, source)
    naf.score(graph)
    ingest(graph, source)
    assert graph.read(queries.get("naf/state"))[0]["current"]


def test_images_without_stances_score_0_and_come_last(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, small_rows(3, 5))))
    graph.write(parse("t/i", "// A bare image.\nCREATE (:Image {id: 'I0'})"))
    assert naf.score(graph).images == 4
    assert naf.explain(graph, "I0") == ({"id": "I0", "naf": 0.0, "rank": 4, "kept": None, "current": True}, [])


def test_an_empty_graph_and_an_unknown_image_are_no_crash(graph: Graph) -> None:
    assert naf.score(graph).images == 0
    assert naf.filter_images(graph).kept == 0
    assert naf.filter_images(graph, "greedy").kept == 0
    with pytest.raises(NotFoundError):
        naf.explain(graph, "I404")


def test_scoring_twice_writes_the_same_bits(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, small_rows(200, 37))))
    naf.score(graph)
    first = sorted((row["id"], row["naf"], row["rank"]) for row in graph.read(SCORES))
    naf.score(graph)
    assert sorted((row["id"], row["naf"], row["rank"]) for row in graph.read(SCORES)) == first
    assert graph.read(queries.get("naf/state"))[0]["current"]
