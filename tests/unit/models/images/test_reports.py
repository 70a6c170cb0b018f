"""Reports as a further target: an image is told its own among all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from kgp_models.images import build
from kgp_models.images.examples import ImageExamples, LabelledImage
from kgp_models.images.reports import NO_REPORT, ReportTarget, read_report_vectors
from kgp_models.images.settings import ImageSettings
from kgp_models.images.studies import with_reports
from kgplatform.errors import InputError
from kgplatform.generate.inputs import Input
from kgplatform.progress import Progress
from tests.unit.models.images import image_world as world

TEXTS = {world.LEFT: "left square", world.RIGHT: "right square", world.NOT_LEFT: "nothing at the left"}


class _SimulatedKill(Exception):
    """In place of a kill."""


def reported_parts(folder: Path) -> dict[str, ImageExamples]:
    """Images whose reports say what they show; one has none."""
    training = world.write_images(folder, 48, 1, "a")
    images = [
        image._replace(report=" ".join(TEXTS[link] for link in sorted(image.links)) if number else "")
        for number, image in enumerate(training.images)
    ]
    return {build.TRAIN: ImageExamples(images), build.VALIDATION: world.write_images(folder, 24, 2, "b")}


def test_the_loss_is_the_cross_entropy_of_the_own_report_among_all() -> None:
    """Against the same in numpy; an image without a report counts for nothing."""
    rng = torch.Generator().manual_seed(0)
    reports, images = torch.randn(5, 7, generator=rng), torch.randn(4, 6, generator=rng)
    rows = torch.tensor([2, NO_REPORT, 0, 4])
    target = ReportTarget(6, reports)
    loss = float(target(images, rows).detach())
    weights = {name: weight.detach().double().numpy() for name, weight in target.named_parameters()}
    standard = (reports.double().numpy() - reports.double().numpy().mean(0)) / reports.double().numpy().std(0)
    own = images.double().numpy()[[0, 2, 3]] @ weights["image_head.weight"].T + weights["image_head.bias"]
    others = standard @ weights["report_head.weight"].T + weights["report_head.bias"]
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    logits = own @ others.T * np.exp(weights["log_scale"])
    expected = np.mean([np.log(np.exp(row).sum()) - row[report] for row, report in zip(logits, (2, 0, 4), strict=True)])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_without_any_report_nothing_is_learnt_from_reports() -> None:
    target = ReportTarget(6, torch.randn(5, 7))
    images = torch.randn(3, 6, requires_grad=True)
    loss = target(images, torch.full((3,), NO_REPORT))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0.0
    assert images.grad is not None
    assert not images.grad.any()


def test_equal_reports_are_one_and_an_empty_one_is_none(tmp_path: Path) -> None:
    reports = read_report_vectors(["b", "", "a", "b"], world.tiny_backbone(), tmp_path)
    assert reports.rows.tolist() == [1, NO_REPORT, 0, 1]
    assert len(reports.vectors) == 2
    again = read_report_vectors(["b", "", "a", "b"], world.tiny_backbone(), tmp_path)
    assert torch.equal(again.vectors, reports.vectors)


def test_images_have_the_reports_of_their_data_set() -> None:
    examples = ImageExamples([LabelledImage(name, Path(name), name, frozenset()) for name in ("I1", "I2")])
    stated = [Input("I1", Path("a"), {}, {"findings": "No effusion.", "impression": "", "indication": "Cough."})]
    reported = with_reports(examples, stated)
    assert [image.report for image in reported.images] == ["No effusion. Cough.", ""]
    assert reported.sha256 != examples.sha256, "another training"
    assert with_reports(examples, []).sha256 == examples.sha256


@pytest.mark.slow
def test_a_training_with_reports_goes_on_to_the_same_weights_and_differs_from_one_without(tmp_path: Path) -> None:
    images = reported_parts(tmp_path / "images")
    settings = replace(world.SETTINGS, epochs=2, report_weight=0.1)

    def killed(activity: str) -> Progress:
        def progress(done: int, total: int | None, **_: object) -> None:
            if activity == "training" and done == 8:
                raise _SimulatedKill

        return progress

    def trained(folder: str, chosen: ImageSettings = settings) -> build.TrainedImages:
        return build.train_image_model(chosen, world.tiny_backbone(), "small", images, tmp_path / folder, 3)

    whole = trained("whole").model.classifier.state_dict()
    with pytest.raises(_SimulatedKill):
        build.train_image_model(
            settings, world.tiny_backbone(), "small", images, tmp_path / "killed", 3, progress=killed
        )
    resumed = trained("killed").model.classifier.state_dict()
    without = trained("without", replace(settings, report_weight=0.0)).model.classifier.state_dict()
    assert all(torch.equal(weight, resumed[name]) for name, weight in whole.items())
    assert any(not torch.equal(weight, without[name]) for name, weight in whole.items())


@pytest.mark.slow
def test_images_without_reports_and_mixed_images_are_refused(tmp_path: Path) -> None:
    settings = replace(world.SETTINGS, report_weight=0.1)
    images = {build.TRAIN: world.write_images(tmp_path / "images", 48, 1, "a")}
    with pytest.raises(InputError, match="no image of the training has a report"):
        build.train_image_model(settings, world.tiny_backbone(), "small", images, tmp_path / "work", 3)
    with pytest.raises(InputError, match="does not go with mixup"):
        replace(settings, mixup=0.4).check()
