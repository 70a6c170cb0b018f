"""The small generator that comes with the package: small, and it reads synthetic studies that it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_loaders.phantom import study_set
from kgp_models.generator.checkpoint import SHIPPED, load_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator
from kgp_models.generator.read_studies import read_studies
from kgp_models.generator.records import Study
from kgp_models.generator.settings import DataSettings
from kgp_models.generator.train import meaning
from kgplatform.generate.backend import GenerationRequest
from kgplatform.triplets.metrics import Counts, count, score_documents

pytestmark = pytest.mark.slow

DATA = DataSettings(drawn="truth/drawn.json", lexicon=("ontology",))


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of another seed than the training's."""
    study_folder: Path = tmp_path_factory.mktemp("unseen")
    study_set.build_study_set(study_folder, 40, 11)
    return study_folder


@pytest.fixture(scope="module")
def chosen(unseen: Path) -> list[Study]:
    """Those of the largest split."""
    return read_studies(DATA, "train", unseen)


def _triplet_f1(folder: Path, chosen: list[Study], *, with_report: bool) -> float:
    same_entity = meaning(DATA, folder)
    generator = Generator(load_generator(SHIPPED), Decoding(beams=1, batch=32))
    records = {entry.id: entry.record(None if with_report else set(), same_entity) for entry in chosen}
    requests = (GenerationRequest(entry.id, entry.image, entry.report) for entry in records.values())
    triplet_counts: list[Counts] = [
        count([triplet for triplet, _ in reply.triplets], records[reply.request.id].triplets, same_entity)
        for batch in generator.replies(requests)
        for reply in batch
    ]
    return score_documents(triplet_counts).f1


def test_it_is_a_few_megabytes_and_names_no_place_of_the_machine_that_trained_it() -> None:
    files = [file_path for file_path in SHIPPED.rglob("*") if file_path.is_file()]
    assert sum(file_path.stat().st_size for file_path in files) < 8_000_000
    assert load_generator(SHIPPED).about["settings"]["data"]["path"] in ("", "studies", ".")
    assert not [file_path for file_path in files if file_path.suffix in (".bin", ".pt", ".pkl")]


def test_it_reads_a_report_with_its_image(unseen: Path, chosen: list[Study]) -> None:
    assert _triplet_f1(unseen, chosen, with_report=True) > 0.8


def test_it_sees_something_in_an_image_alone(unseen: Path, chosen: list[Study]) -> None:
    assert _triplet_f1(unseen, chosen, with_report=False) > 0.4
