"""What a compressed image inside a DICOM file announces about itself, read before a decoder allocates memory for it.

The DICOM header and the codestream each give the image's size. A decoder believes the codestream, so they must agree.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_TILES: Final = 4_096  # of a JPEG 2000 image; the decoder has some 6 kB for each
_J2K: Final = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream and of its SIZ segment
_FRAME_HEADERS: Final = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers SOF0-15 of JPEG; 0xF7 is JPEG-LS


class Announced(NamedTuple):
    """Rows, columns and samples a pixel, and the tiles (1 where a format has none)."""

    rows: int
    columns: int
    samples: int
    tiles: int = 1


def announced(stream: bytes) -> Announced | None:
    """The size in the header of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it has none."""
    if (start := stream[:4096].find(_J2K)) >= 0:
        return _jpeg_2000(stream[start + 4 : start + 42])
    return _jpeg(stream)


def _jpeg_2000(siz: bytes) -> Announced | None:
    """Of the SIZ segment: length, capabilities, then the image's corners and the first tile (4 bytes each)."""
    if len(siz) < 38:
        return None
    right, bottom, left, top, width, height, tile_left, tile_top = (
        int.from_bytes(siz[at : at + 4]) for at in range(4, 36, 4)
    )
    if not width or not height:
        return None
    tiles = -(-(right - tile_left) // width) * -(-(bottom - tile_top) // height)
    return Announced(bottom - top, right - left, int.from_bytes(siz[36:38]), tiles)


def _jpeg(stream: bytes) -> Announced | None:
    """Of the first frame header: length, precision, rows, columns, components."""
    at = 2
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _FRAME_HEADERS:
            rows, columns = int.from_bytes(stream[at + 5 : at + 7]), int.from_bytes(stream[at + 7 : at + 9])
            return Announced(rows, columns, stream[at + 9])
        without_length = marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8
        at += 1 if marker == 0xFF else 2 if without_length else 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None


def rle_unpacks_to(frame: bytes, most: int) -> int:
    """The bytes that a frame of DICOM's RLE unpacks to; counting ends above `most` (PS3.5, annex G)."""
    count = int.from_bytes(frame[:4], "little")
    offsets = [int.from_bytes(frame[at : at + 4], "little") for at in range(4, 4 + 4 * min(count, 15), 4)]
    total = 0
    for at, end in zip(offsets, [*offsets[1:], len(frame)], strict=True):
        end = min(end, len(frame))
        while at < end and total <= most:
            run = frame[at]
            total += 257 - run if run > 128 else run + 1 if run < 128 else 0
            at += 2 if run > 128 else run + 2 if run < 128 else 1
    return total
