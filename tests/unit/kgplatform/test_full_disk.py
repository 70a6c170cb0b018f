"""A disk that is full: one line that names the file or folder, nothing under its final name, and what was there stays.

A limit on the size of files stands for the disk: writing fails in the same way, with another reason.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kgplatform.errors import InputError
from kgplatform.files import figure_metadata, replacing
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.generate.reply_file import ReplyFile
from kgplatform.staging import disk_error, on_disk
from kgplatform.survey import _reject_file

resource = pytest.importorskip("resource")

ROOM = 100  # bytes


@contextmanager
def full_disk(room: int = ROOM) -> Iterator[None]:
    """Files may have so many bytes, and no more. Python 3.11 would leave compiled modules cut off there for good."""
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard_limit))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft_limit, hard_limit))
        sys.dont_write_bytecode = writes_bytecode


def write_text(path: Path) -> None:
    path.write_text("x" * 10 * ROOM, encoding="utf-8")


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": list(range(1000))}), path)


def write_workbook(path: Path) -> None:
    import openpyxl

    openpyxl.Workbook().save(path)


def write_image(path: Path) -> None:
    from PIL import Image

    Image.effect_noise((64, 64), 50).save(path, "PNG")


def write_figure(path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    figure.savefig(path, format=path.name.split(".")[2], metadata=figure_metadata(path))


def write_tensors(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1000)}, path)


def write_state(path: Path) -> None:
    import torch

    torch.save({"a": torch.zeros(1000)}, path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.txt": write_text,
    "a.parquet": write_parquet,
    "a.xlsx": write_workbook,
    "a.png": write_image,
    "a.pdf": write_figure,
    "a.svg": write_figure,
    "a.safetensors": write_tensors,
    "a.pt": write_state,
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_does_not_fit_is_named_and_the_earlier_one_stays(name: str, tmp_path: Path) -> None:
    file_path = tmp_path / name
    file_path.write_text("before")
    with pytest.raises(InputError, match=r"cannot be written: (File too large|the disk is full)") as raised:  # noqa: SIM117
        with full_disk(), replacing(file_path) as staged_path:
            WRITERS[name](staged_path)
    assert raised.value.path == file_path
    assert [(remaining_file.name, remaining_file.read_text()) for remaining_file in tmp_path.iterdir()] == [
        (name, "before")
    ]


@pytest.mark.parametrize("write", [write_tensors, write_state])
def test_a_training_on_a_full_disk_names_its_folder(write: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written: (File too large|the disk is full)") as raised:  # noqa: SIM117
        with full_disk(), on_disk(tmp_path):
            write(tmp_path / "weights")
    assert raised.value.path == tmp_path
    assert disk_error(ValueError("damaged")) is None
    assert disk_error(FileNotFoundError(2, "no such file")) is None


def test_replies_on_a_full_disk_are_those_that_fit_and_the_rest_is_appended_later(tmp_path: Path) -> None:
    first_path = tmp_path / "replies.jsonl"
    replies = [
        GeneratorReply(GenerationRequest(f"I{image_number}", tmp_path / "a.png", ""), "", ())
        for image_number in range(10)
    ]
    reply_file = ReplyFile(first_path, "model", "settings")
    with full_disk(250), pytest.raises(InputError, match="cannot be written") as raised:
        reply_file.append(replies)
    with full_disk(250), pytest.raises(InputError, match="cannot be written"):
        reply_file.close()
    assert raised.value.path == first_path
    reply_file = ReplyFile(first_path, "model", "settings")
    reply_file.append(replies)
    reply_file.close()
    second_path = tmp_path / "again.jsonl"
    reply_file = ReplyFile(second_path, "model", "settings")
    reply_file.append(replies)
    reply_file.close()
    assert sorted(first_path.read_bytes().splitlines()) == sorted(second_path.read_bytes().splitlines())


def test_rejected_rows_on_a_full_disk(tmp_path: Path) -> None:
    rejects_path = tmp_path / "rejects.tsv"
    with full_disk(5), pytest.raises(InputError, match="cannot be written") as raised, _reject_file(rejects_path):
        pass
    assert raised.value.path == rejects_path
    assert list(tmp_path.iterdir()) == []


def test_a_command_on_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    program = (
        "import resource, sys; sys.dont_write_bytecode = True; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from kgplatform.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "phantom", "build", str(tmp_path / "studies"), "--studies", "2"]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 1
    assert f"error: {tmp_path / 'studies'}: cannot be written: File too large" in completed.stderr
    assert "Traceback" not in completed.stderr
    assert list(tmp_path.iterdir()) == []
