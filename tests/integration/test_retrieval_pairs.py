"""Pairs beside a real graph: what it was built from is left out, and the audit finds what was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.retrieval.graph_studies import graph_images
from kgplatform.retrieval.pairs import PairSet
from tests.conftest import Kgp
from tests.integration.sources import write_medmkg
from tests.unit.test_mimic_cxr_loader import CANARY, dicom, layout

pytestmark = pytest.mark.server


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """100 studies of 50 patients in MIMIC-CXR's layout, each with one image that is there."""
    rows = [(dicom(n), f"{10_000_000 + n // 2}", f"{50_000_000 + n}", "AP") for n in range(100)]
    folder = layout(tmp_path / "mimic", rows)
    for image, subject, study, _ in rows:
        place = folder / "files" / "p10" / f"p{subject}" / f"s{study}"
        place.mkdir()
        (place / f"{image}.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def built(graph: Graph, tmp_path: Path) -> Graph:
    """A graph in MedMKG's form of studies 0 and 10, and 21, whose patient it does not know."""
    from kgp_loaders.medmkg import MedMKG

    rows = [f"I{50_000_000 + n},POSITIVE,C9900001,image,finding" for n in (0, 10, 21)]
    paths = [f"I{50_000_000 + n},files/p10/p{10_000_000 + n // 2}/s{50_000_000 + n}/a.jpg" for n in (0, 10, 99)]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "medmkg", rows, paths)))
    graph.write(
        parse(
            "t/others",
            "// Images that are none of MIMIC-CXR's.\n"
            "CREATE (:Image {id: 'I1', dataset: 'OpenI', study_id: '50000050', subject_id: '10000025'}),\n"
            "  (:Image {id: 'I2', dataset: 'MIMIC-CXR'}), (:Image {id: 'I3', study_id: '50000060'})",
        )
    )
    return graph


def test_what_the_graph_was_built_from(built: Graph) -> None:
    assert graph_images(built) == (
        {("MIMIC-CXR", "50000000"), ("MIMIC-CXR", "50000010"), ("MIMIC-CXR", "50000021"), ("OpenI", "50000050")},
        {("MIMIC-CXR", "10000000"), ("MIMIC-CXR", "10000005"), ("OpenI", "10000025")},
    )


@pytest.mark.usefixtures("built")
def test_pairs_leave_the_graph_out_and_the_audit_agrees(studies: Path, kgp: Kgp, tmp_path: Path) -> None:
    ran = kgp("pairs", "mimic-cxr", studies, "--out", tmp_path / "clean.parquet", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["left_out"] == {"of the graph's studies and subjects": 6}  # both studies of three patients
    clean = PairSet.read(tmp_path / "clean.parquet")
    assert len(clean.pairs) == 94
    assert not {"10000000", "10000005", "10000010"} & {one.subject for one in clean.pairs}
    assert {part: ran.json["in_training"][part]["subject"] for part in ("valid", "test")} == {"valid": 0, "test": 0}
    audited = kgp("audit", "--pairs", tmp_path / "clean.parquet", "--json")
    found = {finding["id"] for finding in audited.json["findings"]}
    assert audited.code == 0
    assert {id_ for id_ in found if id_.startswith("KGP-A3")} == {"KGP-A303"}  # all reports are the same here

    again = ("pairs", "mimic-cxr", studies, "--out", tmp_path / "all.parquet", "--no-exclude-graph")
    ran = kgp(*again, "--protocol", "report")
    assert ran.code == 0
    assert "100 pairs in" in ran.out
    assert CANARY not in ran.out
    audited = kgp("audit", "--pairs", tmp_path / "all.parquet", "--json")
    assert audited.code == 1
    errors = {f["id"]: f["count"] for f in audited.json["findings"] if f["severity"] == "error"}
    assert errors.keys() == {"KGP-A301", "KGP-A304"}
    assert errors["KGP-A304"] == 6
    assert CANARY not in audited.out
    assert kgp("audit", "--pairs", tmp_path / "all.parquet", "--fail-on", "never").code == 0


def test_a_stale_file_is_one_clear_error(studies: Path, kgp: Kgp, tmp_path: Path) -> None:
    kgp("pairs", "mimic-cxr", studies, "--out", tmp_path / "pairs.parquet", "--no-exclude-graph")
    report = next((studies / "files").rglob("s50000007.txt"))
    report.write_text(report.read_text(encoding="utf-8").replace("Normal", "Abnormal"), encoding="utf-8")
    ran = kgp("audit", "--pairs", tmp_path / "pairs.parquet")
    assert ran.code == 1
    assert "stale: of 100 pairs, 1 changed" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.data
def test_the_released_graph_knows_its_patients(medmkg_graph: Graph) -> None:
    used = graph_images(medmkg_graph)
    assert len(used.studies) == 4_868
    assert len(used.subjects) == 4_138
    assert {dataset for dataset, _ in used.studies | used.subjects} == {"MIMIC-CXR"}


def test_invented_studies_are_pairs_too(kgp: Kgp, invented: Path, tmp_path: Path) -> None:
    ran = kgp("pairs", "mimic-cxr", invented, "--out", tmp_path / "pairs.parquet", "--no-exclude-graph", "--json")
    assert ran.code == 0, ran.err
    made = PairSet.read(tmp_path / "pairs.parquet", require_images=True)
    assert {one.dataset for one in made.pairs} == {"Phantom"}
    assert len({one.study for one in made.pairs}) == 24
