"""The layers of the source tree: what may import what."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import ROOT

FOLDERS = {
    "kgplatform": ROOT,
    "kgp_loaders": ROOT / "loaders",
    "kgp_models": ROOT / "models",
    "benchmarks": ROOT,
}


def modules() -> dict[str, Path]:
    """The path of every module, by its dotted name."""
    paths = [(path, root) for package, root in FOLDERS.items() for path in (root / package).rglob("*.py")]
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path, root in paths
    }


def imports(path: Path) -> Iterator[str]:
    """What a module imports, also within functions; not what it imports for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    type_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in type_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def owner(imported: str, names: Collection[str]) -> str:
    """The module of an import: the name itself, or what is before its last dot; "" for other packages."""
    return next((name for name in (imported, imported.rpartition(".")[0]) if name in names), "")


@pytest.mark.slow
def test_only_the_commands_know_loaders_and_models() -> None:
    offences = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        for imported in imports(path)
        if (module.startswith("kgplatform") and not module.startswith("kgplatform.cli") and "kgp_" in imported[:4])
        or (module.startswith("kgp_loaders") and imported.startswith("kgp_models"))
        or (not module.startswith("benchmarks") and imported.startswith("benchmarks"))
    ]
    assert offences == []


@pytest.mark.slow
def test_no_import_goes_in_a_circle() -> None:
    names = modules()
    graph = {
        module: {target for imported in imports(path) if (target := owner(imported, names)) not in ("", module)}
        for module, path in names.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
