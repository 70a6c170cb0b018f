"""Settings of a generator's training: the paper's by default, and nothing wrong passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgp_models.generator.settings import GeneratorSettings
from kgplatform.errors import InputError
from tests import ROOT, generators

FOLDER = ROOT / "benchmarks" / "generation" / "settings"
SHIPPED = [path for path in sorted(FOLDER.glob("*.yaml")) if "\nbase: " not in path.read_text(encoding="utf-8")]


def test_the_defaults_are_the_papers() -> None:
    generator_settings = GeneratorSettings()
    assert (
        generator_settings.projector.clip_length,
        generator_settings.projector.prefix_length,
        generator_settings.projector.layers,
    ) == (64, 64, 8)
    language_stage, visual_stage = generator_settings.language, generator_settings.visual
    assert (language_stage.epochs, language_stage.batch, language_stage.accumulation, language_stage.learning_rate) == (
        5.0,
        2,
        2,
        1e-4,
    )
    assert (
        visual_stage.epochs,
        visual_stage.batch,
        visual_stage.accumulation,
        visual_stage.learning_rate,
        visual_stage.warmup_steps,
    ) == (5.0, 2, 1, 2e-5, 5000)
    assert (visual_stage.tune, visual_stage.thinned, visual_stage.without) == ("language", 0.0, 0.0)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_shipped_files_are_read(path: Path) -> None:
    generator_settings = GeneratorSettings.read(path)
    assert GeneratorSettings.from_document(generator_settings.as_dict()) == generator_settings


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    settings_path = tmp_path / "s.yaml"
    settings_path.write_text(
        "projector: {layers: 2}\nvisual: {tune: lora, learning_rate: 1.0e-3}\nseed: 0\n", encoding="utf-8"
    )
    generator_settings = GeneratorSettings.read(settings_path)
    assert (generator_settings.projector.layers, generator_settings.projector.clip_length) == (2, 64)
    assert (
        generator_settings.visual.tune,
        generator_settings.visual.learning_rate,
        generator_settings.visual.warmup_steps,
    ) == ("lora", 1e-3, 5000)
    assert generator_settings.seed == 0
    assert generators.tiny_generator_settings() == GeneratorSettings.from_document(
        generators.tiny_generator_settings().as_dict()
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"layers": 2}, "there is no setting layers"),
        ({"projector": {"depth": 2}}, "there is no setting projector.depth"),
        ({1: 2}, "there is no setting 1"),
        ({"projector": 3}, "projector must be a mapping"),
        ({"projector": {"layers": "two"}}, "projector.layers must be a whole number"),
        ({"projector": {"layers": 2.5}}, "projector.layers must be a whole number"),
        ({"projector": {"layers": True}}, "projector.layers must be a whole number"),
        ({"projector": {"layers": 0}}, "projector.layers must be more than 0"),
        ({"projector": {"layers": None}}, "projector.layers must be a whole number"),
        ({"language": {"learning_rate": -1.0}}, "language.learning_rate must be more than 0"),
        ({"language": {"learning_rate": float("nan")}}, "language.learning_rate must be a finite number"),
        ({"language": {"epochs": float("inf")}}, "language.epochs must be a finite number"),
        ({"language": {"thinned": 0.5}}, "there is no setting language.thinned"),
        ({"language": {"tune": "projector"}}, "language.tune is not one of language, lora"),
        ({"data": {"targets": "mesh"}}, "data.targets is not one of graphs, codes, constructed"),
        ({"data": {"targets": "codes"}, "language": {"mixed": 0.5}}, "mixed does not go with codes"),
        ({"decoding": {"length_penalties": [-1.0]}}, "length_penalties"),
        ({"visual": {"tune": "all"}}, "visual.tune is not one of language, projector, lora"),
        ({"visual": {"tune": []}}, "visual.tune is not one of"),
        ({"visual": {"thinned": 0.7, "without": 0.7}}, "more than 1 together"),
        ({"visual": {"mixed": 1.1}}, "mixed is more than 1"),
        ({"language": {"copies": 0}}, "language.copies must be more than 0"),
        ({"visual": {"gradient_checkpointing": 1}}, "visual.gradient_checkpointing must be true or false"),
        ({"data": {"graphs": "one.json"}}, "data.graphs must be a list"),
        ({"data": {"graphs": [1]}}, r"data\.graphs\[0\] must be text"),
        ({"data": {"reports": None}}, "data.reports must be text"),
        ({"data": {"graphs": {"a.json"}}}, "data.graphs must be a list"),
        ({"data": {"drawn": 1}}, "data.drawn must be text"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 1 << 31}, "seed must be less than 2,147,483,648"),
        ({"seed": 1 << 20_000}, "seed must be less than 2,147,483,648"),
        ({"language": {"epochs": 1 << 20_000}}, "language.epochs must be a number"),
        ({"dtype": "float16"}, "dtype is not one of"),
        ({"projector": {"heads": 3}, "small": {"hidden": 32}}, "projector.heads"),
        ([], "the settings must be a mapping"),
        (None, "the settings must be a mapping"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GeneratorSettings.from_document(document)


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [b"a: [", b"\xff\xfe\x00", b"!!python/object/apply:os.system ['true']", b"[" * 5_000, b"a: &a [*a]"]
)
def test_a_file_that_is_no_yaml_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    settings_path = tmp_path / "s.yaml"
    settings_path.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.yaml(, row 1)?: "):
        GeneratorSettings.read(settings_path)
    with pytest.raises(InputError, match=r"missing\.yaml: no such file"):
        GeneratorSettings.read(tmp_path / "missing.yaml")


KEYS = (
    st.sampled_from(["projector", "visual", "layers", "tune", "seed", "data", "graphs", "small", "hidden"]) | st.text()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_nothing_but_an_input_error_comes_of_garbage(document: Any) -> None:
    try:
        generator_settings = GeneratorSettings.from_document(document)
    except InputError:
        return
    assert GeneratorSettings.from_document(generator_settings.as_dict()) == generator_settings
