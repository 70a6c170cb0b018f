"""Fixtures of the models' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def single_thread() -> Iterator[None]:
    """torch in one thread: sums of several differ in their last digits, and for small tensors they are slower."""
    torch = pytest.importorskip("torch")
    thread_count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(thread_count)
