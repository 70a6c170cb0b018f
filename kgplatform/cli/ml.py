"""The one message for commands that need the extra ``ml``, or another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kgplatform.errors import SettingsError


@contextmanager
def needed(extra: str = "ml") -> Iterator[None]:
    """Turn a missing package into a clear error."""
    try:
        yield
    except ImportError as error:
        raise SettingsError(f"this needs {error.name or 'torch'}", f"pip install 'kgplatform[{extra}]'") from None
