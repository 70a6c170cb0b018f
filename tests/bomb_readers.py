"""What reads the files of `tests.bombs`."""

from __future__ import annotations

from pathlib import Path


def read_radiograph_file(path: Path) -> object:
    from kgplatform import radiograph

    return radiograph.read_radiograph(path)


def read_table_file(path: Path) -> object:
    from kgp_loaders.tabular import open_table

    return sum(1 for _ in open_table(path).rows(["head"]))


def read_reports_file(path: Path) -> object:
    from kgp_loaders.reports import Reports

    return sum(1 for _ in Reports(path).reports())


def read_mimic_cxr_file(path: Path) -> object:
    from kgp_loaders.mimic_cxr import MIMICCXR

    return sum(1 for _ in MIMICCXR(path.parent).reports())


def read_questions_file(path: Path) -> object:
    from kgp_loaders.question_files import read_json_rows

    return len(read_json_rows(path, ""))


def hub_questions(path: Path) -> object:
    from kgp_loaders.question_files import ParquetQuestions

    return sum(1 for _ in ParquetQuestions("X", path.parent, path.parent / "unpacked").questions())


def training_settings(path: Path) -> object:
    from kgp_models.generator.settings import GeneratorSettings

    return GeneratorSettings.read(path)


def workbook(path: Path) -> object:
    from kgplatform.assess.workbook import read_ratings

    return read_ratings(path)


def read_triples_file(path: Path) -> object:
    from kgplatform.export.triples import Triples

    return Triples.read(path.parent)


def read_pair_set_file(path: Path) -> object:
    from kgplatform.datasets.pairs import PairSet

    return PairSet.read(path)
