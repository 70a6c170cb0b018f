"""A construction accounts for every report of its source: each is in exactly one count."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_loaders.mimic_cxr import NO_IMAGE as NO_MIMIC_IMAGE
from kgp_loaders.openi import NO_IMAGE, OpenI
from kgp_loaders.reports import Reports
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.report import ReportSource
from kgplatform.construct.source import NO_CONCEPT, NO_SECTIONS, NO_TEXT, NOT_ENGLISH, Construction
from kgplatform.construct.spread import Stages
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError

TAGGER = DictionaryTagger(Lexicon([Concept("C9900001", "effusion"), Concept("C9900002", "pneumonia")]))
OTHER_ROWS = "rows of other views than AP"
REPORT_REASONS = (NO_TEXT, NO_SECTIONS, NOT_ENGLISH, NO_CONCEPT)
KINDS = ("concept", "no text", "no sections", "not English", "no concept")
TEXTS = {
    "concept": "FINDINGS: There is an effusion.",
    "no text": "",
    "no sections": "INDICATION: cough",
    "not English": "FINDINGS: Kein Pneumothorax, nicht vergrößert.",
    "no concept": "FINDINGS: The lungs are clear.",
}
EXPECTED_REASONS = dict(zip(KINDS, (None, NO_TEXT, NO_SECTIONS, NOT_ENGLISH, NO_CONCEPT), strict=True))
quick = example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def account(source: ReportSource) -> tuple[Counter[str], int, list[Reject]]:
    """Reasons with their counts, the images with a concept, and the rejects; every row that was read is in one."""
    construction = Construction(source, Stages(TAGGER, rules()), {})
    reasons: Counter[str] = Counter()
    rejects: list[Reject] = []
    read = 0
    images: set[str] = set()
    for batch in construction.batches(3):
        reasons.update(batch.left_out)
        rejects += batch.rejects
        read += batch.read
        images |= {image_id for label, image_id in batch.nodes if label == "Image"}
    assert read == len(images) + len(rejects) + sum(reasons[reason] for reason in REPORT_REASONS)
    assert construction.images == len(images)
    return reasons, len(images), rejects


def expected_reasons(kinds: Sequence[str]) -> dict[str, int]:
    counts = Counter(EXPECTED_REASONS[kind] for kind in kinds)
    return {reason: counts[reason] for reason in REPORT_REASONS}


def has_content(kinds: Sequence[str]) -> bool:
    """Whether a report has findings or an impression: a source without any is an error."""
    return bool(set(kinds) & {"concept", "not English", "no concept"}) or not kinds


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@quick
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(["AP", "PA", ""]), st.booleans()), max_size=12),
    st.sampled_from(["csv", "jsonl", "json"]),
)
def test_rows_of_a_table(tmp_path: Path, rows: list[tuple[str, str, bool]], form: str) -> None:
    records = [
        {"id": str(number) if is_valid else "", "text": TEXTS[kind], "view": view}
        for number, (kind, view, is_valid) in enumerate(rows)
    ]
    table_path = tmp_path / f"a.{form}"
    if form == "csv":
        write_csv(table_path, records, ("id", "text", "view"))
    else:
        lines = "\n".join(map(json.dumps, records))
        table_path.write_text(lines if form == "jsonl" else json.dumps(records), encoding="utf-8")
    kinds = [kind for kind, view, is_valid in rows if view == "AP" and is_valid]
    if not has_content(kinds):
        with pytest.raises(InputError):
            account(Reports(table_path, views=("AP",)))
        return
    reasons, images, rejects = account(Reports(table_path, views=("AP",)))
    assert {reason: reasons[reason] for reason in REPORT_REASONS} == expected_reasons(kinds)
    assert images == kinds.count("concept")
    assert len(rejects) == sum(view == "AP" and not is_valid for _, view, is_valid in rows)
    assert images + len(rejects) + reasons[OTHER_ROWS] + sum(expected_reasons(kinds).values()) == len(rows)


OPENI_ROWS = st.lists(
    st.tuples(
        st.sampled_from([kind for kind in KINDS if kind != "no sections"]),  # it has columns of sections
        st.lists(st.sampled_from(["Frontal", "Lateral"]), max_size=3),
        st.sampled_from(["", "bad id", "twice"]),
    ),
    max_size=10,
)


@quick
@given(OPENI_ROWS, st.booleans())
def test_studies_of_openi(tmp_path: Path, rows: list[tuple[str, list[str], str]], is_xml: bool) -> None:
    for old_path in tmp_path.iterdir():
        old_path.unlink()
    report_rows: list[dict[str, str]] = []
    image_rows: list[dict[str, str]] = []
    for number, (kind, views, damage) in enumerate(rows, 1):
        row = {"uid": "x" if damage == "bad id" else str(number), "findings": TEXTS[kind].removeprefix("FINDINGS: ")}
        report_rows += [row, row] if damage == "twice" else [row]
        image_rows += [
            {"uid": str(number), "filename": f"{number}_IM-{index}.dcm.png", "projection": view}
            for index, view in enumerate(views)
        ]
    if is_xml:
        for file_number, row in enumerate(report_rows, 1):
            image_elements = "".join(
                f'<parentImage id="CXR{i["filename"]}"/>' for i in image_rows if i["uid"] == row["uid"]
            )
            text = f'<AbstractText Label="FINDINGS">{row["findings"]}</AbstractText>'
            xml_text = f'<e><uId id="CXR{row["uid"]}"/>{text}{image_elements}</e>'
            (tmp_path / f"{file_number}.xml").write_text(xml_text, encoding="utf-8")
    else:
        full_rows = [{"impression": "", **row} for row in report_rows]
        write_csv(tmp_path / "indiana_reports.csv", full_rows, ("uid", "findings", "impression"))
        write_csv(tmp_path / "indiana_projections.csv", image_rows, ("uid", "filename", "projection"))
    is_read = [(bool(views) if is_xml else "Frontal" in views) and damage != "bad id" for _, views, damage in rows]
    kinds = [kind for (kind, _, _), is_study in zip(rows, is_read, strict=True) if is_study]
    if (is_xml and not report_rows) or not has_content(kinds):
        with pytest.raises(InputError):
            account(OpenI(tmp_path))
        return
    reasons, images, rejects = account(OpenI(tmp_path))
    assert {reason: reasons[reason] for reason in REPORT_REASONS} == expected_reasons(kinds)
    assert images == kinds.count("concept")
    assert images + len(rejects) + reasons[NO_IMAGE] + sum(expected_reasons(kinds).values()) == len(report_rows)


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.lists(st.sampled_from(["AP", "PA", ""]), min_size=1, max_size=3),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_studies_of_mimic_cxr(tmp_path: Path, rows: list[tuple[str, list[str], bool]]) -> None:
    report_folder = tmp_path / "files" / "p10" / "p10000001"
    report_folder.mkdir(parents=True, exist_ok=True)
    metadata: list[dict[str, Any]] = []
    for number, (kind, views, is_there) in enumerate(rows):
        study = f"{50_000_000 + number}"
        report_path = report_folder / f"s{study}.txt"
        report_path.write_text(TEXTS[kind], encoding="utf-8")
        if not is_there:
            report_path.unlink()
        metadata += [
            {"dicom_id": "-".join([f"{10 * number + index:08x}"] * 5), "subject_id": "10000001", "study_id": study,
             "ViewPosition": view}
            for index, view in enumerate(views)
        ]  # fmt: skip
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    write_csv(tmp_path / "mimic-cxr-2.0.0-metadata.csv", metadata, columns)
    kinds = [kind for kind, views, is_there in rows if "AP" in views and is_there]
    no_report = sum("AP" in views and not is_there for _, views, is_there in rows)
    if not has_content(kinds) or (no_report and not kinds):
        with pytest.raises(InputError):
            account(MIMICCXR(tmp_path))
        return
    reasons, images, rejects = account(MIMICCXR(tmp_path))
    assert len(rejects) == no_report
    assert {reason: reasons[reason] for reason in REPORT_REASONS} == expected_reasons(kinds)
    assert images + len(rejects) + reasons[NO_MIMIC_IMAGE] + sum(expected_reasons(kinds).values()) == len(rows)


@pytest.mark.data
def test_the_released_studies_of_openi_are_all_accounted_for(data_dir: Path) -> None:
    source = OpenI(data_dir / "openi_xray")
    reasons, images, rejects = account(source)
    with (data_dir / "openi_xray" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        study_count = sum(1 for _ in csv.DictReader(file))
    reports_left_out = sum(reasons[reason] for reason in (*REPORT_REASONS, NO_IMAGE))
    assert images + len(rejects) + reports_left_out == study_count == 2_975
