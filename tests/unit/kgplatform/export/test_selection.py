"""What of the graph is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kgplatform.errors import InputError, UsageError
from kgplatform.export.read import Selection, read_image_list
from kgplatform.export.triples import Triples
from tests.unit.kgplatform.export.export_graphs import random_triples


@pytest.fixture(scope="module")
def triples_to_select() -> Triples:
    return random_triples()


@pytest.mark.parametrize(
    "wrong",
    [
        {"stances": ("positive",)},
        {"relations": ("isa", "PREDICTED")},
        {"hops": 0},
        {"images": "keep"},
        {"only": "both"},
    ],
)
def test_a_selection_that_cannot_be_meant_is_a_usage_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Selection(**wrong)


def test_a_selection_as_json() -> None:
    assert Selection().as_dict() == {}
    selection_json = Selection(stances=("POSITIVE",), images=("I2", "I1", "I2"), around=("C1",)).as_dict()
    assert selection_json.pop("images")["listed"] == 2
    assert selection_json == {"stances": ["POSITIVE"], "around": ["C1"], "hops": 1}
    assert json.loads(json.dumps(selection_json)) == selection_json


def test_a_list_of_images_is_read_or_refused(tmp_path: Path) -> None:
    list_path = tmp_path / "images.txt"
    list_path.write_text("\ufeffI1\r\n\r\n  I2 \n")
    assert read_image_list(list_path) == ("I1", "I2")
    list_path.write_text("\n\n")
    with pytest.raises(InputError, match="no image"):
        read_image_list(list_path)
    list_path.write_bytes(b"\xff\xfe\0\xff")
    with pytest.raises(InputError):
        read_image_list(list_path)
    list_path.unlink()
    with pytest.raises(InputError):
        read_image_list(list_path)
    shutil.rmtree(tmp_path)
