"""What a search found, as one picture: thumbnails in a grid, rank, id, similarity and concepts beneath each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgplatform import radiograph
from kgplatform.errors import InputError, KgpError
from kgplatform.files import MARK, has_program_mark, replacing
from kgplatform.radiograph import find_image
from kgplatform.search.search import Hit

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

SIDE: Final = 256  # pixels of a thumbnail's frame
MARGIN: Final = 12
COLUMNS: Final = 5
FONT: Final = 13
LINE: Final = 17
LINES: Final = 4  # one for rank, id and similarity, the others for concepts
PAPER, FRAME, INK, FAINT = 24, 96, 245, 170  # grey values: dark, as radiographs are
MAX_IMAGES: Final = 500  # images on a sheet


def cell(number: int) -> tuple[int, int]:
    """Left and top of the frame of the thumbnail with that number, from 0."""
    row_index, column_index = divmod(number, COLUMNS)
    return MARGIN + column_index * (SIDE + MARGIN), MARGIN + row_index * (SIDE + LINES * LINE + 2 * MARGIN)


def write_sheet(hits: Sequence[Hit], root: Path, out: Path) -> int:
    """Draw the sheet as a PNG; returns how many of the images were found below `root`.

    An image that is missing, not below `root`, or not readable has an empty frame that says so.
    """
    check_sheet_paths(root, out)
    if not hits:
        raise KgpError("nothing was found, so there is no contact sheet", "Ask for something else.")
    if len(hits) > MAX_IMAGES:
        raise KgpError(f"a contact sheet has at most {MAX_IMAGES} images", "Use a smaller --top.")
    sheet, image_count = draw_sheet(hits, root)
    from PIL.PngImagePlugin import PngInfo

    png_info = PngInfo()
    png_info.add_text("Software", MARK)
    with replacing(out, has_program_mark) as staged_path:
        sheet.save(staged_path, "PNG", optimize=True, pnginfo=png_info)
    return image_count


def check_sheet_paths(root: Path, out: Path) -> None:
    """Raise `InputError` where no sheet can be drawn, before anything is looked for."""
    if out.suffix.lower() != ".png":
        raise InputError("a contact sheet is a .png", "Give a name that ends in .png.", path=out)
    if out.is_dir():
        raise InputError("a contact sheet is a file, and this is a folder", "Give another name.", path=out)
    for folder in (out.parent, root):
        if not folder.is_dir():
            raise InputError("there is no such folder", "Create it, or give another one.", path=folder)


def draw_sheet(hits: Sequence[Hit], root: Path) -> tuple[Image, int]:
    """The sheet, mode ``L``, and how many of the images are on it."""
    from PIL import Image, ImageDraw, ImageFont

    frame_left, frame_top = cell(len(hits) - 1)
    column_count = min(len(hits), COLUMNS)
    sheet_size = (MARGIN + column_count * (SIDE + MARGIN), frame_top + SIDE + LINES * LINE + 2 * MARGIN)
    sheet = Image.new("L", sheet_size, PAPER)
    pen, font, image_count = ImageDraw.Draw(sheet), ImageFont.load_default(FONT), 0
    for hit_index, hit in enumerate(hits):
        frame_left, frame_top = cell(hit_index)
        pen.rectangle((frame_left - 1, frame_top - 1, frame_left + SIDE, frame_top + SIDE), outline=FRAME)
        thumbnail = _thumbnail(hit, root)
        if thumbnail is None:
            notice = "no path" if hit.path is None else "image not found"
            pen.text((frame_left + SIDE // 2, frame_top + SIDE // 2), notice, fill=FAINT, font=font, anchor="mm")
        else:
            sheet.paste(
                thumbnail, (frame_left + (SIDE - thumbnail.width) // 2, frame_top + (SIDE - thumbnail.height) // 2)
            )
            image_count += 1
        _caption(pen, font, hit, frame_left, frame_top + SIDE + 4)
    return sheet, image_count


def _thumbnail(hit: Hit, root: Path) -> Image | None:
    image_path = None if hit.path is None else find_image(root, hit.path)
    if image_path is None:
        return None
    try:
        image = radiograph.read_radiograph(image_path, draft=SIDE)
    except (InputError, OSError):
        return None
    image.thumbnail((SIDE, SIDE))
    return image


def _caption(pen: ImageDraw, font: FreeTypeFont | BitmapFont, hit: Hit, frame_left: int, text_top: int) -> None:
    similarity_text = "" if hit.similarity is None else f"  {hit.similarity:.3f}"
    caption_lines = [f"{hit.rank}  {hit.id}{similarity_text}", *_wrapped(pen, font, ", ".join(hit.concepts))]
    for line_number, caption_line in enumerate(caption_lines):
        fitted_text = _fitted(
            pen, font, "".join(character if character.isprintable() else " " for character in caption_line)
        )
        pen.text(
            (frame_left, text_top + line_number * LINE), fitted_text, fill=INK if line_number == 0 else FAINT, font=font
        )


def _wrapped(pen: ImageDraw, font: FreeTypeFont | BitmapFont, caption_text: str) -> list[str]:
    """The text in lines that fit the frame; what is too much ends in dots."""
    wrapped_lines = [""]
    for next_word in caption_text.split():
        longer_line = f"{wrapped_lines[-1]} {next_word}".strip()
        if pen.textlength(longer_line, font=font) <= SIDE:
            wrapped_lines[-1] = longer_line
        elif len(wrapped_lines) == LINES - 1:
            wrapped_lines[-1] += "…"
            break
        else:
            wrapped_lines.append(next_word)
    return wrapped_lines


def _fitted(pen: ImageDraw, font: FreeTypeFont | BitmapFont, caption_text: str) -> str:
    while pen.textlength(caption_text, font=font) > SIDE:
        caption_text = caption_text[:-2] + "…"
    return caption_text
