"""DICOM files as grey images: the header is checked, the pixels are decoded, and shown as a workstation shows them.

What decoding takes is worked out from the header, and refused before anything is decoded. Source: DICOM PS3.3, C.7.6.3.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from kgplatform import codestreams
from kgplatform.dicom_display import Display
from kgplatform.errors import InputError
from kgplatform.extras import install_command
from kgplatform.image_limits import BLOCK, check_memory, several_images, unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from pydicom.dataset import Dataset

    Values: TypeAlias = NDArray[Any]

PREAMBLE: Final = 128  # bytes before the word DICM
_MAGIC: Final = b"DICM"
_RADIOGRAPHS: Final = frozenset({"CR", "DX", "RG", "DR", "XR"})  # of Modality; the last two are not of the standard
_UNSTATED: Final = frozenset({"", "OT", "SC"})  # they say nothing about the image
MAX_CODE: Final = 16  # characters of a modality (PS3.5: CS)
# Words of the names of SOP classes of other images, where the modality says nothing.
_OTHER_CLASSES: Final = ("CT ", "MR ", "Ultrasound", "Nuclear Medicine", "Positron", "Mammography", "VL ", "Ophthalmic")


def is_dicom(image_file: BinaryIO, image_path: Path) -> bool:
    """Whether the file is DICOM by its first bytes or its name; old exports have no preamble."""
    start = image_file.read(PREAMBLE + len(_MAGIC))
    image_file.seek(0)
    return start[PREAMBLE:] == _MAGIC or image_path.suffix.lower() in (".dcm", ".dicom")


def read_dicom(image_file: BinaryIO, image_path: Path) -> Image:
    """The image as mode ``L``. Raises `InputError`; other exceptions are those of damaged files."""
    from PIL import Image
    from pydicom import dcmread

    _check_header(_header(image_file, image_path), image_file, image_path)
    image_file.seek(0)
    dataset = dcmread(image_file, force=not _has_preamble(image_file))
    _state_encoding(dataset)
    _check_pixels(dataset, image_path)
    pixels = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = _with_palette(pixels, dataset, image_path)
    if pixels.ndim == 3:
        return _from_colours(pixels)
    if pixels.ndim != 2:
        raise unreadable(image_path)
    return Image.fromarray(Display.from_header(dataset).grey(pixels))


def other_image_kind(image_file: BinaryIO, image_path: Path) -> str | None:
    """What the header states where that is no radiograph: a modality (CT) or the name of a class of images. Raises as
    `read_dicom`.
    """
    header = _header(image_file, image_path)
    modality = str(header.get("Modality") or "").strip().upper()
    class_name = str(getattr(header.get("SOPClassUID"), "name", ""))
    if modality in _RADIOGRAPHS:
        return None
    if modality in _UNSTATED:
        return class_name if any(word in class_name for word in _OTHER_CLASSES) else None
    return modality if modality.isalnum() and len(modality) <= MAX_CODE else "another modality"


def _header(image_file: BinaryIO, image_path: Path) -> Dataset:
    """All elements before the pixels; the file is read up to there."""
    from pydicom import dcmread

    has_preamble = _has_preamble(image_file)
    _refuse_deflated(image_file, image_path, has_preamble=has_preamble)
    header = dcmread(image_file, stop_before_pixels=True, defer_size=BLOCK, force=not has_preamble)
    _state_encoding(header)
    return header


def _has_preamble(dicom_file: BinaryIO) -> bool:
    has_preamble = dicom_file.read(PREAMBLE + len(_MAGIC))[PREAMBLE:] == _MAGIC
    dicom_file.seek(0)
    return has_preamble


def _refuse_deflated(image_file: BinaryIO, image_path: Path, *, has_preamble: bool) -> None:
    """Raise `InputError` for a file that pydicom would inflate as a whole, however much that is."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    start = PREAMBLE + len(_MAGIC) if has_preamble else 0
    image_file.seek(start)
    is_meta_group = image_file.read(2) == b"\x02\x00"
    image_file.seek(start)
    if is_meta_group:
        meta = read_dataset(
            image_file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, value_representation, length: tag.group != 2,
            defer_size=BLOCK,
        )
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            raise InputError(
                "is a deflated DICOM file, which is not supported",
                "Convert it to another transfer syntax.",
                path=image_path,
            )
    image_file.seek(0)


def _state_encoding(dataset: Dataset) -> None:
    """Note the transfer syntax of a file without file meta information, as pydicom recognised it."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if dataset.file_meta.get("TransferSyntaxUID"):
        return
    is_implicit, is_little_endian = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit


def _check_header(dataset: Dataset, image_file: BinaryIO, image_path: Path) -> None:
    """Raise `InputError` for an image that cannot be decoded here, or that takes too much memory."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGExtended12Bit

    transfer_syntax = dataset.file_meta.TransferSyntaxUID
    frame_count, sample_count, bits_per_sample = (
        int(dataset.get("NumberOfFrames", 1) or 1),
        int(dataset.SamplesPerPixel),
        int(dataset.BitsAllocated),
    )
    if frame_count != 1:
        raise several_images(image_path, f"a DICOM file with {frame_count:,} frames")
    if sample_count not in (1, 3):
        raise unreadable(image_path)
    pixel_count, bytes_per_sample = int(dataset.Rows) * int(dataset.Columns), -(-bits_per_sample // 8)
    if pixel_count < 1 or not 1 <= bits_per_sample <= 64:
        raise unreadable(image_path)
    bytes_per_pixel = 4 + 5 * bytes_per_sample if transfer_syntax in JPEG2000TransferSyntaxes else 3 * bytes_per_sample
    is_coloured = sample_count == 3 or dataset.PhotometricInterpretation == "PALETTE COLOR"
    total_bytes = pixel_count * (bytes_per_pixel * (3 if is_coloured else 1) + 1)
    check_memory(image_path, image_file, pixel_count, total_bytes)
    if not transfer_syntax.is_compressed:
        return
    try:
        is_decodable = get_decoder(transfer_syntax).is_available
    except NotImplementedError:
        is_decodable = False
    is_12_bit = transfer_syntax == JPEGExtended12Bit and int(dataset.BitsStored) > 8  # Pillow and GDCM have 8 bits
    if not is_decodable or (is_12_bit and not _has_libjpeg()):
        packages = f"{install_command('dicom')}{' pylibjpeg-libjpeg' if is_12_bit else ''}"
        message = f"is compressed as {transfer_syntax.name}, for which no decoder is installed"
        raise InputError(message, f"Install it ({packages}), or decompress the file.", path=image_path)


def _has_libjpeg() -> bool:
    from importlib.util import find_spec

    return find_spec("libjpeg") is not None


def _check_pixels(dataset: Dataset, image_path: Path) -> None:
    """Raise `InputError` where the compressed image announces, or holds, another size than the header."""
    from pydicom.encaps import get_frame
    from pydicom.uid import RLELossless

    transfer_syntax = dataset.file_meta.TransferSyntaxUID
    row_count, column_count, sample_count = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    if not transfer_syntax.is_compressed:
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if transfer_syntax == RLELossless:
        expected_bytes = row_count * column_count * sample_count * -(-int(dataset.BitsAllocated) // 8)
        if codestreams.rle_unpacks_to(frame, 2 * expected_bytes) > 2 * expected_bytes:  # some writers pad it
            raise unreadable(image_path)
        return
    announced_size = codestreams.announced(frame)
    if (
        announced_size is None
        or announced_size[:3] != (row_count, column_count, sample_count)
        or announced_size.tiles > codestreams.MAX_TILES
    ):
        raise unreadable(image_path)


def _with_palette(pixels: Values, dataset: Dataset, image_path: Path) -> Values:
    """The colours (rows, columns, 3) of an image whose values are numbers of a table of colours."""
    from pydicom.pixels.processing import apply_color_lut

    if "SegmentedRedPaletteColorLookupTableData" in dataset:  # a few bytes of it may unpack to gigabytes
        raise InputError("has a segmented table of colours, which is not supported", "Convert it.", path=image_path)
    colours: Values = apply_color_lut(pixels, dataset)[..., :3]
    return colours


def _from_colours(colours: Values) -> Image:
    """The luminance of an image in RGB, (rows, columns, 3)."""
    import numpy as np
    from PIL import Image

    if colours.dtype != np.uint8:
        highest = float(colours.max()) or 1.0
        colours = (colours * (255.0 / max(255.0, highest))).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(colours)).convert("L")
