"""Writers of small files that unpack to much: PNG, DICOM, JPEG and Parquet."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any


def png(path: Path, width: int, height: int, bits: int, colour: int, chunks: bytes = b"") -> None:
    """A blank PNG, written in pieces."""
    samples = {0: 1, 2: 3, 6: 4}[colour]
    packer = zlib.compressobj(9)
    blank_row = b"\0" * (1 + width * samples * bits // 8)
    compressed_rows = b"".join(packer.compress(blank_row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    png_chunks = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", compressed_rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_inconsistent_dicom(path: Path, syntax: str, rows: int, columns: int, pixels: bytes, **values: Any) -> None:
    """A DICOM file whose header and pixels need not fit together."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, generate_uid

    meta_header = FileMetaDataset()
    meta_header.TransferSyntaxUID = UID(syntax)
    meta_header.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta_header.MediaStorageSOPInstanceUID = generate_uid()
    data_set = FileDataset(str(path), {}, file_meta=meta_header, preamble=b"\0" * 128)
    data_set.Rows, data_set.Columns, data_set.SamplesPerPixel, data_set.PhotometricInterpretation = (
        rows,
        columns,
        1,
        "MONOCHROME2",
    )
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 16, 15, 0
    for keyword, element_value in values.items():
        setattr(data_set, keyword, element_value)
    compressed = meta_header.TransferSyntaxUID.is_compressed and not meta_header.TransferSyntaxUID.is_deflated
    data_set.PixelData = encapsulate([pixels]) if compressed else pixels
    if compressed:
        data_set["PixelData"].is_undefined_length = True
    data_set.save_as(path, enforce_file_format=True)


RLE, JPEG, J2K, NATIVE = (
    f"1.2.840.10008.1.2{end}" for end in (".5", ".4.50", ".4.90", ".1")
)  # fmt: skip


def rle(*segments: bytes) -> bytes:
    offsets = [64 + sum(map(len, segments[:segment_count])) for segment_count in range(len(segments))]
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def blank_run(size: int) -> bytes:
    packed = b"\x81\0" * (size // 128)
    return packed + b"\0" * (len(packed) % 2)


def jpeg(path: Path, width: int, height: int, mode: str, **options: Any) -> bytes:
    from PIL import Image

    Image.new(mode, (width, height)).save(path, "JPEG", **options)
    return path.read_bytes()


def write_bomb_parquet(path: Path, columns: dict[str, Any], **options: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **{"compression": "zstd", **options})
