"""What the construct.yaml of a data folder may decide, and what the user alone decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.settings import FILE, read_settings
from kgplatform.errors import InputError, UsageError


@pytest.fixture
def construct_data_folder(tmp_path: Path) -> Path:
    """A data folder, with files next to it that it must not reach."""
    data_folder = tmp_path / "data"
    (data_folder / "inside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "names.csv").write_text("cui,name\n", encoding="utf-8")
    (data_folder / "link").symlink_to(tmp_path / "outside")
    (data_folder / "loop").symlink_to(data_folder / "loop")
    return data_folder


def _write_settings(folder: Path, lines: str) -> Path:
    settings_path = folder / FILE
    settings_path.write_text(f"reports: openi\n{lines}\n", encoding="utf-8")
    return settings_path


def test_a_value_that_is_nearly_right_is_suggested(construct_data_folder: Path) -> None:
    with pytest.raises(InputError, match="conflicts is not one of keep, strongest, last") as raised:
        read_settings(_write_settings(construct_data_folder, "path: .\nconflicts: strongst"))
    assert raised.value.hint == "Did you mean strongest? The value is strongst. See docs/construct.md."


def test_modality_and_region_of_reports_that_state_none(construct_data_folder: Path) -> None:
    settings = read_settings(_write_settings(construct_data_folder, "path: .\nmodality: MRI\nregion: abdomen+pelvis"))
    assert settings.exam.properties() == {"modality": "MR", "region": "abdomen+pelvis"}
    assert not read_settings(_write_settings(construct_data_folder, "path: .")).exam.is_stated
    for line, message in (("modality: Spoken", "no known modality"), ("region: Midwest", "no known region")):
        with pytest.raises(UsageError, match=message) as raised:
            _ = read_settings(_write_settings(construct_data_folder, f"path: .\n{line}")).exam
        assert "CT" in raised.value.hint or "chest" in raised.value.hint


OUTSIDE = [
    ("path: /etc/passwd", "path points outside"),
    ("path: ..", "path points outside"),
    ("path: inside/../../outside", "path points outside"),
    ("path: link", "path points outside"),
    ("path: link/names.csv", "path points outside"),
    ("path: loop", "path points outside"),
    ("path: .\nlexicon: [inside, ../outside/names.csv]", "lexicon points outside"),
    ("path: .\nlexicon: [/usr/share]", "lexicon points outside"),
    ("path: .\nkeep: /etc/hostname", "keep points outside"),
    ("path: .\ntagger: metamaplite:../outside", "tagger points outside"),
    ("path: .\ntagger: metamaplite:/tmp", "tagger points outside"),
    ("path: .\ntagger: metamaplite:link", "tagger points outside"),
    ('path: .\ntagger: "metamaplite:inside/\\0"', "tagger points outside"),
    ("path: .\nllm: {model: m, cache: ../answers.sqlite}", "llm.cache points outside"),
    ("path: .\nllm: {model: m, cache: /tmp/answers.sqlite}", "llm.cache points outside"),
    ("path: .\nllm: {model: m, url: 'https://llm.example.com/v1'}", "llm.url is another machine"),
    ("path: .\nllm: {model: m, url: 'http://localhost.example.com/v1'}", "llm.url is another machine"),
    ("path: .\nllm: {model: m, url: 'http://0.0.0.0:8000/v1'}", "llm.url is another machine"),
    ("path: .\nllm: {model: m, keep_replies: true}", "llm.keep_replies"),
    ("path: .\nray: true", "ray may send"),
    ("path: .\nworkers: 100000", "workers is 100,000"),
]


@pytest.mark.parametrize(("lines", "message"), OUTSIDE)
def test_a_data_folder_may_not_decide_this_but_a_file_that_the_user_names_may(
    construct_data_folder: Path, lines: str, message: str
) -> None:
    settings_path = _write_settings(construct_data_folder, lines)
    with pytest.raises(InputError, match=message) as raised:
        read_settings(construct_data_folder)
    assert str(settings_path) in raised.value.message
    assert f"kgp construct run {settings_path}" in raised.value.hint
    read_settings(settings_path)


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize(
    "lines",
    [
        "path: .\nllm: {model: m, remote_consent: true}",
        "path: .\nllm: {model: m, remote_consent: false}",
        "path: .\nllm: {remote_consent: 'yes'}",
        "path: .\nremote_consent: true",
    ],
)
def test_consent_is_in_no_file(construct_data_folder: Path, lines: str, by_name: bool) -> None:
    settings_path = _write_settings(construct_data_folder, lines)
    with pytest.raises(InputError, match="remote_consent cannot be set in a file") as raised:
        read_settings(settings_path if by_name else construct_data_folder)
    assert "--remote-consent" in raised.value.hint


def test_consent_is_no_setting_of_a_language_model_either() -> None:
    with pytest.raises(UsageError, match=r"no setting llm\.remote_consent"):
        LLMSettings.from_document({"model": "m", "remote_consent": True})
    assert LLMSettings.from_document({"model": "m"}, remote_consent=True).remote_consent


def test_a_data_folder_describes_itself(
    construct_data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (construct_data_folder / "inside" / "names.csv").write_text("cui,name\n", encoding="utf-8")
    _write_settings(
        construct_data_folder,
        "path: inside/..\nlexicon: [inside, inside/names.csv]\nkeep: inside/kept.csv\ntagger: metamaplite:inside\n"
        "workers: 1\nllm: {model: m, url: 'http://127.0.0.1:8000/v1', cache: answers.sqlite, concurrency: 2}",
    )
    settings = read_settings(Path("data"))
    assert settings.path.resolve() == construct_data_folder
    assert settings.tagger == "metamaplite:data/inside"
    assert settings.llm["cache"] == str(construct_data_folder / "answers.sqlite")
    _write_settings(construct_data_folder, "path: .\ntagger: dictionary:exact")
    assert read_settings(construct_data_folder).tagger == "dictionary:exact"
