"""References that lead nowhere, where a record is told by them.

A record may be known by the key of the one it refers to. While that one is not to be
found, the reference itself stands for its key: two such records stay two, and each can
be found again once the other is there.
"""

from __future__ import annotations

from collections.abc import Sequence

_MARK = "\x1a"
"""No natural key begins with it."""


def dangling(reference: str) -> str:
    """A part of a key that stands for a reference."""
    return _MARK + reference


def reference_of(part: str | None) -> str | None:
    """The reference that a part of a key stands for; None for a plain part."""
    if part is None or not part.startswith(_MARK):
        return None
    return part[len(_MARK) :]


def dangles(key: Sequence[str | None]) -> bool:
    """Whether any part of a key is a reference that leads nowhere."""
    for part in key:  # noqa: SIM110 - twice as fast, for each record that is retried
        if part and part[0] == _MARK:
            return True
    return False


def shown_key(key: Sequence[str | None]) -> str:
    """A record's key for people and for searching: parts joined by ` / `."""
    return " / ".join(_shown(part) for part in key)


def _shown(part: str | None) -> str:
    if part is None:
        return "(empty)"
    reference = reference_of(part)
    return part if reference is None else f"(not found: {reference})"
