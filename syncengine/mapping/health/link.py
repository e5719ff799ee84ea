"""What is wrong with a connection set as a whole (spec sync 12.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from syncengine.mapping.model import HealthFinding, Severity, Side

_PREFIX = {Side.FINOPS: "DWFOEV", Side.DATAVERSE: "DWDVEV"}


def side_code(side: Side, number: int) -> str:
    """The code of a finding that either side can have: 1001, 1003 or 1004."""
    return f"{_PREFIX[side]}{number}"


def differing_companies(
    side: Side, name: str, linked: Sequence[str], known: Sequence[str]
) -> list[HealthFinding]:
    """1003: the linked legal entities are not the companies of the environment `name`.

    A linked one that is not there, an empty code and a code that occurs twice are
    errors; companies that are simply not linked are information.
    """
    counted = Counter(known)
    gone = [code for code in linked if code not in counted]
    twice = sorted(code for code, count in counted.items() if code and count > 1)
    others = sorted(code for code in counted if code and code not in linked)
    wrong = []
    if gone:
        wrong.append(f"linked but not there: {', '.join(gone)}")
    if counted[""]:
        wrong.append(f"{counted['']} without a code")
    if twice:
        wrong.append(f"more than once: {', '.join(twice)}")
    if not wrong and not others:
        return []
    if others:
        wrong.append(f"there but not linked: {', '.join(others)}")
    severe = len(wrong) > bool(others)
    return [
        HealthFinding(
            side_code(side, 1003),
            Severity.ERROR if severe else Severity.INFO,
            f"The linked legal entities and the companies of {name} differ: "
            f"{'; '.join(wrong)}.",
            name,
            "Correct the company's code there, or the legal entities of the "
            "connection set."
            if severe
            else "Records of companies that are not linked stay where they are.",
        )
    ]


CLOCKS_MAY_DIFFER = 0.5
"""Seconds between two servers' clocks that few edits are closer than."""


def clocks(
    skews: Mapping[Side, float], names: Mapping[Side, str], maps: Sequence[str]
) -> list[HealthFinding]:
    """PG_CLOCKS: the servers' clocks are apart, and the maps `maps` let the later
    write win. `skews` are seconds that each is ahead of the portal's."""
    apart = skews[Side.FINOPS] - skews[Side.DATAVERSE]
    if not maps or abs(apart) <= CLOCKS_MAY_DIFFER:
        return []
    ahead, behind = (
        (Side.FINOPS, Side.DATAVERSE) if apart > 0 else (Side.DATAVERSE, Side.FINOPS)
    )
    return [
        HealthFinding(
            "PG_CLOCKS",
            Severity.WARNING,
            f"The clock of {names[ahead]} is {abs(apart):.1f} s ahead of that of "
            f"{names[behind]}. Where the last writer wins, {names[ahead]} wins "
            f"conflicts it should lose by that much: {', '.join(sorted(maps))}.",
            names[ahead],
            "Keep both servers' clocks in step (NTP), or let one side win.",
        )
    ]


def leftover(side: Side, name: str, link: str, script: str) -> HealthFinding:
    """1004: environment `name` has something of a link that nobody knows any more."""
    return HealthFinding(
        side_code(side, 1004),
        Severity.ERROR,
        f"{name} still has a replication slot, a publication or rows of the link "
        f"{link}, which this portal does not know; a slot left behind keeps its "
        "server's log until it is dropped.",
        name,
        "Unless another portal uses the link, let a database administrator run the "
        "script.",
        script,
    )
