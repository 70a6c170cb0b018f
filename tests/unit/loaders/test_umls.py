"""UMLS's RRF files: names with types, relations, and damage. All content here is synthetic."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.umls import UMLS
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept, ConceptRelation
from kgplatform.errors import InputError

CONSO = "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF"
STY = "CUI,TUI,STN,STY,ATUI,CVF"
REL = "CUI1,AUI1,STYPE1,REL,CUI2,AUI2,STYPE2,RELA,RUI,SRUI,SAB,SL,RG,DIR,SUPPRESS,CVF"
FORMATS = {"MRCONSO.RRF": CONSO, "MRSTY.RRF": STY, "MRREL.RRF": REL}


def conso(
    cui: str, name: str, language: str = "ENG", ts: str = "P", stt: str = "PF", pref: str = "Y", off: str = "N"
) -> str:
    return f"{cui}|{language}|{ts}|L1|{stt}|S1|{pref}|A1||||MSH|MH|D1|{name}|0|{off}||"


def rel(first: str, second: str, name: str, off: str = "N") -> str:
    return f"{first}|A1|AUI|RO|{second}|A2|AUI|{name}|R1||SNOMEDCT_US|SNOMEDCT_US||Y|{off}||"


NAMES = [
    conso("C9900001", "pus in the lung", ts="S"),
    conso("C9900001", "Lungenpus", language="GER"),
    conso("C9900001", "Lung pus"),
    conso("C9900001", "old lung pus", off="O"),
    conso("C9900001", "lung pus, variant", stt="VO"),
    conso("C9900003", "Lung"),
]
TYPES = [
    "C9900001|T047|B2|Disease or Syndrome|AT1||",
    "C9900001|T033|A2|Finding|AT2||",
    "C9900002|T080|A2|Qualitative Concept|AT3||",
]
RELATIONS = [
    rel("C9900001", "C9900003", "finding_site_of"),
    rel("C9900003", "C9900001", "has_finding_site"),
    rel("C9900001", "C9900001", "same_as"),
    rel("C9900001", "C9900009", "isa"),
    rel("C9900001", "C9900003", ""),
    rel("C9900001", "C9900003", "isa", off="O"),
]


def write_umls_release(
    folder: Path, names: list[str] = NAMES, types: list[str] = TYPES, relations: list[str] = RELATIONS
) -> Path:
    for file_name, records in (("MRCONSO.RRF", names), ("MRSTY.RRF", types), ("MRREL.RRF", relations)):
        (folder / file_name).write_text("".join(record + "\n" for record in records), encoding="utf-8")
    file_lines = [f"{file_name}|what|{columns}|{columns.count(',') + 1}|1|1|" for file_name, columns in FORMATS.items()]
    (folder / "MRFILES.RRF").write_text("\n".join(file_lines) + "\n", encoding="utf-8")
    column_lines = [
        f"{column}|what||1|1|1|{file_name}|char|"
        for file_name, columns in FORMATS.items()
        for column in columns.split(",")
    ]
    (folder / "MRCOLS.RRF").write_text("\n".join(column_lines) + "\n", encoding="utf-8")
    return folder


def test_names_come_with_types_and_the_preferred_one_first(tmp_path: Path) -> None:
    assert list(UMLS(write_umls_release(tmp_path)).concepts()) == [
        Concept("C9900001", "Lung pus", ("Disease or Syndrome", "Finding")),
        Concept("C9900001", "lung pus, variant", ("Disease or Syndrome", "Finding")),
        Concept("C9900001", "pus in the lung", ("Disease or Syndrome", "Finding")),
        Concept("C9900003", "Lung", ()),
    ]


def test_other_languages_can_be_asked_for(tmp_path: Path) -> None:
    german_names = [
        concept.name
        for concept in UMLS(write_umls_release(tmp_path), ["GER"]).concepts()
        if isinstance(concept, Concept)
    ]
    assert german_names == ["Lungenpus"]
    assert len(list(UMLS(tmp_path, []).concepts())) == 5


def test_a_relation_goes_from_the_second_concept_to_the_first(tmp_path: Path) -> None:
    relations_read = list(UMLS(write_umls_release(tmp_path)).relations({"C9900001", "C9900003"}))
    assert relations_read == [
        ConceptRelation("C9900003", "finding_site_of", "C9900001"),
        ConceptRelation("C9900001", "has_finding_site", "C9900003"),
    ]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    write_umls_release(tmp_path, types=["x|Finding|C9900001|", "x|Finding|C9900003|"])
    files_text = (tmp_path / "MRFILES.RRF").read_text(encoding="utf-8").replace(f"|{STY}|6|", "|STN,STY,CUI|3|")
    (tmp_path / "MRFILES.RRF").write_text(files_text, encoding="utf-8")
    first_concept = next(UMLS(tmp_path).concepts())
    assert isinstance(first_concept, Concept)
    assert first_concept.types == ("Finding",)


@pytest.mark.parametrize("bad", ["C9900001|too|short|", conso("C9900001", "a|b"), NAMES[0][:-1] + "x", ""])
def test_a_bad_row_is_told_and_the_rest_is_read(tmp_path: Path, bad: str) -> None:
    records = list(UMLS(write_umls_release(tmp_path, [*NAMES[:2], bad, *NAMES[2:]])).concepts())
    assert [record.row for record in records if isinstance(record, Reject)] == [3]
    assert {record.name for record in records if isinstance(record, Concept)} >= {"Lung pus", "Lung"}


def test_a_bad_row_of_types_or_relations_is_told(tmp_path: Path) -> None:
    source = UMLS(write_umls_release(tmp_path, types=[TYPES[0], "bad", *TYPES[1:]], relations=["bad", *RELATIONS]))
    assert [record.row for record in source.concepts() if isinstance(record, Reject)] == [2]
    assert [record.row for record in source.relations({"C9900001", "C9900003"}) if isinstance(record, Reject)] == [1]


def test_a_name_that_could_end_an_identifier_is_no_relation(tmp_path: Path) -> None:
    source = UMLS(write_umls_release(tmp_path, relations=[rel("C9900001", "C9900003", "isa`]-() DELETE")]))
    [rejected] = source.relations({"C9900001", "C9900003"})
    assert isinstance(rejected, Reject)


@pytest.mark.parametrize("which", ["names", "types"])
def test_files_that_are_not_sorted_are_refused(tmp_path: Path, which: str) -> None:
    release_rows = {"names": NAMES, "types": TYPES}
    with pytest.raises(InputError, match="not sorted by CUI"):
        list(UMLS(write_umls_release(tmp_path, **{which: release_rows[which][::-1]})).concepts())


@pytest.mark.parametrize("missing", ["MRCONSO.RRF", "MRSTY.RRF", "MRFILES.RRF", "MRCOLS.RRF"])
def test_a_missing_umls_file_is_an_input_error(tmp_path: Path, missing: str) -> None:
    (write_umls_release(tmp_path) / missing).unlink()
    with pytest.raises(InputError, match=missing):
        list(UMLS(tmp_path).concepts())


def test_a_missing_umls_column_is_an_input_error(tmp_path: Path) -> None:
    files_text = (write_umls_release(tmp_path) / "MRFILES.RRF").read_text(encoding="utf-8").replace("ISPREF", "OTHER")
    (tmp_path / "MRFILES.RRF").write_text(files_text, encoding="utf-8")
    with pytest.raises(InputError, match=r"MRCONSO.RRF has no column ISPREF"):
        UMLS(tmp_path)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*FORMATS, "MRFILES.RRF", "MRCOLS.RRF"]), st.binary(max_size=60), st.integers(0, 400))
def test_damage_is_a_reject_or_an_input_error(tmp_path: Path, name: str, noise: bytes, at: int) -> None:
    original_bytes = (write_umls_release(tmp_path) / name).read_bytes()
    (tmp_path / name).write_bytes(original_bytes[:at] + noise + original_bytes[at + len(noise) :])
    try:
        source = UMLS(tmp_path)
        list(source.concepts())
        list(source.relations({"C9900001", "C9900003"}))
    except InputError as error:
        assert ".RRF" in error.message
