"""Old and new values of what was changed, for the activity log."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

LONGEST = 500


def changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """What differs, as `details={"changes": ...}` of an event: the thing in words, the
    old and the new value. Never pass secrets."""
    known = names or {}
    return [
        {
            "what": known.get(name) or name.replace("_", " ").capitalize(),
            "old": _plain(before.get(name)),
            "new": _plain(after.get(name)),
        }
        for name in dict.fromkeys((*before, *after))
        if _set(before.get(name)) != _set(after.get(name))
    ]


def _set(value: Any) -> Any:
    """Empty text says as little as none."""
    return None if value == "" else value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(one) for one in value)[:LONGEST]
    if isinstance(value, datetime.time):
        return f"{value:%H:%M}"
    return str(value)[:LONGEST]


def changes_of(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The changes an event tells of; those that are mere words have no old and new."""
    found = details.get("changes")
    if not isinstance(found, list):
        return []
    return [one if isinstance(one, dict) else {"words": str(one)} for one in found]


def changes_text(details: Mapping[str, Any]) -> str:
    """The same as one text, for a file."""
    return "; ".join(
        one["words"]
        if "words" in one
        else f"{one['what']}: {_said(one['old'])} -> {_said(one['new'])}"
        for one in changes_of(details)
    )


def _said(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
