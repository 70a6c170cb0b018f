"""The file of pairs: read back with its reports, stale when they changed, refused when damaged."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kgplatform.errors import InputError
from kgplatform.retrieval.pairs import PARTS, PROTOCOLS, PairSet, read, sample, split
from tests.unit.test_mimic_cxr_loader import METADATA, dicom, layout
from tests.unit.test_retrieval_pairs import many, openi


def made(folder: Path, protocol: str = "report", count: int = 40) -> PairSet:
    pairs, _ = read("openi", openi(folder / "openi", many(count)))
    return PairSet(split(pairs, protocol, 7), "openi", folder / "openi", None, protocol, 7)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pairs_are_read_back_with_their_reports_and_the_file_has_none(tmp_path: Path, protocol: str) -> None:
    folder = tmp_path / "before"
    before = made(folder, protocol)
    before.write(folder / "made" / "pairs.parquet")
    table = pq.read_table(folder / "made" / "pairs.parquet")
    assert set(table.column_names) == {
        "image", "path", "study", "subject", "view", "dataset", "part", "text_sha256",
    }  # fmt: skip
    assert b"Finding" not in (folder / "made" / "pairs.parquet").read_bytes()
    assert table.schema.metadata[b"folder"] == b"../openi"
    assert table["path"][0].as_py() == table["image"][0].as_py() + ".png"
    folder = folder.rename(tmp_path / "after")
    after = PairSet.read(folder / "made" / "pairs.parquet")
    assert after.sha256 == before.sha256
    assert (after.kind, after.protocol, after.seed, after.images) == ("openi", protocol, 7, None)
    for part in PARTS:
        assert [(one.image, one.text) for one in after.parts[part]] == [
            (one.image, one.text) for one in before.parts[part]
        ]
    assert all(one.path.is_file() for one in after.pairs)


def test_pairs_with_images_elsewhere_are_read_back(tmp_path: Path) -> None:
    folder, images = tmp_path / "openi", tmp_path / "pictures"
    pairs, _ = read("openi", openi(folder, many(), images), images=images)
    PairSet(split(pairs), "openi", folder, images, "subject").write(tmp_path / "pairs.parquet")
    after = PairSet.read(tmp_path / "pairs.parquet", require_images=True)
    assert {one.path.resolve().parent for one in after.pairs} == {images}
    folder.rename(tmp_path / "a")
    images.rename(tmp_path / "b")
    with pytest.raises(InputError):
        PairSet.read(tmp_path / "pairs.parquet")
    there = PairSet.read(tmp_path / "pairs.parquet", folder=tmp_path / "a", images=tmp_path / "b")
    assert there.sha256 == after.sha256
    assert {one.path.parent for one in there.pairs} == {tmp_path / "b"}


def test_a_report_that_changed_or_is_gone_makes_the_file_stale(tmp_path: Path) -> None:
    made(tmp_path).write(tmp_path / "pairs.parquet")
    openi(tmp_path / "openi", [("1", "Another finding.", ""), *many()[1:]])
    with pytest.raises(InputError, match=r"stale: of 80 pairs, 2 changed") as told:
        PairSet.read(tmp_path / "pairs.parquet")
    assert "Another" not in str(told.value)
    openi(tmp_path / "openi", many()[3:])
    with pytest.raises(InputError, match="stale: of 80 pairs, 6 changed"):
        PairSet.read(tmp_path / "pairs.parquet")
    openi(tmp_path / "openi", [*many(), ("99", "A new report.", "")])
    assert len(PairSet.read(tmp_path / "pairs.parquet").pairs) == 80
    (tmp_path / "openi" / "1_IM-1001.dcm.png").unlink()
    assert len(PairSet.read(tmp_path / "pairs.parquet").pairs) == 80
    with pytest.raises(InputError, match="1 changed"):
        PairSet.read(tmp_path / "pairs.parquet", require_images=True)


def test_of_mimic_cxr_only_the_studies_of_the_pairs_are_opened(tmp_path: Path) -> None:
    rows = [(dicom(n), f"{10_000_000 + n}", f"{50_000_000 + n}", "AP") for n in range(1, 41)]
    layout(tmp_path / "mimic", rows)
    pairs, _ = read("mimic-cxr", tmp_path / "mimic", require_images=False)
    chosen = sample(pairs, 30)
    PairSet(split(chosen), "mimic-cxr", tmp_path / "mimic", None, "subject").write(tmp_path / "pairs.parquet")
    for one in set(pairs) - set(chosen):
        place = tmp_path / "mimic" / "files" / "p10" / f"p{one.subject}" / f"s{one.study}.txt"
        place.unlink()
    assert len(PairSet.read(tmp_path / "pairs.parquet").pairs) == 30
    lines = (tmp_path / "mimic" / METADATA).read_text(encoding="utf-8").replace(chosen[0].subject, "10009999")
    (tmp_path / "mimic" / METADATA).write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match="1 changed"):
        PairSet.read(tmp_path / "pairs.parquet")


def test_the_hash_is_of_what_the_file_says(tmp_path: Path) -> None:
    first = made(tmp_path)
    assert replace(first, seed=8).sha256 == first.sha256
    parts = {part: list(first.parts[part]) for part in PARTS}
    parts["test"].append(parts["train"].pop())
    assert replace(first, parts=parts).sha256 != first.sha256
    parts = {part: list(first.parts[part]) for part in PARTS}
    parts["train"][0] = replace(parts["train"][0], text="Another.")
    assert replace(first, parts=parts).sha256 != first.sha256


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    first = made(tmp_path)
    first.write(file)
    whole = file.read_bytes()
    chance = random.Random(5)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] = chance.randrange(256)
        file.write_bytes(damaged if chance.random() < 0.7 else whole[: chance.randrange(len(whole))])
        try:
            found = PairSet.read(file)
        except InputError:
            continue
        assert found.sha256 == first.sha256
    with pytest.raises(InputError, match="no such file"):
        PairSet.read(tmp_path / "none.parquet")
