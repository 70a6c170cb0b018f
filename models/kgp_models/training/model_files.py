"""Files of a trained model: written whole, and checked against known hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile, is_zipfile

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kgplatform.errors import InputError
from kgplatform.files import atomic_file, open_regular_file, require_file, require_plain_folder

PICKLED: Final = (".bin", ".pt", ".pth")  # how files of torch's own form are called
_AGAIN: Final = "Fetch or make it again."


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a file of tensors that does not appear before it is complete, so that what is present may be taken as
    finished.
    """
    with atomic_file(path) as partial_path:
        save_file(dict(tensors), partial_path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a model's file. Raises `InputError` where it is missing or damaged."""
    try:
        return load_file(require_file(path, _AGAIN))
    except (OSError, SafetensorError, ValueError):
        raise InputError("the weights are damaged", _AGAIN, path=path) from None


def read_cached_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file that can be made again; None where it is missing, damaged, or no regular file."""
    try:
        return load_file(require_file(path))
    except (InputError, OSError, SafetensorError):
        return None


def require_model_folder(folder: Path) -> Path:
    """The folder unchanged, for a library that opens the files of a model in it by name. Raises `InputError` where one
    of them is a FIFO, a device or the like, or a zip of torch's that unpacks to more than it has.
    """
    for file_path in require_plain_folder(folder).iterdir() if folder.is_dir() else ():
        if file_path.suffix in PICKLED and file_path.is_file() and is_zipfile(file_path):
            require_uncompressed(file_path)
    return folder


def require_finite(module: nn.Module, folder: Path) -> None:
    """Raise `InputError` where a weight is NaN or infinite: every vector made with it would be, too, and a sum or a
    comparison hides that. Buffers are not looked at: a mask is infinite by intention.
    """
    for weight_name, weight in module.named_parameters():
        if not weight.isfinite().all():
            raise InputError(f"the weights {weight_name} are not all finite numbers", _AGAIN, path=folder)


def require_uncompressed(path: Path) -> Path:
    """The path of a zip unchanged, for torch or numpy, which write what they save without compression.

    Raises `InputError` for another kind of file, and where the members of the zip would take more than the file has: a
    megabyte may unpack to a gigabyte.
    """
    with open_regular_file(path) as opened_file:
        try:
            with ZipFile(opened_file) as archive:
                unpacked_bytes = sum(archive_member.file_size for archive_member in archive.infolist())
        except (BadZipFile, NotImplementedError, ValueError):
            raise InputError("the file is damaged", _AGAIN, path=path) from None
        if unpacked_bytes > os.fstat(opened_file.fileno()).st_size:
            raise InputError(f"the file unpacks to {unpacked_bytes:,} bytes", _AGAIN, path=path)
    return path


def regular_file_sha256(path: Path) -> str:
    """The hash of a file. Raises `InputError` where it is no regular one."""
    with open_regular_file(path) as opened_file:
        return hashlib.file_digest(opened_file, "sha256").hexdigest()


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise `InputError` where a file of the model, by its name below the folder, is missing or has another hash."""
    for file_name, expected_hash in files.items():
        file_path = folder / file_name
        if (
            not file_path.resolve().is_relative_to(folder.resolve())
            or not file_path.is_file()
            or regular_file_sha256(file_path) != expected_hash
        ):
            raise InputError("a file of the model is missing or changed", "Train or fetch it again.", path=file_path)
