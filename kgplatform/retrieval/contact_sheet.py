"""What a search found, as one picture: thumbnails in a grid, rank, id, similarity and concepts beneath each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgplatform import radiograph
from kgplatform.errors import InputError, KgpError
from kgplatform.files import MARK, marked, replacing
from kgplatform.radiograph import place
from kgplatform.retrieval.search import Hit

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
MOST: Final = 500  # images on a sheet


def cell(number: int) -> tuple[int, int]:
    """Left and top of the frame of the thumbnail with that number, from 0."""
    row, column = divmod(number, COLUMNS)
    return MARGIN + column * (SIDE + MARGIN), MARGIN + row * (SIDE + LINES * LINE + 2 * MARGIN)


def write(hits: Sequence[Hit], root: Path, out: Path) -> int:
    """Draw the sheet as a PNG; returns how many of the images were found below `root`.

    An image that is not there, not below `root`, or not readable has an empty frame that says so.
    """
    check(root, out)
    if not hits:
        raise KgpError("nothing was found, so there is no contact sheet", "Ask for something else.")
    if len(hits) > MOST:
        raise KgpError(f"a contact sheet has at most {MOST} images", "Give a smaller --top.")
    sheet, drawn = draw(hits, root)
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("Software", MARK)
    with replacing(out, marked) as staged:
        sheet.save(staged, "PNG", optimize=True, pnginfo=about)
    return drawn


def check(root: Path, out: Path) -> None:
    """Raise `InputError` where no sheet can be drawn, before anything is looked for."""
    if out.suffix.lower() != ".png":
        raise InputError("a contact sheet is a .png", "Give a name that ends so.", path=out)
    if out.is_dir():
        raise InputError("a contact sheet is a file, and this is a folder", "Give another name.", path=out)
    for folder in (out.parent, root):
        if not folder.is_dir():
            raise InputError("there is no such folder", "Make it, or give another one.", path=folder)


def draw(hits: Sequence[Hit], root: Path) -> tuple[Image, int]:
    """The sheet, mode ``L``, and how many of the images are on it."""
    from PIL import Image, ImageDraw, ImageFont

    left, top = cell(len(hits) - 1)
    columns = min(len(hits), COLUMNS)
    size = (MARGIN + columns * (SIDE + MARGIN), top + SIDE + LINES * LINE + 2 * MARGIN)
    sheet = Image.new("L", size, PAPER)
    pen, font, drawn = ImageDraw.Draw(sheet), ImageFont.load_default(FONT), 0
    for number, hit in enumerate(hits):
        left, top = cell(number)
        pen.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline=FRAME)
        thumbnail = _thumbnail(hit, root)
        if thumbnail is None:
            told = "no path" if hit.path is None else "image not found"
            pen.text((left + SIDE // 2, top + SIDE // 2), told, fill=FAINT, font=font, anchor="mm")
        else:
            sheet.paste(thumbnail, (left + (SIDE - thumbnail.width) // 2, top + (SIDE - thumbnail.height) // 2))
            drawn += 1
        _caption(pen, font, hit, left, top + SIDE + 4)
    return sheet, drawn


def _thumbnail(hit: Hit, root: Path) -> Image | None:
    at = None if hit.path is None else place(root, hit.path)
    if at is None:
        return None
    try:
        image = radiograph.read(at, draft=SIDE)
    except (InputError, OSError):
        return None
    image.thumbnail((SIDE, SIDE))
    return image


def _caption(pen: ImageDraw, font: FreeTypeFont | BitmapFont, hit: Hit, left: int, top: int) -> None:
    number = "" if hit.similarity is None else f"  {hit.similarity:.3f}"
    lines = [f"{hit.rank}  {hit.id}{number}", *_wrapped(pen, font, ", ".join(hit.concepts))]
    for row, line in enumerate(lines):
        text = _fitted(pen, font, "".join(c if c.isprintable() else " " for c in line))
        pen.text((left, top + row * LINE), text, fill=INK if row == 0 else FAINT, font=font)


def _wrapped(pen: ImageDraw, font: FreeTypeFont | BitmapFont, text: str) -> list[str]:
    """The text in lines that fit the frame; what is too much ends in dots."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font=font) <= SIDE:
            lines[-1] = longer
        elif len(lines) == LINES - 1:
            lines[-1] += "…"
            break
        else:
            lines.append(word)
    return lines


def _fitted(pen: ImageDraw, font: FreeTypeFont | BitmapFont, text: str) -> str:
    while pen.textlength(text, font=font) > SIDE:
        text = text[:-2] + "…"
    return text
