"""`kgp doctor`: what may prevent the work, and how to mend it."""

from __future__ import annotations

import typer

from kgplatform.cli.output import Json, echo, emit_json
from kgplatform.settings import Settings


def doctor(as_json: Json = False) -> None:
    """Check versions, Java, jars, server, constraints, security, memory and disk; the exit code is 1 if one fails."""
    from dataclasses import asdict

    from kgplatform.doctor import Level, examine

    findings = examine(Settings.from_env())
    if as_json:
        emit_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            echo(f"{finding.level:4}  {finding.name}: {finding.what}")
            if finding.mend:
                echo(f"      {finding.mend}")
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)
