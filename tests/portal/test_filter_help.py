"""The examples beside filters are what their language takes."""

from __future__ import annotations

import pytest

from portal.overview.filter_help import EXAMPLES
from syncengine.mapping.filters import parse_filter
from syncengine.mapping.model import Side


@pytest.mark.parametrize("side", list(Side))
def test_every_example_is_a_filter(side: Side) -> None:
    for words, text in EXAMPLES[side]:
        assert parse_filter(side, text) is not None, words
