"""Plug-ins: what this and other packages register by entry point, found by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from kgplatform.errors import UsageError
from kgplatform.suggest import did_you_mean


def load(group: str, name: str, what: str) -> Any:
    """What is registered under that name in ``kgplatform.<group>``; `what` is the kind of thing, for the error.

    Raises `UsageError`, which suggests names, for an unknown one.
    """
    registered = entry_points(group=f"kgplatform.{group}")
    if name not in registered.names:
        plugin_names = sorted(registered.names)
        hint = did_you_mean(name, plugin_names, f"{group.capitalize()}: {', '.join(plugin_names)}.")
        raise UsageError(f"there is no {what} called {name}", hint)
    return registered[name].load()
