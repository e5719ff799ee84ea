"""The order of the tests, and how several processes share them."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/e2e/",)
"""Directories that one process takes as a whole: what they start is dear."""

FIRST = ("tests/chaos/", "tests/e2e/", "tests/jobs/", "tests/engine/")
"""Where tests take long. Begun last, one would run while other processes idle."""


def unit(test: str) -> str:
    """What must stay in one process: the test's file, or its whole directory."""
    file = test.split("::", 1)[0]
    return next((each for each in TOGETHER if file.startswith(each)), file)


def rank(name: str) -> int:
    """The place of a unit by its directory."""
    places = (place for place, each in enumerate(FIRST) if name.startswith(each))
    return next(places, len(FIRST))


def longest_first(tests: list[str]) -> dict[str, tuple[int, int]]:
    """What to sort each test by: slow directories before others, in each the units
    of many tests before those of few. Tests of a unit stay in the order they have."""
    sizes = Counter(unit(test) for test in tests)
    return {test: (rank(unit(test)), -sizes[unit(test)]) for test in tests}


def sort(items: list[pytest.Item]) -> None:
    """Bring what was collected into that order."""
    order = longest_first([item.nodeid for item in items])
    items.sort(key=lambda item: order[item.nodeid])


class InOrder(LoadFileScheduling):
    """`--dist loadfile` that hands units out in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def scheduler(config: pytest.Config, log: Producer) -> InOrder | None:
    """Ours for `--dist loadfile`; xdist's own for whatever else was asked for."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return InOrder(config, log)
