"""`kgp browser-setup`: favourites and a graph style for Neo4j Browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, emit_json, note


def browser_setup(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write the two files.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write favourites and a graph style (.grass) that Neo4j Browser imports, with the stances coloured."""
    from kgplatform.browser import FOLDER, write_setup

    setup = write_setup(out)
    if as_json:
        return emit_json({"favourites": str(setup.favourites), "style": str(setup.style)})
    note(f"wrote {setup.favourites} and {setup.style}")
    note("In Neo4j Browser (`kgp db browser` prints the link), drag each file from your file manager onto the window:")
    note(f"  {setup.favourites.name}: the queries appear in the pane of favourites (star), folder '{FOLDER}'")
    note(f"  {setup.style.name}: POSITIVE green, NEGATIVE red, UNCERTAIN amber, negated entities with a red border")
    note("`:style reset` undoes the style")
