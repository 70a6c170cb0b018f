"""What a stage reaches on the validation part, and which search is kept with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_models.generator.checkpoint import load_generator
from kgp_models.generator.decoding import Search
from kgp_models.generator.settings import DecodingSettings
from kgp_models.generator.train import train_stages
from kgp_models.generator.validate import SHARES, validate
from kgplatform.progress import no_progress
from tests import generators
from tests.unit.models.generator import untrained_generators

pytestmark = pytest.mark.slow  # a model is trained first

begun = untrained_generators.begun


def test_the_model_card_says_what_is_reached_on_studies_held_out(
    synthetic_studies_folder: Path, tiny_generator_folder: Path
) -> None:
    """The figures again, of the generator that was saved."""
    work = generators.tiny_generator_training(synthetic_studies_folder, tiny_generator_folder)
    names_by_part = {
        "llm-kg": ["validation F1, report", "validation F1, report, tokens a reply"],
        "vlm-kg": [
            "validation F1, report and image",
            "validation F1, report and image, tokens a reply",
            "validation F1, image alone",
            "validation F1, image alone, tokens a reply",
            "validation F1, image alone, length penalty 0",
            "validation F1, image alone, classifier",
        ],
    }
    decoding = DecodingSettings()
    for folder_name, figure_names in names_by_part.items():
        checkpoint = load_generator(tiny_generator_folder / folder_name)
        studies = work.validation(work.studies())
        repeated_figures, *best = validate(checkpoint, decoding, studies, [], work.same, no_progress)
        assert best == [checkpoint.search(has_report=True), checkpoint.search(has_report=False)]
        assert best[0] == Search()
        assert list(repeated_figures) == ["validation studies", *figure_names]
        assert repeated_figures["validation studies"] == len(work.validation(work.studies()))
        figures = checkpoint.about["figures"]
        scores = {name: figure for name, figure in repeated_figures.items() if "tokens" not in name}
        assert {name: figures[name] for name in scores} == pytest.approx(scores, abs=0.05)  # half precision on disk
        shown_name = figure_names[1]
        card_text = (tiny_generator_folder / folder_name / "README.md").read_text(encoding="utf-8")
        assert f"| {shown_name} | {figures[shown_name]} |" in card_text
    assert validate(checkpoint, decoding, [], [], work.same, no_progress) == ({}, Search(), Search())


def test_the_search_that_is_best_on_validation_is_kept_with_the_model(
    synthetic_studies_folder: Path, tmp_path: Path
) -> None:
    """With the F1 of each, that of reports which are not in the training, and on as many studies as were asked for."""
    decoding = {"length_penalties": [0.0, 1.0], "token_rewards": [0.0, 0.5], "studies": 3, "beams": 2}
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path, decoding=decoding)
    train_stages(work, ["1"])
    checkpoint = load_generator(tmp_path / "llm-kg")
    figures = checkpoint.about["figures"]
    assert figures["validation studies"] == 3
    by_search = {
        (penalty, reward): figures[f"validation F1, report, length penalty {penalty:g}{name}"]
        for penalty in (0.0, 1.0)
        for reward, name in ((0.0, ""), (0.5, ", token reward 0.5"))
    }
    assert checkpoint.search(has_report=True)[:2] == max(by_search, key=lambda search: by_search[search])
    assert figures["validation F1, report"] == max(by_search.values())
    studies = work.validation(work.studies())
    repeated, *_ = validate(checkpoint, DecodingSettings(studies=3), studies, studies[:1], work.same, no_progress)
    assert "validation F1, report, 2 reports not in training" in repeated


def test_shares_of_drawn_replies_are_compared_with_the_most_probable_reply(
    synthetic_studies_folder: Path, begun: Path
) -> None:
    decoding = {"samples": 6, "studies": 3, "beams": 1}
    work = generators.tiny_generator_training(synthetic_studies_folder, begun, decoding=decoding)
    train_stages(work, ["2"])
    checkpoint = load_generator(begun / "vlm-kg")
    figures = checkpoint.about["figures"]
    for source, has_report in (("report and image", True), ("image alone", False)):
        by_search = {
            name.removeprefix(f"validation F1, {source}, "): figure
            for name, figure in figures.items()
            if name.startswith(f"validation F1, {source}, ")
            and any(kind in name for kind in ("share", "penalty", "classifier"))
        }
        assert {f"share {share:g} of 6 replies" for share in SHARES} <= set(by_search)
        assert by_search[str(checkpoint.search(has_report))] == max(by_search.values())
        assert ("classifier" in by_search) is not has_report
        assert figures[f"validation F1, {source}"] == max(by_search.values())
