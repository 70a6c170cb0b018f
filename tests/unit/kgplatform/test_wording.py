"""Counts in words."""

from __future__ import annotations

import pytest

from kgplatform.wording import counted


@pytest.mark.parametrize(
    ("count", "plural", "expected"),
    [
        (0, "rows", "0 rows"),
        (1, "rows", "1 row"),
        (1000, "rows", "1,000 rows"),
        (1, "studies of other splits", "1 study of other splits"),
        (1, "further images of a study: the first is taken", "1 further image of a study: the first is taken"),
        (1, "mapping rows", "1 mapping row"),
        (2, "images have a path", "2 images have a path"),
    ],
)
def test_a_single_thing_is_named_in_the_singular(count: int, plural: str, expected: str) -> None:
    assert counted(count, plural) == expected


def test_a_verb_is_given_for_one() -> None:
    assert [counted(count, "images have", "image has") for count in (1, 2)] == ["1 image has", "2 images have"]
