"""The authors' release of MedMKG, fetched from their public repository, checked against known hashes and cached."""

from __future__ import annotations

import hashlib
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kgplatform.errors import InputError
from kgplatform.settings import Settings

logger = logging.getLogger(__name__)
REPOSITORY: Final = "https://github.com/XiaochenWang-PSU/MedMKG"
_RAW: Final = "https://raw.githubusercontent.com/XiaochenWang-PSU/MedMKG"
_LIMIT: Final = 64 << 20  # bytes; the files have 3 MB each


@dataclass(frozen=True)
class Released:
    """A file of the release: the commit that holds it and the sha256 of its content."""

    commit: str
    sha256: str


RELEASE: Final[Mapping[str, Released]] = {
    "MedMKG.csv": Released(
        "4fb1e530a77a62a71c4a8fad55ec4d4afcc9f4a8",
        "5eac4909cbc3154835676b8e685afdb289aec5c332c7f2b2edd27d625cf6abd1",
    ),
    "image_mapping.csv": Released(
        "85363d7014438457d406dace42695ec0194439d4",
        "4c5ac591c1c38efdfd0f7d6a0cff5072e8a393ef66755d0c6737a43ca11e32e0",
    ),
}


def release_folder() -> Path:
    """The release that ``KGP_DATA_DIR`` holds, else the authors', fetched and cached. Raises as `fetch` does."""
    settings = Settings.from_env()
    if settings.data_dir and (settings.data_dir / "medmkg").is_dir():
        logger.info(f"loading {settings.data_dir / 'medmkg'} (KGP_DATA_DIR)")
        return settings.data_dir / "medmkg"
    if settings.data_dir:
        logger.warning(f"there is no medmkg/ in {settings.data_dir} (KGP_DATA_DIR)")
    logger.info("using the authors' release")
    return fetch(settings.cache)


def fetch(cache: Path, source: str = _RAW, release: Mapping[str, Released] = RELEASE) -> Path:
    """The folder in `cache` with both files of the release, fetched if they are missing in the known form.

    Raises `InputError` when the network or the hash fails; nothing unchecked is left behind.
    """
    folder = cache / "medmkg"
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, released in release.items():
        target_path = folder / file_name
        if not target_path.is_file() or _sha256(target_path.read_bytes()) != released.sha256:
            content = _download(f"{source}/{released.commit}/{file_name}", folder)
            if _sha256(content) != released.sha256:
                raise InputError(f"{file_name} as fetched is not the known release", _by_hand(folder))
            partial_path = target_path.with_name(f"{file_name}.{os.getpid()}.partial")
            partial_path.write_bytes(content)
            partial_path.replace(target_path)
    return folder


def _download(url: str, folder: Path) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310  the address is a constant of ours
            return bytes(response.read(_LIMIT))
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"the MedMKG release cannot be fetched: HTTP {error.code}", _by_hand(folder)) from None
    except OSError as error:  # URLError among them
        reason = getattr(error, "reason", error)
        raise InputError(f"the MedMKG release cannot be fetched: {reason}", _by_hand(folder)) from None


def _by_hand(folder: Path) -> str:
    return (
        f"By hand: get MedMKG.csv and image_mapping.csv from {REPOSITORY} and run `kgp ingest medmkg DIR` "
        f"with their folder, or put them into {folder}."
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
