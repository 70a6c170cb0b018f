"""A training in few epochs: for a first try, and for tests of what the documentation prints."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

T = TypeVar("T")

EPOCHS: Final = ("epochs", "vision_epochs")  # settings that count epochs


def limit_epochs(settings: T, epochs: int | None) -> T:
    """The settings, in which no part of the training has more epochs than that; None changes nothing.

    `settings` is a frozen dataclass, which may hold others.
    """
    if epochs is None:
        return settings
    changes: dict[str, Any] = {}
    for setting_field in fields(settings):  # type: ignore[arg-type]
        setting = getattr(settings, setting_field.name)
        if is_dataclass(setting):
            changes[setting_field.name] = limit_epochs(setting, epochs)
        elif setting_field.name in EPOCHS:
            changes[setting_field.name] = min(setting, type(setting)(epochs))
    return replace(settings, **changes)  # type: ignore[type-var]
