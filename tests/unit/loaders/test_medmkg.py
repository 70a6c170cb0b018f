"""The MedMKG loader: the released files come out whole, and nothing but MedMKG's form gets in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform.batches import GraphBatch, NodeRef
from kgplatform.errors import InputError

HEADER = "Head,Relation,Tail,Head_Name,Tail_Name\n"


def _load_batches(folder: Path, triples: str, mapping: str | None = None, size: int = 100) -> list[GraphBatch]:
    (folder / "MedMKG.csv").write_text(HEADER + triples, encoding="utf-8")
    if mapping is not None:
        (folder / "image_mapping.csv").write_text("IID,Image_Path\n" + mapping, encoding="utf-8")
    return list(MedMKG.find(folder).batches(size))


def test_a_stance_and_a_relation(tmp_path: Path) -> None:
    [batch] = _load_batches(
        tmp_path, "I123,POSITIVE,C9900001,Image_I123,Opacity\nC9900001,isa,C9900002,Opacity,Finding\n"
    )
    assert batch.nodes == {
        ("Image", "I123"): {"dataset": "MIMIC-CXR", "study_id": "123"},
        ("Concept", "C9900001"): {"name": "Opacity"},
        ("Concept", "C9900002"): {"name": "Finding"},
    }
    assert list(batch.edges) == [
        (("Image", "I123"), "POSITIVE", ("Concept", "C9900001")),
        (("Concept", "C9900001"), "isa", ("Concept", "C9900002")),
    ]
    assert (batch.read, batch.rejects, batch.enrich) == (2, [], False)


def test_the_mapping_comes_last_and_only_completes(tmp_path: Path) -> None:
    image_path = "files/p10/p10000001/s123/a.jpg"
    batches = _load_batches(tmp_path, "I123,POSITIVE,C9900001,x,y\n", f"I123,{image_path}\nI456,elsewhere/b.png\n")
    assert [batch.enrich for batch in batches] == [False, True]
    assert batches[1].nodes == {
        ("Image", "I123"): {"path": image_path, "subject_id": "10000001"},
        ("Image", "I456"): {"path": "elsewhere/b.png"},
    }


def test_batches_hold_as_many_rows_as_asked_for(tmp_path: Path) -> None:
    triple_rows = "".join(f"C990000{number},isa,C9900009,a,b\n" for number in range(7)) + "bad,row\n"
    batches = _load_batches(tmp_path, triple_rows, size=3)
    assert [batch.read for batch in batches] == [3, 3, 2]
    assert [len(batch.rejects) for batch in batches] == [0, 0, 1]


def test_a_double_row_stands_once_and_the_first_name_stays(tmp_path: Path) -> None:
    [batch] = _load_batches(tmp_path, "C9900001,isa,C9900002,,b\n" + "C9900001,isa,C9900002,a,x\n")
    assert (batch.read, len(batch.edges)) == (2, 1)
    assert batch.nodes == {("Concept", "C9900001"): {"name": "a"}, ("Concept", "C9900002"): {"name": "b"}}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("I12,isa,C9900001,x,y", "joined by POSITIVE"),
        ("C9900001,POSITIVE,C9900002,x,y", "does not join Concept to Concept"),
        ("C9900001,SHOWS,C9900002,x,y", "does not join"),
        ("C9900001,isa,I12,x,y", "the tail is not a concept"),
        ("I12,POSITIVE,I13,x,y", "the tail is not a concept"),
        ("C9900001,isa,C9900001,x,y", "related to itself"),
        (",isa,C9900001,x,y", "the head is neither"),
        (" C9900001,isa,C9900002,x,y", "the head is neither"),
        ("C990000\u0661,isa,C9900002,x,y", "neither an image"),
        ("I\uff11\uff12,POSITIVE,C9900002,x,y", "neither an image"),
        ("C9900001,is a,C9900002,x,y", "the relation name"),
        ("C9900001,,C9900002,x,y", "the relation name"),
        ("C9900001,`isa`,C9900002,x,y", "the relation name"),
        ("C9900001,isa,C9900002,x," + "y" * 10_001, "longer than 10,000"),
        ("C9900001,isa,C9900002,x", "4 values, the header 5"),
    ],
)
def test_rows_that_are_not_medmkg(tmp_path: Path, row: str, reason: str) -> None:
    [batch] = _load_batches(tmp_path, f"{row}\nC9900001,isa,C9900002,x,y\n")
    assert (batch.read, len(batch.edges)) == (2, 1)
    [reject] = batch.rejects
    assert (reject.path, reject.row) == (tmp_path / "MedMKG.csv", 2)
    assert reason in reject.reason


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/etc/passwd",
            "\\\\host\\share",
            "C:\\x.jpg",
            "c:x.jpg",
            "../x.jpg",
            "a/../../x.jpg",
            "a\\..\\x",
            "..",
            "a/..",
        ),
        *("file:///etc/passwd", "http://127.0.0.1/x", "s3://bucket/x", "data:image/png;base64,"),
        *("a\tb", "a\u202eb", "x" * 4_097),
    ],
)
def test_paths_that_lead_outside(tmp_path: Path, path: str) -> None:
    _, batch = _load_batches(tmp_path, "I12,POSITIVE,C9900001,x,y\n", f'I12,"{path}"\n')
    assert batch.nodes == {}
    assert [reject.row for reject in batch.rejects] == [2]
    assert len(path) < 3 or path not in batch.rejects[0].reason


@pytest.mark.parametrize("path", ["a/b.jpg", "a..b/c...jpg", "..a/b", "a/b..", "a b/ü.png"])
def test_paths_that_stay_inside(tmp_path: Path, path: str) -> None:
    _, batch = _load_batches(tmp_path, "I12,POSITIVE,C9900001,x,y\n", f"I12,{path}\n")
    assert batch.nodes == {("Image", "I12"): {"path": path}}


def test_what_is_found(tmp_path: Path) -> None:
    _load_batches(tmp_path, "", "")
    graph_path, mapping_path = tmp_path / "MedMKG.csv", tmp_path / "image_mapping.csv"
    assert MedMKG.find(tmp_path).files == (graph_path, mapping_path)
    assert MedMKG.find(graph_path).files == (graph_path,)
    assert MedMKG.find(graph_path, mapping_path).files == (graph_path, mapping_path)
    mapping_path.unlink()
    assert MedMKG.find(tmp_path).files == (graph_path,)
    for missing_paths in (
        (tmp_path, mapping_path),
        (graph_path, mapping_path),
        (tmp_path / "none", None),
        (mapping_path, None),
    ):
        with pytest.raises(InputError, match="no such file"):
            MedMKG.find(*missing_paths)


def test_a_wrong_mapping_stops_before_the_first_batch(tmp_path: Path) -> None:
    _load_batches(tmp_path, "I12,POSITIVE,C9900001,x,y\n")
    (tmp_path / "image_mapping.csv").write_text("image,path\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks IID, Image_Path"):
        next(MedMKG.find(tmp_path).batches(10))


@pytest.mark.data
def test_the_release(data_dir: Path) -> None:
    label_counts: Counter[str] = Counter()
    relation_counts: Counter[str] = Counter()
    previous_nodes: set[NodeRef] = set()
    edge_count = mapped_count = 0
    for batch in MedMKG.find(data_dir / "medmkg").batches(10_000):
        assert batch.rejects == []
        edge_count += len(batch.edges)
        mapped_count += batch.read if batch.enrich else 0
        relation_counts.update(relation for _, relation, _ in batch.edges)
        if not batch.enrich:
            label_counts.update(node_label for node_label, node_key in batch.nodes.keys() - previous_nodes)
            previous_nodes |= batch.nodes.keys()
    assert (edge_count, mapped_count, label_counts) == (35_387, 22_671, {"Concept": 3_149, "Image": 4_868})
    assert len(relation_counts) == 262
    assert (relation_counts["POSITIVE"], relation_counts["UNCERTAIN"], relation_counts["NEGATIVE"]) == (
        12_509,
        6_107,
        2_089,
    )
