"""The linked legal entities against the companies that both sides have."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import HealthFinding, Severity, Side


@check
def has_its_companies(subject: Subject) -> Iterator[HealthFinding]:
    """DIPV1008: a linked legal entity is no company of its side any more."""
    for side in Side:
        schema, table = subject.schemas[side], subject.table(side)
        known = subject.companies.get(side)
        if known is None or table is None or not schema.is_company_specific(table):
            continue
        gone = [
            pair.on(side)
            for pair in subject.legal_entities
            if pair.on(side) not in known
        ]
        if gone:
            yield HealthFinding(
                "DIPV1008",
                Severity.ERROR,
                f"{schema.name} has no company {', '.join(gone)}, which "
                f"{'is' if len(gone) == 1 else 'are'} linked as legal "
                f"{'entity' if len(gone) == 1 else 'entities'}.",
                table.name,
                "Give the company its former code again, or take it out of the "
                "connection set.",
            )
