"""Bring your own graph: columns found or given, types by column or pattern, and no name outside the schema."""

from __future__ import annotations

import csv
import random
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import MAX_ID, NEARLY_OWN, Triples, type_name
from kgplatform.batches import GraphBatch, NodeRef
from kgplatform.errors import InputError, UsageError
from kgplatform.schema import CONCEPT_ID, IMAGE_ID, LABEL, relation_problem

HEADER = "head,relation,tail\n"


def _load_triples(path: Path, text: str, **options: Any) -> GraphBatch:
    path.write_text(text, encoding="utf-8")
    [batch] = Triples(path, **options).batches(100_000)
    return batch


def _batch_edges(batch: GraphBatch) -> list[tuple[NodeRef, str, NodeRef]]:
    return list(batch.edges)


def thing_node(key: str) -> NodeRef:
    return ("Thing", key)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "own.csv"


@pytest.mark.parametrize(
    "header",
    [
        "head,relation,tail",
        "Subject,Predicate,Object",
        "h,r,t",
        "x_id,relation,y_id",
        "SOURCE,metaedge,TARGET",
        ":START_ID,:TYPE,:END_ID",
    ],
)
def test_common_column_names_are_known(file: Path, header: str) -> None:
    assert _batch_edges(_load_triples(file, f"{header}\na,knows,b\n")) == [
        (thing_node("Thing:a"), "knows", thing_node("Thing:b"))
    ]


def test_columns_can_be_given_in_any_case(file: Path) -> None:
    batch = _load_triples(file, "to,how,from\nb,knows,a\n", columns={"relation": "HOW"})
    assert _batch_edges(batch) == [(thing_node("Thing:a"), "knows", thing_node("Thing:b"))]


def test_columns_that_cannot_be_found(file: Path) -> None:
    with pytest.raises(InputError, match="no column is recognised as relation, tail") as refusal:
        _load_triples(file, "head,how,whom\na,knows,b\n")
    assert "--column relation=NAME --column tail=NAME" in refusal.value.hint
    assert "head, how, whom" in refusal.value.hint
    with pytest.raises(InputError, match="the header lacks nowhere"):
        _load_triples(file, HEADER, columns={"head": "nowhere"})
    with pytest.raises(UsageError, match="no role tial"):
        _load_triples(file, HEADER, columns={"tial": "tail"})


@pytest.mark.parametrize(
    "text", ["FINDINGS: the lungs are clear", "No effusion", "The heart is not enlarged, the lungs are clear of it"]
)
def test_a_report_in_place_of_a_table_is_not_repeated(file: Path, text: str) -> None:
    with pytest.raises(InputError) as refusal:
        _load_triples(file, f"{text}\n")
    assert not any(word in refusal.value.hint for word in ("clear", "effusion", "enlarged"))


def test_types_from_columns(file: Path) -> None:
    records = ("9796,gene/protein,PHYHIP,ppi,56992,Drug,", "I1,image,,POSITIVE,C9900001,concept,Opacity")
    batch = _load_triples(file, "\n".join(["x_id,x_type,x_name,relation,y_id,y_type,y_name", *records]))
    assert batch.nodes == {
        thing_node("GeneProtein:9796"): {"type": "GeneProtein", "name": "PHYHIP"},
        thing_node("Drug:56992"): {"type": "Drug"},
        ("Image", "I1"): {},
        ("Concept", "C9900001"): {"name": "Opacity"},
    }
    assert _batch_edges(batch)[1] == (("Image", "I1"), "POSITIVE", ("Concept", "C9900001"))


def test_types_from_patterns_the_first_wins_and_the_whole_id_must_match(file: Path) -> None:
    table_text = HEADER + "ENSG01,binds,ENSG01x\nI12,positive,C9900001\n"
    batch = _load_triples(file, table_text, types=[r"Gene=ENSG\d+", "Other=ENSG.*", r"Image=I\d+", r"Concept=C\d{7}"])
    assert _batch_edges(batch) == [
        (thing_node("Gene:ENSG01"), "binds", thing_node("Other:ENSG01x")),
        (("Image", "I12"), "POSITIVE", ("Concept", "C9900001")),
    ]


@pytest.mark.parametrize(
    "pattern",
    ["Gene", "gene=x", "Run=x", "Entity=x", "Ge`ne=x", "Gene=(", "Gene=a)|(b", "Gene=(?=x)", r"Gene=(x)\1", "=x"],
)
def test_patterns_that_are_none(file: Path, pattern: str) -> None:
    with pytest.raises(UsageError):
        _load_triples(file, HEADER, types=[pattern])


def test_no_pattern_hangs_a_load(file: Path) -> None:
    records = "".join(f"{'a' * (MAX_ID - 4)}{number},knows,b\n" for number in range(200))
    start_time = time.monotonic()
    batch = _load_triples(file, HEADER + records, types=["Evil=(a+)+b", "Worse=(a|a)*c", "Worst=(.*)*(.*)*(.*)*x"])
    assert len(batch.edges) == 200
    assert time.monotonic() - start_time < 2


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Gene", "Gene"),
        ("gene/protein", "GeneProtein"),
        ("biological_process", "BiologicalProcess"),
        ("Gene_Product", "Gene_Product"),
        ("biolink:ChemicalEntity", "BiolinkChemicalEntity"),
        ("mRNA", "MRNA"),
        ("", None),
        ("///", None),
        ("5-HT", None),
        ("Maß", None),
        ("x" * 64, None),
    ],
)
def test_types_become_labels(text: str, label: str | None) -> None:
    assert type_name(text) == label


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("I12,isa,C9900001", "joined by POSITIVE"),
        ("a,POSITIVE,b", "does not join Thing to Thing"),
        ("a,off-label use,b", "letters, digits"),
        ("C9900001,isa,C9900001", "related to itself"),
        (",knows,b", "the head must be"),
        ("a,knows, ", "the tail must be"),
        ("a,knows,b\u202eb", "the tail must be"),
        (f"{'a' * 1001},knows,b", "the head must be"),
    ],
)
def test_rows_that_cannot_stand(file: Path, row: str, reason: str) -> None:
    batch = _load_triples(file, f"{HEADER}{row}\na,knows,b\n")
    assert (batch.read, len(batch.edges), [reject.row for reject in batch.rejects]) == (2, 1, [2])
    assert reason in batch.rejects[0].reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,Image,knows,b,Gene", "its id must be I"),
        ("x,concept,knows,b,Gene", "its id must be C"),
        ("C990000\u0661,Concept,isa,C9900001,Concept", "its id must be C"),
        ("x,run,knows,b,Gene", "one of the platform's own"),
        ("x,Entity,knows,b,Gene", "one of the platform's own"),
        ("x,,knows,b,Gene", "the head's type"),
        ("x,Gene,knows,b,ü", "the tail's type"),
    ],
)
def test_types_that_cannot_stand(file: Path, row: str, reason: str) -> None:
    batch = _load_triples(file, f"head,head_type,relation,tail,tail_type\n{row}\n")
    assert reason in batch.rejects[0].reason
    assert not batch.edges


def test_a_thing_may_be_related_to_itself_and_the_first_name_stays(file: Path) -> None:
    batch = _load_triples(file, "head,relation,tail,head_name\na,binds,a,A\na,knows,b,B\n")
    assert len(batch.edges) == 2
    assert batch.nodes[thing_node("Thing:a")] == {"type": "Thing", "name": "A"}


def test_parquet_and_tsv_give_the_same_as_csv(tmp_path: Path) -> None:
    columns = {"head": ["a", "C9900001"], "relation": ["knows", "isa"], "tail": ["1", "2"]}
    pq.write_table(pa.table({**columns, "tail": [1, 2]}), tmp_path / "own.parquet")
    for suffix, delimiter in (("csv", ","), ("tsv", "\t")):
        with (tmp_path / f"own.{suffix}").open("w", encoding="utf-8", newline="") as table_file:
            csv.writer(table_file, delimiter=delimiter).writerows([columns, *zip(*columns.values(), strict=True)])
    batches = [next(Triples(tmp_path / f"own.{suffix}").batches(10)) for suffix in ("csv", "tsv", "parquet")]
    assert batches[0].edges == batches[1].edges == batches[2].edges
    assert len(batches[0].edges) == 2


def test_parameters_tell_the_outcome(file: Path) -> None:
    file.write_text("Subject,p,o,Target\n", encoding="utf-8")
    source = Triples(file, {"relation": "P", "tail": "TARGET"}, ["Gene=G.*"])
    assert source.parameters == {
        "columns": {"head": "Subject", "relation": "p", "tail": "Target"},
        "types": ["Gene=G.*"],
    }


def test_a_column_has_one_role(file: Path) -> None:
    file.write_text("a,b,c\n", encoding="utf-8")
    with pytest.raises(UsageError, match="are the same column, a"):
        Triples(file, {"head": "a", "relation": "b", "tail": "a"})


PIECES = (
    *("`", "``", "\\u0060", "\\", "'", '"', "{", "}", "[", "]", "(", ")", "-->", ";", "//", "/*", "*/", "$x", ":", "|"),
    *("\x00", "\t", " ", "\x1b[31m", "\u202e", "\u200f", "\u200d", "\u2028", "\ufeff", "\u0661", "%00", "é", "e\u0301"),
    *("🫁", "👩\u200d⚕️", "DETACH DELETE n", "CALL dbms.shutdown()", "MATCH (n)", "RETURN 1", "=cmd|'/c'!A1"),
    *("LOAD CSV FROM 'file:///etc/passwd' AS x", "isa", "POSITIVE", "C9900001", "I12", "Concept", "Run", "Gene"),
    *("A" * 64, "x" * 101, "x" * 10_240, ""),
)


def payloads(count: int) -> list[str]:
    generator = random.Random(17)
    random_texts = ["".join(generator.choices(PIECES, k=generator.randint(1, 4))) for _ in range(count)]
    return [*PIECES, *random_texts]


def check_names(batch: GraphBatch) -> None:
    """Anything that is in the batch keeps to the schema."""
    for node_label, node_key in batch.nodes:
        if node_label == "Image":
            assert IMAGE_ID.fullmatch(node_key) and node_key.isascii()
        elif node_label == "Concept":
            assert CONCEPT_ID.fullmatch(node_key) and node_key.isascii()
        else:
            type_label, _, identity = node_key.partition(":")
            assert node_label == "Thing"
            assert LABEL.fullmatch(type_label)
            assert type_label not in {"Image", "Concept", "Entity", "Run", "Platform"}
            assert identity and identity.isprintable() and len(identity) <= MAX_ID
    for head, relation, tail in batch.edges:
        assert relation_problem(relation, head[0], tail[0]) is None
        assert {head, tail} <= batch.nodes.keys()
    for properties in batch.nodes.values():
        assert properties.keys() <= {"type", "name", "dataset", "study_id", "path", "subject_id"}
        assert "\x00" not in "".join(properties.values())


def test_a_thousand_hostile_names_in_every_column(tmp_path: Path) -> None:
    good_row = ["a", "Gene", "A", "knows", "b", "Gene", "B"]
    header = ["head", "head_type", "head_name", "relation", "tail", "tail_type", "tail_name"]
    records = [
        [*good_row[:column_index], payload, *good_row[column_index + 1 :]]
        for payload in payloads(1_000)
        for column_index in range(len(good_row))
    ]
    table_path = tmp_path / "hostile.csv"
    with table_path.open("w", encoding="utf-8", newline="") as table_file:
        csv.writer(table_file, quoting=csv.QUOTE_ALL).writerows([header, *records])
    batches = list(Triples(table_path).batches(1_000))
    for batch in batches:
        check_names(batch)
        assert all(reject.path == table_path and 2 <= reject.row <= len(records) + 1 for reject in batch.rejects)
    assert sum(batch.read for batch in batches) == len(records)
    assert sum(len(batch.rejects) for batch in batches) > 1_000


def test_a_thousand_hostile_names_in_every_column_of_medmkg(tmp_path: Path) -> None:
    good_row = ["C9900001", "isa", "C9900002", "A", "B"]
    records = [
        [*good_row[:column_index], payload, *good_row[column_index + 1 :]]
        for payload in payloads(1_000)
        for column_index in range(len(good_row))
    ]
    mapping_rows = [["I12", payload] for payload in payloads(1_000)] + [
        [payload, "a.jpg"] for payload in payloads(1_000)
    ]
    with (tmp_path / "MedMKG.csv").open("w", encoding="utf-8", newline="") as table_file:
        csv.writer(table_file, quoting=csv.QUOTE_ALL).writerows(
            [["Head", "Relation", "Tail", "Head_Name", "Tail_Name"], *records]
        )
    with (tmp_path / "image_mapping.csv").open("w", encoding="utf-8", newline="") as table_file:
        csv.writer(table_file, quoting=csv.QUOTE_ALL).writerows([["IID", "Image_Path"], *mapping_rows])
    batches = list(MedMKG.find(tmp_path).batches(1_000))
    for batch in batches:
        check_names(batch)
    assert sum(batch.read for batch in batches) == len(records) + len(mapping_rows)


@pytest.mark.data
def test_the_released_graph_loads_as_triples_too(data_dir: Path) -> None:
    edge_count = sum(len(batch.edges) for batch in Triples(data_dir / "medmkg" / "MedMKG.csv").batches(10_000))
    assert edge_count == 35_387


def test_spaces_around_values_are_no_part_of_them(file: Path) -> None:
    batch = _load_triples(file, "head, relation, tail\n C0000001 , treats, C0000002\nI1, positive , C0000002\n")
    assert not batch.rejects
    concept, other = ("Concept", "C0000001"), ("Concept", "C0000002")
    assert _batch_edges(batch) == [(concept, "treats", other), (("Image", "I1"), "POSITIVE", other)]


def test_ids_that_are_nearly_those_of_concepts_and_images_are_loaded_with_a_remark(file: Path) -> None:
    batch = _load_triples(file, f"{HEADER}C32227,has,c0032227\ni12,has,C0032227\nCX3,has,I-7\n")
    assert [ref for ref in batch.nodes if ref[0] != "Thing"] == [("Concept", "C0032227")]
    assert batch.remarks == {NEARLY_OWN: 3}
    assert not batch.left_out
    typed = _load_triples(file, "head,head_type,relation,tail,tail_type\nC32227,NCIt,has,C15220,NCIt\n")
    assert not typed.remarks, "a column says what they are"
