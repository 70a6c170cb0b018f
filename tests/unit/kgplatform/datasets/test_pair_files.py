"""The file of pairs: read back with its reports, stale when they changed, refused when damaged."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kgplatform.datasets.pairs import PARTS, PROTOCOLS, PairSet, partition_pairs, read_pairs, sample_pairs
from kgplatform.errors import InputError
from tests.unit.kgplatform.datasets.test_pairs import numbered_openi_studies, write_openi_studies
from tests.unit.loaders.test_mimic_cxr import METADATA, layout, synthetic_dicom_id


def openi_pair_set(folder: Path, protocol: str = "report", count: int = 40) -> PairSet:
    pairs = read_pairs("openi", write_openi_studies(folder / "openi", numbered_openi_studies(count))).pairs
    return PairSet(partition_pairs(pairs, protocol, 7), "openi", folder / "openi", None, protocol, 7)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pairs_are_read_back_with_their_reports_and_the_file_has_none(tmp_path: Path, protocol: str) -> None:
    folder = tmp_path / "before"
    original = openi_pair_set(folder, protocol)
    original.write(folder / "made" / "pairs.parquet")
    table = pq.read_table(folder / "made" / "pairs.parquet")
    assert set(table.column_names) == {
        "image", "path", "study", "subject", "view", "dataset", "part", "text_sha256",
    }  # fmt: skip
    assert b"Finding" not in (folder / "made" / "pairs.parquet").read_bytes()
    assert table.schema.metadata[b"folder"] == b"../openi"
    assert table["path"][0].as_py() == table["image"][0].as_py() + ".png"
    folder = folder.rename(tmp_path / "after")
    reread = PairSet.read(folder / "made" / "pairs.parquet")
    assert reread.sha256 == original.sha256
    assert (reread.kind, reread.protocol, reread.seed, reread.images) == ("openi", protocol, 7, None)
    for part in PARTS:
        assert [(pair.image, pair.text) for pair in reread.parts[part]] == [
            (pair.image, pair.text) for pair in original.parts[part]
        ]
    assert all(pair.path.is_file() for pair in reread.pairs)


def test_pairs_with_images_elsewhere_are_read_back(tmp_path: Path) -> None:
    openi_folder, image_folder = tmp_path / "openi", tmp_path / "pictures"
    pairs = read_pairs(
        "openi", write_openi_studies(openi_folder, numbered_openi_studies(), image_folder), images=image_folder
    ).pairs
    PairSet(partition_pairs(pairs), "openi", openi_folder, image_folder, "subject").write(tmp_path / "pairs.parquet")
    reread = PairSet.read(tmp_path / "pairs.parquet", require_images=True)
    assert {pair.path.resolve().parent for pair in reread.pairs} == {image_folder}
    openi_folder.rename(tmp_path / "a")
    image_folder.rename(tmp_path / "b")
    with pytest.raises(InputError):
        PairSet.read(tmp_path / "pairs.parquet")
    relocated = PairSet.read(tmp_path / "pairs.parquet", folder=tmp_path / "a", images=tmp_path / "b")
    assert relocated.sha256 == reread.sha256
    assert {pair.path.parent for pair in relocated.pairs} == {tmp_path / "b"}


def test_a_report_that_changed_or_is_gone_makes_the_file_stale(tmp_path: Path) -> None:
    openi_pair_set(tmp_path).write(tmp_path / "pairs.parquet")
    write_openi_studies(tmp_path / "openi", [("1", "Another finding.", ""), *numbered_openi_studies()[1:]])
    with pytest.raises(InputError, match=r"stale: of 80 pairs, 2 changed") as refusal:
        PairSet.read(tmp_path / "pairs.parquet")
    assert "Another" not in str(refusal.value)
    write_openi_studies(tmp_path / "openi", numbered_openi_studies()[3:])
    with pytest.raises(InputError, match="stale: of 80 pairs, 6 changed"):
        PairSet.read(tmp_path / "pairs.parquet")
    write_openi_studies(tmp_path / "openi", [*numbered_openi_studies(), ("99", "A new report.", "")])
    assert len(PairSet.read(tmp_path / "pairs.parquet").pairs) == 80
    (tmp_path / "openi" / "1_IM-1001.dcm.png").unlink()
    assert len(PairSet.read(tmp_path / "pairs.parquet").pairs) == 80
    with pytest.raises(InputError, match="1 changed"):
        PairSet.read(tmp_path / "pairs.parquet", require_images=True)


def test_of_mimic_cxr_only_the_studies_of_the_pairs_are_opened(tmp_path: Path) -> None:
    records = [
        (synthetic_dicom_id(number), f"{10_000_000 + number}", f"{50_000_000 + number}", "AP")
        for number in range(1, 41)
    ]
    layout(tmp_path / "mimic", records)
    pairs = read_pairs("mimic-cxr", tmp_path / "mimic", require_images=False).pairs
    sampled_pairs = sample_pairs(pairs, 30)
    PairSet(partition_pairs(sampled_pairs), "mimic-cxr", tmp_path / "mimic", None, "subject").write(
        tmp_path / "pairs.parquet"
    )
    for pair in set(pairs) - set(sampled_pairs):
        report_path = tmp_path / "mimic" / "files" / "p10" / f"p{pair.subject}" / f"s{pair.study}.txt"
        report_path.unlink()
    assert len(PairSet.read(tmp_path / "pairs.parquet").pairs) == 30
    metadata_text = (
        (tmp_path / "mimic" / METADATA).read_text(encoding="utf-8").replace(sampled_pairs[0].subject, "10009999")
    )
    (tmp_path / "mimic" / METADATA).write_text(metadata_text, encoding="utf-8")
    with pytest.raises(InputError, match="1 changed"):
        PairSet.read(tmp_path / "pairs.parquet")


def test_the_hash_is_of_what_the_file_says(tmp_path: Path) -> None:
    pair_set = openi_pair_set(tmp_path)
    assert replace(pair_set, seed=8).sha256 == pair_set.sha256
    parts = {part_name: list(pair_set.parts[part_name]) for part_name in PARTS}
    parts["test"].append(parts["train"].pop())
    assert replace(pair_set, parts=parts).sha256 != pair_set.sha256
    parts = {part_name: list(pair_set.parts[part_name]) for part_name in PARTS}
    parts["train"][0] = replace(parts["train"][0], text="Another.")
    assert replace(pair_set, parts=parts).sha256 != pair_set.sha256


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    pairs_path = tmp_path / "pairs.parquet"
    pair_set = openi_pair_set(tmp_path)
    pair_set.write(pairs_path)
    original_bytes = pairs_path.read_bytes()
    generator = random.Random(5)
    for _ in range(200):
        damaged = bytearray(original_bytes)
        damaged[generator.randrange(len(original_bytes))] = generator.randrange(256)
        pairs_path.write_bytes(
            damaged if generator.random() < 0.7 else original_bytes[: generator.randrange(len(original_bytes))]
        )
        try:
            reread = PairSet.read(pairs_path)
        except InputError:
            continue
        assert reread.sha256 == pair_set.sha256
    with pytest.raises(InputError, match="no such file"):
        PairSet.read(tmp_path / "none.parquet")
