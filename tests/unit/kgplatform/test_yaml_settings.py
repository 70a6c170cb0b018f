"""Settings in YAML: each error is one line that names the setting and says what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest

from kgplatform.errors import InputError
from kgplatform.yaml_settings import (
    MAX_QUOTED,
    FromYAML,
    NeverInFile,
    PositiveInteger,
    PositiveNumber,
    Text,
    Texts,
    YAMLSettings,
    settings_schema,
)


@dataclass(frozen=True)
class FirstStage(FromYAML):
    epochs: PositiveNumber = 5.0
    """How often all is read."""
    batch: PositiveInteger = 2


@dataclass(frozen=True)
class SecondStage(FirstStage):
    epochs: PositiveNumber = 3.0
    tune: Literal["language", "projector"] = "language"


@dataclass(frozen=True)
class ExampleSettings(YAMLSettings):
    """An example."""

    examples: ClassVar = "examples/"

    model: Text
    views: Texts = ()
    stage: SecondStage = field(default_factory=SecondStage)
    consent: NeverInFile[bool] = False


def test_values_have_the_types_of_their_fields() -> None:
    settings = ExampleSettings.from_document({"model": "m", "views": ["AP"], "stage": {"epochs": 1}})
    assert settings == ExampleSettings("m", ("AP",), SecondStage(epochs=1.0))
    assert isinstance(settings.stage.epochs, float)
    assert list(settings.as_dict()) == ["model", "views", "stage", "consent"]


@pytest.mark.parametrize(
    ("document", "message", "hint"),
    [
        ({"modle": "m"}, "there is no setting modle", "Did you mean model? Settings: model, stage, views."),
        ({"model": "m", "stage": {"tun": 1}}, "there is no setting stage.tun", "Did you mean tune? Settings: batch,"),
        ({"model": "m", "consent": True}, "there is no setting consent", "Settings: model, stage, views."),
        ({"model": "m", 1: 2}, "there is no setting 1", "Settings: "),
        ({}, "the setting model is missing", "See examples/."),
        ({"model": "m", "stage": {"tune": "langage"}}, "stage.tune is not one of language, projector", "Did you mean"),
        (
            {"model": "m", "stage": {"batch": 1.5}},
            "stage.batch must be a whole number",
            "The value is 1.5. See examples/.",
        ),
        (
            {"model": "m", "stage": {"batch": True}},
            "stage.batch must be a whole number",
            "The value is true.",
        ),
        ({"model": "m", "stage": None}, "stage must be a mapping", "It has no value. See examples/."),
        ({"model": ["secret"]}, "model must be text", "See examples/."),
        ({"model": "m", "views": ["AP", 1]}, "views[1] must be text", "The value is 1. See examples/."),
        ({"model": "m", "views": {"AP"}}, "views must be a list", "See examples/."),
        ([], "the settings must be a mapping", "See examples/."),
    ],
)
def test_an_error_names_the_setting_and_what_to_do(document: object, message: str, hint: str) -> None:
    with pytest.raises(InputError) as raised:
        ExampleSettings.from_document(document)
    assert raised.value.message == message
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "document",
    [
        {"model": "m", "stage": {"batch": "x\n" * 500}},
        {"model": "m", "stage": {"tune": "x\x1b" * 500}},
        {"model": "m", "stage": {"batch": 1 << 20_000}},
        {"model": "m", "stage": {"epochs": -(1 << 20_000)}},
        {"x\n" * 500: "m"},
        {"model": "m", 1 << 20_000: 1},
    ],
)
def test_an_error_is_short_and_printable(document: object) -> None:
    with pytest.raises(InputError) as raised:
        ExampleSettings.from_document(document)
    assert raised.value.message.isprintable()
    assert raised.value.hint.isprintable()
    assert len(raised.value.message) + len(raised.value.hint) < 5 * MAX_QUOTED


def test_a_schema_describes_fields_that_are_inherited_and_leaves_out_those_of_the_program() -> None:
    schema = settings_schema(ExampleSettings)
    assert list(schema["properties"]) == ["model", "views", "stage"]
    assert schema["$defs"]["SecondStage"]["properties"]["epochs"]["description"] == "How often all is read."
    assert schema["$defs"]["SecondStage"]["properties"]["epochs"]["default"] == 3.0
