"""The rows of the generator's benchmark: one YAML file each in `benchmarks/generation/settings`.

A file has what differs from `base`, and in addition to the settings: `name`, `stage` (1: LLM-KG, 2: VLM-KG), `studies`
(at most so many are trained on), `max_new_tokens` of a reply, `blind` (every image is the same, in stage 2 and when
asked), `times` (factors of the base's projector sizes: the paper doubles n and k, regardless of their values here), and
`paper` (the paper's figures of that row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kgp_models.generator.settings import GeneratorSettings
from kgplatform.errors import InputError
from kgplatform.files import read_yaml

SETTINGS: Final = Path(__file__).parent / "settings"
OURS: Final = ("base", "name", "stage", "studies", "max_new_tokens", "times", "paper", "blind")
HINT: Final = "See benchmarks/generation/settings/ for examples."


@dataclass(frozen=True)
class Row:
    """A system that is trained: the file's name without its ending, and what is in it."""

    key: str
    name: str
    settings: GeneratorSettings
    stage: str = "2"
    studies: int | None = None
    max_new_tokens: int = 512
    paper: Mapping[str, Any] = field(default_factory=dict)
    blind: bool = False


def generation_row_paths() -> dict[str, Path]:
    """The files that are rows, by key; the others are settings alone."""
    return {
        settings_path.stem: settings_path
        for settings_path in sorted(SETTINGS.glob("*.yaml"))
        if "base" in _document(settings_path)
    }


def read_generation_row(path: Path, base: Path | None = None) -> Row:
    """A row; `base` is taken in place of the file's own, for other data and sizes. Raises `InputError`."""
    document = _document(path)
    row_fields = {field_name: document.pop(field_name) for field_name in OURS if field_name in document}
    if "base" not in row_fields or not isinstance(row_fields["base"], str):
        raise InputError("the row names no base", HINT, path=path)
    base_document = _document(base or path.parent / row_fields.pop("base"))
    row_fields.pop("base", None)
    merged_settings = _merged(base_document, document)
    for field_name, factor in row_fields.pop("times", {}).items():
        sizes = merged_settings["projector"] = dict(merged_settings.get("projector", {}))
        sizes[field_name] = (
            sizes.get(field_name, 64) * factor
        )  # 64: the paper's, which settings have where they say nothing
    try:
        settings = GeneratorSettings.from_document(merged_settings)
    except InputError as error:
        raise InputError(error.message, error.hint, path=path) from None
    stage = str(row_fields.pop("stage", 2))
    if stage not in ("1", "2"):
        raise InputError("the stage is not 1 or 2", HINT, path=path)
    return Row(path.stem, row_fields.pop("name", path.stem), settings, stage, **row_fields)


def _document(path: Path) -> dict[str, Any]:
    document = read_yaml(path, HINT)
    if not isinstance(document, dict):
        raise InputError("the settings must be a mapping", HINT, path=path)
    return document


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with what differs, mapping by mapping."""
    merged_document = dict(base)
    for setting_name, value in changes.items():
        base_section = merged_document.get(setting_name)
        merged_document[setting_name] = (
            _merged(base_section, value) if isinstance(base_section, Mapping) and isinstance(value, Mapping) else value
        )
    return merged_document
