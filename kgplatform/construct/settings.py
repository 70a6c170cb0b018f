"""How a construction is done, from flags or from a YAML file such as `construct.yaml` in a folder of studies.

A file that the user names is the user's own settings. One that lies in a data folder came with the data: it describes
the folder, so it may name files inside it alone, and neither send anything elsewhere nor choose what the machine spends
(`_check_data_folder`). Consent to send reports away is in no file at all: it is an option of the command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from kgplatform import files
from kgplatform.construct.annotate import Conflicts
from kgplatform.construct.language_model.consent import is_local
from kgplatform.errors import InputError
from kgplatform.suggest import did_you_mean

FILE: Final = "construct.yaml"
CONSENT: Final = "remote_consent"  # an option of the command, never a setting in a file


@dataclass(frozen=True, slots=True)
class Settings:
    """What is read, and how. `reports` and `tagger` are entry points; `llm` has the language model's settings."""

    reports: str
    path: Path
    views: tuple[str, ...] | None = None  # None: as the loader has them
    lexicon: tuple[Path, ...] = ()
    graph_names: bool = True  # also look for the names of the graph's concepts
    own_words: bool = True  # and for the platform's words for findings, which have CUIs of UMLS
    tagger: str = "dictionary"
    conflicts: Conflicts = Conflicts.keep
    keep: Path | None = None  # only the studies in this file of `kgp construct select`
    workers: int = 1
    ray: bool = False
    llm: Mapping[str, Any] = field(default_factory=dict)
    remote_consent: bool = False  # the user has said that reports may leave this machine


def find(path: Path) -> Path:
    """The settings of a folder, or the file itself. Raises `InputError` where there are none."""
    found = path / FILE if path.is_dir() else path
    if found.suffix not in (".yaml", ".yml") or not found.is_file():
        hint = f"Say what the reports are (kgp construct run KIND PATH), or give a folder with {FILE}."
        what = "there are no settings of a construction here" if path.exists() else "no such file or folder"
        raise InputError(what, hint, path=path)
    return found


def read(path: Path) -> Settings:
    """The settings in a YAML file, or in the one of a data folder; paths are relative to the file.

    Raises `InputError` for what is no settings, and for what a data folder may not decide.
    """
    file = find(path)
    document = _document(file)
    settings = Settings(**{name: _value(name, value, file) for name, value in document.items()})
    if path.is_dir():
        _check_data_folder(settings, path, file)
    return settings


def _document(path: Path) -> dict[str, Any]:
    """The file's mapping of settings. Raises `InputError`."""
    document = files.read_yaml(path, "See docs/construct.md.")
    if not isinstance(document, dict) or not {"reports", "path"} <= set(document):
        raise InputError("settings need `reports` and `path`", "See docs/construct.md.", path=path)
    if CONSENT in document or (isinstance(document.get("llm"), dict) and CONSENT in document["llm"]):
        hint = "Take the line out. If you may send the reports away, say so in the command: --remote-consent."
        raise InputError("remote_consent is no setting of a file", hint, path=path)
    known = {item.name for item in fields(Settings)} - {CONSENT}
    if unknown := sorted(str(name) for name in document if name not in known):
        hint = did_you_mean(unknown[0], known, f"Settings: {', '.join(sorted(known))}.")
        raise InputError(f"there is no setting {unknown[0]!r}", hint, path=path)
    return document


def _check_data_folder(settings: Settings, folder: Path, file: Path) -> None:
    """Raise `InputError` for a setting that a data folder may not decide."""
    for name, path in _paths(settings):
        if not _is_inside(path, folder):
            raise _not_of_a_folder(f"{name} leads out of the folder", file)
    url = settings.llm.get("url")
    if isinstance(url, str) and not is_local(url):
        raise _not_of_a_folder("llm.url is another machine, to which the reports would go", file)
    if settings.llm.get("keep_replies"):
        raise _not_of_a_folder("llm.keep_replies stores replies, which may quote reports", file)
    if settings.ray:
        raise _not_of_a_folder("ray may send the reports to a cluster", file)
    if settings.workers > (cores := os.cpu_count() or 1):
        raise _not_of_a_folder(f"workers is {settings.workers:,} on a machine of {cores:,} cores", file)


def _paths(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The files and folders that settings name, with the setting's name."""
    yield "path", settings.path
    yield from (("lexicon", path) for path in settings.lexicon)
    if settings.keep is not None:
        yield "keep", settings.keep
    if isinstance(cache := settings.llm.get("cache"), str):
        yield "llm.cache", Path(cache)
    argument = settings.tagger.partition(":")[2]
    is_word = "/" not in argument and os.sep not in argument and not _exists(Path(argument))  # as in dictionary:exact
    if argument and not is_word:
        yield "tagger", Path(argument)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, with its links followed, is the folder or below it."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop of links (RuntimeError before Python 3.13)
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, a NUL
        return False


def _not_of_a_folder(what: str, file: Path) -> InputError:
    hint = (
        "A data folder may not decide this. Take the line out and use the command's option. Or name the file, if you "
        f"trust all that it says: kgp construct run {file}"
    )
    return InputError(what, hint, path=file)


def _value(name: str, value: Any, path: Path) -> Any:
    """The value as `Settings` has it. Raises `InputError` for another type."""
    if name in ("path", "keep") and isinstance(value, str) and "\0" not in value:
        return path.parent / value
    if name == "lexicon" and isinstance(value, list) and all(isinstance(v, str) and "\0" not in v for v in value):
        return tuple(path.parent / item for item in value)
    if name == "views" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if name == "conflicts" and value in list(Conflicts):
        return Conflicts(value)
    if name == "reports" and isinstance(value, str):
        return value
    if name == "tagger" and isinstance(value, str):
        kind, _, argument = value.partition(":")
        return f"{kind}:{path.parent / argument}" if argument and _exists(path.parent / argument) else value
    if name in ("graph_names", "own_words", "ray") and isinstance(value, bool):
        return value
    if name == "workers" and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if name == "llm" and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        cache = value.get("cache")
        return {**value, "cache": str(path.parent.absolute() / cache)} if isinstance(cache, str) and cache else value
    raise InputError(f"the setting {name!r} has a value of the wrong kind", "See docs/construct.md.", path=path)
