"""Several maps of one table."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.filters import exclude_each_other
from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Member, Subject, filter_of
from syncengine.mapping.model import Direction, HealthFinding, Severity, Side


@check
def reads_its_table_alone(subject: Subject) -> Iterator[HealthFinding]:
    """1700: several maps read one FinOps table."""
    way = Direction.FINOPS_TO_DATAVERSE
    readers = [
        other
        for other in subject.others
        if _same(subject.member, other, Side.FINOPS, way)
    ]
    if not readers:
        return
    overlapping = [r for r in readers if not _apart(subject.member, r, Side.FINOPS)]
    meant = all(_meant(subject.member, reader) for reader in overlapping)
    names = ", ".join(sorted(reader.definition.name for reader in readers))
    yield HealthFinding(
        "1700",
        Severity.INFO if meant else Severity.WARNING,
        f"{subject.definition.finops_table} is also read by {names}: each of its "
        f"changes is looked at for {len(readers) + 1} maps"
        f"{', of which several may carry it over' if overlapping else ''}.",
        subject.definition.finops_table,
        "Give the maps filters that exclude each other, or carry the columns in one "
        "map."
        if not meant
        else "",
    )


@check
def writes_its_rows_alone(subject: Subject) -> Iterator[HealthFinding]:
    """VMAP105: another map may write the same rows."""
    for direction in subject.directions:
        side = direction.target
        for other in subject.others:
            if not _same(subject.member, other, side, direction):
                continue
            if _apart(subject.member, other, side):
                continue
            if _same(subject.member, other, side.other, direction) and _apart(
                subject.member, other, side.other
            ):
                continue
            meant = _meant(subject.member, other)
            table = subject.definition.table(side)
            yield HealthFinding(
                "VMAP105",
                Severity.INFO if meant else Severity.WARNING,
                f"The map {other.definition.name} writes {table} too, and no filter "
                "keeps their rows apart: what one writes the other may overwrite"
                f"{'. The ready-made maps are meant so' if meant else ''}.",
                table,
                ""
                if meant
                else f"Give both maps filters on {table} that exclude each other, or "
                "delete one of them.",
            )


def _same(one: Member, other: Member, side: Side, direction: Direction) -> bool:
    """True when both have one table on `side` and flow in `direction`."""
    tables = {m.definition.table(side).casefold() for m in (one, other)}
    return len(tables) == 1 and all(m.definition.flows(direction) for m in (one, other))


def _apart(one: Member, other: Member, side: Side) -> bool:
    return exclude_each_other(
        filter_of(one.definition, side), filter_of(other.definition, side)
    )


def _meant(one: Member, other: Member) -> bool:
    return one.as_published and other.as_published
