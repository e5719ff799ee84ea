"""Clocks that are apart matter where the last writer wins."""

from __future__ import annotations

import pytest

from syncengine.mapping.health.link import clocks
from syncengine.mapping.model import Side

NAMES = {Side.FINOPS: "erp", Side.DATAVERSE: "crm"}


@pytest.mark.parametrize(
    ("finops", "dataverse", "words"),
    [
        (2.25, -0.5, "erp is 2.8 s ahead of that of crm"),
        (0.0, 1.0, "crm is 1.0 s ahead of that of erp"),
    ],
)
def test_the_clock_that_is_ahead_is_named(
    finops: float, dataverse: float, words: str
) -> None:
    skews = {Side.FINOPS: finops, Side.DATAVERSE: dataverse}
    (finding,) = clocks(skews, NAMES, ["customers", "accounts"])
    assert finding.code == "PG_CLOCKS"
    assert words in finding.message
    assert "accounts, customers" in finding.message


def test_clocks_in_step_or_of_no_consequence_are_no_finding() -> None:
    assert clocks({Side.FINOPS: 30.2, Side.DATAVERSE: 30.0}, NAMES, ["a"]) == []
    assert clocks({Side.FINOPS: 9.0, Side.DATAVERSE: 0.0}, NAMES, []) == []
