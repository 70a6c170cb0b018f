"""Every reader of tables: a bad byte, a NUL or a value that is too long costs its own row, and the rest is read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders import lexicons
from kgp_loaders.iu_xray import IUXray
from kgp_loaders.medmkg import MedMKG
from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_loaders.openi import OpenI
from kgp_loaders.radgraph import read_report_graphs
from kgp_loaders.reports import Reports
from kgp_loaders.triples import Triples
from kgp_loaders.umls import UMLS
from kgp_loaders.vqa_rad import VQARAD
from kgplatform.batches import Reject
from kgplatform.errors import InputError

LONG = b"x" * 1_100_000
Read = Callable[[Path, Sequence[bytes]], tuple[int, list[Reject]]]  # texts in; rows read and rejected out


def _count_rejects(rows: list[object]) -> tuple[int, list[Reject]]:
    rejects = [row for row in rows if isinstance(row, Reject)]
    return len(rows) - len(rejects), rejects


def _csv_builder(*columns: str) -> Callable[[Path, Sequence[bytes]], bytes]:
    """A CSV whose rows are made of a number and a text."""

    def make(path: Path, texts: Sequence[bytes]) -> bytes:
        csv_rows = [
            ",".join(columns).encode(),
            *(b"%d," % row_number + cell_text for row_number, cell_text in enumerate(texts, 1)),
        ]
        return b"\n".join(csv_rows) + b"\n"

    return make


def csv_reports(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    (folder / "a.csv").write_bytes(
        _csv_builder("id", "text")(folder, [b'"two\nlines ' + cell_text + b'"' for cell_text in texts])
    )
    return _count_rejects(list(Reports(folder / "a.csv").reports()))


def tsv_reports(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    tsv_rows = [b"id\ttext", *(b"%d\t" % row_number + cell_text for row_number, cell_text in enumerate(texts))]
    (folder / "a.tsv").write_bytes(b"\r\n".join(tsv_rows))
    return _count_rejects(list(Reports(folder / "a.tsv").reports()))


def json_reports(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    json_lines = [
        b'{"id": "%d", "text": "' % row_number + cell_text + b'"}\n' for row_number, cell_text in enumerate(texts)
    ]
    (folder / "a.jsonl").write_bytes(b"".join(json_lines))
    return _count_rejects(list(Reports(folder / "a.jsonl").reports()))


def _read_openi(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    projections = "".join(f"{row_number},{row_number}.png,Frontal\n" for row_number in range(len(texts)))
    (folder / "indiana_projections.csv").write_text("uid,filename,projection\n" + projections)
    csv_rows = [
        b"uid,findings,impression\n",
        *(b"%d,%s,\n" % (row_number, cell_text) for row_number, cell_text in enumerate(texts)),
    ]
    (folder / "indiana_reports.csv").write_bytes(b"".join(csv_rows))
    return _count_rejects(list(OpenI(folder).reports()))


def _read_mimic_cxr(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    image_suffix = "-".join(["0" * 8] * 4)
    csv_rows = [b"dicom_id,subject_id,study_id,ViewPosition,Text\n"]
    for study_number, cell_text in enumerate(texts, 50_000_000):
        csv_rows.append(b"%08d-%s,10000001,%d,AP,%s\n" % (study_number, image_suffix.encode(), study_number, cell_text))
        report_path = folder / "files/p10/p10000001" / f"s{study_number}.txt"
        report_path.parent.mkdir(parents=True, exist_ok=True)
        report_path.write_text("FINDINGS: none.")
    (folder / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress(b"".join(csv_rows), 0))
    return _count_rejects(list(MIMICCXR(folder).reports()))


def _read_triples(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    csv_rows = [
        b"head,relation,tail\n",
        *(b"%d,is,%s\n" % (row_number, cell_text) for row_number, cell_text in enumerate(texts)),
    ]
    (folder / "a.csv").write_bytes(b"".join(csv_rows))
    batches = list(Triples(folder / "a.csv").batches(100))
    return sum(batch.asserted for batch in batches), [reject for batch in batches for reject in batch.rejects]


def parquet_triples(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text_columns = {"head": [str(row_number) for row_number in range(len(texts))], "relation": ["is"] * len(texts)}
    pq.write_table(pa.table({**text_columns, "tail": pa.array(list(texts), pa.binary())}), folder / "a.parquet")
    batches = list(Triples(folder / "a.parquet").batches(100))
    return sum(batch.asserted for batch in batches), [reject for batch in batches for reject in batch.rejects]


def _read_medmkg(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    csv_rows = [b"Head,Relation,Tail,Head_Name,Tail_Name\n"]
    csv_rows += [
        b"I%d,POSITIVE,C0000001,a,%s\n" % (row_number, cell_text) for row_number, cell_text in enumerate(texts)
    ]
    (folder / "MedMKG.csv").write_bytes(b"".join(csv_rows))
    batches = list(MedMKG.find(folder).batches(100))
    return sum(batch.asserted for batch in batches), [reject for batch in batches for reject in batch.rejects]


def lexicon(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    csv_rows = [b"cui,name\n", *(b"C%07d,%s\n" % (row_number, cell_text) for row_number, cell_text in enumerate(texts))]
    (folder / "a.csv").write_bytes(b"".join(csv_rows))
    return _count_rejects(list(lexicons.read_lexicon(folder / "a.csv")))


def umls(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    concept_columns = ("CUI", "LAT", "TS", "STT", "ISPREF", "STR", "SUPPRESS")
    columns_by_file = {
        "MRCONSO.RRF": concept_columns,
        "MRSTY.RRF": ("CUI", "STY"),
        "MRREL.RRF": ("CUI1", "CUI2", "RELA", "SUPPRESS"),
    }
    files_table = "".join(
        f"{file_name}||{','.join(column_names)}|{len(column_names)}|1|1|\n"
        for file_name, column_names in columns_by_file.items()
    )
    (folder / "MRFILES.RRF").write_text(files_table)
    described_columns = [
        (column_name, file_name) for file_name, column_names in columns_by_file.items() for column_name in column_names
    ]
    (folder / "MRCOLS.RRF").write_text(
        "".join(f"{column_name}||||||{file_name}||\n" for column_name, file_name in described_columns)
    )
    concept_rows = [b"C%07d|ENG|P|PF|Y|%s|N|\n" % (row_number, cell_text) for row_number, cell_text in enumerate(texts)]
    (folder / "MRCONSO.RRF").write_bytes(b"".join(concept_rows))
    (folder / "MRSTY.RRF").write_text("")
    return _count_rejects(list(UMLS(folder).concepts()))


def _read_vqa_rad(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    json_rows = [
        b'{"qid": %d, "image_name": "a.jpg", "question": "%s", "answer": "yes"}' % (row_number, cell_text)
        for row_number, cell_text in enumerate(texts)
    ]
    (folder / "trainset.json").write_bytes(b"[" + b",\n".join(json_rows) + b"]")
    (folder / "testset.json").write_text("[]")
    return _count_rejects(list(VQARAD(folder).questions()))


def annotation(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    json_rows = [
        b'{"id": "%d", "report": "%s", "image_path": []}' % (row_number, cell_text)
        for row_number, cell_text in enumerate(texts)
    ]
    (folder / "annotation.json").write_bytes(b'{"train": [' + b",\n".join(json_rows) + b'], "val": [], "test": []}')
    return _count_rejects(list(IUXray(folder).reports()))


def _read_radgraph_file(folder: Path, texts: Sequence[bytes]) -> tuple[int, list[Reject]]:
    entities_json = b'{"1": {"tokens": "effusion", "label": "OBS-DP", "start_ix": 0, "end_ix": 0, "relations": []}}'
    json_rows = [
        b'"%d": {"text": "%s", "entities": %s}' % (row_number, cell_text, entities_json)
        for row_number, cell_text in enumerate(texts)
    ]
    (folder / "a.json").write_bytes(b"{" + b",\n".join(json_rows) + b"}")
    return _count_rejects(list(read_report_graphs(folder / "a.json")))


READERS: list[Read] = [
    csv_reports,
    tsv_reports,
    json_reports,
    _read_openi,
    _read_mimic_cxr,
    _read_triples,
    parquet_triples,
    _read_medmkg,
    lexicon,
    umls,
    _read_vqa_rad,
    annotation,
    _read_radgraph_file,
]
IN_ONE_DOCUMENT = (_read_vqa_rad, annotation, _read_radgraph_file)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bad", [b"a\xffb", b"\xe9", b"\xed\xa0\x80"])
def test_a_bad_byte_costs_its_row(tmp_path: Path, reader: Read, bad: bytes) -> None:
    row_count, rejects = reader(tmp_path, [b"one", bad + b" zebrafinch", b"three"])
    assert (row_count, len(rejects)) == (2, 1)
    assert "UTF-8" in rejects[0].reason
    assert "zebrafinch" not in rejects[0].reason


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader not in IN_ONE_DOCUMENT])
def test_a_nul_costs_its_row(tmp_path: Path, reader: Read) -> None:
    row_count, rejects = reader(tmp_path, [b"one", b"a\0b", b"three"])
    assert (row_count, len(rejects)) == (2, 1)


@pytest.mark.parametrize(
    "reader", [reader for reader in READERS if reader not in (annotation, _read_radgraph_file)]
)  # any length is read there
def test_a_value_that_is_too_long_costs_its_row(tmp_path: Path, reader: Read) -> None:
    row_count, rejects = reader(tmp_path, [b"one", LONG, b"three"])
    assert (row_count, len(rejects)) == (2, 1)
    assert "longer than" in rejects[0].reason


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000"])
def test_what_json_escapes_but_no_text_can_hold_costs_its_row(tmp_path: Path, escape: str) -> None:
    row_count, rejects = json_reports(tmp_path, [b"one", escape.encode(), b"three"])
    assert (row_count, len(rejects)) == (2, 1)


@example_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=st.lists(st.booleans(), min_size=1, max_size=30), kind=st.sampled_from([b"\xff", b"\0", b"x" * 140_000]))
def test_reports_in_are_reports_out_plus_rejects(tmp_path: Path, bad: list[bool], kind: bytes) -> None:
    if sum(bad) >= 10 and kind == b"\xff":
        return  # then it is the file that is not UTF-8
    row_count, rejects = csv_reports(tmp_path, [kind if is_bad else b'a ""quoted"" word' for is_bad in bad])
    assert row_count == bad.count(False)
    rejected_lines = [2 + 2 * row_number for row_number, is_bad in enumerate(bad) if is_bad]
    assert [reject.row for reject in rejects] == rejected_lines


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_of_another_encoding_is_one_error(tmp_path: Path, encoding: str, name: str) -> None:
    file_rows = [f"{row_number},Röntgenbild, unauffällig" for row_number in range(100)]
    if name == "a.jsonl":
        file_rows = [
            json.dumps({"id": row_number, "text": "Röntgenbild"}, ensure_ascii=False) for row_number in range(100)
        ]
    (tmp_path / name).write_bytes("\n".join(["id,text", *file_rows]).encode(encoding))
    with pytest.raises(InputError, match="UTF") as raised:
        list(Reports(tmp_path / name).reports())
    assert "Save it as UTF-8" in raised.value.hint


def test_a_damaged_quote_costs_the_lines_it_takes_and_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,"one" more\n2,two\n3,"three\nlines\nof it"x\n4,four\n5,"five\nsix')
    row_count, rejects = _count_rejects(list(Reports(tmp_path / "a.csv").reports()))
    assert row_count == 2
    assert [reject.row for reject in rejects] == [2, 4, 8]
    assert rejects[1].reason.endswith("(lines 4 to 6)")


def test_a_long_record_of_many_lines_ends_where_its_quote_does(tmp_path: Path) -> None:
    long_text = "a line, with a comma\n" * 20_000
    (tmp_path / "a.csv").write_text(f'id,text\n1,one\n2,"{long_text}"\n3,three\n')
    row_count, rejects = _count_rejects(list(Reports(tmp_path / "a.csv").reports()))
    assert (row_count, len(rejects)) == (2, 1)


def test_a_line_of_20_mb_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    with (tmp_path / "a.csv").open("wb") as table_file:
        table_file.write(b"id,text\n1,one\n2,")
        for _ in range(20):
            table_file.write(b",x" * 500_000)
        table_file.write(b"\n3,three\n")
    tracemalloc.start()
    row_count, rejects = _count_rejects(list(Reports(tmp_path / "a.csv").reports()))
    peak_memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (row_count, len(rejects)) == (2, 1)
    assert peak_memory < 20_000_000
