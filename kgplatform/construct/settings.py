"""How a construction is done, from flags or from a YAML file such as `construct.yaml` in a folder of studies.

A file that the user names is the user's own settings. One that is in a data folder came with the data: it describes
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
class ConstructionSettings:
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


def find_settings_file(path: Path) -> Path:
    """The settings of a folder, or the file itself. Raises `InputError` where there are none."""
    settings_file = path / FILE if path.is_dir() else path
    if settings_file.suffix not in (".yaml", ".yml") or not settings_file.is_file():
        hint = f"Say what the reports are (kgp construct run KIND PATH), or give a folder with {FILE}."
        problem = "there are no settings of a construction here" if path.exists() else "no such file or folder"
        raise InputError(problem, hint, path=path)
    return settings_file


def read_settings(path: Path) -> ConstructionSettings:
    """The settings in a YAML file, or in the one of a data folder; paths are relative to the file.

    Raises `InputError` for what is no settings, and for what a data folder may not decide.
    """
    settings_file = find_settings_file(path)
    document = _document(settings_file)
    settings = ConstructionSettings(
        **{setting_name: _value(setting_name, value, settings_file) for setting_name, value in document.items()}
    )
    if path.is_dir():
        _check_data_folder(settings, path, settings_file)
    return settings


def _document(settings_file: Path) -> dict[str, Any]:
    """The file's mapping of settings. Raises `InputError`."""
    document = files.read_yaml(settings_file, "See docs/construct.md.")
    if not isinstance(document, dict) or not {"reports", "path"} <= set(document):
        raise InputError("settings need `reports` and `path`", "See docs/construct.md.", path=settings_file)
    if CONSENT in document or (isinstance(document.get("llm"), dict) and CONSENT in document["llm"]):
        hint = "Take the line out. If you may send the reports away, say so in the command: --remote-consent."
        raise InputError("remote_consent is no setting of a file", hint, path=settings_file)
    setting_names = {settings_field.name for settings_field in fields(ConstructionSettings)} - {CONSENT}
    if unknown_names := sorted(str(setting_name) for setting_name in document if setting_name not in setting_names):
        hint = did_you_mean(unknown_names[0], setting_names, f"Settings: {', '.join(sorted(setting_names))}.")
        raise InputError(f"there is no setting {unknown_names[0]!r}", hint, path=settings_file)
    return document


def _check_data_folder(settings: ConstructionSettings, folder: Path, settings_file: Path) -> None:
    """Raise `InputError` for a setting that a data folder may not decide."""
    for setting_name, named_path in _paths(settings):
        if not _is_inside(named_path, folder):
            raise _not_of_a_folder(f"{setting_name} leads out of the folder", settings_file)
    model_url = settings.llm.get("url")
    if isinstance(model_url, str) and not is_local(model_url):
        raise _not_of_a_folder("llm.url is another machine, to which the reports would go", settings_file)
    if settings.llm.get("keep_replies"):
        raise _not_of_a_folder("llm.keep_replies stores replies, which may quote reports", settings_file)
    if settings.ray:
        raise _not_of_a_folder("ray may send the reports to a cluster", settings_file)
    if settings.workers > (core_count := os.cpu_count() or 1):
        raise _not_of_a_folder(f"workers is {settings.workers:,} on a machine of {core_count:,} cores", settings_file)


def _paths(settings: ConstructionSettings) -> Iterator[tuple[str, Path]]:
    """The files and folders that settings name, with the setting's name."""
    yield "path", settings.path
    yield from (("lexicon", lexicon_path) for lexicon_path in settings.lexicon)
    if settings.keep is not None:
        yield "keep", settings.keep
    if isinstance(cache_path := settings.llm.get("cache"), str):
        yield "llm.cache", Path(cache_path)
    tagger_argument = settings.tagger.partition(":")[2]
    is_word = (
        "/" not in tagger_argument and os.sep not in tagger_argument and not _exists(Path(tagger_argument))
    )  # as in dictionary:exact
    if tagger_argument and not is_word:
        yield "tagger", Path(tagger_argument)


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


def _not_of_a_folder(problem: str, settings_file: Path) -> InputError:
    hint = (
        "A data folder may not decide this. Take the line out and use the command's option. Or name the file, if you "
        f"trust all that it says: kgp construct run {settings_file}"
    )
    return InputError(problem, hint, path=settings_file)


def _value(setting_name: str, value: Any, settings_file: Path) -> Any:
    """The value as `Settings` has it. Raises `InputError` for another type."""
    if setting_name in ("path", "keep") and isinstance(value, str) and "\0" not in value:
        return settings_file.parent / value
    if (
        setting_name == "lexicon"
        and isinstance(value, list)
        and all(isinstance(list_entry, str) and "\0" not in list_entry for list_entry in value)
    ):
        return tuple(settings_file.parent / list_entry for list_entry in value)
    if setting_name == "views" and isinstance(value, list) and all(isinstance(list_entry, str) for list_entry in value):
        return tuple(value)
    if setting_name == "conflicts" and value in list(Conflicts):
        return Conflicts(value)
    if setting_name == "reports" and isinstance(value, str):
        return value
    if setting_name == "tagger" and isinstance(value, str):
        tagger_kind, _, argument = value.partition(":")
        return (
            f"{tagger_kind}:{settings_file.parent / argument}"
            if argument and _exists(settings_file.parent / argument)
            else value
        )
    if setting_name in ("graph_names", "own_words", "ray") and isinstance(value, bool):
        return value
    if setting_name == "workers" and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if setting_name == "llm" and isinstance(value, dict) and all(isinstance(option_name, str) for option_name in value):
        cache_path = value.get("cache")
        return (
            {**value, "cache": str(settings_file.parent.absolute() / cache_path)}
            if isinstance(cache_path, str) and cache_path
            else value
        )
    hint = "See docs/construct.md."
    if setting_name == "conflicts":
        hint = did_you_mean(str(value), list(Conflicts), f"One of {', '.join(Conflicts)}.")
    raise InputError(f"the setting {setting_name!r} has a value of the wrong kind", hint, path=settings_file)
