"""What is done beside a generator: in order, one at a time, and no error is lost."""

from __future__ import annotations

import threading
import time

import pytest

from kgplatform.generate.run import Beside


def test_things_are_done_in_order_one_at_a_time_in_another_thread() -> None:
    seen: list[tuple[int, int]] = []
    under_way: list[int] = []

    def does(thing: int) -> None:
        under_way.append(thing)
        time.sleep(0.01)
        assert under_way == [thing]
        under_way.clear()
        seen.append((thing, threading.get_ident()))

    with Beside(does) as beside:
        for thing in range(4):
            beside.take(thing)
    assert [thing for thing, _ in seen] == [0, 1, 2, 3]
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})
    assert beside.waited > 0.02


def test_an_error_shows_where_the_next_thing_is_taken_and_nothing_more_is_done() -> None:
    seen: list[int] = []

    def does(thing: int) -> None:
        seen.append(thing)
        if thing == 1:
            raise ValueError("the graph is gone")

    with pytest.raises(ValueError, match="the graph is gone"), Beside(does) as beside:
        for thing in range(4):
            beside.take(thing)
    assert seen == [0, 1]


def test_the_last_ones_error_shows_at_the_end() -> None:
    def does(thing: int) -> None:
        raise ValueError(f"no {thing}")

    with pytest.raises(ValueError, match="no 7"), Beside(does) as beside:
        beside.take(7)


def test_what_was_taken_is_finished_when_the_caller_fails_and_its_error_stays() -> None:
    seen: list[int] = []

    def does(thing: int) -> None:
        time.sleep(0.02)
        seen.append(thing)
        raise ValueError("a second error")

    with pytest.raises(RuntimeError, match="the generator has crashed") as told, Beside(does) as beside:
        beside.take(1)
        raise RuntimeError("the generator has crashed")
    assert seen == [1]
    assert told.value.__notes__ == ["and beside it: a second error"]
