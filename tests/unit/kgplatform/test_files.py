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
    for file_path, problem in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path / "none" / "x.yaml", "no such file"),
        (tmp_path, "this is a folder, not a file"),
    ):
        with pytest.raises(InputError) as raised:
            read(file_path)
        assert raised.value.message == f"{file_path}: {problem}"


@pytest.mark.parametrize("read", YAML)
def test_damaged_settings_are_reported_with_their_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    settings_path = tmp_path / "settings.yaml"
    settings_path.write_text("seed: 1\nmodel: a: b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"settings\.yaml, row 2: this is not YAML"):
        read(settings_path)
    settings_path.write_bytes(b"seed: 1\n# caf\xe9\n")
    with pytest.raises(InputError, match=r"settings\.yaml, row 2: .*not UTF-8 text: byte 14"):
        read(settings_path)


@pytest.mark.parametrize("read", YAML)
@pytest.mark.parametrize("text", ["seed: 1\nepochs: 2\nseed: 3\n", "a:\n- {seed: 1,\n   seed: 2}\n"])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, read: Callable[[Path], object], text: str) -> None:
    settings_path = tmp_path / "settings.yaml"
    settings_path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"settings\.yaml, row 3: 'seed' occurs twice"):
        read(settings_path)


@pytest.mark.parametrize("read", YAML[:-1])
def test_a_setting_that_is_nearly_right_is_suggested(tmp_path: Path, read: Callable[[Path], object]) -> None:
    settings_path = tmp_path / "settings.yaml"
    misspelled_names: dict[Callable[[Path], object], str] = {
        GeneratorSettings.read: "langauge",
        RetrievalSettings.read: "metod",
        VQASettings.read: "metod",
    }
    settings_path.write_text(f"{misspelled_names.get(read, 'objectiv')}: x\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read(settings_path)
    assert raised.value.hint.startswith("Did you mean ")


def test_a_file_that_may_not_be_read_and_one_that_is_none(tmp_path: Path) -> None:
    csv_path = tmp_path / "a.csv"
    assert "no permission" in unreadable(csv_path, PermissionError(13, "Permission denied")).message
    assert "Input/output error" in unreadable(csv_path, OSError(5, "Input/output error")).message
    os.mkfifo(csv_path)
    with pytest.raises(InputError, match="not a regular file"):
        require_file(csv_path)


@pytest.mark.parametrize("name", ["a.csv.partial", ".a.csv.part", "a.csv.part", "a.csv.4711.partial", "a.csv"])
def test_an_unfinished_file_is_known_by_its_final_name(name: str) -> None:
    assert final_name(Path("out") / name) == Path("out/a.csv")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    csv_path = tmp_path / "a.csv"
    with replacing(csv_path) as partial_path:
        partial_path.write_text("new", encoding="utf-8")
    assert csv_path.read_text(encoding="utf-8") == "new"
    with pytest.raises(KgpError, match="stopped"), replacing(csv_path) as partial_path:
        partial_path.write_text("half", encoding="utf-8")
        raise KgpError("stopped")
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["a.csv"]
    missing_path = tmp_path / "none" / "a.csv"
    with pytest.raises(InputError) as raised, replacing(missing_path) as partial_path:
        partial_path.write_text("x", encoding="utf-8")
    assert raised.value.message == f"{missing_path}: its folder does not exist"
