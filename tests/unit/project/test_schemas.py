"""The JSON schemas of the settings are those of the code, and the settings in the repository fit them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kgp_loaders.phantom import study_set
from kgplatform.files import read_yaml
from tests import ROOT
from tests.scripts import docs_module

pytest.importorskip("torch")

SCHEMAS = ROOT / "docs" / "schemas"
NAMES = ("construct", "generator", "images", "link_prediction", "retrieval", "vqa")


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_in_the_docs_are_those_of_the_code(name: str) -> None:
    make_schemas = docs_module("make_schemas")
    assert tuple(make_schemas.KINDS) == NAMES
    schema_text = (SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    assert schema_text == make_schemas.schema_text(make_schemas.KINDS[name]), "run `make docs`"
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text))


@pytest.mark.parametrize("setting_name", ["views", "keep"])
def test_a_setting_that_must_have_a_value_is_not_null_in_the_schema_either(setting_name: str) -> None:
    schema = json.loads((SCHEMAS / "construct.json").read_text(encoding="utf-8"))
    document = {"reports": "openi", "path": "."}
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError, match="None is not of type"):
        jsonschema.validate({**document, setting_name: None}, schema)


FOLDERS = {"generator": "generation"}  # of a schema's settings in benchmarks/, where it has another name


def _settings_files() -> list[tuple[str, Path]]:
    """The settings of trainings in the repository, each with its schema: no lists of trials, no rows of a benchmark."""
    return [
        (name, path)
        for path in sorted((ROOT / "benchmarks").rglob("*.yaml"))
        for name in NAMES[1:]
        if FOLDERS.get(name, name) in path.parts and not {"base", "starts"} & _read_mapping(path).keys()
    ]


def _read_mapping(path: Path) -> dict[str, Any]:
    document = read_yaml(path, "")
    assert isinstance(document, dict)
    return document


def _problems(name: str, document: object) -> list[str]:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return [problem.message for problem in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def test_the_settings_in_the_repository_fit_their_schemas(tmp_path: Path) -> None:
    settings_files = _settings_files()
    assert {name for name, _ in settings_files} == set(NAMES[1:])
    assert len(settings_files) > 70
    for name, path in settings_files:
        assert not _problems(name, _read_mapping(path)), path
    study_set.build_study_set(tmp_path, 3, images=False)
    assert not _problems("construct", _read_mapping(tmp_path / "construct.yaml"))


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("construct", {"reports": "openi"}),
        ("construct", {"reports": "openi", "path": ".", "remote_consent": True}),
        ("construct", {"reports": "openi", "path": ".", "llm": {"model": "m", "remote_consent": True}}),
        ("generator", {"visual": {"thined": 0.5}}),
        ("link_prediction", {"model": "transe", "corrupt": ["hat"]}),
        ("retrieval", {"tuning": {"epochs": 0}}),
        ("vqa", {"method": "transformer"}),
    ],
)
def test_a_schema_refuses_what_the_code_refuses(name: str, document: object) -> None:
    assert _problems(name, document)
