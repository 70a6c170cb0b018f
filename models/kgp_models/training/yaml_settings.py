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


def settings_from_mapping(
    kind: type[T], document: object, examples: str, may_be_zero: Collection[str], where: str = ""
) -> T:
    """The settings of a plain mapping. All numbers are positive but those of `may_be_zero`, by dotted name.

    Raises `InputError` for what is unknown, ill-typed or out of range.
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{where or 'the settings'} must be a mapping", f"See {examples}.")
    type_hints = get_type_hints(kind)
    field_names = {setting_field.name for setting_field in fields(kind)}  # type: ignore[arg-type]
    if unknown_names := sorted(str(setting_name) for setting_name in document if setting_name not in field_names):
        hint = did_you_mean(unknown_names[0], field_names, f"Settings: {', '.join(sorted(field_names))}.")
        raise InputError(f"there is no setting {where}{unknown_names[0]}", hint)
    setting_values = {}
    for setting_name, setting in document.items():
        if is_dataclass(type_hints[setting_name]):
            setting_values[setting_name] = settings_from_mapping(
                type_hints[setting_name], setting, examples, may_be_zero, f"{where}{setting_name}."
            )
        else:
            setting_values[setting_name] = _value(
                type_hints[setting_name], setting, f"{where}{setting_name}", may_be_zero
            )
    return kind(**setting_values)


def _value(field_type: Any, setting: Any, setting_name: str, may_be_zero: Collection[str]) -> Any:
    """The value as its field has it. Raises `InputError`."""
    if get_origin(field_type) is Literal:
        if setting in get_args(field_type):
            return setting
        choices = [str(choice) for choice in get_args(field_type)]
        hint = did_you_mean(str(setting), choices, "Check the settings.")
        raise InputError(f"{setting_name} is not one of {', '.join(choices)}", hint)
    if get_origin(field_type) is tuple:
        if isinstance(setting, list | tuple) and all(isinstance(entry, str) for entry in setting):
            return tuple(setting)
        raise InputError(f"{setting_name} must be a list of texts", "Check the settings.")
    if field_type is bool or isinstance(setting, bool):
        if field_type is bool and isinstance(setting, bool):
            return setting
        raise InputError(f"{setting_name} is of the wrong kind", "Check the settings.")
    if field_type in (int, float) and isinstance(setting, int if field_type is int else (int, float)):
        if not 0 <= setting < MAX_NUMBER or (setting_name not in may_be_zero and setting == 0):  # NaN is neither
            raise InputError(f"{setting_name} is out of range", "It must be positive.")
        return field_type(setting)
    if field_type not in (int, float) and (isinstance(setting, str) or (setting is None and field_type is not str)):
        return setting
    raise InputError(f"{setting_name} is of the wrong kind", "Check the settings.")
