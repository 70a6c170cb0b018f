"""The file of replies: appended once, whole after a kill, never anything else's."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.errors import InputError
from kgplatform.generate.backend import GenerationRequest, GeneratorReply, Scored
from kgplatform.generate.reply_file import ReplyFile
from kgplatform.triplets.text import Relation, Triplet

TRIPLET = Triplet("effusion", Relation.LOCATED_AT, "lung")
CANARY = "zebrafinch"


def reply(image: str, problem: str | None = None) -> GeneratorReply:
    return GeneratorReply(
        GenerationRequest(image, None, CANARY),
        f"effusion, located_at, lung {CANARY}",
        (Scored(TRIPLET, 0.5),),
        problem=problem,
    )


def append(path: Path, *images: str, model: str = "m", settings: str = "s") -> list[str]:
    """Append replies of these images; returns the images in the file."""
    with closing(ReplyFile(path, model, settings)) as reply_file:
        reply_file.append(map(reply, images))
    return [json.loads(line)["image"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_reply_is_a_line_without_its_report(tmp_path: Path) -> None:
    append(tmp_path / "r", "I1")
    [reply_line] = (tmp_path / "r").read_text(encoding="utf-8").splitlines()
    assert json.loads(reply_line) == {
        "image": "I1", "model": "m", "settings": "s", "triplets": [["effusion", "located_at", "lung", 0.5]],
    }  # fmt: skip


def test_what_is_there_is_not_appended_again_but_by_another_generator(tmp_path: Path) -> None:
    reply_path = tmp_path / "r"
    assert append(reply_path, "I1", "I2", "I1") == ["I1", "I2"]
    assert append(reply_path, "I2", "I3") == ["I1", "I2", "I3"]
    assert append(reply_path, "I3", model="n") == ["I1", "I2", "I3", "I3"]
    assert append(reply_path, "I3", settings="t") == ["I1", "I2", "I3", "I3", "I3"]


def test_an_image_that_could_not_be_read_is_left_out(tmp_path: Path) -> None:
    with closing(ReplyFile(tmp_path / "r", "m", "s")) as reply_file:
        reply_file.append([reply("I1", problem="not a readable radiograph")])
        reply_file.append([reply("I1")])
    assert append(tmp_path / "r") == ["I1"]


@given(st.data())
def test_a_kill_at_any_byte_leaves_a_file_that_goes_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    reply_path = tmp_path_factory.mktemp("r") / "r"
    append(reply_path, "I1", "I2", "I3")
    original_bytes = reply_path.read_bytes()
    reply_path.write_bytes(original_bytes[: data.draw(st.integers(0, len(original_bytes)))])
    assert append(reply_path, "I1", "I2", "I3") == ["I1", "I2", "I3"]
    assert reply_path.read_bytes() == original_bytes


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b"a,b\n1,2\n", 1), (b"no line end", 1), (b"[1]\n", 1), (b'{"image": 1}\n', 1), (b"\xff\xfe\n", 1),
        (b'{"image": "I1", "model": "m", "settings": "s"}\nx\n', 2), (b"[" * 100_000 + b"\n", 1),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes, row: int) -> None:
    reply_path = tmp_path / "r"
    reply_path.write_bytes(content)
    with pytest.raises(InputError, match=f"r, row {row}: this is not a reply"):
        ReplyFile(reply_path, "m", "s")
    assert reply_path.read_bytes() == content


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        ReplyFile(tmp_path / "missing" / "r", "m", "s")
    with pytest.raises(InputError, match="cannot be written"):
        ReplyFile(tmp_path, "m", "s")
