"""Small files that unpack to much, or have no end, each with what reads it; and a measure of what reading takes.

Run as a script with a bomb's name and a folder, it builds the bomb, imports its reader, reads, and prints as JSON how
many MB reading took at its peak above the base, how many seconds of the processor, and how it ended.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = 7_000  # 49 million pixels
Reader = Callable[[Path], Any]
BOMBS: dict[str, tuple[str, Callable[[Path], object], Reader]] = {}


def bomb(name: str, file: str, reader: Reader) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    """Register the builder of a bomb, the name of its file, and its reader."""

    def add(build: Callable[[Path], object]) -> Callable[[Path], object]:
        BOMBS[name] = file, build, reader
        return build

    return add


def _read_radiograph(path: Path) -> object:
    from kgplatform import radiograph

    return radiograph.read_radiograph(path)


def _read_table(path: Path) -> object:
    from kgp_loaders.tabular import open_table

    return sum(1 for _ in open_table(path).rows(["head"]))


def _read_reports(path: Path) -> object:
    from kgp_loaders.reports import Reports

    return sum(1 for _ in Reports(path).reports())


def _read_mimic_cxr(path: Path) -> object:
    from kgp_loaders.mimic_cxr import MIMICCXR

    return sum(1 for _ in MIMICCXR(path.parent).reports())


def _read_questions(path: Path) -> object:
    from kgp_loaders.question_files import read_json_rows

    return len(read_json_rows(path, ""))


def hub_questions(path: Path) -> object:
    from kgp_loaders.question_files import ParquetQuestions

    return sum(1 for _ in ParquetQuestions("X", path.parent, path.parent / "unpacked").questions())


def training_settings(path: Path) -> object:
    from kgp_models.generator.settings import GeneratorSettings

    return GeneratorSettings.read(path)


def workbook(path: Path) -> object:
    from kgplatform.assess.workbook import read_ratings

    return read_ratings(path)


def _read_triples(path: Path) -> object:
    from kgplatform.export.triples import Triples

    return Triples.read(path.parent)


def _read_pair_set(path: Path) -> object:
    from kgplatform.datasets.pairs import PairSet

    return PairSet.read(path)


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


@bomb("DICOM RLE, 49 million pixels", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    write_inconsistent_dicom(path, RLE, SIDE, SIDE, rle(blank_run(SIDE * SIDE), blank_run(SIDE * SIDE)))


@bomb("DICOM RLE, 64 pixels announced, 96 MB held", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    write_inconsistent_dicom(path, RLE, 8, 8, rle(blank_run(48 << 20), blank_run(48 << 20)))


@bomb("DICOM RLE, 30 million pixels: read", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    write_inconsistent_dicom(path, RLE, 5_000, 6_000, rle(blank_run(30_000_128), blank_run(30_000_128)))


@bomb("DICOM JPEG, 64 pixels announced, 65,000 x 5,000 held", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    stream = jpeg(path, 65_000, 1_000, "L").replace(
        struct.pack(">HH", 1_000, 65_000), struct.pack(">HH", 5_000, 65_000)
    )
    write_inconsistent_dicom(path, JPEG, 8, 8, stream, BitsAllocated=8, BitsStored=8, HighBit=7)


@bomb("DICOM JPEG 2000, 36 million pixels", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    from PIL import Image

    Image.new("I;16", (6_000, 6_000)).save(path.with_suffix(".j2k"))
    write_inconsistent_dicom(path, J2K, 6_000, 6_000, path.with_suffix(".j2k").read_bytes())


@bomb("DICOM JPEG 2000, 64 pixels announced, 36 million held", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    from PIL import Image

    Image.new("I;16", (6_000, 6_000)).save(path.with_suffix(".j2k"))
    write_inconsistent_dicom(path, J2K, 8, 8, path.with_suffix(".j2k").read_bytes())


@bomb("DICOM, 65,535 frames of 49 million pixels announced", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    write_inconsistent_dicom(path, NATIVE, SIDE, SIDE, b"\0" * 64, NumberOfFrames=65_535)


@bomb("DICOM, 30,000 elements in sequences", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    from pydicom.dataset import Dataset

    procedure_code = Dataset()
    procedure_code.CodeValue = "x"
    write_inconsistent_dicom(path, NATIVE, 8, 8, b"\0" * 128, ProcedureCodeSequence=[procedure_code] * 30_000)


@bomb("DICOM deflated, 1 GB", "a.dcm", _read_radiograph)
def _(path: Path) -> None:
    write_inconsistent_dicom(path, "1.2.840.10008.1.2.1.99", SIDE, SIDE, b"\0" * (SIDE * SIDE * 2))


@bomb("PNG RGBA 16 bits, 49 million pixels", "a.png", _read_radiograph)
def _(path: Path) -> None:
    png(path, SIDE, SIDE, 16, 6)


@bomb("PNG grey 16 bits, 49 million pixels", "a.png", _read_radiograph)
def _(path: Path) -> None:
    png(path, SIDE, SIDE, 16, 0)


@bomb("PNG RGB, 40 million pixels: read", "a.png", _read_radiograph)
def _(path: Path) -> None:
    png(path, 8_000, 5_000, 8, 2)


@bomb("PNG with 1 GB of text chunks", "a.png", _read_radiograph)
def _(path: Path) -> None:
    text_chunk = chunk(b"zTXt", b"a\0\0" + zlib.compress(b" " * (1 << 20), 9))
    png(path, 8, 8, 8, 0, text_chunk * 1_000)


@bomb("PNG with a profile of 500 MB", "a.png", _read_radiograph)
def _(path: Path) -> None:
    packer = zlib.compressobj(9)
    compressed = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(500)) + packer.flush()
    png(path, 8, 8, 8, 0, chunk(b"iCCP", b"a\0\0" + compressed))


@bomb("JPEG progressive RGB, 49 million pixels", "a.jpg", _read_radiograph)
def _(path: Path) -> None:
    jpeg(path, SIDE, SIDE, "RGB", progressive=True, subsampling=0)


@bomb("TIFF of one strip, 49 million pixels of 32 bits", "a.tif", _read_radiograph)
def _(path: Path) -> None:
    from PIL import Image

    Image.new("F", (SIDE, SIDE)).save(path, compression="tiff_adobe_deflate", strip_size=1 << 31)


@bomb("TIFF with a tile of 1 GB", "a.tif", _read_radiograph)
def _(path: Path) -> None:
    compressed = zlib.compress(b"\0" * (32_768 * 32_768 // 64), 9)
    tag_values = {
        256: 8,
        257: 8,
        258: 8,
        259: 8,
        262: 1,
        277: 1,
        322: 32_768,
        323: 32_768,
        324: 8,
        325: len(compressed),
    }
    entries = b"".join(
        struct.pack("<HHII", tag_number, 4, 1, tag_value) for tag_number, tag_value in tag_values.items()
    )
    directory = struct.pack("<H", len(tag_values)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(compressed)) + compressed + directory)


@bomb("TIFF whose 65,000 tags each hold the whole file", "a.tif", _read_radiograph)
def _(path: Path) -> None:
    entries = b"".join(struct.pack("<HHII", tag_number, 7, 700_000, 8) for tag_number in range(256, 65_000))
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 64_744) + entries + b"\0" * 4)


@bomb("JPEG whose Exif tags each hold all of it", "a.jpg", _read_radiograph)
def _(path: Path) -> None:
    entries = b"".join(struct.pack("<HHII", tag_number, 7, 700_000, 8) for tag_number in range(256, 60_000))
    exif_bytes = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 59_744) + entries + b"\0" * 4
    chunk_parts = [
        exif_bytes[start_offset : start_offset + 65_000] for start_offset in range(0, len(exif_bytes), 65_000)
    ]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(chunk_part) + 8) + b"Exif\0\0" + chunk_part for chunk_part in chunk_parts
    )
    jpeg_bytes = jpeg(path, 8, 8, "L")
    jfif_end = 4 + int.from_bytes(jpeg_bytes[4:6])
    path.write_bytes(jpeg_bytes[:2] + segments + jpeg_bytes[jfif_end:])


def _write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **{"compression": "zstd", **options})


@bomb("Parquet, 8,192 times one value of 1 MB", "a.parquet", _read_table)
def _(path: Path) -> None:
    _write_parquet(path, {"head": ["x" * 1_000_000] * 8_192})


@bomb("Parquet, 2,000 plain values of 500 kB", "a.parquet", _read_table)
def _(path: Path) -> None:
    _write_parquet(path, {"head": ["x" * 500_000] * 2_000}, use_dictionary=False)


@bomb("Parquet, 300 million equal rows", "a.parquet", _read_table)
def _(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row_block = pa.table({"head": pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), ["x"])})
    with pq.ParquetWriter(path, row_block.schema, compression="zstd") as writer:
        for _ in range(300):
            writer.write_table(row_block, row_group_size=1 << 26)


@bomb("Parquet, a column of lists", "a.parquet", _read_table)
def _(path: Path) -> None:
    _write_parquet(path, {"head": [["x" * 1_000] * 1_000] * 1_000})


@bomb("Parquet of questions, 64 times one image of 30 MB", "train-a.parquet", hub_questions)
def _(path: Path) -> None:
    content = b"\x89PNG\r\n\x1a\n" + b"\0" * 30_000_000
    image_record = {"bytes": content, "path": "a"}
    _write_parquet(path, {"image": [image_record] * 64, "question": ["q"] * 64, "answer": ["a"] * 64})


@bomb("export, 100 million equal triples", "triples.parquet", _read_triples)
def _(path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    (path.parent / "entities.tsv").write_text("id\tkey\tkind\tname\tsubject\r\n0\ta\tThing\ta\t\r\n")
    (path.parent / "relations.tsv").write_text("id\trelation\r\n0\tr\r\n")
    row_block = pa.table({column_name: np.zeros(1_000_000, np.int64) for column_name in ("head", "relation", "tail")})
    row_block = row_block.replace_schema_metadata({"sha256": "0"})
    with pq.ParquetWriter(path, row_block.schema, compression="zstd") as writer:
        for _ in range(100):
            writer.write_table(row_block)


@bomb("pairs, 20 million equal rows", "a.parquet", _read_pair_set)
def _(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    column_names = ("image", "study", "subject", "view", "dataset", "part", "text_sha256")
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), ["x" * 1_000])
    row_block = pa.table(dict.fromkeys(column_names, column))
    with pq.ParquetWriter(path, row_block.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(row_block)


@bomb("JSON nested 500,000 deep", "a.json", _read_questions)
def _(path: Path) -> None:
    path.write_text("[" * 500_000)


@bomb("JSON Lines, a line nested 500,000 deep", "a.jsonl", _read_reports)
def _(path: Path) -> None:
    path.write_text('{"id": ' + "[" * 500_000 + "\n")


@bomb("JSON of a million empty lists", "a.json", _read_questions)
def _(path: Path) -> None:
    path.write_text("[" + "[]," * 1_000_000 + "[]]")


@bomb("MIMIC-CXR metadata, 1 GB of one line in 1 MB of gzip", "mimic-cxr-2.0.0-metadata.csv.gz", _read_mimic_cxr)
def _(path: Path) -> None:
    with gzip.open(path, "wb") as gzip_file:
        for _ in range(1_000):
            gzip_file.write(b"x" * 1_000_000)


@bomb("YAML, a billion laughs", "a.yaml", training_settings)
def _(path: Path) -> None:
    yaml_lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    yaml_lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    path.write_text("\n".join(yaml_lines))


@bomb("YAML nested 100,000 deep", "a.yaml", training_settings)
def _(path: Path) -> None:
    path.write_text("[" * 100_000)


@bomb("workbook, a sheet of 1 GB", "a.xlsx", workbook)
def _(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w") as sheet_file,
    ):
        for _ in range(1_000):
            sheet_file.write(b" " * 1_000_000)


@bomb("a FIFO named .png", "a.png", _read_radiograph)
def _(path: Path) -> None:
    os.mkfifo(path)


@bomb("a link to /dev/zero named .csv", "a.csv", _read_table)
def _(path: Path) -> None:
    path.symlink_to("/dev/zero")


def write_bomb(name: str, folder: Path) -> Path:
    """The bomb's file in a folder."""
    file_name, builder, _ = BOMBS[name]
    builder(folder / file_name)
    return folder / file_name


def measure_bomb(name: str, path: Path) -> dict[str, Any]:
    """What reading a bomb takes in this process, and how it ends."""
    import numpy  # noqa: F401  the readers' libraries: their memory is the base
    import openpyxl  # noqa: F401
    import PIL.Image
    import pydicom.pixels.decoders  # noqa: F401
    import yaml  # noqa: F401

    from kgplatform.errors import KgpError

    PIL.Image.init()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now on
    base_memory, start_time = _kb("VmRSS"), time.process_time()
    try:
        ending = f"read: {str(BOMBS[name][2](path))[:60]}"
    except KgpError as error:
        ending = error.message.replace(f"{path}", path.name)
    return {"mb": (_kb("VmHWM") - base_memory) // 1024, "s": round(time.process_time() - start_time, 2), "end": ending}


def _kb(field_name: str) -> int:
    status_lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(status_line.split()[1]) for status_line in status_lines if status_line.startswith(f"{field_name}:"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure_bomb(sys.argv[1], Path(sys.argv[2]))) + "\n")
