"""What differs between two definitions of a map (pure).

Every field of a map and of a line takes part, whatever its name: single values as
settings, lists as entries, the pairs of a value map one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, TypeVar

from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.model import ColumnMap, KeyPair, LookupDeclaration, TableMap

_NONE = "none"
_NO_PAIRS = "no pairs"
_OF_THEIR_OWN = ("finops", "dataverse", "values")
_Item = TypeVar("_Item")


class ChangeKind(StrEnum):
    """What happened to a part of a map."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One part under its name, as text before and after; None where it was not."""

    name: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> ChangeKind:
        """Added, removed or changed."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.CHANGED


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One line of a map, told by its two columns. `settings` are what changed in it
    (of an added or removed one all that it says) but for the pairs of its value map,
    which are `pairs`, named by their FinOps value; `reordered` when those that stay
    stand in another order."""

    before: ColumnMap | None
    after: ColumnMap | None
    settings: tuple[Change, ...] = ()
    pairs: tuple[Change, ...] = ()
    reordered: bool = False

    @property
    def kind(self) -> ChangeKind:
        """Added, removed or changed."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.CHANGED

    @property
    def name(self) -> str:
        """The line as it was, `hold >< onhold`; an added one as it is."""
        line = self.before or self.after
        return line_text(line) if line else ""


@dataclass(frozen=True, slots=True)
class MapComparison:
    """All that differs. `settings` are single values by the name of their field;
    `entries` what was added to or removed from the lists `key`, `lookups` and so on;
    `reordered` the lists whose common entries stand in another order."""

    settings: tuple[Change, ...] = ()
    entries: tuple[Change, ...] = ()
    columns: tuple[ColumnChange, ...] = ()
    reordered: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """True when nothing differs."""
        return not (self.settings or self.entries or self.columns or self.reordered)

    def lines(self) -> list[str]:
        """A line each, like `version: 1.0.0.0 -> 1.0.0.1`."""
        lines = [change_text(change) for change in self.settings]
        lines += [
            f"{change.name} {change.before or change.after} {change.kind}"
            for change in self.entries
        ]
        for kind in ChangeKind:
            lines += [_column_line(one) for one in self.columns if one.kind is kind]
        return lines + [f"order of {name} changed" for name in self.reordered]


def compare_maps(before: TableMap, after: TableMap) -> MapComparison:
    """What differs; nothing exactly when both are equal."""
    settings: list[Change] = []
    entries: list[Change] = []
    reordered: list[str] = []
    columns: tuple[ColumnChange, ...] = ()
    for each in fields(TableMap):
        old, new = getattr(before, each.name), getattr(after, each.name)
        if old == new:
            continue
        if each.name == "columns":
            columns = _column_changes(old, new)
            moved = _moved(_ends(old), _ends(new))
        elif isinstance(old, tuple) and isinstance(new, tuple):
            entries += _entry_changes(each.name, old, new)
            moved = _moved(old, new)
        else:
            settings.append(Change(each.name, _text(old) or None, _text(new) or None))
            continue
        reordered += [each.name] if moved else []
    return MapComparison(tuple(settings), tuple(entries), columns, tuple(reordered))


def _ends(lines: Sequence[ColumnMap]) -> list[tuple[str | None, str | None]]:
    return [(line.finops, line.dataverse) for line in lines]


def _column_changes(
    old: Sequence[ColumnMap], new: Sequence[ColumnMap]
) -> tuple[ColumnChange, ...]:
    """In the order of `new`, what was removed at its former place."""
    before = _numbered(_ends(old), old)
    after = _numbered(_ends(new), new)
    found: list[tuple[int, int, ColumnChange]] = []
    for place, (ends, line) in enumerate(after.items()):
        former = before.get(ends)
        if former is None:
            found.append((place, 1, _column_change(None, line)))
        elif former != line:
            found.append((place, 1, _column_change(former, line)))
    found += [
        (place, 0, _column_change(line, None))
        for place, (ends, line) in enumerate(before.items())
        if ends not in after
    ]
    return tuple(change for *_, change in sorted(found, key=lambda each: each[:2]))


def _column_change(before: ColumnMap | None, after: ColumnMap | None) -> ColumnChange:
    settings: list[Change] = []
    for each in fields(ColumnMap):
        old, new = (getattr(line, each.name, None) for line in (before, after))
        if old == new or each.name in _OF_THEIR_OWN:
            continue
        if each.name == "decision":
            settings += _decision_changes(old, new)
        elif (texts := (_text(old), _text(new))) != (None, None):
            settings.append(Change(each.name, *texts))
    mapped = [line.values if line else None for line in (before, after)]
    old, new = mapped[0] or (), mapped[1] or ()
    if mapped[0] != mapped[1] and old == new:
        none = [None if values is None else _NO_PAIRS for values in mapped]
        settings.append(Change("values", *none))
    return ColumnChange(
        before, after, tuple(settings), _pair_changes(old, new), _moved(old, new)
    )


def _decision_changes(
    old: DecisionTable | None, new: DecisionTable | None
) -> list[Change]:
    """The sources, and the rules that are new, gone or replaced, by number."""
    sources = [", ".join(table.sources) if table else None for table in (old, new)]
    changes = []
    if (old and old.sources) != (new and new.sources):
        changes.append(Change("decides by", *sources))
    before, after = old.rules if old else (), new.rules if new else ()
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for step, start, end, new_start, new_end in steps:
        if step == "equal":
            continue
        for place in range(max(end - start, new_end - new_start)):
            gone = before[start + place] if start + place < end else None
            made = after[new_start + place] if new_start + place < new_end else None
            number = (new_start if made else start) + place + 1
            changes.append(
                Change(
                    f"rule {number}",
                    _rule_text(old, gone) if old and gone else None,
                    _rule_text(new, made) if new and made else None,
                )
            )
    return changes


def _rule_text(table: DecisionTable, rule: DecisionRule) -> str:
    asked = [
        f"{path} = {' or '.join(values)}"
        for path, values in zip(table.sources, rule.when, strict=False)
        if values != ALWAYS
    ]
    text = f"{' and '.join(asked) or 'always'}: {rule.then}"
    if rule.present is not None:
        text += f", over {' or '.join(rule.present) or 'nothing'}"
    return text


def _pair_changes(
    old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]
) -> tuple[Change, ...]:
    before = _numbered([left for left, _ in old], [right for _, right in old])
    after = _numbered([left for left, _ in new], [right for _, right in new])
    return tuple(
        Change(name[0], before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )


def _entry_changes(name: str, old: Sequence[Any], new: Sequence[Any]) -> list[Change]:
    removed, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
    return [
        *(Change(name, entry_text(entry), None) for entry in removed.elements()),
        *(Change(name, None, entry_text(entry)) for entry in added.elements()),
    ]


def _numbered(
    names: Sequence[Hashable], items: Sequence[_Item]
) -> dict[tuple[Any, int], _Item]:
    """Items by name, and by number where a name comes more than once."""
    seen: Counter[Hashable] = Counter()
    found: dict[tuple[Any, int], _Item] = {}
    for name, item in zip(names, items, strict=True):
        seen[name] += 1
        found[name, seen[name]] = item
    return found


def _moved(old: Sequence[Hashable], new: Sequence[Hashable]) -> bool:
    """Whether what both have stands in another order."""
    kept = Counter(old) & Counter(new)
    return _only(old, kept) != _only(new, kept)


def _only(names: Sequence[Hashable], kept: Counter[Hashable]) -> list[Hashable]:
    left, found = Counter(kept), []
    for name in names:
        if left[name] > 0:
            left[name] -= 1
            found.append(name)
    return found


def _text(value: object) -> str | None:
    """A value as a person reads it; None when it says nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else None
    if isinstance(value, tuple):
        return ", ".join(entry_text(entry) for entry in value)
    return entry_text(value) if is_dataclass(value) else str(value)


def entry_text(entry: Any) -> str:
    """One entry of a list: a key pair, a declared lookup, or whatever it is."""
    if isinstance(entry, KeyPair):
        return f"{entry.finops} = {entry.dataverse}"
    if isinstance(entry, LookupDeclaration):
        return f"{entry.side} {entry.column} -> {entry.table}.{entry.reference}"
    if is_dataclass(entry):
        said = [(each.name, _text(getattr(entry, each.name))) for each in fields(entry)]
        return ", ".join(f"{name} {text}" for name, text in said if text)
    return _text(entry) or _NONE


def line_text(line: ColumnMap) -> str:
    """A line as `finops symbol dataverse`."""
    return f"{line.finops or _NONE} {line.type.value} {line.dataverse or _NONE}"


def change_text(change: Change) -> str:
    """`name: before -> after`."""
    return f"{change.name}: {_shown(change.before)} -> {_shown(change.after)}"


def _shown(text: str | None) -> str:
    return _NONE if text is None else text or "empty text"


def _column_line(change: ColumnChange) -> str:
    if change.kind is not ChangeKind.CHANGED:
        return f"column {change.name} {change.kind}"
    parts = [change_text(each) for each in change.settings]
    if change.pairs:
        counts = Counter(pair.kind for pair in change.pairs)
        told = [f"{counts[kind]} {kind}" for kind in ChangeKind if counts[kind]]
        parts.append(f"value map: {', '.join(told)}")
    if change.reordered:
        parts.append("order of values")
    return f"column {change.name} changed: {', '.join(parts)}"
