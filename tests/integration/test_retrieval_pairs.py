"""Pairs next to a real graph: what it was built from is left out, and the audit finds what was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.datasets.graph_studies import Used, graph_images
from kgplatform.datasets.pairs import PairSet
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.integration.sources import write_medmkg
from tests.unit.loaders.test_mimic_cxr import CANARY, layout, synthetic_dicom_id

pytestmark = pytest.mark.server


@pytest.fixture
def mimic_studies_folder(tmp_path: Path) -> Path:
    """100 studies of 50 patients in MIMIC-CXR's layout, each with one image that exists."""
    metadata_rows = [
        (synthetic_dicom_id(image_number), f"{10_000_000 + image_number // 2}", f"{50_000_000 + image_number}", "AP")
        for image_number in range(100)
    ]
    mimic_folder = layout(tmp_path / "mimic", metadata_rows)
    for dicom_id, subject_id, study_id, _ in metadata_rows:
        study_folder = mimic_folder / "files" / "p10" / f"p{subject_id}" / f"s{study_id}"
        study_folder.mkdir()
        (study_folder / f"{dicom_id}.jpg").write_bytes(b"")
    return mimic_folder


@pytest.fixture
def pairing_graph(graph: Graph, tmp_path: Path) -> Graph:
    """A graph in MedMKG's form of studies 0 and 10, and 21, whose patient it does not know."""
    from kgp_loaders.medmkg import MedMKG

    medmkg_rows = [f"I{50_000_000 + image_number},POSITIVE,C9900001,image,finding" for image_number in (0, 10, 21)]
    mapping_rows = [
        f"I{50_000_000 + image_number},files/p10/p{10_000_000 + image_number // 2}/s{50_000_000 + image_number}/a.jpg"
        for image_number in (0, 10, 99)
    ]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "medmkg", medmkg_rows, mapping_rows)))
    graph.write(
        parse_query(
            "t/others",
            "// Images that are none of MIMIC-CXR's.\n"
            "CREATE (:Image {id: 'I1', dataset: 'OpenI', study_id: '50000050', subject_id: '10000025'}),\n"
            "  (:Image {id: 'I2', dataset: 'MIMIC-CXR'}), (:Image {id: 'I3', study_id: '50000060'})",
        )
    )
    return graph


def test_what_the_graph_was_built_from(pairing_graph: Graph) -> None:
    studies = {("MIMIC-CXR", "50000000"), ("MIMIC-CXR", "50000010"), ("MIMIC-CXR", "50000021"), ("OpenI", "50000050")}
    subjects = {("MIMIC-CXR", "10000000"), ("MIMIC-CXR", "10000005"), ("OpenI", "10000025")}
    assert graph_images(pairing_graph) == Used(frozenset(studies), frozenset(subjects))


@pytest.mark.usefixtures("pairing_graph")
def test_pairs_leave_the_graph_out_and_the_audit_agrees(mimic_studies_folder: Path, kgp: Kgp, tmp_path: Path) -> None:
    pairing = kgp("pairs", "mimic-cxr", mimic_studies_folder, "--out", tmp_path / "clean.parquet", "--json")
    assert (pairing.code, pairing.err) == (0, "")
    assert pairing.json["left_out"] == {"of the graph's studies and subjects": 6}  # both studies of three patients
    clean_pairs = PairSet.read(tmp_path / "clean.parquet")
    assert len(clean_pairs.pairs) == 94
    assert not {"10000000", "10000005", "10000010"} & {pair.subject for pair in clean_pairs.pairs}
    assert {part_name: pairing.json["in_training"][part_name]["subject"] for part_name in ("valid", "test")} == {
        "valid": 0,
        "test": 0,
    }
    audit_run = kgp("audit", "--pairs", tmp_path / "clean.parquet", "--json")
    finding_ids = {finding["id"] for finding in audit_run.json["findings"]}
    assert audit_run.code == 0
    assert {finding_id for finding_id in finding_ids if finding_id.startswith("KGP-A3")} == {
        "KGP-A303"
    }  # all reports are the same here

    pairs_command = (
        "pairs",
        "mimic-cxr",
        mimic_studies_folder,
        "--out",
        tmp_path / "all.parquet",
        "--no-exclude-graph",
    )
    pairing = kgp(*pairs_command, "--protocol", "report")
    assert pairing.code == 0
    assert "100 pairs in" in pairing.out
    assert CANARY not in pairing.out
    audit_run = kgp("audit", "--pairs", tmp_path / "all.parquet", "--json")
    assert audit_run.code == 1
    error_counts = {
        audit_finding["id"]: audit_finding["count"]
        for audit_finding in audit_run.json["findings"]
        if audit_finding["severity"] == "error"
    }
    assert error_counts.keys() == {"KGP-A301", "KGP-A304"}
    assert error_counts["KGP-A304"] == 6
    assert CANARY not in audit_run.out
    assert kgp("audit", "--pairs", tmp_path / "all.parquet", "--fail-on", "never").code == 0


def test_a_stale_file_is_one_clear_error(mimic_studies_folder: Path, kgp: Kgp, tmp_path: Path) -> None:
    kgp("pairs", "mimic-cxr", mimic_studies_folder, "--out", tmp_path / "pairs.parquet", "--no-exclude-graph")
    report_path = next((mimic_studies_folder / "files").rglob("s50000007.txt"))
    report_path.write_text(report_path.read_text(encoding="utf-8").replace("Normal", "Abnormal"), encoding="utf-8")
    audit_run = kgp("audit", "--pairs", tmp_path / "pairs.parquet")
    assert audit_run.code == 1
    assert "stale: of 100 pairs, 1 changed" in audit_run.err
    assert "Traceback" not in audit_run.err


@pytest.mark.data
def test_the_released_graph_knows_its_patients(medmkg_graph: Graph) -> None:
    used_images = graph_images(medmkg_graph)
    assert len(used_images.studies) == 4_868
    assert len(used_images.subjects) == 4_138
    assert {dataset for dataset, _ in used_images.studies | used_images.subjects} == {"MIMIC-CXR"}


def test_invented_studies_are_pairs_too(kgp: Kgp, synthetic_studies_folder: Path, tmp_path: Path) -> None:
    pairing = kgp(
        "pairs",
        "mimic-cxr",
        synthetic_studies_folder,
        "--out",
        tmp_path / "pairs.parquet",
        "--no-exclude-graph",
        "--json",
    )
    assert pairing.code == 0, pairing.err
    pair_set = PairSet.read(tmp_path / "pairs.parquet", require_images=True)
    assert {pair.dataset for pair in pair_set.pairs} == {"Phantom"}
    assert len({pair.study for pair in pair_set.pairs}) == 24
