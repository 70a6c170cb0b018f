"""Pairs of images and reports: what is read and left out, samples and splits, the file, and OpenI's real reports."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.datasets import pair_source
from kgplatform.datasets.graph_studies import exclude, study_key
from kgplatform.datasets.pair_checks import pair_overlaps
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import (
    PARTS,
    PROTOCOLS,
    PairSet,
    gallery_groups,
    pair_groups,
    partition_pairs,
    read_pairs,
    sample_pairs,
)
from kgplatform.errors import InputError, UsageError
from tests.unit.loaders.test_mimic_cxr import CANARY, layout, synthetic_dicom_id
from tests.unit.loaders.test_openi import XML

STUDIES = [
    ("1", "Lungs are  clear.", "Normal   chest. "),
    ("2", "", "A mass."),
    ("3", "lungs are CLEAR. normal chest.", ""),
    ("4", " ", ""),
]


def write_openi_studies(
    folder: Path, studies: Sequence[tuple[str, str, str]] = STUDIES, images: Path | None = None
) -> Path:
    """OpenI with two images a study; all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    image_folder = images or folder
    image_folder.mkdir(parents=True, exist_ok=True)
    with (folder / "indiana_reports.csv").open("w", newline="", encoding="utf-8") as csv_file:
        csv.writer(csv_file).writerows([("uid", "findings", "impression"), *studies])
    projection_rows = [("uid", "filename", "projection")]
    for uid, _, _ in studies:
        for number, view in ((1001, "Frontal"), (2001, "Lateral")):
            projection_rows.append((uid, f"{uid}_IM-{number}.dcm.png", view))
            (image_folder / projection_rows[-1][1]).write_bytes(b"x")
    with (folder / "indiana_projections.csv").open("w", newline="", encoding="utf-8") as csv_file:
        csv.writer(csv_file).writerows(projection_rows)
    return folder


def numbered_openi_studies(count: int = 40) -> list[tuple[str, str, str]]:
    return [(str(uid), f"Finding {uid % 30}.", "") for uid in range(1, count + 1)]


def pair(image: str, study: str = "", subject: str = "", text: str = "t", dataset: str = "d") -> Pair:
    return Pair(image, Path(image), text, study or image, subject, "", dataset)


PAIRS = st.lists(
    st.builds(
        pair,
        st.uuids(version=4).map(str),
        st.sampled_from(["s1", "s2", "s3", "s4", "s5", "s6", "s7"]),
        st.sampled_from(["", "p1", "p2", "p3"]),
        st.sampled_from(["a", "A", "b", "c"]),
    ),
    max_size=60,
    unique_by=lambda image_pair: image_pair.image,
)


def test_a_pair_is_an_image_with_its_whole_text(tmp_path: Path) -> None:
    pairs, rejects, _ = read_pairs("openi", write_openi_studies(tmp_path))
    assert [
        (image_pair.image, image_pair.study, image_pair.view, image_pair.dataset, image_pair.subject)
        for image_pair in pairs[:3]
    ] == [
        ("1_IM-1001.dcm", "1", "Frontal", "OpenI", ""),
        ("1_IM-2001.dcm", "1", "Lateral", "OpenI", ""),
        ("2_IM-1001.dcm", "2", "Frontal", "OpenI", ""),
    ]
    assert pairs[0].path == tmp_path / "1_IM-1001.dcm.png"
    assert pairs[0].text == "Lungs are clear. Normal chest."
    assert pairs[2].text == "A mass."
    assert "clear" not in repr(pairs[0])
    assert [(rejected.path.name, rejected.reason) for rejected in rejects] == [
        ("4_IM-1001.dcm.png", pair_source.NO_TEXT),
        ("4_IM-2001.dcm.png", pair_source.NO_TEXT),
    ]
    assert [image_pair.view for image_pair in read_pairs("openi", tmp_path, views=("Lateral",)).pairs] == [
        "Lateral"
    ] * 3


def test_an_image_that_is_not_there_is_told_unless_none_is_wanted(tmp_path: Path) -> None:
    write_openi_studies(tmp_path)
    (tmp_path / "2_IM-1001.dcm.png").unlink()
    pairs, rejects, _ = read_pairs("openi", tmp_path)
    assert len(pairs) == 5
    assert [rejected.path.name for rejected in rejects if rejected.reason == pair_source.NO_IMAGE] == [
        "2_IM-1001.dcm.png"
    ]
    assert len(read_pairs("openi", tmp_path, require_images=False).pairs) == 6


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    write_openi_studies(tmp_path / "reports", images=tmp_path / "pictures")
    assert not read_pairs("openi", tmp_path / "reports").pairs
    pairs = read_pairs("openi", tmp_path / "reports", images=tmp_path / "pictures").pairs
    assert {image_pair.path.parent for image_pair in pairs} == {tmp_path / "pictures"}


def test_the_xml_form_names_png_files_and_no_views(tmp_path: Path) -> None:
    (tmp_path / "9.xml").write_text(XML.format(uid="9"), encoding="utf-8")
    (tmp_path / "CXR9_IM-0002.png").write_bytes(b"x")
    [image_pair], [rejected], _ = read_pairs("openi", tmp_path)
    assert (image_pair.image, image_pair.path.name, image_pair.view) == ("CXR9_IM-0002", "CXR9_IM-0002.png", "")
    assert (rejected.path.name, rejected.reason) == ("9_IM-0001.dcm.png", pair_source.NO_IMAGE)
    with pytest.raises(UsageError, match="does not contain the views"):
        read_pairs("openi", tmp_path, views=("Frontal",))


def test_mimic_cxr_has_subjects_and_its_images_any_suffix(tmp_path: Path) -> None:
    layout(tmp_path / "reports")
    for number, suffix in ((1, ".png"), (3, ".dcm"), (5, ".jpg")):
        study, subject = {1: ("s50000001", "p10000001"), 3: ("s50000001", "p10000001"), 5: ("s50000003", "p10000003")}[
            number
        ]
        study_folder = tmp_path / "images" / "files" / "p10" / subject / study
        study_folder.mkdir(parents=True, exist_ok=True)
        (study_folder / f"{synthetic_dicom_id(number)}{suffix}").write_bytes(b"x")
    pairs, rejects, _ = read_pairs("mimic-cxr", tmp_path / "reports", images=tmp_path / "images")
    assert [
        (image_pair.image, image_pair.study, image_pair.subject, image_pair.view, image_pair.path.suffix)
        for image_pair in pairs
    ] == [
        (synthetic_dicom_id(1), "50000001", "10000001", "AP", ".png"),
        (synthetic_dicom_id(3), "50000001", "10000001", "LATERAL", ".dcm"),
        (synthetic_dicom_id(5), "50000003", "10000003", "AP", ".jpg"),
    ]
    assert len(rejects) == 2
    assert pairs[0].text == f"No {CANARY}. Normal."


def test_iu_xray_counts_its_images_from_their_folder(tmp_path: Path) -> None:
    entries = [
        {"id": "CXR1_IM-0001", "report": "Clear.", "image_path": ["CXR1_IM-0001/0.png", "CXR1_IM-0001/1.png"]},
        {"id": "CXR2_IM-0002", "report": "Mass.", "image_path": ["CXR2_IM-0002/0.png", "../../0.png", ""]},
    ]
    document = {"train": entries, "val": [], "test": []}
    (tmp_path / "annotation.json").write_text(json.dumps(document), encoding="utf-8")
    for image_name in ("CXR1_IM-0001/0.png", "CXR1_IM-0001/1.png", "CXR2_IM-0002/0.png"):
        (tmp_path / "images" / image_name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / image_name).write_bytes(b"x")
    pairs, rejects, _ = read_pairs("iu-xray", tmp_path)
    assert [image_pair.image for image_pair in pairs] == ["CXR1_IM-0001/0", "CXR1_IM-0001/1", "CXR2_IM-0002/0"]
    assert [rejected.reason for rejected in rejects] == [pair_source.OUTSIDE] * 2
    separate_pairs = read_pairs("iu-xray", tmp_path / "annotation.json", images=tmp_path / "images").pairs
    assert [(image_pair.image, image_pair.path) for image_pair in separate_pairs] == [
        (image_pair.image, image_pair.path) for image_pair in pairs
    ]
    with pytest.raises(UsageError, match="does not contain the views"):
        read_pairs("iu-xray", tmp_path, views=("AP",))


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no pairs of chexpert"):
        read_pairs("chexpert", tmp_path)
    with pytest.raises(InputError, match="no OpenI reports"):
        read_pairs("openi", tmp_path)


def test_what_the_graph_was_built_from_is_left_out_with_all_of_its_patients() -> None:
    pairs = [
        pair("a", "1", "p"),
        pair("b", "2", "p"),  # another study of the patient
        pair("c", "3", "q"),
        pair("d", "4", "r"),
        pair("e", "5"),
        pair("f", "6"),
        pair("g", "1", "t", dataset="other"),
    ]
    studies, subjects = {("d", "1"), ("d", "5")}, {("d", "q")}
    assert [image_pair.image for image_pair in exclude(pairs, studies, subjects)] == ["d", "f", "g"]
    assert [image_pair.image for image_pair in exclude(pairs, studies)] == ["c", "d", "f", "g"]
    assert exclude(pairs, set(), set()) == pairs


def test_iu_xrays_studies_are_openis() -> None:
    assert study_key("IU X-ray", "CXR2384_IM-0942") == study_key("OpenI", "2384") == ("OpenI", "2384")
    assert study_key("IU X-ray", "else") == ("IU X-ray", "else")
    assert study_key("MIMIC-CXR", "50000001") == ("MIMIC-CXR", "50000001")


@given(PAIRS, st.integers(0, 60), st.integers(0, 3), st.randoms())
def test_a_sample_is_the_same_in_any_order_and_holds_smaller_ones(
    pairs: list[Pair], count: int, seed: int, chance: random.Random
) -> None:
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    sampled = sample_pairs(pairs, count, seed)
    assert sample_pairs(shuffled, count, seed) == sampled
    assert len(sampled) == min(count, len(pairs))
    assert [image_pair.image for image_pair in sampled] == sorted(image_pair.image for image_pair in sampled)
    assert set(sample_pairs(pairs, count // 2, seed)) <= set(sampled)


def test_samples_differ_by_seed_and_are_not_the_first_files() -> None:
    pairs = [pair(f"{number:04d}") for number in range(1000)]
    first_sample, second_sample = (set(sample_pairs(pairs, 500, seed)) for seed in (42, 43))
    assert 200 < len(first_sample & second_sample) < 300
    assert 200 < len(first_sample & set(pairs[:500])) < 300


@given(PAIRS, st.sampled_from(list(PROTOCOLS)), st.integers(0, 3), st.randoms())
def test_a_split_is_a_partition_that_keeps_groups_together(
    pairs: list[Pair], protocol: str, seed: int, chance: random.Random
) -> None:
    try:
        parts = partition_pairs(pairs, protocol, seed)
    except UsageError:
        assert len({PROTOCOLS[protocol](image_pair) for image_pair in pairs}) < 10 or protocol != "paper"
        return
    assert sorted(image_pair.image for part_name in PARTS for image_pair in parts[part_name]) == sorted(
        image_pair.image for image_pair in pairs
    )
    group_parts: dict[tuple[str, ...], set[str]] = {}
    for part_name in PARTS:
        assert parts[part_name]
        for image_pair in parts[part_name]:
            group_parts.setdefault(PROTOCOLS[protocol](image_pair), set()).add(part_name)
    assert all(len(part_names) == 1 for part_names in group_parts.values())
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    assert partition_pairs(shuffled, protocol, seed) == parts


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sizes_are_8_1_1_and_more_pairs_move_few(protocol: str) -> None:
    def images(count: int) -> list[Pair]:
        return [pair(f"{number:05d}", f"s{number // 2}", f"p{number // 4}") for number in range(count)]

    parts = partition_pairs(images(10_000), protocol)
    assert np.abs(np.array([len(parts[part_name]) for part_name in PARTS]) - [8_000, 1_000, 1_000]).max() <= 4
    if protocol == "paper":
        assert [len(parts[part_name]) for part_name in PARTS] == [8_000, 1_000, 1_000]
    larger_parts = partition_pairs(images(10_100), protocol)
    original_parts = {image_pair.image: part_name for part_name in PARTS for image_pair in parts[part_name]}
    moved_count = sum(
        original_parts.get(image_pair.image, part_name) != part_name
        for part_name in PARTS
        for image_pair in larger_parts[part_name]
    )
    assert moved_count < 200
    reseeded_parts = partition_pairs(images(10_000), protocol, 43)
    unmoved_count = sum(
        original_parts[image_pair.image] == part_name for part_name in PARTS for image_pair in reseeded_parts[part_name]
    )
    assert 6_000 < unmoved_count < 7_200  # by chance 66 %


def test_splitting_unsuitable_pairs_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no protocol image"):
        partition_pairs([pair("a")], "image")
    for few_pairs in ([], [pair("a")], [pair(f"{number}", "one") for number in range(100)]):
        with pytest.raises(UsageError, match="too few to split by report"):
            partition_pairs(few_pairs, "report")


@given(PAIRS)
def test_groups_join_images_of_one_study_and_of_one_text(pairs: list[Pair]) -> None:
    group_numbers = pair_groups(pairs).tolist()
    members = [{pair_index} for pair_index in range(len(pairs))]
    for _ in pairs:  # until nothing is joined any more
        for first_index, first_pair in enumerate(pairs):
            for second_index, second_pair in enumerate(pairs):
                if first_pair.study == second_pair.study or first_pair.text.lower() == second_pair.text.lower():
                    joined = members[first_index] | members[second_index]
                    for pair_index in joined:
                        members[pair_index] = joined
    assert [[first_group == second_group for second_group in group_numbers] for first_group in group_numbers] == [
        [second_index in members[first_index] for second_index in range(len(pairs))]
        for first_index in range(len(pairs))
    ]
    assert sorted(set(group_numbers)) == list(range(len(set(group_numbers))))
    assert sorted(set(group_numbers), key=group_numbers.index) == sorted(set(group_numbers))


def test_images_that_are_searched_among_too_are_relevant_where_their_report_is_equal() -> None:
    pairs, others = (
        [Pair(f"{study}.png", Path(), text, study, "", "PA", "Tiny") for study, text in studies]
        for studies in ((("1", "Normal."), ("2", "Effusion.")), (("3", "normal."), ("4", "Nodule.")))
    )
    assert gallery_groups(pairs, others).tolist() == [0, 1, 0, 2]
    assert gallery_groups(pairs, []).tolist() == [0, 1]
    same_study = [Pair("5.png", Path(), "Effusion.", "1", "", "LATERAL", "Tiny")]
    with pytest.raises(ValueError, match="of the studies"):
        gallery_groups(pairs, same_study)


@pytest.mark.slow
@pytest.mark.data
def test_pairs_from_openis_real_reports(data_dir: Path) -> None:
    openi_folder = data_dir / "openi"
    assert not read_pairs("openi", openi_folder).pairs  # no images are shipped
    pairs, rejects, _ = read_pairs("openi", openi_folder, require_images=False)
    assert Counter(rejected.reason for rejected in rejects) == {pair_source.NO_TEXT: 28}
    assert len(pairs) == 5_250
    assert len({image_pair.study for image_pair in pairs}) == 2_701
    assert pair_groups(pairs).max() + 1 == len({image_pair.wording for image_pair in pairs}) == 2_206
    shared = {}
    for protocol in ("report", "paper"):
        parts = partition_pairs(pairs, protocol)
        assert [len(parts[part_name]) for part_name in PARTS] == [4_200, 525, 525]
        shared[protocol] = pair_overlaps(PairSet(parts, "openi", openi_folder, None, protocol))
    # the requirements' simulation had 79 % and 83 %
    assert shared == {
        "report": {"report": 0, "text": 112, "subject": 0},
        "paper": {"report": 420, "text": 438, "subject": 0},
    }
