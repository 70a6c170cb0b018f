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
from kgplatform.construct.lexicon import Concept, Relation
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
    f"{'-'.join([f'{n:08x}'] * 5)},1000000{n},5000000{n},AP\n" for n in range(3)
)
PIECES = (b"\x00", b"\xff", b'"', b"\n", b"\r", b"|", b",", b"<", b"&", b"]]>", b"{", b"\\", b"\xef\xbb\xbf", b"9" * 30)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some changed, cut out, doubled or put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(out):
            out[at] = rng.randrange(256)
        elif kind == 1:
            del out[at : at + rng.randrange(1, 40)]
        elif kind == 2:
            out[at:at] = rng.choice(PIECES)
        elif kind == 3:
            out[at:at] = out[at : at + rng.randrange(1, 60)]
        else:
            del out[at:]
    return bytes(out)


def campaign(path: Path, data: bytes, read: Callable[[], Iterable[object]]) -> None:
    """Damage a file again and again, and read it."""
    rng = random.Random(str(path.name))
    seen = {"read": 0, "rejected": 0, "refused": 0}
    for _ in range(COUNT):
        path.write_bytes(damaged(data, rng))
        try:
            for row in read():
                assert isinstance(row, Report | Reject | Concept | Relation)
                if isinstance(row, Reject):
                    assert row.row >= 1
                    assert CANARY not in row.reason
                    seen["rejected"] += 1
                else:
                    seen["read"] += 1
        except InputError as error:
            assert CANARY not in f"{error} {error.hint}"
            seen["refused"] += 1
    assert seen["read"] > 0
    assert seen["rejected"] + seen["refused"] > COUNT // 20


@pytest.mark.parametrize("name", ["MRCONSO.RRF", "MRSTY.RRF", "MRREL.RRF", "MRFILES.RRF", "MRCOLS.RRF"])
def test_rrf(tmp_path: Path, name: str) -> None:
    ontology.write(tmp_path / "o")
    for path in (tmp_path / "o").iterdir():
        if path.name not in ("MRFILES.RRF", "MRCOLS.RRF"):
            path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:6]), encoding="utf-8")
    among = {one.cui for one in ontology.concepts().values()}

    def read() -> Iterable[object]:
        umls = UMLS(tmp_path / "o")
        return [*umls.concepts(), *umls.relations(among)]

    campaign(tmp_path / "o" / name, (tmp_path / "o" / name).read_bytes(), read)


@pytest.mark.parametrize(("name", "text"), [("r.jsonl", JSON_LINES), ("r.csv", TABLE)])
def test_reports_in_tables(tmp_path: Path, name: str, text: str) -> None:
    campaign(tmp_path / name, text.encode(), lambda: Reports(tmp_path / name).reports())


def test_openi_xml(tmp_path: Path) -> None:
    campaign(tmp_path / "1.xml", XML.encode(), lambda: OpenI(tmp_path).reports())


def test_mimic_cxr_metadata_and_reports(tmp_path: Path) -> None:
    place = tmp_path / "files" / "p10" / "p10000000"
    place.mkdir(parents=True)
    report = place / "s50000000.txt"
    report.write_text(f" FINDINGS: \n \n No {CANARY}.\n", encoding="utf-8")
    name = tmp_path / "mimic-cxr-2.0.0-metadata.csv"
    campaign(name, METADATA.encode(), lambda: MIMICCXR(tmp_path).reports())
    name.write_text(METADATA, encoding="utf-8")
    rng = random.Random("report")
    for _ in range(COUNT):
        report.write_bytes(damaged(f" FINDINGS: \n \n No {CANARY}.\n \n IMPRESSION: Normal.\n".encode(), rng))
        for row in MIMICCXR(tmp_path).reports():
            assert isinstance(row, Report | Reject)
            assert not isinstance(row, Reject) or CANARY not in row.reason


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".dcm"])
def test_images(tmp_path: Path, suffix: str) -> None:
    if suffix == ".dcm":
        study_set.build(tmp_path / "p", 1, 7)
        data = next((tmp_path / "p").rglob("*.dcm")).read_bytes()
    else:
        out = io.BytesIO()
        Image.effect_noise((40, 30), 50).save(out, {".png": "PNG", ".jpg": "JPEG"}[suffix])
        data = out.getvalue()
    rng = random.Random(suffix)
    path = tmp_path / f"x{suffix}"
    read = 0
    for _ in range(COUNT):
        path.write_bytes(damaged(data, rng))
        small = thumbnail(path.name, tmp_path)
        assert small is None or small.startswith(b"\x89PNG")
        read += small is not None
    assert 0 < read < COUNT
