"""The contact sheet, pixel by pixel: thumbnails in their frames, captions beneath, nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, View, Zone
from kgp_loaders.phantom.radiograph import render_radiograph
from kgplatform.errors import InputError, KgpError
from kgplatform.radiograph import resolve_image_path
from kgplatform.search.contact_sheet import (
    COLUMNS,
    FAINT,
    FRAME,
    INK,
    LINE,
    LINES,
    PAPER,
    SIDE,
    cell,
    check_sheet_paths,
    draw_sheet,
    write_sheet,
)
from kgplatform.search.search import Hit


@pytest.fixture
def contact_sheet_image_folder(tmp_path: Path) -> Path:
    """A square radiograph, a wide grey one, a damaged file."""
    effusion = [RadiographFinding(Kind.EFFUSION, Side.LEFT, Zone.NONE, Severity.LARGE)]
    Image.fromarray(render_radiograph(View.FRONTAL, effusion, np.random.default_rng(1), 256)).save(tmp_path / "a.png")
    Image.new("L", (512, 128), 200).save(tmp_path / "wide.png")
    (tmp_path / "bad.png").write_bytes(b"bad")
    return tmp_path


def hit(rank: int, path: str | None, concepts: tuple[str, ...] = ("Pleural effusion",)) -> Hit:
    return Hit(rank, f"I{rank}", 0.5, 1.0, path, concepts)


def pixels(hits: list[Hit], root: Path) -> NDArray[np.uint8]:
    sheet_image, _ = draw_sheet(hits, root)
    assert sheet_image.mode == "L"
    return np.asarray(sheet_image)


def inside(sheet: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    left_edge, top_edge = cell(number)
    return sheet[top_edge : top_edge + SIDE, left_edge : left_edge + SIDE]


def beneath(sheet: NDArray[np.uint8], number: int, lines: int = LINES) -> NDArray[np.uint8]:
    left_edge, top_edge = cell(number)
    return sheet[top_edge + SIDE + 2 : top_edge + SIDE + 4 + lines * LINE, left_edge : left_edge + SIDE]


def test_thumbnails_are_where_they_should_be(contact_sheet_image_folder: Path) -> None:
    sheet_pixels = pixels(
        [hit(1, "a.png"), *[hit(rank, "wide.png") for rank in range(2, COLUMNS + 2)]], contact_sheet_image_folder
    )
    np.testing.assert_array_equal(inside(sheet_pixels, 0), np.asarray(Image.open(contact_sheet_image_folder / "a.png")))
    for cell_number in range(1, COLUMNS + 1):
        wide_cell = inside(sheet_pixels, cell_number)  # 256 x 64, in the middle
        assert (wide_cell[96:160] == 200).all()
        assert (wide_cell[:96] == PAPER).all()
        assert (wide_cell[160:] == PAPER).all()
    assert cell(COLUMNS)[0] == cell(0)[0]
    assert cell(COLUMNS)[1] > cell(0)[1] + SIDE + LINES * LINE


def test_captions_are_legible_and_stay_in_their_place(contact_sheet_image_folder: Path) -> None:
    long_names = tuple(f"a rather long name of a concept, number {concept_number}" for concept_number in range(20))
    sheet_pixels = pixels(
        [hit(1, "a.png", long_names), hit(2, "a.png", ()), hit(3, "a.png", ("wxyz" * 100,))], contact_sheet_image_folder
    )
    for cell_number in range(3):
        caption_pixels = beneath(sheet_pixels, cell_number, 1)
        assert caption_pixels.max() == INK
        assert INK - PAPER > 200, "bright on dark"
    assert beneath(sheet_pixels, 0)[LINE + 4 :].max() == FAINT
    assert (beneath(sheet_pixels, 1)[LINE + 4 :] == PAPER).all(), "no concepts, no line"
    for cell_number in range(3):
        left_edge, top_edge = cell(cell_number)
        assert (sheet_pixels[top_edge + SIDE + 2 :, left_edge + SIDE : left_edge + SIDE + 10] == PAPER).all(), (
            "nothing runs over the edge"
        )
        assert (sheet_pixels[top_edge + SIDE + 6 + LINES * LINE :, :] == PAPER).all()


def test_what_is_not_there_has_an_empty_frame_that_says_so(contact_sheet_image_folder: Path) -> None:
    (contact_sheet_image_folder / "below").mkdir()
    hits = [hit(1, "missing.png"), hit(2, None), hit(3, "bad.png"), hit(4, "../a.png"), hit(5, "\0")]
    sheet_image, image_count = draw_sheet(hits, contact_sheet_image_folder / "below")
    sheet_pixels = np.asarray(sheet_image)
    assert image_count == 0
    for cell_number in range(5):
        left_edge, top_edge = cell(cell_number)
        assert (sheet_pixels[top_edge - 1, left_edge : left_edge + SIDE] == FRAME).all()
        assert inside(sheet_pixels, cell_number).max() == FAINT, "a label"
        assert (inside(sheet_pixels, cell_number) == PAPER).mean() > 0.95


def test_the_sheet_is_written_whole(contact_sheet_image_folder: Path) -> None:
    sheet_path = contact_sheet_image_folder / "sheet.png"
    assert write_sheet([hit(1, "a.png"), hit(2, "missing.png")], contact_sheet_image_folder, sheet_path) == 1
    with Image.open(sheet_path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width < 3 * SIDE
    assert [written_path.name for written_path in contact_sheet_image_folder.glob("sheet*")] == ["sheet.png"]


def test_what_makes_no_sheet_is_told(contact_sheet_image_folder: Path) -> None:
    with pytest.raises(KgpError, match="nothing was found"):
        write_sheet([], contact_sheet_image_folder, contact_sheet_image_folder / "s.png")
    with pytest.raises(KgpError, match="at most 500"):
        write_sheet(
            [hit(rank, None) for rank in range(501)], contact_sheet_image_folder, contact_sheet_image_folder / "s.png"
        )
    with pytest.raises(InputError, match=r"is a \.png"):
        write_sheet([hit(1, None)], contact_sheet_image_folder, contact_sheet_image_folder / "s.jpg")


def test_a_path_is_below_its_folder_or_nowhere(contact_sheet_image_folder: Path) -> None:
    (contact_sheet_image_folder / "link").symlink_to("/")
    (contact_sheet_image_folder / "loop").symlink_to("loop")
    assert resolve_image_path(contact_sheet_image_folder, "a.png") == contact_sheet_image_folder / "a.png"
    assert resolve_image_path(contact_sheet_image_folder, "x/../a.png") is not None
    for outside_path in ("../a.png", "/etc/passwd", "link/etc/passwd", "", "\0"):
        assert resolve_image_path(contact_sheet_image_folder, outside_path) is None
    loop_path = resolve_image_path(contact_sheet_image_folder, "loop")
    assert loop_path is None or not loop_path.is_file()


def test_where_no_sheet_can_be_drawn_it_is_said_before_anything_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "d.png").mkdir()
    for image_folder, sheet_path in (
        (tmp_path / "none", tmp_path / "a.png"),
        (tmp_path, tmp_path / "a.jpg"),
        (tmp_path, tmp_path / "d.png"),
        (tmp_path, tmp_path / "none" / "a.png"),
    ):
        with pytest.raises(InputError):
            check_sheet_paths(image_folder, sheet_path)
    assert [entry_path.name for entry_path in tmp_path.iterdir()] == ["d.png"]
    check_sheet_paths(tmp_path, tmp_path / "a.png")
