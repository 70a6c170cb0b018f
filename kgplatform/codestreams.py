"""What a compressed image inside a DICOM file announces about itself, read before a decoder allocates memory for it.

The DICOM header and the codestream each give the image's size. A decoder believes the codestream, so they must agree.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_TILES: Final = 4_096  # of a JPEG 2000 image; the decoder uses about 6 kB for each
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
    if (marker_start := stream[:4096].find(_J2K)) >= 0:
        return _jpeg_2000(stream[marker_start + 4 : marker_start + 42])
    return _jpeg(stream)


def _jpeg_2000(siz_segment: bytes) -> Announced | None:
    """Of the SIZ segment: length, capabilities, then the image's corners and the first tile (4 bytes each)."""
    if len(siz_segment) < 38:
        return None
    image_right, image_bottom, image_left, image_top, tile_width, tile_height, tile_left, tile_top = (
        int.from_bytes(siz_segment[byte_offset : byte_offset + 4]) for byte_offset in range(4, 36, 4)
    )
    if not tile_width or not tile_height:
        return None
    tile_count = -(-(image_right - tile_left) // tile_width) * -(-(image_bottom - tile_top) // tile_height)
    return Announced(image_bottom - image_top, image_right - image_left, int.from_bytes(siz_segment[36:38]), tile_count)


def _jpeg(codestream: bytes) -> Announced | None:
    """Of the first frame header: length, precision, rows, columns, components."""
    byte_offset = 2
    while byte_offset + 10 <= len(codestream) and codestream[byte_offset] == 0xFF:
        marker = codestream[byte_offset + 1]
        if marker in _FRAME_HEADERS:
            row_count, column_count = (
                int.from_bytes(codestream[byte_offset + 5 : byte_offset + 7]),
                int.from_bytes(codestream[byte_offset + 7 : byte_offset + 9]),
            )
            return Announced(row_count, column_count, codestream[byte_offset + 9])
        lacks_length = marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8
        byte_offset += (
            1
            if marker == 0xFF
            else 2
            if lacks_length
            else 2 + int.from_bytes(codestream[byte_offset + 2 : byte_offset + 4])
        )
    return None


def rle_unpacks_to(frame: bytes, max_bytes: int) -> int:
    """The bytes that a frame of DICOM's RLE unpacks to; counting ends above `max_bytes` (PS3.5, annex G)."""
    segment_count = int.from_bytes(frame[:4], "little")
    segment_offsets = [
        int.from_bytes(frame[byte_offset : byte_offset + 4], "little")
        for byte_offset in range(4, 4 + 4 * min(segment_count, 15), 4)
    ]
    unpacked_bytes = 0
    for byte_offset, segment_end in zip(segment_offsets, [*segment_offsets[1:], len(frame)], strict=True):
        segment_end = min(segment_end, len(frame))
        while byte_offset < segment_end and unpacked_bytes <= max_bytes:
            run_header = frame[byte_offset]
            unpacked_bytes += 257 - run_header if run_header > 128 else run_header + 1 if run_header < 128 else 0
            byte_offset += 2 if run_header > 128 else run_header + 2 if run_header < 128 else 1
    return unpacked_bytes
