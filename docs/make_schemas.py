"""Writes ``docs/schemas/*.json``: the JSON schemas of the settings, for an editor that completes and checks YAML files.

`make docs` runs it; tests/unit/project/test_schemas.py fails when a schema is out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from kgp_models.generator.settings import GeneratorSettings
from kgp_models.images.settings import ImageSettings
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.vqa.settings import VQASettings
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.yaml_settings import settings_schema

FOLDER: Final = Path(__file__).parent / "schemas"
KINDS: Final[dict[str, type]] = {
    "construct": ConstructionSettings,
    "generator": GeneratorSettings,
    "images": ImageSettings,
    "link_prediction": TrainingSettings,
    "retrieval": RetrievalSettings,
    "vqa": VQASettings,
}


def schema_text(kind: type) -> str:
    """The JSON schema of a class of settings, as its file holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **settings_schema(kind)}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, kind in KINDS.items():
        (FOLDER / f"{name}.json").write_text(schema_text(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
