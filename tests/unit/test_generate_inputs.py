"""What a generator is to look at: folders, data sets, tables, single files, each image with its report."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from kgplatform.batches import Reject
from kgplatform.errors import InputError
from kgplatform.generate.inputs import FOLDER, inputs, kind_of
from kgplatform.schema import IMAGE_ID


def draw(path: Path) -> Path:
    """A picture that no other one is like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.frombytes("L", (4, 4), hashlib.sha256(str(path).encode()).digest()[:16]).save(path)
    return path


def test_a_data_set_gives_its_images_with_their_reports(invented: Path) -> None:
    assert kind_of(invented) == "mimic-cxr"
    found = inputs(invented, known={})
    assert found.rows
    assert all(row.path is not None and row.path.is_file() and row.sections for row in found.rows)
    assert all(IMAGE_ID.fullmatch(row.id) for row in found.rows)
    assert found.rows[0].properties["dataset"] == "Phantom"
    alone = inputs(invented, known={}, with_reports=False)
    assert [row.id for row in alone.rows] == [row.id for row in found.rows]
    assert not any(row.sections for row in alone.rows)
    lateral = inputs(invented, known={}, views=["LATERAL"])
    assert {row.path for row in lateral.rows}.isdisjoint(row.path for row in found.rows)


def test_iu_xray_and_openi_are_known_by_their_files(tmp_path: Path) -> None:
    entry = {"id": "CXR1_IM-1", "report": "Clear lungs.", "image_path": ["CXR1_IM-1/0.png", "CXR1_IM-1/1.png"]}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry], "val": [], "test": []}), "utf-8")
    assert kind_of(tmp_path) == "iu-xray"
    [row] = inputs(tmp_path, known={}).rows
    assert row.path == tmp_path / "images" / "CXR1_IM-1" / "0.png"
    assert row.sections == {"findings": "Clear lungs."}
    assert not inputs(tmp_path, known={}).credentialed
    table = tmp_path / "r.csv"
    table.write_text("id,findings\nCXR1_IM-1,Other words.\n", encoding="utf-8")
    assert inputs(tmp_path, table, known={}).credentialed, "of another file nobody knows"
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "indiana_reports.csv").touch()
    assert kind_of(tmp_path / "o") == "openi"


def test_a_folder_of_pictures_has_an_id_for_each(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "sub/c.tif", "sub/b.png"):
        draw(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    shutil.copy(tmp_path / "b.png", tmp_path / "b.jpeg")
    found = inputs(tmp_path, known={}).rows
    assert [row.properties["path"] for row in found] == ["a.jpg", "b.jpeg", "sub/b.png", "sub/c.tif"]
    assert len({row.id for row in found}) == 4
    assert all(IMAGE_ID.fullmatch(row.id) and row.properties["dataset"] == FOLDER for row in found)
    assert not any(row.sections for row in found)
    assert [row.id for row in inputs(tmp_path, known={}).rows] == [row.id for row in found]


def test_a_pictures_id_is_of_what_is_in_it_wherever_it_lies(tmp_path: Path) -> None:
    first, other = draw(tmp_path / "a" / "1.png"), draw(tmp_path / "b" / "1.png")
    [one], [two] = inputs(first.parent, known={}).rows, inputs(other.parent, known={}).rows
    assert one.id != two.id, "two folders, each with its 1.png"
    (tmp_path / "c").mkdir()
    shutil.copy(first, tmp_path / "c" / "2.png")
    assert inputs(tmp_path / "c", known={}).rows[0].id == one.id
    both = inputs(tmp_path, known={})
    assert [row.id for row in both.rows] == [one.id, two.id]
    [told] = both.rejects
    assert (told.path, told.reason) == (tmp_path / "c" / "2.png", f"the same picture as {first}")


def test_a_picture_that_the_graph_knows_is_that_image(tmp_path: Path) -> None:
    for name in ("4f3c21ab.png", "CXR1/0.png", "CXR2/0.png", "7.png"):
        draw(tmp_path / "p" / name)
    known = {"files/p1/4f3c21ab.dcm": "I1", "CXR1/0.png": "I2", "elsewhere/7.png": "I3", "7.png": "I4"}
    found = {row.path.name if row.path else "": row for row in inputs(tmp_path / "p", known=known).rows}
    by_path = {row.path: row.id for row in found.values()}
    assert by_path[tmp_path / "p" / "4f3c21ab.png"] == "I1", "by a name that tells what it is"
    assert found["4f3c21ab.png"].properties == {}
    assert found["7.png"].id not in known.values(), "a name such as 7.png does not tell"
    again = {row.path: row.id for row in inputs(tmp_path / "p", known=known).rows}
    assert again[tmp_path / "p" / "CXR1" / "0.png"] == "I2", "by its path"
    assert again[tmp_path / "p" / "CXR2" / "0.png"] not in known.values()
    [alone] = inputs(tmp_path / "p" / "CXR1", known=known).rows
    assert alone.id == "I2"
    [other] = inputs(tmp_path / "p" / "CXR2", known=known).rows
    assert other.id not in known.values()


def test_a_name_that_two_pictures_share_is_neither_of_them(tmp_path: Path) -> None:
    for name in ("a/4f3c21ab.png", "b/4f3c21ab.png"):
        draw(tmp_path / "p" / name)
    found = inputs(tmp_path / "p", known={"files/4f3c21ab.dcm": "I1"}).rows
    assert "I1" not in {row.id for row in found}
    assert len(found) == 2
    two = {"x/4f3c21ab.dcm": "I1", "y/4f3c21ab.dcm": "I2"}
    assert inputs(tmp_path / "p" / "a", known=two).rows[0].id not in ("I1", "I2")


def test_one_picture_is_enough(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png")
    [row] = inputs(path, known={}).rows
    assert (row.path, row.properties["path"]) == (path, "a.png")


def test_a_table_has_paths_beside_reports_and_none_that_lead_out(tmp_path: Path) -> None:
    draw(tmp_path / "pictures" / "1.png")
    table = tmp_path / "r.csv"
    table.write_text("id,text,image\n1,Clear.,pictures/1.png\n2,Clear.,../x.png\n3,Clear.,\n,x,y\n", encoding="utf-8")
    found = inputs(table, known={})
    assert [row.path for row in found.rows] == [tmp_path / "pictures" / "1.png", None, None]
    assert all(row.sections for row in found.rows)
    assert [type(reject) for reject in found.rejects] == [Reject]
    assert found.credentialed


@pytest.mark.parametrize("key", ["a.png", "a", "sub/a.png", "I7"])
def test_reports_of_another_file_are_found_by_name_or_id(tmp_path: Path, key: str) -> None:
    draw(tmp_path / "p" / "sub" / "a.png")
    table = tmp_path / "r.csv"
    table.write_text(f"id,findings\n{key},Clear.\nother,Wrong.\n", encoding="utf-8")
    [row] = inputs(tmp_path / "p", table, known={"sub/a.png": "I7"}).rows
    assert row.sections == {"findings": "Clear."}


def test_reports_that_name_the_picture_and_come_before_the_data_sets_own(tmp_path: Path, invented: Path) -> None:
    draw(tmp_path / "p" / "4f3c21ab.png")
    table = tmp_path / "r.csv"
    table.write_text("id,findings,image\n1,Clear.,elsewhere/4f3c21ab.dcm\n", encoding="utf-8")
    [row] = inputs(tmp_path / "p", table, known={}).rows
    assert row.sections == {"findings": "Clear."}
    first = inputs(invented, known={}).rows[0]
    study = first.properties["study_id"]
    table.write_text(f"id,findings\n{study},Other words.\n", encoding="utf-8")
    rows = {row.id: row for row in inputs(invented, table, known={}).rows}
    assert rows[first.id].sections == {"findings": "Other words."}


def test_no_picture_has_the_report_of_another_of_its_name(tmp_path: Path) -> None:
    entries = [
        {"id": f"CXR{n}", "report": f"Report {n}.", "image_path": [f"CXR{n}/0.png", f"CXR{n}/1.png"]} for n in (1, 2)
    ]
    (tmp_path / "annotation.json").write_text(json.dumps({"train": entries, "val": [], "test": []}), "utf-8")
    for name in ("CXR1/0.png", "CXR2/0.png", "CXR3/0.png"):
        draw(tmp_path / "images" / name)
    found = inputs(tmp_path / "images", tmp_path, known={}).rows
    assert [row.sections.get("findings") for row in found] == ["Report 1.", "Report 2.", None]
    draw(tmp_path / "q" / "0.png")
    with pytest.raises(InputError, match="none of these reports is of one of the images"):
        inputs(tmp_path / "q", tmp_path, known={})


def test_rows_that_are_no_report_are_told(tmp_path: Path) -> None:
    draw(tmp_path / "p" / "1.png")
    table = tmp_path / "r.csv"
    table.write_text("id,findings\n1,Clear.\n,Nobody's.\n", encoding="utf-8")
    found = inputs(tmp_path / "p", table, known={})
    assert [type(one) for one in found.rejects] == [Reject]
    assert found.rows[0].sections == {"findings": "Clear."}


def test_what_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        inputs(tmp_path / "missing", known={})
    with pytest.raises(InputError, match="there is no image here"):
        inputs(tmp_path, known={})
    draw(tmp_path / "a.png")
    with pytest.raises(InputError, match="these are no reports"):
        inputs(tmp_path, tmp_path / "a.png", known={})
    with pytest.raises(InputError, match="no such file or folder"):
        inputs(tmp_path, tmp_path / "missing.csv", known={})


def test_no_report_is_in_what_is_logged(invented: Path) -> None:
    [row, *_] = inputs(invented, known={}).rows
    assert "sections" not in repr(row)
    assert next(iter(row.sections.values()))[:20] not in repr(row)
