"""Search on a real graph beside plain numpy: by text, by concept, by both; and everything that may stand in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from kgplatform import naf, queries
from kgplatform.errors import KgpError, NotFoundError, UsageError
from kgplatform.graph import Graph
from kgplatform.queries import parse
from kgplatform.retrieval import index, search
from kgplatform.retrieval.embed import embed
from kgplatform.retrieval.index import Model, Part
from kgplatform.retrieval.search import Found, Searcher
from kgplatform.schema import Stance
from kgplatform.settings import Settings
from tests.conftest import Kgp, Ran
from tests.fake_encoder import LONGEST, FakeEncoder
from tests.integration.drawn_images import IMAGES, embedded, fake_kgp, images_in, load, without_indexes

pytestmark = pytest.mark.server

Fake = Callable[..., Ran]
FAKE = FakeEncoder()
EDGES = parse(
    "t/s",
    "// Stances.\nMATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept) "
    "RETURN i.id AS i, type(r) AS r, c.cui AS c, i.naf AS naf",
)
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


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images_in(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def loaded(graph: Graph, tmp_path: Path, drawn: Path) -> Iterator[Graph]:
    """Embedded, scored."""
    load(without_indexes(graph), tmp_path / "medmkg")
    embed(graph, FAKE, images=drawn)
    naf.score(graph)
    yield graph
    without_indexes(graph)


@pytest.fixture
def fake(settings: Settings) -> Fake:
    return lambda *arguments: fake_kgp(settings.home, *arguments)


def find(graph: Graph, text: str = "", encoder: FakeEncoder = FAKE, **options: Any) -> Found:
    return Searcher(graph, lambda: encoder).search(text, **options)


def ids(found: Found) -> list[str]:
    return [hit.id for hit in found.hits]


def cosines(graph: Graph, text: str, kind: str = "I") -> dict[str, float]:
    query = FAKE.texts([text])[0].astype(float)
    return {key: float(vector @ query) for key, (vector, _) in embedded(graph).items() if key[0] == kind}


def oracle(
    graph: Graph, text: str, wanted: tuple[str, ...] = (), stance: str = "POSITIVE", without: tuple[str, ...] = ()
) -> list[str]:
    """Ids of the images that fulfil the conditions, most similar first, else highest NaF first."""
    stances = {(row["i"], row["r"], row["c"]) for row in graph.read(EDGES)}
    scores = {row["i"]: row["naf"] for row in graph.read(EDGES)}
    left = [
        image
        for image in scores
        if all((image, stance, cui) in stances for cui in wanted)
        and not any((image, "POSITIVE", cui) in stances for cui in without)
    ]
    similar = cosines(graph, text) if text else {}
    return sorted(left, key=lambda image: (-similar[image] if text else -scores[image], image))


def test_by_text_the_nearest_images_come_first(loaded: Graph) -> None:
    found = find(loaded, "a large effusion", top=12)
    wanted = oracle(loaded, "a large effusion")
    assert (found.by, ids(found), found.notes) == (Part.IMAGES, wanted[:12], ())
    similar = cosines(loaded, "a large effusion")
    for rank, hit in enumerate(found.hits, 1):
        assert (hit.rank, hit.path) == (rank, f"p/{int(hit.id[1:]) - 10_000_000}.png")
        assert hit.similarity == pytest.approx(similar[hit.id], abs=1e-5)
        assert hit.naf is not None
        assert len(hit.concepts) == 1


CONDITIONS = [
    (("C9900003",), "POSITIVE", ()),
    (("C9900003",), "NEGATIVE", ()),
    (("C9900003",), "UNCERTAIN", ()),
    (("C9900005", "C9900007"), "NEGATIVE", ()),
    (("C9900001",), "NEGATIVE", ("C9900006",)),
    (("C9900003",), "POSITIVE", ("C9900003",)),
]


@pytest.mark.parametrize(("wanted", "stance", "without"), CONDITIONS)
@pytest.mark.parametrize("text", ["", "effusion on the left"])
def test_concepts_filter_by_stance(
    loaded: Graph, text: str, wanted: tuple[str, ...], stance: str, without: tuple[str, ...]
) -> None:
    found = find(loaded, text, concepts=wanted, stance=Stance(stance), without=without, top=IMAGES)
    assert ids(found) == oracle(loaded, text, wanted, stance, without)
    assert bool(found.hits) == (wanted != without)


def test_a_text_with_only_without(loaded: Graph) -> None:
    found = find(loaded, "effusion", without=["finding C9900003"], top=IMAGES)
    assert ids(found) == oracle(loaded, "effusion", without=("C9900003",))


# A graph on which both routes of the hybrid query are worth while.

MANY, WIDTH = 1500, 16
MAKE = parse(
    "t/m",
    "// Images.\n// param rows list: id, NaF, CUIs\nUNWIND $rows AS row\n"
    "CREATE (i:Image {id: row[0], naf: row[1]})\n"
    "WITH i, row UNWIND row[2] AS cui MERGE (c:Concept {cui: cui}) CREATE (i)-[:POSITIVE]->(c)",
)


@pytest.fixture
def many(graph: Graph) -> Iterator[tuple[Graph, NDArray[np.float32], list[set[str]]]]:
    """Unit vectors; C0000001 on half of the images, C0000002 on five, C0000003 on the 600 least like the first axis."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(MANY, WIDTH))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    far = set(np.argsort(vectors[:, 0])[:600].tolist())
    cuis = [
        {"C0000009"}
        | ({"C0000001"} if rng.random() < 0.5 else set())
        | ({"C0000002"} if n % 300 == 0 else set())
        | ({"C0000003"} if n in far else set())
        for n in range(MANY)
    ]
    without_indexes(graph)
    graph.write(MAKE, rows=[[f"I{n}", n / 7, sorted(of)] for n, of in enumerate(cuis)])
    rows = [[f"I{n}", vector.tolist()] for n, vector in enumerate(vectors)]
    graph.write(queries.get("embed/write_image"), rows=rows, model="m")
    index.ensure(graph, Part.IMAGES, WIDTH)
    yield graph, vectors, cuis
    without_indexes(graph)


@pytest.mark.parametrize(
    ("wanted", "without", "route"),
    [
        (["C0000001"], [], True),
        (["C0000001"], ["C0000003"], True),
        (["C0000002"], [], False),
        (["C0000001", "C0000002"], [], False),
        (["C0000003"], [], False),  # all candidates of the index lack it
        ([], ["C0000001"], True),
        ([], ["C0000009"], False),  # no image is left
    ],
)
def test_both_routes_of_the_hybrid_query_agree_with_numpy(
    many: tuple[Graph, NDArray[np.float32], list[set[str]]], wanted: list[str], without: list[str], route: bool
) -> None:
    graph, vectors, cuis = many
    query = np.eye(WIDTH, dtype=np.float32)[0]
    left = [n for n, of in enumerate(cuis) if set(wanted) <= of and not set(without) & of]
    nearest = sorted(left, key=lambda n: -vectors[n] @ query)[:10]
    for compared, by_index in ((0, route), (10_000, False)):
        rows = graph.read(
            queries.get("search/image_both"),
            vector=query.tolist(),
            model="m",
            wanted=wanted,
            without=without,
            stance="POSITIVE",
            compared=compared,
            asked=400,
            spare=4,
            top=10,
        )
        assert [row["id"] for row in rows] == [f"I{n}" for n in nearest]
        assert {row["by_index"] for row in rows} <= {by_index}
        np.testing.assert_allclose([row["similarity"] for row in rows], vectors[nearest] @ query, atol=1e-5)


# By concepts.


def test_by_concepts_images_are_ranked_by_the_names_near_the_text(loaded: Graph) -> None:
    found = find(loaded, "finding c9900003", by=Part.CONCEPTS, top=IMAGES)
    names = sorted(cosines(loaded, "finding c9900003", "C").items(), key=lambda pair: (-pair[1], pair[0]))
    positive = {(row["i"], row["c"]) for row in loaded.read(EDGES) if row["r"] == "POSITIVE"}
    used = [(cui, s) for cui, s in names if any(c == cui for _, c in positive) and s > 0][: search.NEAR]
    assert [(one.cui, round(one.similarity, 4)) for one in found.near] == [(cui, round(s, 4)) for cui, s in used]
    assert found.near[0].name == "finding C9900003"
    scores = {row["i"]: row["naf"] for row in loaded.read(EDGES)}
    sums = {i: sum(s for cui, s in used if (i, cui) in positive) for i in scores}
    wanted = sorted((i for i, s in sums.items() if s), key=lambda i: (-round(sums[i], 4), -scores[i], i))
    assert ids(found) == wanted
    assert [hit.similarity for hit in found.hits] == pytest.approx([sums[i] for i in wanted], abs=1e-4)
    assert all(hit.matched for hit in found.hits)


def test_where_only_concepts_have_embeddings_they_are_taken_and_that_is_told(graph: Graph, tmp_path: Path) -> None:
    load(without_indexes(graph), tmp_path / "m", paths=False)
    embed(graph, FAKE, only=Part.CONCEPTS)
    found = find(graph, "finding c9900003")
    assert found.by is Part.CONCEPTS
    assert "no image has an embedding: the text is compared with the names of concepts" in found.notes
    assert found.hits[0].concepts == ("finding C9900003",)
    filtered = find(graph, "finding c9900003", concepts=["C9900007"], stance=Stance.UNCERTAIN, top=IMAGES)
    stances = {(row["i"], row["r"], row["c"]) for row in graph.read(EDGES)}
    assert filtered.hits
    assert all((image, "UNCERTAIN", "C9900007") in stances for image in ids(filtered))
    with pytest.raises(KgpError, match="no image of the graph has an embedding"):
        find(graph, "finding", by=Part.IMAGES)
    without_indexes(graph)


# Names.


def test_concepts_are_found_by_cui_and_by_name_in_any_case(loaded: Graph) -> None:
    by_cui = find(loaded, concepts=["C9900003"])
    assert by_cui.hits
    for name in ("finding C9900003", "FINDING c9900003", " c9900003 "):
        assert find(loaded, concepts=[name]).hits == by_cui.hits


def test_a_name_may_lack_what_stands_in_brackets_unless_several_do(loaded: Graph) -> None:
    make = parse(
        "t/b",
        "// One.\n// param cui string: it\nMATCH (i:Image {id: 'I10000001'}) "
        "CREATE (i)-[:POSITIVE]->(:Concept {cui: $cui, name: 'Lung collapse (' + $cui + ')'})",
    )
    loaded.write(make, cui="C1111111")
    loaded.run_unmanaged(queries.get("ingest/await_indexes"))
    assert ids(find(loaded, concepts=["lung COLLAPSE"])) == ["I10000001"]
    loaded.write(make, cui="C1111112")
    loaded.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="2 concepts are named lung collapse"):
        find(loaded, concepts=["lung collapse"])


def test_unknown_and_ambiguous_names_suggest_others(loaded: Graph) -> None:
    with pytest.raises(NotFoundError, match="no concept is named finding") as unknown:
        find(loaded, concepts=["finding"])
    assert "finding C99000" in unknown.value.hint
    with pytest.raises(NotFoundError, match="no concept is named zebra"):
        find(loaded, without=["zebra"], concepts=["C9900003"])
    loaded.write(parse("t/d", "// The same name.\nCREATE (:Concept {cui: 'C1111111', name: 'Finding c9900003'})"))
    loaded.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="2 concepts are named finding c9900003") as ambiguous:
        find(loaded, concepts=["finding c9900003"])
    assert "C1111111" in ambiguous.value.hint
    assert "C9900003" in ambiguous.value.hint


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_a_parameter(loaded: Graph, text: str) -> None:
    assert len(find(loaded, text).hits) == 10
    assert len(find(loaded, text, concepts=["C9900003"], without=["C9900001"]).hits) > 0
    with pytest.raises(NotFoundError):
        find(loaded, concepts=[text])


# What may stand in the way.


def test_without_embeddings_it_says_how_to_make_them(graph: Graph, tmp_path: Path) -> None:
    load(without_indexes(graph), tmp_path / "m")
    with pytest.raises(KgpError, match="no image of the graph has an embedding") as missing:
        find(graph, "effusion")
    assert "kgp embed --only images --images DIR" in missing.value.hint
    with pytest.raises(KgpError, match="no concept of the graph has an embedding"):
        find(graph, "effusion", by=Part.CONCEPTS)
    found = find(graph, concepts=["C9900003"])
    assert found.hits
    assert found.notes == ("the NaF scores have not been computed, and rank the images: run `kgp naf score`",)


def test_another_model_and_a_missing_or_foreign_index_are_told(loaded: Graph) -> None:
    other = FakeEncoder("other")
    with pytest.raises(KgpError, match="the images have embeddings of fake-1, not of other-1"):
        find(loaded, "effusion", other)
    with pytest.raises(KgpError, match="the concepts have embeddings of fake-1, not of other-1"):
        find(loaded, "effusion", other, by=Part.CONCEPTS)
    searcher = Searcher(loaded, lambda: FAKE)
    wanted = ids(searcher.search("effusion"))
    index.drop(loaded, Part.IMAGES)
    for one in (searcher, Searcher(loaded, lambda: FAKE)):
        with pytest.raises(KgpError, match="the index image_embedding is missing"):
            one.search("effusion")
    loaded.run_unmanaged(queries.get("embed/index_image"), config={"vector.dimensions": 7})
    loaded.run_unmanaged(queries.get("ingest/await_indexes"))
    for one in (searcher, Searcher(loaded, lambda: FAKE)):
        with pytest.raises(KgpError, match="has 7 dimensions and the similarity COSINE, the model's vectors have 32"):
            one.search("effusion")
    index.ensure(loaded, Part.IMAGES, 32)
    assert ids(searcher.search("effusion")) == wanted, "a warm searcher sees that it was mended"


def test_embeddings_replaced_meanwhile_are_never_compared_with_the_wrong_model(loaded: Graph, drawn: Path) -> None:
    searcher = Searcher(loaded, lambda: FAKE)
    assert searcher.search("effusion").hits
    embed(loaded, FakeEncoder("other"), images=drawn, replace=True)
    for concepts in ((), ("C9900003",)):
        with pytest.raises(KgpError, match="the images have embeddings of other-1, not of fake-1"):
            searcher.search("effusion", concepts=concepts)


def test_an_index_that_is_being_built_is_told(loaded: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    state = index.state(loaded, Part.IMAGES)
    building = index.State(
        Part.IMAGES, state.nodes, state.readable, state.models, index.Index("POPULATING", 41.7, 32, "COSINE")
    )
    monkeypatch.setattr(index, "state", lambda graph, part: building)
    with pytest.raises(KgpError, match="still being built, 42 %"):
        find(loaded, "effusion")


def test_a_text_longer_than_the_model_reads_is_told_and_its_end_counts(loaded: Graph) -> None:
    words = " ".join(f"word{number}" for number in range(LONGEST))
    one, other = (find(loaded, f"{words} {end}") for end in ("effusion left", "pacemaker right lung"))
    for found in (one, other):
        [told] = found.notes
        assert f"the model reads {LONGEST} at a time" in told
        assert "the first ends with" in told
    assert [hit.similarity for hit in one.hits] != [hit.similarity for hit in other.hits]


def test_new_images_without_embedding_are_a_note(loaded: Graph) -> None:
    loaded.write(parse("t/n", "// Two more.\nCREATE (:Image {id: 'I1'}), (:Image {id: 'I2'})"))
    found = find(loaded, "effusion")
    assert found.notes == ("2 of 32 images have no embedding of this model and are not found by text",)
    assert len(found.hits) == 10


def test_nothing_to_search_for_is_a_usage_error(loaded: Graph) -> None:
    for options in ({}, {"without": ["C9900003"]}, {"concepts": ["C9900003"], "by": Part.IMAGES}):
        with pytest.raises(UsageError):
            find(loaded, "  ", **options)
    for text, top in (("x" * 10_001, 10), ("x", 0), ("x", 10_001)):
        with pytest.raises(UsageError):
            find(loaded, text, top=top)
    with pytest.raises(UsageError, match="a text needs an encoder"):
        Searcher(loaded).search("effusion")


def test_the_encoder_is_opened_once_and_only_for_a_text(loaded: Graph) -> None:
    opened: list[int] = []

    def encoder() -> FakeEncoder:
        opened.append(1)
        return FAKE

    searcher = Searcher(loaded, encoder)
    searcher.search(concepts=["C9900003"])
    assert opened == []
    searcher.search("effusion")
    searcher.search("edema")
    assert opened == [1]
    assert Model.of(FAKE).digits == FAKE.sha256[:16]


# The command.


def test_the_command_prints_a_table_and_json(loaded: Graph, fake: Fake) -> None:
    done = fake("search", "effusion on the left", "--concept", "finding c9900003", "--without", "C9900001", "--top", 3)
    assert (done.code, done.err) == (0, "")
    header, _, first, *_ = done.out.splitlines()
    assert header.split() == ["rank", "id", "similarity", "naf", "path", "concepts"]
    wanted = oracle(loaded, "effusion on the left", ("C9900003",), without=("C9900001",))
    assert first.split()[:2] == ["1", wanted[0]]
    document = fake("search", "effusion on the left", "--top", 4, "--json").json
    assert document["by"] == "images"
    assert [hit["id"] for hit in document["hits"]] == oracle(loaded, "effusion on the left")[:4]
    by_concepts = fake("search", "finding c9900003", "--by", "concepts", "--top", 2)
    assert by_concepts.code == 0, by_concepts.err
    assert "finding C9900003 1.000" in by_concepts.out
    negative = fake("search", "--concept", "C9900003", "--stance", "negative", "--json").json
    assert (negative["by"], [hit["similarity"] for hit in negative["hits"]][:1]) == (None, [None])


def test_the_command_draws_a_contact_sheet(loaded: Graph, fake: Fake, drawn: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "found.png"
    arguments = ("search", "effusion", "--top", 7, "--images", drawn, "--contact-sheet", sheet)
    done = fake(*arguments)
    assert done.code == 0, done.err
    assert f"{sheet}: 7 of 7 images" in done.err
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert image.width > 5 * 256


def test_what_is_wrong_is_one_clear_line(loaded: Graph, fake: Fake, tmp_path: Path) -> None:
    cases: list[tuple[tuple[Any, ...], int, str]] = [
        ((), 2, "there is nothing to search for"),
        (("x", "--stance", "negative"), 2, "--stance is about"),
        (("x", "--contact-sheet", tmp_path / "x.png"), 2, "needs the folder"),
        (("x", "--model", "other"), 1, "have embeddings of fake-1, not of other-1"),
        (("x", "--concept", "zebra"), 1, "no concept is named zebra"),
        (("x", "--images", tmp_path, "--contact-sheet", tmp_path / "x.jpg"), 1, "a contact sheet is a .png"),
        (("x", "--images", tmp_path, "--contact-sheet", tmp_path / "no" / "x.png"), 1, "there is no such folder"),
        (("x", "--images", tmp_path / "no", "--contact-sheet", tmp_path / "x.png"), 1, "there is no such folder"),
        (("x", "--concept", "zebra " * 999), 2, "a concept's name of more than 1,000 characters"),
    ]
    for arguments, code, told in cases:
        done = fake("search", *arguments)
        assert (done.code, told in done.err) == (code, True), (arguments, done.err)
        assert "Traceback" not in done.err
        assert len(done.err.splitlines()) <= 2


@pytest.mark.parametrize("typed", ["pleural effuson", "Plueral effusion", "PLEURAL EFFUSIONS", "pleural-efusion"])
def test_a_concept_with_a_typing_error_is_suggested_with_its_cui(loaded: Graph, typed: str) -> None:
    make = parse("t/s", "// Two.\nUNWIND [['C0032227', 'Pleural effusion'], ['C0032285', 'Pneumonia']] AS row\n"
                        "CREATE (:Concept {cui: row[0], name: row[1]})")  # fmt: skip
    loaded.write(make)
    loaded.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="no concept is named") as unknown:
        find(loaded, concepts=["C9900003"], without=[typed])
    assert unknown.value.hint == "Did you mean Pleural effusion (C0032227)?"


def test_other_names_of_the_graph_are_suggested(loaded: Graph, kgp: Kgp) -> None:
    for arguments, suggested in (
        (("naf", "explain", "I1000001"), "Did you mean I10000001"),
        (("naf", "explain", "10000001"), "Did you mean I10000001"),
        (("construct", "explain", "I1000001", "C9900003"), "Did you mean I10000001"),
        (("export", "csv", "--relation", "postive", "--out", "x"), "Did you mean POSITIVE?"),
        (("export", "csv", "--around", "C990003", "--out", "x"), "Did you mean C9900003"),
        (("query", "explore/figur3"), "Did you mean explore/figure3"),
        (("query", "explore/figure3", "--param", "nmes=[]"), "Did you mean names?"),
    ):
        refused = kgp(*arguments)
        assert refused.code in (1, 2), arguments
        assert suggested in refused.err, arguments
