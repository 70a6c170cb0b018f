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
from kgplatform.generate.inputs import FOLDER, OTHER_FILES, UNUSED, inputs, loader_kind
from kgplatform.schema import IMAGE_ID


def _write_unique_image(path: Path) -> Path:
    """A picture that no other one is like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.frombytes("L", (4, 4), hashlib.sha256(str(path).encode()).digest()[:16]).save(path)
    return path


def test_a_data_set_gives_its_images_with_their_reports(synthetic_studies_folder: Path) -> None:
    assert loader_kind(synthetic_studies_folder) == "mimic-cxr"
    image_inputs = inputs(synthetic_studies_folder, ids_by_path={})
    assert image_inputs.rows
    assert all(
        image_row.path is not None and image_row.path.is_file() and image_row.sections
        for image_row in image_inputs.rows
    )
    assert all(IMAGE_ID.fullmatch(image_row.id) for image_row in image_inputs.rows)
    assert image_inputs.rows[0].properties["dataset"] == "Phantom"
    without_reports = inputs(synthetic_studies_folder, ids_by_path={}, with_reports=False)
    assert [image_row.id for image_row in without_reports.rows] == [image_row.id for image_row in image_inputs.rows]
    assert not any(image_row.sections for image_row in without_reports.rows)
    lateral_inputs = inputs(synthetic_studies_folder, ids_by_path={}, views=["LATERAL"])
    assert {image_row.path for image_row in lateral_inputs.rows}.isdisjoint(
        image_row.path for image_row in image_inputs.rows
    )


def test_iu_xray_and_openi_are_known_by_their_files(tmp_path: Path) -> None:
    annotation_entry = {
        "id": "CXR1_IM-1",
        "report": "Clear lungs.",
        "image_path": ["CXR1_IM-1/0.png", "CXR1_IM-1/1.png"],
    }
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [annotation_entry], "val": [], "test": []}), "utf-8")
    assert loader_kind(tmp_path) == "iu-xray"
    [image_row] = inputs(tmp_path, ids_by_path={}).rows
    assert image_row.path == tmp_path / "images" / "CXR1_IM-1" / "0.png"
    assert image_row.sections == {"findings": "Clear lungs."}
    assert not inputs(tmp_path, ids_by_path={}).credentialed
    report_table = tmp_path / "r.csv"
    report_table.write_text("id,findings\nCXR1_IM-1,Other words.\n", encoding="utf-8")
    assert inputs(tmp_path, report_table, ids_by_path={}).credentialed, "of another file nobody knows"
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "indiana_reports.csv").touch()
    assert loader_kind(tmp_path / "o") == "openi"


def test_a_folder_of_pictures_has_an_id_for_each(tmp_path: Path) -> None:
    for file_name in ("b.png", "a.jpg", "sub/c.tif", "sub/b.png"):
        _write_unique_image(tmp_path / file_name)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    shutil.copy(tmp_path / "b.png", tmp_path / "b.jpeg")
    image_rows = inputs(tmp_path, ids_by_path={}).rows
    assert [image_row.properties["path"] for image_row in image_rows] == ["a.jpg", "b.jpeg", "sub/b.png", "sub/c.tif"]
    assert len({image_row.id for image_row in image_rows}) == 4
    assert all(
        IMAGE_ID.fullmatch(image_row.id) and image_row.properties["dataset"] == FOLDER for image_row in image_rows
    )
    assert not any(image_row.sections for image_row in image_rows)
    assert [image_row.id for image_row in inputs(tmp_path, ids_by_path={}).rows] == [
        image_row.id for image_row in image_rows
    ]


def test_a_pictures_id_is_of_what_is_in_it_wherever_it_lies(tmp_path: Path) -> None:
    first_path, second_path = (
        _write_unique_image(tmp_path / "a" / "1.png"),
        _write_unique_image(tmp_path / "b" / "1.png"),
    )
    [first_row], [second_row] = (
        inputs(first_path.parent, ids_by_path={}).rows,
        inputs(second_path.parent, ids_by_path={}).rows,
    )
    assert first_row.id != second_row.id, "two folders, each with its 1.png"
    (tmp_path / "c").mkdir()
    shutil.copy(first_path, tmp_path / "c" / "2.png")
    assert inputs(tmp_path / "c", ids_by_path={}).rows[0].id == first_row.id
    folder_inputs = inputs(tmp_path, ids_by_path={})
    assert [image_row.id for image_row in folder_inputs.rows] == [first_row.id, second_row.id]
    [reject] = folder_inputs.rejects
    assert (reject.path, reject.reason) == (tmp_path / "c" / "2.png", f"the same image as {first_path}")


def test_a_picture_that_the_graph_knows_is_that_image(tmp_path: Path) -> None:
    for file_name in ("4f3c21ab.png", "CXR1/0.png", "CXR2/0.png", "7.png"):
        _write_unique_image(tmp_path / "p" / file_name)
    graph_ids = {"files/p1/4f3c21ab.dcm": "I1", "CXR1/0.png": "I2", "elsewhere/7.png": "I3", "7.png": "I4"}
    rows_by_name = {
        image_row.path.name if image_row.path else "": image_row
        for image_row in inputs(tmp_path / "p", ids_by_path=graph_ids).rows
    }
    ids_by_path = {image_row.path: image_row.id for image_row in rows_by_name.values()}
    assert ids_by_path[tmp_path / "p" / "4f3c21ab.png"] == "I1", "by a name that tells what it is"
    assert rows_by_name["4f3c21ab.png"].properties == {}
    assert rows_by_name["7.png"].id not in graph_ids.values(), "a name such as 7.png does not tell"
    repeated_ids = {image_row.path: image_row.id for image_row in inputs(tmp_path / "p", ids_by_path=graph_ids).rows}
    assert repeated_ids[tmp_path / "p" / "CXR1" / "0.png"] == "I2", "by its path"
    assert repeated_ids[tmp_path / "p" / "CXR2" / "0.png"] not in graph_ids.values()
    [first_row] = inputs(tmp_path / "p" / "CXR1", ids_by_path=graph_ids).rows
    assert first_row.id == "I2"
    [second_row] = inputs(tmp_path / "p" / "CXR2", ids_by_path=graph_ids).rows
    assert second_row.id not in graph_ids.values()


def test_a_name_that_two_pictures_share_is_neither_of_them(tmp_path: Path) -> None:
    for file_name in ("a/4f3c21ab.png", "b/4f3c21ab.png"):
        _write_unique_image(tmp_path / "p" / file_name)
    image_rows = inputs(tmp_path / "p", ids_by_path={"files/4f3c21ab.dcm": "I1"}).rows
    assert "I1" not in {image_row.id for image_row in image_rows}
    assert len(image_rows) == 2
    ambiguous_images = {"x/4f3c21ab.dcm": "I1", "y/4f3c21ab.dcm": "I2"}
    assert inputs(tmp_path / "p" / "a", ids_by_path=ambiguous_images).rows[0].id not in ("I1", "I2")


def test_one_picture_is_enough(tmp_path: Path) -> None:
    image_path = _write_unique_image(tmp_path / "a.png")
    [image_row] = inputs(image_path, ids_by_path={}).rows
    assert (image_row.path, image_row.properties["path"]) == (image_path, "a.png")


def test_a_table_has_paths_beside_reports_and_none_that_lead_out(tmp_path: Path) -> None:
    _write_unique_image(tmp_path / "pictures" / "1.png")
    report_table = tmp_path / "r.csv"
    report_table.write_text(
        "id,text,image\n1,Clear.,pictures/1.png\n2,Clear.,../x.png\n3,Clear.,\n,x,y\n", encoding="utf-8"
    )
    table_inputs = inputs(report_table, ids_by_path={})
    assert [image_row.path for image_row in table_inputs.rows] == [tmp_path / "pictures" / "1.png", None, None]
    assert all(image_row.sections for image_row in table_inputs.rows)
    assert [type(reject) for reject in table_inputs.rejects] == [Reject]
    assert table_inputs.credentialed


@pytest.mark.parametrize("key", ["a.png", "a", "sub/a.png", "I7"])
def test_reports_of_another_file_are_found_by_name_or_id(tmp_path: Path, key: str) -> None:
    _write_unique_image(tmp_path / "p" / "sub" / "a.png")
    report_table = tmp_path / "r.csv"
    report_table.write_text(f"id,findings\n{key},Clear.\nother,Wrong.\n", encoding="utf-8")
    [image_row] = inputs(tmp_path / "p", report_table, ids_by_path={"sub/a.png": "I7"}).rows
    assert image_row.sections == {"findings": "Clear."}


def test_reports_that_name_the_picture_and_come_before_the_data_sets_own(
    tmp_path: Path, synthetic_studies_folder: Path
) -> None:
    _write_unique_image(tmp_path / "p" / "4f3c21ab.png")
    report_table = tmp_path / "r.csv"
    report_table.write_text("id,findings,image\n1,Clear.,elsewhere/4f3c21ab.dcm\n", encoding="utf-8")
    [image_row] = inputs(tmp_path / "p", report_table, ids_by_path={}).rows
    assert image_row.sections == {"findings": "Clear."}
    first_row = inputs(synthetic_studies_folder, ids_by_path={}).rows[0]
    study_id = first_row.properties["study_id"]
    report_table.write_text(f"id,findings\n{study_id},Other words.\n", encoding="utf-8")
    rows_by_id = {
        image_row.id: image_row for image_row in inputs(synthetic_studies_folder, report_table, ids_by_path={}).rows
    }
    assert rows_by_id[first_row.id].sections == {"findings": "Other words."}


def test_no_picture_has_the_report_of_another_of_its_name(tmp_path: Path) -> None:
    entries = [
        {
            "id": f"CXR{study_number}",
            "report": f"Report {study_number}.",
            "image_path": [f"CXR{study_number}/0.png", f"CXR{study_number}/1.png"],
        }
        for study_number in (1, 2)
    ]
    (tmp_path / "annotation.json").write_text(json.dumps({"train": entries, "val": [], "test": []}), "utf-8")
    for file_name in ("CXR1/0.png", "CXR2/0.png", "CXR3/0.png"):
        _write_unique_image(tmp_path / "images" / file_name)
    image_rows = inputs(tmp_path / "images", tmp_path, ids_by_path={}).rows
    assert [image_row.sections.get("findings") for image_row in image_rows] == ["Report 1.", "Report 2.", None]
    _write_unique_image(tmp_path / "q" / "0.png")
    with pytest.raises(InputError, match="none of these reports belongs to one of the images"):
        inputs(tmp_path / "q", tmp_path, ids_by_path={})


def test_rows_that_are_no_report_are_told(tmp_path: Path) -> None:
    _write_unique_image(tmp_path / "p" / "1.png")
    report_table = tmp_path / "r.csv"
    report_table.write_text("id,findings\n1,Clear.\n,Nobody's.\n", encoding="utf-8")
    report_inputs = inputs(tmp_path / "p", report_table, ids_by_path={})
    assert [type(reject) for reject in report_inputs.rejects] == [Reject]
    assert report_inputs.rows[0].sections == {"findings": "Clear."}


def test_what_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        inputs(tmp_path / "missing", ids_by_path={})
    with pytest.raises(InputError, match="there is no image here"):
        inputs(tmp_path, ids_by_path={})
    _write_unique_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="these are not reports"):
        inputs(tmp_path, tmp_path / "a.png", ids_by_path={})
    with pytest.raises(InputError, match="no such file or folder"):
        inputs(tmp_path, tmp_path / "missing.csv", ids_by_path={})


def test_no_report_is_lost_without_a_word(tmp_path: Path) -> None:
    """One is of a picture that is left out as a copy, one of no picture at all."""
    _write_unique_image(tmp_path / "i" / "original.png")
    shutil.copy(tmp_path / "i" / "original.png", tmp_path / "i" / "the-copy.png")
    _write_unique_image(tmp_path / "i" / "sub" / "second.png")
    report_table = tmp_path / "r.csv"
    report_table.write_text("id,text\nthe-copy,An effusion.\nabsent,A mass.\n", encoding="utf-8")
    image_inputs = inputs(tmp_path / "i", report_table, ids_by_path={})
    assert [Path(str(row.path)).name for row in image_inputs.rows if row.sections] == ["original.png"]
    assert image_inputs.left_out == {UNUSED: 1}


def test_files_that_are_no_images_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    _write_unique_image(folder / "a.png")
    for file_name in ("IM000001", "b.bmp", ".DS_Store"):
        (folder / file_name).write_bytes(b"x")
    report_table = folder / "reports.csv"
    report_table.write_text("id,text\na,An effusion.\n", encoding="utf-8")
    assert inputs(folder, report_table, ids_by_path={}).left_out == {OTHER_FILES: 2}
    (folder / "a.png").unlink()
    with pytest.raises(InputError, match="there is no image here: 3 files whose names do not end like an image's"):
        inputs(folder, ids_by_path={})


def test_no_report_is_in_what_is_logged(synthetic_studies_folder: Path) -> None:
    [image_row, *_] = inputs(synthetic_studies_folder, ids_by_path={}).rows
    assert "sections" not in repr(image_row)
    assert next(iter(image_row.sections.values()))[:20] not in repr(image_row)
