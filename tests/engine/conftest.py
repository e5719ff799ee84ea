"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.engine.pair import MemoryJournal, Pair


@pytest.fixture
def pair(make_database: Callable[..., str]) -> Iterator[Pair]:
    """An ERP and a CRM database with two maps between them."""
    pair = Pair(make_database)
    yield pair
    pair.close()


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()
