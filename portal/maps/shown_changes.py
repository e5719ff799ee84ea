"""A comparison of two versions in the words of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal.maps.models import (
    ColumnMapTypeChoices,
    ConflictPolicyChoices,
    OnErrorChoices,
    OnFilterExitChoices,
)
from syncengine.mapping.comparison import (
    Change,
    ChangeKind,
    ColumnChange,
    MapComparison,
)

FEW_LINES = 6
"""What a column says in more lines is folded up."""

WORDS = {
    "finops_table": "Table in finance and operations",
    "dataverse_table": "Table in Dataverse",
    "finops_filter": "Filter on FinOps rows",
    "dataverse_filter": "Filter on Dataverse rows",
    "conflict": "When both sides change a column",
    "on_error": "A refused record holds back",
    "on_filter_exit": "A row that stops matching",
    "key": "Integration key",
    "lookups": "Declared lookup",
    "examples": "Example",
    "type": "Map",
    "value_map": "Shared value map",
}
_CHOICES = {
    "conflict": dict(ConflictPolicyChoices.choices),
    "on_error": dict(OnErrorChoices.choices),
    "on_filter_exit": dict(OnFilterExitChoices.choices),
    "type": dict(ColumnMapTypeChoices.choices),
}


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One thing with its text in both versions; None where it is not."""

    name: str
    before: str | None
    after: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column map that differs, with what differs in it line by line."""

    kind: str
    finops: str
    dataverse: str
    lines: Sequence[ShownLine]

    @property
    def folded(self) -> bool:
        """True when it is too long to be read at once."""
        return len(self.lines) > FEW_LINES


@dataclass(frozen=True, slots=True)
class ShownComparison:
    """All that differs; `summary` is one sentence."""

    summary: str
    lines: Sequence[ShownLine]
    columns: Sequence[ShownColumn]

    @property
    def equal(self) -> bool:
        """True when nothing differs."""
        return not (self.lines or self.columns)


def shown(found: MapComparison) -> ShownComparison:
    """The comparison for a page. That the version numbers differ is no news there."""
    changes = (*found.settings, *found.entries)
    lines = [
        _line(change) for change in changes if change.name not in _NAMES_OF_THE_VERSION
    ]
    lines += [
        ShownLine(f"Order of {_word(name).lower()}s", "", "changed", ChangeKind.CHANGED)
        for name in found.reordered
    ]
    columns = [_column(change) for change in found.columns]
    return ShownComparison(_summary(lines, columns), lines, columns)


_NAMES_OF_THE_VERSION = ("version", "publisher")


def _summary(lines: Sequence[ShownLine], columns: Sequence[ShownColumn]) -> str:
    counts = [
        (sum(column.kind == kind for column in columns), kind.value)
        for kind in ChangeKind
    ]
    told = [
        f"{count} column{'' if count == 1 else 's'} {kind}"
        for count, kind in counts
        if count
    ]
    if lines:
        count = len(lines)
        told.append(f"{count} other difference{'' if count == 1 else 's'}")
    return f"{', '.join(told)}." if told else "Nothing differs but the number."


def _word(name: str) -> str:
    return WORDS.get(name, name.replace("_", " ").capitalize())


def _line(change: Change) -> ShownLine:
    choices = _CHOICES.get(change.name, {})
    texts = [
        None if text is None else choices.get(text, text)
        for text in (change.before, change.after)
    ]
    return ShownLine(_word(change.name), texts[0], texts[1], change.kind.value)


def _column(change: ColumnChange) -> ShownColumn:
    line = change.before or change.after
    return ShownColumn(
        kind=change.kind.value,
        finops=(line and line.finops) or "none",
        dataverse=(line and line.dataverse) or "none",
        lines=list(_column_lines(change)),
    )


def _column_lines(change: ColumnChange) -> Iterator[ShownLine]:
    yield from (_line(each) for each in change.settings)
    for pair in change.pairs:
        kind = pair.kind.value
        yield ShownLine(f"Value {pair.name}", pair.before, pair.after, kind)
    if change.reordered:
        yield ShownLine("Order of values", "", "changed", ChangeKind.CHANGED)
