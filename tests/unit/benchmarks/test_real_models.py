"""The script that builds models of real radiographs: who is held out, what its page says."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("torch")
from PIL import Image

from benchmarks.real_models.outputs import Outputs, Shown
from benchmarks.real_models.page import write_page
from benchmarks.real_models.run import Build, build_models, write_studies
from kgp_models.images.examples import Link
from kgp_models.images.predict import BY_BOTH, PredictedLink
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
    assert text.count("data:image/jpeg;base64,") == 1
    assert "http" not in text, "no request leaves the machine"
