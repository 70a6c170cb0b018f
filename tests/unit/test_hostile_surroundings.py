"""What surrounds a command is hostile: links, full disks, passwords in addresses, damaged files of models."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kgp_loaders.question_files import below
from kgplatform import settings
from kgplatform.errors import InputError, KgpError, SettingsError
from kgplatform.generate.inputs import inputs
from kgplatform.survey import _reject_file

CANARY = "zebrafinch77"
KGP = [sys.executable, "-c", "from kgplatform.cli import main; main()"]


@pytest.mark.parametrize(
    "uri",
    [
        f"bolt://neo4j:{CANARY}@127.0.0.1:1", f"http://neo4j:{CANARY}@host", f"neo4j+s://{CANARY}@host",
        f"bolt://[::{CANARY}", f"{CANARY}", f"bolt://host:{CANARY}", f"https://{CANARY}.example",
    ],
)  # fmt: skip
def test_an_address_with_a_password_is_refused_and_not_quoted(uri: str, tmp_path: Path) -> None:
    env = {"KGP_HOME": str(tmp_path), "NEO4J_URI": uri, "NEO4J_PASSWORD": CANARY}
    with pytest.raises(SettingsError) as refused:
        settings.Settings.from_env(env)
    assert CANARY not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("uri", ["bolt://127.0.0.1:1", f"bolt://neo4j:{CANARY}@127.0.0.1:1"])
def test_no_output_of_a_command_has_the_password(uri: str, tmp_path: Path) -> None:
    env = {**os.environ, "KGP_HOME": str(tmp_path), "NEO4J_URI": uri, "NEO4J_PASSWORD": CANARY, "PYTHONWARNINGS": ""}
    for call in (["stats"], ["stats", "--json"], ["doctor"]):
        run = subprocess.run(
            [*KGP, *call], env=env, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert run.returncode == 1
        assert CANARY not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_a_link_out_of_the_folder_of_images_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("L", (8, 8), 100).save(folder / "inside.png")
    Image.new("L", (8, 8), 200).save(tmp_path / "secret.png")
    (folder / "outside.png").symlink_to(tmp_path / "secret.png")
    (folder / "alias.png").symlink_to(folder / "inside.png")
    found = inputs(folder, known={})
    assert {row.path.name for row in found.rows if row.path} <= {"inside.png", "alias.png"}
    assert [(bad.path.name, bad.reason) for bad in found.rejects if "leads" in bad.reason] == [
        ("outside.png", "the link leads out of the folder")
    ]
    assert below("outside.png", folder) is None
    assert below("inside.png", folder) == "inside.png"


def test_a_full_disk_is_one_clear_line() -> None:
    with Path("/dev/full").open("w") as full:
        call = [*KGP, "--version"]
        run = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines()[0] == "error: No space left on device"
    assert "Traceback" not in run.stderr


def test_a_file_of_rejects_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="Not a directory"), _reject_file(tmp_path / "a" / "b.tsv"):
        (tmp_path / "never").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


DAMAGES = {
    "empty": b"",
    "a header of 8 EB": struct.pack("<Q", 1 << 63) + b"{}",
    "a header of 1 GB": struct.pack("<Q", 1 << 30) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"{{{{",
    "nested": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "offsets out of the file": struct.pack("<Q", 56) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}  ',
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_safetensors_are_one_clear_line(tmp_path: Path, damage: str) -> None:
    from kgp_models.generator.language import read_language
    from kgp_models.generator.vision import open_vision
    from kgp_models.link_prediction.checkpoint import _read_tensors
    from kgp_models.retrieval.backbones import open_backbone

    for name in ("model.safetensors", "vision.safetensors"):
        (tmp_path / name).write_bytes(DAMAGES[damage])
    for name in ("config.json", "open_clip_config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    for read in (
        lambda: _read_tensors(tmp_path / "model.safetensors"),
        lambda: open_vision(f"small:{tmp_path}"),
        lambda: open_vision(f"clip:{tmp_path}"),
        lambda: open_backbone(f"clip:{tmp_path}"),
        lambda: read_language(tmp_path),
    ):
        with pytest.raises(KgpError) as refused:
            read()
        assert "\n" not in refused.value.message


def test_a_fifo_in_a_folder_of_a_model_is_not_waited_for(tmp_path: Path) -> None:
    from kgp_models.generator.vision import open_vision

    os.mkfifo(tmp_path / "vision.safetensors")
    with pytest.raises(InputError, match="not a regular file"):
        open_vision(f"small:{tmp_path}")
