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

pytestmark = pytest.mark.slow

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
    environment = {"KGP_HOME": str(tmp_path), "NEO4J_URI": uri, "NEO4J_PASSWORD": CANARY}
    with pytest.raises(SettingsError) as raised:
        settings.Settings.from_env(environment)
    assert CANARY not in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize("uri", ["bolt://127.0.0.1:1", f"bolt://neo4j:{CANARY}@127.0.0.1:1"])
def test_no_output_of_a_command_has_the_password(uri: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "KGP_HOME": str(tmp_path),
        "NEO4J_URI": uri,
        "NEO4J_PASSWORD": CANARY,
        "PYTHONWARNINGS": "",
    }
    for arguments in (["stats"], ["stats", "--json"], ["doctor"]):
        completed = subprocess.run(
            [*KGP, *arguments], env=environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert completed.returncode == 1
        assert CANARY not in completed.stdout + completed.stderr
        assert "Traceback" not in completed.stderr


def test_a_link_out_of_the_folder_of_images_is_not_followed(tmp_path: Path) -> None:
    image_folder = tmp_path / "images"
    image_folder.mkdir()
    Image.new("L", (8, 8), 100).save(image_folder / "inside.png")
    Image.new("L", (8, 8), 200).save(tmp_path / "secret.png")
    (image_folder / "outside.png").symlink_to(tmp_path / "secret.png")
    (image_folder / "alias.png").symlink_to(image_folder / "inside.png")
    image_inputs = inputs(image_folder, ids_by_path={})
    assert {image_row.path.name for image_row in image_inputs.rows if image_row.path} <= {"inside.png", "alias.png"}
    assert [(reject.path.name, reject.reason) for reject in image_inputs.rejects if "outside" in reject.reason] == [
        ("outside.png", "the link points outside the folder")
    ]
    assert below("outside.png", image_folder) is None
    assert below("inside.png", image_folder) == "inside.png"


def test_a_full_disk_is_one_clear_line() -> None:
    with Path("/dev/full").open("w") as full_device:
        command = [*KGP, "--version"]
        completed = subprocess.run(
            command, stdout=full_device, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert completed.returncode == 1
    assert completed.stderr.splitlines()[0] == "error: No space left on device"
    assert "Traceback" not in completed.stderr


def test_a_file_of_rejects_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="Not a directory"), _reject_file(tmp_path / "a" / "b.tsv"):
        (tmp_path / "never").touch()
    assert [entry_path.name for entry_path in tmp_path.iterdir()] == ["a"]


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
    from kgp_models.towers.backbones import open_backbone
    from kgp_models.towers.vision import open_vision
    from kgp_models.training.model_files import read_weights

    for file_name in ("model.safetensors", "vision.safetensors"):
        (tmp_path / file_name).write_bytes(DAMAGES[damage])
    for file_name in ("config.json", "open_clip_config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file_name).write_text("{}")
    for reader in (
        lambda: read_weights(tmp_path / "model.safetensors"),
        lambda: open_vision(f"small:{tmp_path}"),
        lambda: open_vision(f"clip:{tmp_path}"),
        lambda: open_backbone(f"clip:{tmp_path}"),
        lambda: read_language(tmp_path),
    ):
        with pytest.raises(KgpError) as raised:
            reader()
        assert "\n" not in raised.value.message


def test_a_fifo_in_a_folder_of_a_model_is_not_waited_for(tmp_path: Path) -> None:
    from kgp_models.towers.vision import open_vision

    os.mkfifo(tmp_path / "vision.safetensors")
    with pytest.raises(InputError, match="not a regular file"):
        open_vision(f"small:{tmp_path}")
