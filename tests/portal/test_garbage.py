"""Python looks for garbage seldom while it loads, and as usual afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from portal import garbage


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    frozen = gc.get_freeze_count()
    yield
    if not frozen:
        gc.unfreeze()
    gc.set_threshold(*garbage.USUAL)


def test_what_is_loaded_is_set_apart_and_what_comes_is_looked_at_as_usual() -> None:
    before = gc.get_freeze_count()
    garbage.look_seldom()
    assert gc.get_threshold()[0] > garbage.USUAL[0]
    loaded = [[] for _ in range(1000)]
    garbage.keep_loaded()
    assert gc.get_freeze_count() >= before + len(loaded)
    assert gc.get_threshold() == garbage.USUAL
