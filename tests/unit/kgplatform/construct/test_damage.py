"""Damaged inputs of each format are read, rejected with file and row, or refused; nothing else happens.

Hundreds of each format in `make test`, ten thousand in `make test-long`.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_loaders.openi import OpenI
from kgp_loaders.phantom import ontology, study_set
from kgp_loaders.reports import Reports
from kgp_loaders.umls import UMLS
from kgplatform.assess.picture import thumbnail
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept, ConceptRelation
from kgplatform.construct.report import Report
from kgplatform.errors import InputError
from tests.campaigns import rounds

pytestmark = [pytest.mark.slow, pytest.mark.campaign]

COUNT = rounds(400, 10_000)
CANARY = "zebrafinch"
XML = f"""<?xml version="1.0"?><eCitation><uId id="CXR1"/><MedlineCitation><Article><Abstract>
<AbstractText Label="FINDINGS">No {CANARY}.</AbstractText><AbstractText Label="IMPRESSION">Normal.</AbstractText>
</Abstract></Article></MedlineCitation><parentImage id="CXR1_1_IM-0001"/></eCitation>"""
JSON_LINES = f'{{"id": "1", "text": "FINDINGS: no {CANARY}."}}\n{{"id": "2", "findings": "x", "view": "AP"}}\n'
TABLE = f'id,text,image\n1,"FINDINGS:\nno {CANARY}",a.png\n2,"x ""y""",b.png\n'
METADATA = "dicom_id,subject_id,study_id,ViewPosition\n" + "".join(
    f"{'-'.join([f'{study_number:08x}'] * 5)},1000000{study_number},5000000{study_number},AP\n"
    for study_number in range(3)
)
PIECES = (b"\x00", b"\xff", b'"', b"\n", b"\r", b"|", b",", b"<", b"&", b"]]>", b"{", b"\\", b"\xef\xbb\xbf", b"9" * 30)


def _damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some changed, cut out, doubled or put in."""
    damaged_bytes = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        position = rng.randrange(len(damaged_bytes) + 1)
        damage_kind = rng.randrange(5)
        if damage_kind == 0 and position < len(damaged_bytes):
            damaged_bytes[position] = rng.randrange(256)
        elif damage_kind == 1:
            del damaged_bytes[position : position + rng.randrange(1, 40)]
        elif damage_kind == 2:
            damaged_bytes[position:position] = rng.choice(PIECES)
        elif damage_kind == 3:
            damaged_bytes[position:position] = damaged_bytes[position : position + rng.randrange(1, 60)]
        else:
            del damaged_bytes[position:]
    return bytes(damaged_bytes)


def campaign(path: Path, data: bytes, read: Callable[[], Iterable[object]]) -> None:
    """Damage a file again and again, and read it."""
    generator = random.Random(str(path.name))
    outcome_counts = {"read": 0, "rejected": 0, "refused": 0}
    for _ in range(COUNT):
        path.write_bytes(_damage_bytes(data, generator))
        try:
            for record in read():
                assert isinstance(record, Report | Reject | Concept | ConceptRelation)
                if isinstance(record, Reject):
                    assert record.row >= 1
                    assert CANARY not in record.reason
                    outcome_counts["rejected"] += 1
                else:
                    outcome_counts["read"] += 1
        except InputError as error:
            assert CANARY not in f"{error} {error.hint}"
            outcome_counts["refused"] += 1
    assert outcome_counts["read"] > 0
    assert outcome_counts["rejected"] + outcome_counts["refused"] > COUNT // 20


@pytest.mark.parametrize("name", ["MRCONSO.RRF", "MRSTY.RRF", "MRREL.RRF", "MRFILES.RRF", "MRCOLS.RRF"])
def test_rrf(tmp_path: Path, name: str) -> None:
    ontology.write_ontology(tmp_path / "o")
    for table_path in (tmp_path / "o").iterdir():
        if table_path.name not in ("MRFILES.RRF", "MRCOLS.RRF"):
            table_path.write_text(
                "".join(table_path.read_text(encoding="utf-8").splitlines(keepends=True)[:6]), encoding="utf-8"
            )
    concept_cuis = {concept.cui for concept in ontology.concepts().values()}

    def read() -> Iterable[object]:
        umls = UMLS(tmp_path / "o")
        return [*umls.concepts(), *umls.relations(concept_cuis)]

    campaign(tmp_path / "o" / name, (tmp_path / "o" / name).read_bytes(), read)


@pytest.mark.parametrize(("name", "text"), [("r.jsonl", JSON_LINES), ("r.csv", TABLE)])
def test_reports_in_tables(tmp_path: Path, name: str, text: str) -> None:
    campaign(tmp_path / name, text.encode(), lambda: Reports(tmp_path / name).reports())


def test_openi_xml(tmp_path: Path) -> None:
    campaign(tmp_path / "1.xml", XML.encode(), lambda: OpenI(tmp_path).reports())


def test_mimic_cxr_metadata_and_reports(tmp_path: Path) -> None:
    subject_folder = tmp_path / "files" / "p10" / "p10000000"
    subject_folder.mkdir(parents=True)
    report_path = subject_folder / "s50000000.txt"
    report_path.write_text(f" FINDINGS: \n \n No {CANARY}.\n", encoding="utf-8")
    metadata_path = tmp_path / "mimic-cxr-2.0.0-metadata.csv"
    campaign(metadata_path, METADATA.encode(), lambda: MIMICCXR(tmp_path).reports())
    metadata_path.write_text(METADATA, encoding="utf-8")
    generator = random.Random("report")
    for _ in range(COUNT):
        report_path.write_bytes(
            _damage_bytes(f" FINDINGS: \n \n No {CANARY}.\n \n IMPRESSION: Normal.\n".encode(), generator)
        )
        for record in MIMICCXR(tmp_path).reports():
            assert isinstance(record, Report | Reject)
            assert not isinstance(record, Reject) or CANARY not in record.reason


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".dcm"])
def test_images(tmp_path: Path, suffix: str) -> None:
    if suffix == ".dcm":
        study_set.build_study_set(tmp_path / "p", 1, 7)
        image_bytes = next((tmp_path / "p").rglob("*.dcm")).read_bytes()
    else:
        buffer = io.BytesIO()
        Image.effect_noise((40, 30), 50).save(buffer, {".png": "PNG", ".jpg": "JPEG"}[suffix])
        image_bytes = buffer.getvalue()
    generator = random.Random(suffix)
    image_path = tmp_path / f"x{suffix}"
    read_count = 0
    for _ in range(COUNT):
        image_path.write_bytes(_damage_bytes(image_bytes, generator))
        thumbnail_bytes = thumbnail(image_path.name, tmp_path)
        assert thumbnail_bytes is None or thumbnail_bytes.startswith(b"\x89PNG")
        read_count += thumbnail_bytes is not None
    assert 0 < read_count < COUNT
