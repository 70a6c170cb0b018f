"""The settings of the generator's benchmark: every file is read, and says what the paper says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.generation import rows, run
from kgp_models.generator.settings import GeneratorSettings
from kgplatform.errors import InputError

SETTINGS = rows.SETTINGS


@pytest.mark.parametrize("key", rows.generation_row_paths())
def test_every_row_is_a_change_of_the_small_settings(key: str) -> None:
    changed_row = rows.read_generation_row(SETTINGS / f"{key}.yaml")
    small_settings = GeneratorSettings.read(SETTINGS / "small.yaml")
    assert changed_row.settings.data == small_settings.data
    assert changed_row.settings.language == small_settings.language
    assert changed_row.settings.seed == small_settings.seed
    if changed_row.paper:
        assert len(changed_row.paper["bleu"]) == 4
        assert changed_row.paper["bleu"] == sorted(changed_row.paper["bleu"], reverse=True)
        assert "rouge_l" in changed_row.paper


def test_a_table_names_rows_that_are_there() -> None:
    system_names = {table_case.system for table_cases in run.TABLES.values() for table_case in table_cases}
    assert system_names - {"dictionary", "most-frequent"} == rows.generation_row_paths().keys()


def test_table_3_doubles_whatever_lengths_the_base_has() -> None:
    doubled_projector = rows.read_generation_row(SETTINGS / "vlm-kg-iu-128-128.yaml").settings.projector
    small_projector = GeneratorSettings.read(SETTINGS / "small.yaml").projector
    assert (doubled_projector.prefix_length, doubled_projector.clip_length) == (
        2 * small_projector.prefix_length,
        2 * small_projector.clip_length,
    )
    paper_projector = rows.read_generation_row(
        SETTINGS / "vlm-kg-iu-128-64.yaml", SETTINGS / "paper-iu.yaml"
    ).settings.projector
    assert (paper_projector.prefix_length, paper_projector.clip_length) == (128, 64)


@pytest.mark.parametrize("name", ["paper-mimic", "paper-iu"])
def test_the_papers_own_settings_are_those_it_prints(name: str) -> None:
    settings = GeneratorSettings.read(SETTINGS / f"{name}.yaml")
    assert (settings.language.batch, settings.language.accumulation, settings.language.learning_rate) == (2, 2, 1e-4)
    assert (settings.visual.batch, settings.visual.learning_rate, settings.visual.warmup_steps) == (2, 2e-5, 5000)
    assert settings.language.epochs == settings.visual.epochs == 5
    assert (settings.projector.clip_length, settings.projector.prefix_length, settings.projector.layers) == (64, 64, 8)
    assert settings.vision.startswith("medclip-vit:")
    assert settings.language_model.endswith("Qwen1.5-0.5B")
    assert (settings.visual.thinned, settings.visual.without) == (0, 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: x\n", "names no base"),
        ("base: small.yaml\nstage: 3\n", "not 1 or 2"),
        ("base: small.yaml\nvisual: {tuned: all}\n", "visual.tuned"),
        ("- base\n", "must be a mapping"),
        ("base: none.yaml\n", "no such file"),
    ],
)
def test_a_row_that_is_none_is_told_before_anything_is_trained(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "small.yaml").write_text("seed: 1\n")
    row_path = tmp_path / "row.yaml"
    row_path.write_text(text)
    with pytest.raises(InputError, match=problem):
        rows.read_generation_row(row_path)
