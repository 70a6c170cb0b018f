"""Optional packages: an extra that is missing, and the command that installs it here."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kgplatform.errors import SettingsError

_PACKAGE: Final = "kgplatform"


def missing(package_name: str, extra: str) -> SettingsError:
    """The error for a package of an extra that is not installed."""
    return SettingsError(f"this needs {package_name}, which is not installed", f"Install it: {install_command(extra)}")


def import_problem(error: ImportError, extra: str) -> SettingsError:
    """The error for a package of an extra that cannot be imported: it is missing, or its release does not fit."""
    if isinstance(error, ModuleNotFoundError):
        return missing((error.name or "a package").partition(".")[0], extra)
    hint = f"Install releases that fit: {install_command(extra)}"
    return SettingsError(f"an installed package does not fit this version of the platform: {error}", hint)


def installer() -> str:
    """The command that installs packages into this environment, up to their names."""
    if find_spec("pip") is None:  # an environment that uv made
        return f"uv pip install --python {shlex.quote(sys.executable)}"
    return f"{shlex.quote(sys.executable)} -m pip install"


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation, from the clone that it was installed from."""
    folder, is_editable = _source_folder()
    if folder is None:
        return f"{installer()} '{_PACKAGE}[{extra}]'"
    return f"{installer()} {'-e ' if is_editable else ''}{shlex.quote(f'{folder}[{extra}]')}"


def _source_folder() -> tuple[Path | None, bool]:
    """The folder that the package was installed from, and whether it is used from there (PEP 610)."""
    try:
        direct_url = json.loads(distribution(_PACKAGE).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None, False
    address = urlsplit(str(direct_url.get("url", "")))
    if address.scheme != "file" or "dir_info" not in direct_url:
        return None, False
    folder = Path(url2pathname(address.path))
    return (folder if folder.is_dir() else None), bool(direct_url["dir_info"].get("editable"))
