"""How a construction is done, from flags or from a YAML file such as `construct.yaml` in a folder of studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import yaml

from kgplatform.construct.annotate import Conflicts
from kgplatform.errors import InputError

FILE: Final = "construct.yaml"
MAX_BYTES: Final = 1 << 20


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


def find(path: Path) -> Path:
    """The settings of a folder, or the file itself. Raises `InputError` where there are none."""
    found = path / FILE if path.is_dir() else path
    if found.suffix not in (".yaml", ".yml") or not found.is_file():
        hint = f"Say what the reports are (kgp construct run KIND PATH), or give a folder with {FILE}."
        raise InputError("there are no settings of a construction here", hint, path=path)
    return found


def read(path: Path) -> Settings:
    """The settings in a YAML file; its paths are relative to it. Raises `InputError` for what is none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError("the file is too large for settings", "Check the path.", path=path)
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):  # ValueError: not UTF-8, or a date that is none
        raise InputError("the file cannot be read as YAML", "Check its indentation.", path=path) from None
    if not isinstance(document, dict) or not {"reports", "path"} <= set(document):
        raise InputError("settings need `reports` and `path`", "See docs/construct.md.", path=path)
    known = {item.name for item in fields(Settings)}
    if unknown := sorted(str(name) for name in document if name not in known):
        raise InputError(f"there is no setting {unknown[0]!r}", f"Settings: {', '.join(sorted(known))}.", path=path)
    return Settings(**{name: _value(name, value, path) for name, value in document.items()})


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
    if name in ("reports", "tagger") and isinstance(value, str):
        return value
    if name in ("graph_names", "own_words", "ray") and isinstance(value, bool):
        return value
    if name == "workers" and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if name == "llm" and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        cache = value.get("cache")
        return {**value, "cache": str(path.parent.absolute() / cache)} if isinstance(cache, str) and cache else value
    raise InputError(f"the setting {name!r} has a value of the wrong kind", "See docs/construct.md.", path=path)
