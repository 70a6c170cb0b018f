"""How a construction is done, from flags or from a YAML file such as `construct.yaml` in a folder of studies.

A file that the user names is the user's own settings. One that is in a data folder came with the data: it describes
the folder, so it may name files inside it alone, and neither send anything elsewhere nor choose what the machine spends
(`_check_data_folder`). Consent to send reports away is in no file at all: it is an option of the command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from kgplatform import files
from kgplatform.construct.annotate import Conflicts
from kgplatform.construct.language_model.consent import is_local
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.modality import Exam, Modality, Region, modality_of, regions_of
from kgplatform.errors import InputError, UsageError
from kgplatform.yaml_settings import (
    AsList,
    Flag,
    FromYAML,
    HasValue,
    NeverInFile,
    PositiveInteger,
    Text,
    Texts,
    parse_settings,
    setting_error,
    settings_schema,
)

FILE: Final = "construct.yaml"
CONSENT: Final = "remote_consent"  # an option of the command, never a setting in a file
_HINT: Final = "See docs/construct.md."


def _beside_file(value: object, info: ValidationInfo) -> Path:
    """The path, from the folder of the settings file. An error does not repeat it: a path may name a patient."""
    if not isinstance(value, str) or "\0" in value:
        raise setting_error("must be the path of a file or folder")
    return _folder(info) / value


def _tagger_beside_file(tagger: str, info: ValidationInfo) -> str:
    """``NAME:ARGUMENT`` where the argument is a path if something is there, from the folder of the settings file."""
    tagger_kind, _, argument = tagger.partition(":")
    argument_path = _folder(info) / argument
    return f"{tagger_kind}:{argument_path}" if argument and _exists(argument_path) else tagger


def _cache_beside_file(llm: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
    """The language model's settings, whose other values are checked when it is used (`LLMSettings.from_document`)."""
    cache_path = llm.get("cache")
    if not isinstance(cache_path, str) or not cache_path:
        return llm
    if "\0" in cache_path:
        raise setting_error("has a cache that is not the path of a file")
    return {**llm, "cache": str(_folder(info).absolute() / cache_path)}


def _folder(info: ValidationInfo) -> Path:
    folder: Path = (info.context or {})["folder"]
    return folder


FilePath = Annotated[Path, BeforeValidator(_beside_file)]


@dataclass(frozen=True, slots=True)
class ConstructionSettings(FromYAML):
    """How reports become a graph: what is read, and how. Paths are relative to the file."""

    reports: Text
    """What the reports are: the name of a loader such as openi, mimic-cxr or reports."""
    path: FilePath
    """Where the reports are."""
    views: Annotated[Texts | None, HasValue()] = None
    """Views of the images, e.g. [AP, PA]; as the loader has them by default."""
    lexicon: Annotated[tuple[FilePath, ...], AsList] = ()
    """Files and folders with the names of concepts."""
    graph_names: Flag = True
    """Also look for the names of the graph's concepts."""
    own_words: Flag = True
    """And for those of the lexicon that comes with the package."""
    tagger: Annotated[Text, AfterValidator(_tagger_beside_file)] = "dictionary"
    """The tagger's name, or NAME:ARGUMENT."""
    rules: Annotated[FilePath | None, HasValue()] = None
    """A table of your own rules of stance, in addition to the platform's; see docs/construct.md."""
    modality: Annotated[Text | None, HasValue()] = None
    """The modality of reports that state none, e.g. CT; as the loader has it by default."""
    region: Annotated[Text | None, HasValue()] = None
    """The region of the body of reports that state none, e.g. head; several as in chest+abdomen."""
    conflicts: Conflicts = Conflicts.keep
    """What becomes of a concept with several stances in one report: keep them all, the strongest, or the last."""
    keep: Annotated[FilePath | None, HasValue()] = None
    """Only the studies in this file of `kgp construct select`."""
    workers: PositiveInteger = 1
    """Processes; with ray, actors."""
    ray: Flag = False
    """Whether Ray Data spreads the work."""
    llm: Annotated[
        Mapping[Text, Any], WithJsonSchema(settings_schema(LLMSettings)), AfterValidator(_cache_beside_file)
    ] = field(default_factory=dict)
    """The language model that decides stances, in place of the rules."""
    remote_consent: NeverInFile[bool] = False
    """The user has said that reports may leave this machine."""

    @property
    def exam(self) -> Exam:
        """What kind of study the reports are about that state none. Raises `UsageError` for an unknown value."""
        exam = Exam(modality_of(self.modality or ""), regions_of(self.region or ""))
        if self.modality is not None and exam.modality is None:
            raise UsageError("this is no known modality", f"Known are {', '.join(Modality)}, and names such as MRI.")
        if self.region is not None and not exam.regions:
            raise UsageError("this is no known region of the body", f"Known are {', '.join(Region)}.")
        return exam


def find_settings_file(path: Path) -> Path:
    """The settings of a folder, or the file itself. Raises `InputError` where there are none."""
    settings_file = path / FILE if path.is_dir() else path
    if settings_file.suffix not in (".yaml", ".yml") or not settings_file.is_file():
        hint = f"Say what the reports are (kgp construct run KIND PATH), or give a folder with {FILE}."
        problem = "there are no construction settings here" if path.exists() else "no such file or folder"
        raise InputError(problem, hint, path=path)
    return settings_file


def read_settings(path: Path) -> ConstructionSettings:
    """The settings in a YAML file, or in the one of a data folder; paths are relative to the file.

    Raises `InputError` for what is no settings, and for what a data folder may not decide.
    """
    settings_file = find_settings_file(path)
    document = _document(settings_file)
    try:
        settings = parse_settings(ConstructionSettings, document, _HINT, folder=settings_file.parent)
    except InputError as error:
        raise InputError(error.message, error.hint, path=settings_file) from None
    if path.is_dir():
        _check_data_folder(settings, path, settings_file)
    return settings


def _document(settings_file: Path) -> dict[Any, Any]:
    """The file's mapping of settings, without consent. Raises `InputError`."""
    document = files.read_yaml(settings_file, _HINT)
    if not isinstance(document, dict):
        raise InputError("the settings must be a mapping", _HINT, path=settings_file)
    if CONSENT in document or (isinstance(document.get("llm"), dict) and CONSENT in document["llm"]):
        hint = "Remove the line. If you may send the reports to another machine, confirm it: --remote-consent."
        raise InputError("remote_consent cannot be set in a file", hint, path=settings_file)
    return document


def _check_data_folder(settings: ConstructionSettings, folder: Path, settings_file: Path) -> None:
    """Raise `InputError` for a setting that a data folder may not decide."""
    for setting_name, named_path in _paths(settings):
        if not _is_inside(named_path, folder):
            raise _not_from_a_folder(f"{setting_name} points outside the folder", settings_file)
    model_url = settings.llm.get("url")
    if isinstance(model_url, str) and not is_local(model_url):
        raise _not_from_a_folder("llm.url is another machine, to which the reports would go", settings_file)
    if settings.llm.get("keep_replies"):
        raise _not_from_a_folder("llm.keep_replies stores replies, which may quote reports", settings_file)
    if settings.rules is not None:
        raise _not_from_a_folder("rules are patterns, which may take long to match", settings_file)
    if settings.ray:
        raise _not_from_a_folder("ray may send the reports to a cluster", settings_file)
    if settings.workers > (core_count := os.cpu_count() or 1):
        raise _not_from_a_folder(f"workers is {settings.workers:,} on a machine of {core_count:,} cores", settings_file)


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
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError before Python 3.13), a NUL
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, a NUL
        return False


def _not_from_a_folder(problem: str, settings_file: Path) -> InputError:
    hint = (
        "A data folder may not decide this. Remove the line and use the command's option. Or name the file, if you "
        f"trust all that it says: kgp construct run {settings_file}"
    )
    return InputError(problem, hint, path=settings_file)
