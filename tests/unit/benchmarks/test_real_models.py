"""The script that builds models of real radiographs: who is held out, what its page says."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

pytest.importorskip("torch")
from PIL import Image

from benchmarks.real_models.outputs import Outputs, Shown, chance_of_hit
from benchmarks.real_models.page import write_page
from benchmarks.real_models.run import Build, build_models, pair_parts, require_same_build, write_studies
from kgp_models.images.examples import Link
from kgp_models.images.prediction import BY_BOTH, PredictedLink
from kgplatform.datasets.pair_source import Pair
from kgplatform.errors import InputError
from kgplatform.triplets.text import Relation, Triplet

STUDIES = 200


def openi(folder: Path) -> Path:
    (folder / "indiana_reports.csv").write_text(
        "uid,MeSH,findings,impression\n" + "".join(f'{uid},normal,"Clear, {uid}.",\n' for uid in range(STUDIES)),
        encoding="utf-8",
    )
    (folder / "indiana_projections.csv").write_text(
        "uid,filename,projection\n"
        + "".join(f"{uid},{uid}.png,Frontal\n{uid},{uid}b.png,Lateral\n" for uid in range(STUDIES)),
        encoding="utf-8",
    )
    return folder


def uids(path: Path) -> set[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["uid"] for row in csv.DictReader(file)}


def test_no_held_out_study_is_in_the_tables_that_are_trained_on(tmp_path: Path) -> None:
    build = Build(openi(tmp_path), tmp_path / "out")
    splits = write_studies(build)
    assert set(splits) == {str(uid) for uid in range(STUDIES)}
    held_out = {uid for uid, split in splits.items() if split == "test"}
    assert 0.03 * STUDIES < len(held_out) < 0.2 * STUDIES
    for name in ("indiana_reports.csv", "indiana_projections.csv"):
        assert uids(build.studies / name) == set(splits) - held_out
    assert write_studies(build) == splits, "a second call changes nothing"


def test_a_file_of_splits_holds_out_what_it_does_not_name(tmp_path: Path) -> None:
    splits_path = tmp_path / "splits.csv"
    splits_path.write_text("study,split\n1,train\n2,train\n3,val\n4,test\n", encoding="utf-8")
    build = Build(openi(tmp_path), tmp_path / "out", splits_path)
    splits = write_studies(build)
    assert (splits["1"], splits["3"], splits["4"], splits["5"]) == ("train", "val", "test", "other")
    assert uids(build.studies / "indiana_reports.csv") == {"1", "2", "3"}


def test_models_of_other_splits_are_not_continued(tmp_path: Path) -> None:
    build = Build(openi(tmp_path), tmp_path / "out")
    build.out.mkdir()
    require_same_build(build)
    require_same_build(build)
    splits_path = tmp_path / "splits.csv"
    splits_path.write_text("study,split\n1,train\n", encoding="utf-8")
    with pytest.raises(InputError, match="models with other tables and splits are here"):
        require_same_build(replace(build, splits=splits_path))
    with pytest.raises(InputError, match="models with other epochs, language model are here"):
        require_same_build(replace(build, epochs=1, language_model="small"))


def test_retrieval_trains_on_no_study_that_the_encoder_validates_on() -> None:
    all_pairs = [
        Pair(f"{study}{view}", Path(), "", study, "", view, "OpenI") for study in "123456" for view in ("a", "b")
    ]
    splits = {"1": "train", "2": "train", "3": "val", "4": "val", "5": "val", "6": "test"}
    parts = pair_parts(all_pairs, splits)
    studies = {part: sorted({pair.study for pair in part_pairs}) for part, part_pairs in parts.items()}
    assert studies == {"train": ["1", "2"], "valid": ["4"], "test": ["3", "5"]}
    assert len(parts["train"]) == 4


@pytest.mark.parametrize(("images", "relevant"), [(7, 1), (7, 3), (3, 2)])
def test_the_chance_of_a_hit_is_the_share_of_orders(images: int, relevant: int) -> None:
    orders = list(permutations(range(images)))
    hits = sum(any(place < relevant for place in order[:2]) for order in orders)
    assert chance_of_hit(images, relevant, 2) == pytest.approx(hits / len(orders))


def test_a_folder_without_radiographs_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no radiographs here"):
        build_models(Build(openi(tmp_path), tmp_path / "out"), 5)
    assert not (tmp_path / "out").exists()


def test_the_page_marks_triplets_that_the_codes_give_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    image_path = tmp_path / "1.png"
    Image.new("L", (600, 400), 90).save(image_path)
    right, wrong = Triplet("opacity", Relation.LOCATED_AT, "lung"), Triplet("<b>mass</b>", Relation.LOCATED_AT, "lung")
    link = PredictedLink(Link("POSITIVE", "C1", "Opacity & more"), 0.424, BY_BOTH)
    shown = Shown("7", image_path, ["Opacity/lung"], [link], [right, wrong], [], 3)
    interval = {"value": 0.5, "low": 0.25, "high": 0.75}
    figures = {
        "held-out studies": 1_234,
        "triplets, image": {"studies": 9, "F1": interval},
        "findings, encoder": {
            "images": 77,
            "links": 12,
            "macro AUC": 0.7,
            "macro AUC, low": 0.6,
            "macro AUC, high": 0.8,
        },
        "retrieval, text to image": {"R@10": 0.05, "by chance": 0.02, "images": 501},
    }
    write_page(tmp_path / "index.html", Outputs([shown], figures), {"encoder": 90.0})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert (
        "<span class=right>opacity located_at lung</span>, <span>&lt;b&gt;mass&lt;/b&gt; located_at lung</span>" in text
    )
    assert "Opacity &amp; more 0.42" in text
    assert "0.500 [0.250, 0.750], 9 studies" in text
    assert "5.0% (by chance 2.0%)" in text
    assert "macro AUC 0.700 [0.600, 0.800] over 12 findings with stance, 77 validation images" in text
    assert text.count("data:image/jpeg;base64,") == 1
    assert "http" not in text, "no request leaves the machine"
