"""The one message for commands that need the extra ``ml``, or another one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from kgplatform.extras import import_problem


@contextmanager
def needed(extra: str = "ml", *packages: str) -> Iterator[None]:
    """Turn a missing package into a clear error: one of those named, which are used later, or of an import within."""
    try:
        for package in packages:
            if find_spec(package) is None:
                raise ModuleNotFoundError(name=package)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # warnings of libraries about each other, raised at import
            yield
    except ImportError as error:
        raise import_problem(error, extra) from None
