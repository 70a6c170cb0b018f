"""A training in few epochs: for a first try, and for tests of what the documentation prints."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

T = TypeVar("T")

EPOCHS: Final = ("epochs", "vision_epochs")  # settings that count epochs


def at_most(settings: T, epochs: int | None) -> T:
    """The settings, in which no part of the training has more epochs than that; None changes nothing.

    `settings` is a frozen dataclass, which may hold others.
    """
    if epochs is None:
        return settings
    changes: dict[str, Any] = {}
    for item in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, item.name)
        if is_dataclass(value):
            changes[item.name] = at_most(value, epochs)
        elif item.name in EPOCHS:
            changes[item.name] = min(value, type(value)(epochs))
    return replace(settings, **changes)  # type: ignore[type-var]
