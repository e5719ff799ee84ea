"""What a lookup is asked, and what to say when it finds no row, or several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncengine.connectors.base import Outcome, OutcomeKind
from syncengine.mapping.compiled import (
    CompiledLeg,
    Lookup,
    LookupTarget,
    Row,
    shown_parts,
    split_parts,
)

AMBIGUOUS = "\0ambiguous"
"""Stands for a reference where several rows have the natural key."""

Wanted = tuple[str | None, str | None]
"""A natural key and the company as written (None where the lookup has none)."""


def key_arrays(
    lookup: Lookup, leg: CompiledLeg, wanted: Sequence[Wanted]
) -> list[list[str | None]]:
    """The arrays that the statement of `lookup` takes: one for each part of the
    natural key and, where the company belongs to it, one of companies."""
    arrays: list[list[str | None]] = [[key for key, _ in wanted]]
    if len(lookup.keys) > 1:
        parts = [split_parts(key) for key, _ in wanted if key is not None]
        arrays = [list(column) for column in zip(*parts, strict=True)]
    if lookup.scoped and leg.company is not None:
        arrays.append([company for _, company in wanted])
    return arrays


def collect(
    rows: Iterable[tuple[str, ...]], asked: Sequence[Wanted]
) -> dict[Wanted, str]:
    """References by what was asked, from (ordinal, reference) rows."""
    found: dict[Wanted, str] = {}
    for ordinal, reference in rows:
        wanted = asked[int(ordinal) - 1]
        if found.setdefault(wanted, reference) != reference:
            found[wanted] = AMBIGUOUS
    return found


def lookup_failure(
    leg: CompiledLeg, row: Row, index: int, *, many: bool = False, reference: int = 0
) -> Outcome:
    """The FAILED outcome of a mapped row whose lookup `index` found no or many rows."""
    slot = leg.slots[index]
    lookup = slot.lookup
    targets = lookup.targets if lookup else ()
    scope = ""
    if lookup and lookup.scoped and leg.company is not None:
        scope = f" in company {row[leg.company]}"
    named = " or of ".join(_named(target, row[index]) for target in targets)
    problem = f"No row of {named}{scope}"
    cure = "Bring that row over first, or correct the value."
    if many:
        problem = f"Several rows of {named}{scope}"
        cure = "Make the value unique there."
    return Outcome(
        reference,
        OutcomeKind.FAILED,
        code="lookup_ambiguous" if many else "lookup_not_found",
        column=slot.path,
        message=f"{problem}, so {slot.column} cannot be filled. {cure}",
    )


def _named(target: LookupTarget, value: str | None) -> str:
    """`msdyn_models has msdyn_model_id = 'M1' and ...`."""
    values: Sequence[str | None] = [value]
    if value is not None and len(target.keys) > 1:
        values = split_parts(value)
    pairs = zip(target.keys, values, strict=False)
    keys = " and ".join(f"{key.path} = {shown_parts(part)!r}" for key, part in pairs)
    return f"{target.table} has {keys}"
