"""The grey values of a DICOM image as a workstation shows them: stored values, modality LUT, VOI LUT, presentation.

Source: DICOM PS3.3, C.7.6.3 (pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT), C.11.6 (Presentation LUT Shape) and
C.7.5.1.1.2 (padding). What decoding takes is worked out from the header, and refused before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from kgplatform import codestreams
from kgplatform.errors import InputError
from kgplatform.extras import install_command
from kgplatform.image_limits import BLOCK, check_memory, several_images, unreadable

if TYPE_CHECKING:
    import numpy as np
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
_INVERSE: Final = "INVERSE"


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
    return Image.fromarray(_Display.from_header(dataset).grey(pixels))


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


@dataclass(frozen=True)
class _Table:
    """A lookup table: `entries` from the input value `first` on; values outside have the entry at that end."""

    first: int
    entries: Values

    @classmethod
    def from_item(cls, item: Dataset, *, is_little_endian: bool) -> _Table:
        """The table of an item of a Modality or VOI LUT Sequence."""
        import numpy as np

        entry_count, first, bits = (int(number) for number in item.LUTDescriptor)
        entry_count = entry_count or 1 << 16
        data = item.LUTData
        if isinstance(data, bytes):
            byte_order = "<" if is_little_endian else ">"
            is_packed = bits <= 8 and len(data) < 2 * entry_count  # two entries a word
            entries = np.frombuffer(data, np.uint8 if is_packed else f"{byte_order}u2")[:entry_count]
        else:
            entries = np.asarray(data, np.uint16)[:entry_count]
        if not len(entries):
            raise ValueError("the lookup table is empty")
        return cls(first, entries)

    def look_up(self, values: Values) -> Values:
        """The entries for these values, as floating-point numbers."""
        import numpy as np

        first = self.first - (1 << 16) if self.first >= 1 << 15 and values.min(initial=0) < 0 else self.first
        indices = np.clip(np.rint(values) - first, 0, len(self.entries) - 1).astype(np.intp)
        looked_up: Values = self.entries[indices].astype(float)
        return looked_up


@dataclass(frozen=True)
class _Window:
    """A VOI window in values after the modality LUT (C.11.2.1.2, C.11.2.1.3)."""

    centre: float
    width: float
    function: str

    def apply(self, values: Values) -> Values:
        """The grey of these values, from 0 to 1."""
        import numpy as np

        if self.function == "SIGMOID":
            exponent = np.clip(-4.0 * (values - self.centre) / self.width, -700.0, 700.0)
            sigmoid: Values = 1.0 / (1.0 + np.exp(exponent))
            return sigmoid
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0.0, 1.0)
        if self.width == 1.0:
            return (values > self.centre - 0.5).astype(float)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1.0) + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class _Display:
    """How stored values become grey. `padding`: the lowest and highest stored value that is no part of the image."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_table: _Table | None = None
    voi_table: _Table | None = None
    window: _Window | None = None
    padding: tuple[int, int] | None = None
    is_inverse: bool = False

    @classmethod
    def from_header(cls, dataset: Dataset) -> _Display:
        """What a DICOM header states; entries that are empty or contradict the standard count as missing."""
        tables = {
            keyword: _Table.from_item(
                getattr(dataset, keyword)[0], is_little_endian=dataset.file_meta.TransferSyntaxUID.is_little_endian
            )
            for keyword in ("ModalityLUTSequence", "VOILUTSequence")
            if dataset.get(keyword)
        }
        is_monochrome1 = dataset.PhotometricInterpretation == "MONOCHROME1"
        return cls(
            _number(dataset, "RescaleSlope") or 1.0,
            _number(dataset, "RescaleIntercept") or 0.0,
            tables.get("ModalityLUTSequence"),
            tables.get("VOILUTSequence"),
            _window(dataset),
            _padding(dataset),
            # MONOCHROME1 requires the shape INVERSE, which then says the same.
            is_monochrome1 or str(dataset.get("PresentationLUTShape") or "").strip() == _INVERSE,
        )

    def grey(self, stored: Values) -> NDArray[np.uint8]:
        """The image in 8 bits: over the window, the range of the VOI LUT, or the range of the values without padding.
        A window that hides the whole image is not used.
        """
        import numpy as np

        bands = list(_row_bands(stored))
        value_range = _range(self._values(stored[band], self._image_part(stored[band])) for band in bands)
        low, high = value_range
        window = self.window if self.voi_table is None else None
        if window is not None and low < high and len(set(window.apply(np.array(value_range)))) == 1:
            window = None
        if self.voi_table is not None:
            low, high = float(self.voi_table.entries.min()), float(self.voi_table.entries.max())
        grey_image = np.empty(stored.shape, np.uint8)
        for band in bands:
            values = self._values(stored[band])
            shares = window.apply(values) if window is not None else (values - low) / ((high - low) or 1.0)
            band_grey = np.clip(shares, 0.0, 1.0) * 255
            grey_image[band] = 255 - band_grey if self.is_inverse else band_grey
            image_part = self._image_part(stored[band])
            if image_part is not None:
                grey_image[band][~image_part] = 0
        return grey_image

    def _values(self, stored: Values, image_part: Values | None = None) -> Values:
        """The values after the modality LUT and the VOI LUT, as an array of the same shape; of the image part alone,
        in one dimension, where it is given.
        """
        values: Values = stored if image_part is None else stored[image_part]
        if self.modality_table is not None:
            values = self.modality_table.look_up(values.astype(float))
        else:
            values = values * self.slope + self.intercept
        return values if self.voi_table is None else self.voi_table.look_up(values)

    def _image_part(self, stored: Values) -> Values | None:
        """Which stored values are no padding; None where there is none."""
        if self.padding is None:
            return None
        lowest, highest = self.padding
        image_part: Values = (stored < lowest) | (stored > highest)
        return image_part


def _row_bands(pixels: Values) -> Iterator[slice]:
    band_height = max(1, BLOCK // pixels.shape[1])
    return (slice(top_row, top_row + band_height) for top_row in range(0, pixels.shape[0], band_height))


def _range(bands: Iterator[Values]) -> tuple[float, float]:
    """The lowest and the highest value; (0, 0) where all is padding."""
    extremes = [(float(band.min()), float(band.max())) for band in bands if band.size]
    return min((low for low, _ in extremes), default=0.0), max((high for _, high in extremes), default=0.0)


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The element's first number; None where it is missing, empty or no finite number."""
    numbers = _numbers(dataset, keyword)
    return numbers[0] if numbers else None


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    import math

    element_value = dataset.get(keyword)
    if element_value is None or isinstance(element_value, bytes):
        return []
    entries = [element_value] if isinstance(element_value, str | float | int) else list(element_value)
    try:
        return [float(entry) if math.isfinite(float(entry)) else 0.0 for entry in entries]
    except (TypeError, ValueError):
        return []


def _window(dataset: Dataset) -> _Window | None:
    """The first window with a possible width."""
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    least_width = 1.0 if function not in ("SIGMOID", "LINEAR_EXACT") else 0.0
    for centre, width in zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False):
        if width > 0.0 and width >= least_width:
            return _Window(centre, width, function)
    return None


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    padding_value = _number(dataset, "PixelPaddingValue")
    if padding_value is None:
        return None
    range_limit = _number(dataset, "PixelPaddingRangeLimit")
    limits = (int(padding_value), int(padding_value if range_limit is None else range_limit))
    return min(limits), max(limits)


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
