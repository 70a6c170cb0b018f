"""Settings of a training: frozen dataclasses, one in another, read from YAML and checked at the edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from kgplatform.errors import InputError
from kgplatform.files import read_yaml
from kgplatform.suggest import did_you_mean

T = TypeVar("T")

MAX_NUMBER: Final = 1 << 31


def document_of(path: Path, examples: str) -> object:
    """What a YAML file holds; `examples` is the folder of settings that a hint points to. Raises `InputError`."""
    return read_yaml(path, f"See {examples} for examples.")


def made(kind: type[T], document: object, examples: str, may_be_zero: Collection[str], where: str = "") -> T:
    """The settings of a plain mapping. All numbers are positive but those of `may_be_zero`, by dotted name.

    Raises `InputError` for what is unknown, ill-typed or out of range.
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{where or 'the settings'} must be a mapping", f"See {examples}.")
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(str(name) for name in document if name not in known):
        hint = did_you_mean(unknown[0], known, f"Settings: {', '.join(sorted(known))}.")
        raise InputError(f"there is no setting {where}{unknown[0]}", hint)
    values = {}
    for name, value in document.items():
        if is_dataclass(hints[name]):
            values[name] = made(hints[name], value, examples, may_be_zero, f"{where}{name}.")
        else:
            values[name] = _value(hints[name], value, f"{where}{name}", may_be_zero)
    return kind(**values)


def _value(kind: Any, value: Any, name: str, may_be_zero: Collection[str]) -> Any:
    """The value as its field has it. Raises `InputError`."""
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        choices = [str(choice) for choice in get_args(kind)]
        hint = did_you_mean(str(value), choices, "Check the settings.")
        raise InputError(f"{name} is not one of {', '.join(choices)}", hint)
    if get_origin(kind) is tuple:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise InputError(f"{name} must be a list of texts", "Check the settings.")
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise InputError(f"{name} is of the wrong kind", "Check the settings.")
    if kind in (int, float) and isinstance(value, int if kind is int else (int, float)):
        if not 0 <= value < MAX_NUMBER or (name not in may_be_zero and value == 0):  # NaN is neither
            raise InputError(f"{name} is out of range", "It must be positive.")
        return kind(value)
    if kind not in (int, float) and (isinstance(value, str) or (value is None and kind is not str)):
        return value
    raise InputError(f"{name} is of the wrong kind", "Check the settings.")
