"""How a DICOM file's stored values become the grey of a workstation: modality LUT, VOI LUT, presentation, padding.

Source: DICOM PS3.3, C.11.1 (modality LUT), C.11.2 (VOI LUT), C.11.6 (Presentation LUT Shape), C.7.5.1.1.2 (padding).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kgplatform.image_limits import BLOCK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    Values: TypeAlias = NDArray[Any]

_INVERSE: Final = "INVERSE"


@dataclass(frozen=True)
class LookupTable:
    """A lookup table: `entries` from the input value `first` on; values outside have the entry at that end."""

    first: int
    entries: Values

    @classmethod
    def from_item(cls, item: Dataset, *, is_little_endian: bool) -> LookupTable:
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
class Window:
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
class Display:
    """How stored values become grey. `padding`: the lowest and highest stored value that is no part of the image."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_table: LookupTable | None = None
    voi_table: LookupTable | None = None
    window: Window | None = None
    padding: tuple[int, int] | None = None
    is_inverse: bool = False

    @classmethod
    def from_header(cls, dataset: Dataset) -> Display:
        """What a DICOM header states; entries that are empty or contradict the standard count as missing."""
        tables = {
            keyword: LookupTable.from_item(
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
        window = self.window if self.voi_table is None else None  # a VOI LUT counts before a window
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
    element_value = dataset.get(keyword)
    if element_value is None or isinstance(element_value, bytes):
        return []
    entries = [element_value] if isinstance(element_value, str | float | int) else list(element_value)
    try:
        return [float(entry) if math.isfinite(float(entry)) else 0.0 for entry in entries]
    except (TypeError, ValueError):
        return []


def _window(dataset: Dataset) -> Window | None:
    """The first window with a possible width."""
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    least_width = 1.0 if function not in ("SIGMOID", "LINEAR_EXACT") else 0.0
    for centre, width in zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False):
        if width > 0.0 and width >= least_width:
            return Window(centre, width, function)
    return None


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    padding_value = _number(dataset, "PixelPaddingValue")
    if padding_value is None:
        return None
    range_limit = _number(dataset, "PixelPaddingRangeLimit")
    limits = (int(padding_value), int(padding_value if range_limit is None else range_limit))
    return min(limits), max(limits)
