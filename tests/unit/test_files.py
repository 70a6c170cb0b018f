"""Why a file of the user's cannot be read or written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kgp_loaders.reports import Reports
from kgp_loaders.tabular import open_table
from kgp_models.generator.settings import GeneratorSettings
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.vqa.settings import VQASettings
from kgplatform.errors import InputError, KgpError
from kgplatform.files import final_name, read_yaml, replacing, require_file, unreadable

YAML: list[Callable[[Path], object]] = [
    GeneratorSettings.read,
    RetrievalSettings.read,
    TrainingSettings.read,
    VQASettings.read,
    lambda path: read_yaml(path, ""),
]
READERS: list[Callable[[Path], object]] = [*YAML, open_table, Reports]


@pytest.mark.parametrize("read", READERS)
def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path, read: Callable[[Path], object]) -> None:
    for path, problem in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path / "none" / "x.yaml", "no such file"),
        (tmp_path, "this is a folder, not a file"),
    ):
        with pytest.raises(InputError) as caught:
            read(path)
        assert caught.value.message == f"{path}: {problem}"


@pytest.mark.parametrize("read", YAML)
def test_damaged_settings_are_reported_with_their_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 1\nmodel: a: b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"settings\.yaml, row 2: this is not YAML"):
        read(path)
    path.write_bytes(b"seed: 1\n# caf\xe9\n")
    with pytest.raises(InputError, match=r"settings\.yaml, row 2: .*not UTF-8 text: byte 14"):
        read(path)


@pytest.mark.parametrize("read", YAML[:-1])
def test_a_setting_that_is_nearly_right_is_suggested(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "settings.yaml"
    known = {GeneratorSettings.read: "langauge", RetrievalSettings.read: "metod", VQASettings.read: "metod"}
    path.write_text(f"{known.get(read, 'objectiv')}: x\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.hint.startswith("Did you mean ")


def test_a_file_that_may_not_be_read_and_one_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert "no permission" in unreadable(path, PermissionError(13, "Permission denied")).message
    assert "Input/output error" in unreadable(path, OSError(5, "Input/output error")).message
    os.mkfifo(path)
    with pytest.raises(InputError, match="not a regular file"):
        require_file(path)


@pytest.mark.parametrize("name", ["a.csv.partial", ".a.csv.part", "a.csv.part", "a.csv.4711.partial", "a.csv"])
def test_an_unfinished_file_is_known_by_its_final_name(name: str) -> None:
    assert final_name(Path("out") / name) == Path("out/a.csv")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with replacing(path) as partial:
        partial.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"
    with pytest.raises(KgpError, match="stopped"), replacing(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise KgpError("stopped")
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]
    missing = tmp_path / "none" / "a.csv"
    with pytest.raises(InputError) as caught, replacing(missing) as partial:
        partial.write_text("x", encoding="utf-8")
    assert caught.value.message == f"{missing}: its folder is not there"
