"""The rows of the generator's benchmark: one YAML file each in `settings/generator`.

A file has what differs from `base`, and beside the settings: `name`, `stage` (1: LLM-KG, 2: VLM-KG), `studies` (at most
so many are trained on), `max_new_tokens` of a reply, `blind` (every image is the same, in stage 2 and when asked),
`times` (factors of the base's projector sizes: the paper doubles n and k, whatever they are here), and `paper` (the
paper's figures of that row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kgp_models.generator.settings import GeneratorSettings
from kgplatform.errors import InputError
from kgplatform.files import read_yaml

SETTINGS: Final = Path(__file__).parent / "settings" / "generator"
OURS: Final = ("base", "name", "stage", "studies", "max_new_tokens", "times", "paper", "blind")
HINT: Final = "See benchmarks/settings/generator/ for examples."


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


def rows() -> dict[str, Path]:
    """The files that are rows, by key; the others are settings alone."""
    return {path.stem: path for path in sorted(SETTINGS.glob("*.yaml")) if "base" in _document(path)}


def read(path: Path, base: Path | None = None) -> Row:
    """A row; `base` is taken in place of the file's own, for other data and sizes. Raises `InputError`."""
    document = _document(path)
    ours = {name: document.pop(name) for name in OURS if name in document}
    if "base" not in ours or not isinstance(ours["base"], str):
        raise InputError("the row names no base", HINT, path=path)
    of_base = _document(base or path.parent / ours.pop("base"))
    ours.pop("base", None)
    merged = _merged(of_base, document)
    for name, times in ours.pop("times", {}).items():
        sizes = merged["projector"] = dict(merged.get("projector", {}))
        sizes[name] = sizes.get(name, 64) * times  # 64: the paper's, which settings have where they say nothing
    try:
        settings = GeneratorSettings.of(merged)
    except InputError as error:
        raise InputError(error.message, error.hint, path=path) from None
    stage = str(ours.pop("stage", 2))
    if stage not in ("1", "2"):
        raise InputError("the stage is not 1 or 2", HINT, path=path)
    return Row(path.stem, ours.pop("name", path.stem), settings, stage, **ours)


def _document(path: Path) -> dict[str, Any]:
    document = read_yaml(path, HINT)
    if not isinstance(document, dict):
        raise InputError("the settings must be a mapping", HINT, path=path)
    return document


def _merged(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """The base with what differs, mapping by mapping."""
    found = dict(base)
    for name, value in changed.items():
        below = found.get(name)
        found[name] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return found
