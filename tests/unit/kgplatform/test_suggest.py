"""Names that are close to one the user typed."""

import time

import pytest

from kgplatform.suggest import did_you_mean, nearest

STANCES = ("POSITIVE", "NEGATIVE", "UNCERTAIN")
QUERIES = ("explore/concepts", "explore/figure2", "explore/figure3", "explore/images", "naf/explain")
CONCEPTS = ("Atelectasis", "Pleural effusion", "Pleural thickening", "Pneumothorax")


@pytest.mark.parametrize(
    ("typed", "names", "best"),
    [
        ("pleural effuson", CONCEPTS, "Pleural effusion"),
        ("Pnuemothorax", CONCEPTS, "Pneumothorax"),
        ("atelectasis", CONCEPTS, "Atelectasis"),
        ("postive", STANCES, "POSITIVE"),
        ("explore/figur3", QUERIES, "explore/figure3"),
        ("figure3", QUERIES, "explore/figure3"),
        ("finding-site-of", ("finding_site_of", "has_site"), "finding_site_of"),
        ("conc", ("head", "concurrency"), "concurrency"),
    ],
)
def test_the_name_that_was_meant_is_the_first(typed: str, names: tuple[str, ...], best: str) -> None:
    assert nearest(typed, names)[0] == best


@pytest.mark.parametrize("typed", ["", "   ", "xylophone", "C0032285"])
def test_nothing_is_suggested_where_nothing_is_close(typed: str) -> None:
    assert nearest(typed, (*CONCEPTS, *STANCES, *QUERIES)) == []
    assert did_you_mean(typed, CONCEPTS) == ""
    assert did_you_mean(typed, CONCEPTS, "List them.") == "List them."


def test_no_more_than_asked_for_and_only_those_nearly_as_close_as_the_best() -> None:
    figure_names = [f"figure{number}" for number in range(9)]
    assert nearest("figureX", figure_names, 2) == ["figure0", "figure1"]
    assert nearest("explore/figur3", QUERIES) == ["explore/figure3", "explore/figure2"]
    assert nearest("Text", ["texts", "text"]) == ["text"]


def test_the_hint_is_a_sentence() -> None:
    assert did_you_mean("Positive", STANCES) == "Did you mean POSITIVE?"
    assert did_you_mean("figure", ["figure2", "figure3", "figure4"]) == "Did you mean figure2, figure3 or figure4?"
    assert did_you_mean("figur3", ["figure3"], "See the list.") == "Did you mean figure3? See the list."


def test_many_names_and_long_names_take_no_longer_than_a_user_waits() -> None:
    concept_names = [f"concept {number:07} of {number * 7919 % 1000:03}" for number in range(200_000)]
    start_time = time.perf_counter()
    nearest("pleural effuson", concept_names)
    nearest("a" * 1_000_000, ["b" * 1_000_000, "a" * 999_999])
    assert time.perf_counter() - start_time < 10
