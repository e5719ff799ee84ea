"""What both sides hold now of a record that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portal.errors.models import SyncError
from portal.refusals import Refusal
from portal.runs.legs import with_legs
from portal.runs.preview import preview_map
from syncengine.errors import EngineError
from syncengine.mapping.model import Direction


@dataclass(frozen=True)
class Now:
    """The present rows by column path; None where the record is not there, or could
    not be asked for: then `trouble` says why. `fails` says what still keeps the record
    from being carried over."""

    source: Mapping[str, str | None] | None = None
    target: Mapping[str, str | None] | None = None
    trouble: str = ""
    fails: str = ""


def now(error: SyncError) -> Now:
    """Read the record on both sides; what hinders that is in `trouble`."""
    way = Direction(error.direction)
    try:
        shown = preview_map(
            with_legs(error.table_map_id), error.key_text, direction=way
        )
    except (Refusal, EngineError) as caught:
        return Now(trouble=caught.message)
    found = shown.records[way.value]
    if not found:
        return Now(trouble="The record is not in the scope of the map any more.")
    one = found[0]
    return Now(one.source, one.target, fails=one.error)
