"""The scripts of docs/ as modules, for tests."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[1] / "docs"


@cache
def docs_module(name: str) -> ModuleType:
    """The module of ``docs/NAME.py``."""
    module_spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module  # dataclasses look their module up there
    module_spec.loader.exec_module(module)
    return module
