"""The software bill of materials (CycloneDX 1.6, JSON) and a table of licences: what `make sbom` runs.

    python docs/make_sbom.py ENVIRONMENT TOOLS OUT

ENVIRONMENT is the Python whose packages are listed; TOOLS is the folder of the programs ``cyclonedx-py`` and
``pip-licenses``, in an environment of their own, so that they are not part of what they list. Written into the folder
OUT: ``sbom.cdx.json``, with Neo4j's jars and their sha256, and ``licences.md``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from kgplatform.server import jars
from kgplatform.settings import Settings

UNKNOWN = "not stated in the jar"


def component(pin: jars.Pin, licence: str) -> dict[str, Any]:
    """A jar as CycloneDX has it: a library with its package URL and hash."""
    group, artifact, version, classifier = pin.coordinates
    url = f"pkg:maven/{group}/{artifact}@{version}" + (f"?classifier={classifier}" if classifier else "")
    library: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "group": group,
        "name": artifact,
        "version": version,
        "purl": url,
        "hashes": [{"alg": "SHA-256", "content": pin.sha256}],
    }
    return library if licence == UNKNOWN else {**library, "licenses": [{"license": {"name": licence}}]}


def jar_licence(jar: Path) -> str:
    """The licence that a jar names in its manifest or its Maven description, where the jar was fetched."""
    if not jar.is_file():
        return UNKNOWN
    with zipfile.ZipFile(jar) as archive:
        names = archive.namelist()
        manifest = (
            archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace") if "META-INF/MANIFEST.MF" in names else ""
        )
        poms = [archive.read(name).decode("utf-8", "replace") for name in names if name.endswith("/pom.xml")]
    stated = re.search(r"^Bundle-License: *(.+(?:\r?\n .+)*)", manifest, re.MULTILINE)
    if stated:
        return re.sub(r"\r?\n ", "", stated[1]).strip().strip('"')
    licences = re.search(r"<licenses>(.*?)</licenses>", poms[0], re.DOTALL) if len(poms) == 1 else None
    named = re.findall(r"<name>(.*?)</name>", licences[1], re.DOTALL) if licences else []
    return ", ".join(" ".join(name.split()) for name in named) or UNKNOWN


def bill(environment: Path, tools: Path, out: Path, licences: dict[str, str]) -> None:
    """Write the bill: the environment's packages, validated, and the jars."""
    command = [tools / "cyclonedx-py", "environment", "--pyproject", "pyproject.toml", "--output-reproducible"]
    subprocess.run([*command, "--of", "JSON", "-o", out, environment], check=True)
    document = json.loads(out.read_text(encoding="utf-8"))
    document["components"] += [component(pin, licences[pin.name]) for pin in jars.read_pins()]
    document["dependencies"] += [{"ref": component(pin, UNKNOWN)["bom-ref"]} for pin in jars.read_pins()]
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def table(environment: Path, tools: Path, licences: dict[str, str]) -> str:
    """The packages and the jars with their licences, as Markdown."""
    command = [tools / "pip-licenses", f"--python={environment}", "--format=markdown", "--with-urls", "--with-system"]
    packages = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [
        f"| {group}:{artifact} | {version} | {licences[pin.name].replace('|', '/')} |"
        for pin in jars.read_pins()
        for group, artifact, version, _ in [pin.coordinates]
    ]
    jar_table = "\n".join(["| Jar | Version | License |", "|---|---|---|", *rows])
    return f"# Licences\n\n## Python packages\n\n{packages}\n## Neo4j's jars\n\n{jar_table}\n"


def main() -> None:
    """Write both files."""
    environment, tools, out = (Path(argument) for argument in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    home = jars.neo4j_folder(Settings.from_env())
    licences = {pin.name: jar_licence(home / pin.name) for pin in jars.read_pins()}
    bill(environment, tools, out / "sbom.cdx.json", licences)
    (out / "licences.md").write_text(table(environment, tools, licences), encoding="utf-8")
    sys.stdout.write(f"{out / 'sbom.cdx.json'}, {out / 'licences.md'}\n")


if __name__ == "__main__":
    main()
