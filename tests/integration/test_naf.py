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
from kgplatform.queries import parse_query
from tests.conftest import WIPE
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server

SCORES = parse_query(
    "t/s", "// Scores.\nMATCH (i:Image) RETURN i.id AS id, i.naf AS naf, i.naf_rank AS rank, i.naf_kept AS kept"
)
STANCES = {"POSITIVE", "NEGATIVE", "UNCERTAIN"}

Pairs = set[tuple[str, str, str]]


def read_pairs_by_image(path: Path) -> Pairs:
    with path.open(newline="", encoding="utf-8") as csv_file:
        return {
            (csv_row["Head"], csv_row["Relation"], csv_row["Tail"])
            for csv_row in csv.DictReader(csv_file)
            if csv_row["Relation"] in STANCES
        }


def reference_naf_scores(pairs: Pairs) -> dict[str, float]:
    images = {image for image, _, _ in pairs}
    image_counts: dict[tuple[str, str], int] = defaultdict(int)
    for _, relation, concept in pairs:
        image_counts[relation, concept] += 1
    terms: dict[str, list[float]] = defaultdict(list)
    for image, relation, concept in pairs:
        terms[image].append(math.log(len(images) / image_counts[relation, concept]))
    return {image: math.fsum(image_terms) for image, image_terms in terms.items()}


def reference_naf_ranking(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda image: (-round(scores[image], 9), image))


def algorithm1(pairs: Pairs, order: list[str]) -> list[str]:
    concepts = {concept for _, _, concept in pairs}
    concepts_by_image: dict[str, set[str]] = defaultdict(set)
    for image, _, concept in pairs:
        concepts_by_image[image].add(concept)
    selected: list[str] = []
    covered: set[str] = set()
    for image in order:
        if covered == concepts:
            break
        selected.append(image)
        covered |= concepts_by_image[image]
    return selected


@pytest.mark.data
def test_scores_and_ranks_of_the_released_graph(medmkg_graph: Graph, data_dir: Path) -> None:
    expected = reference_naf_scores(read_pairs_by_image(data_dir / "medmkg" / "MedMKG.csv"))
    scores_by_image = {score_row["id"]: score_row for score_row in medmkg_graph.read(SCORES)}
    assert scores_by_image.keys() == expected.keys()
    assert len(scores_by_image) == 4_868
    assert max(abs(scores_by_image[image]["naf"] - expected[image]) for image in expected) < 1e-9
    assert sorted(scores_by_image, key=lambda image: scores_by_image[image]["rank"]) == reference_naf_ranking(expected)
    top_images = naf.score(medmkg_graph, top=3).top
    assert [(top_image["id"], round(top_image["naf"], 3)) for top_image in top_images] == [
        ("I50978146", 145.402),
        ("I58123117", 85.129),
        ("I50870612", 83.093),
    ]


@pytest.mark.data
def test_algorithm_1_keeps_the_first_4641_images(medmkg_graph: Graph, data_dir: Path) -> None:
    pairs = read_pairs_by_image(data_dir / "medmkg" / "MedMKG.csv")
    filtered = naf.filter_images(medmkg_graph)
    assert (filtered.kept, filtered.images, filtered.concepts) == (4_641, 4_868, 3_149)
    kept_ids = {score_row["id"] for score_row in medmkg_graph.read(SCORES) if score_row["kept"]}
    assert kept_ids == set(algorithm1(pairs, reference_naf_ranking(reference_naf_scores(pairs))))
    assert filtered.curve[-1] == (4_641, 3_149)


@pytest.mark.data
def test_explained_contributions_sum_to_the_score(medmkg_graph: Graph) -> None:
    image, contributions = naf.explain(medmkg_graph, "I50978146")
    assert math.isclose(
        math.fsum(concept_number["contribution"] for concept_number in contributions), image["naf"], abs_tol=1e-9
    )
    assert all(
        math.isclose(concept_number["contribution"], math.log(4_868 / concept_number["images"]))
        for concept_number in contributions
    )


@pytest.mark.data
def test_greedy_cover_is_a_cover_and_never_larger_than_algorithm_1(medmkg_graph: Graph, data_dir: Path) -> None:
    greedy = naf.filter_images(medmkg_graph, "greedy")
    kept_ids = {score_row["id"] for score_row in medmkg_graph.read(SCORES) if score_row["kept"]}
    algorithm = naf.filter_images(medmkg_graph)
    pairs = read_pairs_by_image(data_dir / "medmkg" / "MedMKG.csv")
    assert {concept for image, _, concept in pairs if image in kept_ids} == {concept for _, _, concept in pairs}
    assert len(kept_ids) == greedy.kept < algorithm.kept


@pytest.mark.data
def test_the_filtered_graph_can_be_exported_and_read_again(medmkg_graph: Graph, tmp_path: Path) -> None:
    naf.filter_images(medmkg_graph)
    row_counts = naf.export_selected(medmkg_graph, tmp_path)
    batches = list(MedMKG.find(tmp_path).batches(10**9))
    assert not any(batch.rejects for batch in batches)
    edges = [edge for batch in batches for edge in batch.edges]
    assert len(edges) == row_counts["MedMKG.csv"]
    assert len({head for head, _, _ in edges if head[0] == "Image"}) == 4_641
    assert sum(head[0] == "Concept" for head, _, _ in edges) == 14_682


# Few images and concepts, so that ties and conflicts of stance are common.
small_graphs = st.sets(
    st.tuples(
        st.integers(1, 8).map(lambda image_number: f"I{image_number}"),
        st.sampled_from(sorted(STANCES)),
        st.integers(1, 6).map(lambda concept_number: f"C99{concept_number:05d}"),
    ),
    min_size=1,
    max_size=30,
)


@example_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=small_graphs)
def test_small_graphs_with_ties_agree_with_the_oracle(graph: Graph, tmp_path: Path, pairs: Pairs) -> None:
    graph.run_unmanaged(WIPE)
    medmkg_rows = [f"{image},{stance},{concept},x,name" for image, stance, concept in sorted(pairs)]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, medmkg_rows)))
    naf.score(graph)
    filtered = naf.filter_images(graph)
    scores = reference_naf_scores(pairs)
    score_rows = graph.read(SCORES)
    assert {score_row["id"]: round(score_row["naf"], 9) for score_row in score_rows} == {
        image_id: round(naf_score, 9) for image_id, naf_score in scores.items()
    }
    assert [
        score_row["id"] for score_row in sorted(score_rows, key=lambda score_row: score_row["rank"])
    ] == reference_naf_ranking(scores)
    kept_ids = algorithm1(pairs, reference_naf_ranking(scores))
    assert {score_row["id"] for score_row in score_rows if score_row["rank"] <= filtered.kept} == set(kept_ids)


def test_conflicting_stances_count_each_or_the_strongest(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = [
        "I1,POSITIVE,C9900001,x,a",
        "I1,UNCERTAIN,C9900001,x,a",
        "I1,NEGATIVE,C9900002,x,b",
        "I1,UNCERTAIN,C9900002,x,b",
        "I2,NEGATIVE,C9900003,x,c",
    ]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, medmkg_rows)))
    naf.score(graph)
    assert naf.explain(graph, "I1")[0]["naf"] == pytest.approx(4 * math.log(2))
    naf.score(graph, one_stance=True)
    image, stance_terms = naf.explain(graph, "I1")
    assert (
        image["naf"]
        == pytest.approx(2 * math.log(2))
        == pytest.approx(sum(term["contribution"] for term in stance_terms))
    )
    assert [stance_term["relation"] for stance_term in stance_terms] == ["POSITIVE", "UNCERTAIN"]
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
    medmkg_source = MedMKG.find(write_medmkg(tmp_path, small_rows(3, 5)))
    ingest(graph, medmkg_source)
    naf.score(graph)
    ingest(graph, medmkg_source)
    assert graph.read(queries.get("naf/state"))[0]["current"]


def test_images_without_stances_score_0_and_come_last(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path, small_rows(3, 5))))
    graph.write(parse_query("t/i", "// A bare image.\nCREATE (:Image {id: 'I0'})"))
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
    first_scores = sorted((score_row["id"], score_row["naf"], score_row["rank"]) for score_row in graph.read(SCORES))
    naf.score(graph)
    assert (
        sorted((score_row["id"], score_row["naf"], score_row["rank"]) for score_row in graph.read(SCORES))
        == first_scores
    )
    assert graph.read(queries.get("naf/state"))[0]["current"]
