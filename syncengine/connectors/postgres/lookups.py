"""What to say when the row a natural key names is not there, or is there twice."""

from __future__ import annotations

from syncengine.connectors.base import Outcome, OutcomeKind
from syncengine.mapping.compiled import CompiledLeg, Row

AMBIGUOUS = "\0ambiguous"
"""Stands for a reference where several rows have the natural key."""


def lookup_failure(
    leg: CompiledLeg, row: Row, index: int, *, many: bool = False, reference: int = 0
) -> Outcome:
    """The FAILED outcome of a mapped row whose lookup `index` found no or many rows."""
    slot = leg.slots[index]
    lookup = slot.lookup
    table, key = (lookup.table, lookup.key) if lookup else ("", "")
    scope = ""
    if lookup and lookup.company is not None and leg.company is not None:
        scope = f" in company {row[leg.company]}"
    problem = f"No row of {table} has {key} = {row[index]!r}{scope}"
    cure = "Bring that row over first, or correct the value."
    if many:
        problem = f"Several rows of {table} have {key} = {row[index]!r}{scope}"
        cure = "Make the value unique there."
    return Outcome(
        reference,
        OutcomeKind.FAILED,
        code="lookup_ambiguous" if many else "lookup_not_found",
        column=f"{slot.column}.{key}" if key else slot.column,
        message=f"{problem}, so {slot.column} cannot be filled. {cure}",
    )
