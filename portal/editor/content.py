"""A draft as a frozen value, and what can be changed in it (pure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portal.refusals import NotFound
from syncengine.mapping.definition_json import definition_from_json, definition_to_json
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    KeyPair,
    LookupDeclaration,
    Side,
    TableMap,
)

PLAIN_OF = {
    ColumnMapType.BOTH_TRANSFORM: ColumnMapType.BOTH,
    ColumnMapType.TO_DATAVERSE_TRANSFORM: ColumnMapType.TO_DATAVERSE,
    ColumnMapType.TO_FINOPS_TRANSFORM: ColumnMapType.TO_FINOPS,
}
TRANSFORM_OF = {plain: doubled for doubled, plain in PLAIN_OF.items()}


@dataclass(frozen=True)
class Draft:
    """A definition that may be unfinished, with a number for each of its lines that
    stays the line's own wherever it is moved."""

    definition: TableMap
    ids: tuple[int, ...]
    next_id: int

    @property
    def lines(self) -> list[tuple[int, ColumnMap]]:
        """The lines with their numbers."""
        return list(zip(self.ids, self.definition.columns, strict=True))

    def place(self, line_id: int) -> int:
        """Where the line stands. Raises NotFound when it is there no more."""
        if line_id not in self.ids:
            raise NotFound("This line is not in the draft any more.")
        return self.ids.index(line_id)

    def line(self, line_id: int) -> ColumnMap:
        """The line of that number."""
        return self.definition.columns[self.place(line_id)]

    def is_key(self, line: ColumnMap) -> bool:
        """True when the line carries a part of the integration key."""
        return any(_is_pair(line, pair) for pair in self.definition.key)


Edit = Callable[[Draft], Draft]


def draft_of(definition: TableMap) -> Draft:
    """A new draft that says what `definition` says. Parts of the key that no line
    carries get one, since they are carried over too."""
    missing = tuple(
        ColumnMap(pair.finops, pair.dataverse, ColumnMapType.BOTH)
        for pair in definition.key
        if not any(_is_pair(line, pair) for line in definition.columns)
    )
    definition = replace(definition, columns=(*missing, *definition.columns))
    count = len(definition.columns)
    return Draft(definition, tuple(range(1, count + 1)), count + 1)


def to_json(draft: Draft) -> dict[str, Any]:
    """The draft as plain data."""
    return {
        "map": definition_to_json(draft.definition),
        "ids": list(draft.ids),
        "next": draft.next_id,
    }


def from_json(document: dict[str, Any]) -> Draft:
    """The draft that `to_json` made."""
    definition = definition_from_json(document["map"])
    return Draft(definition, tuple(document["ids"]), document["next"])


def _with_lines(
    draft: Draft, lines: Sequence[tuple[int, ColumnMap]], next_id: int | None = None
) -> Draft:
    return Draft(
        replace(draft.definition, columns=tuple(line for _, line in lines)),
        tuple(number for number, _ in lines),
        next_id or draft.next_id,
    )


def add_line(line: ColumnMap, after: int | None = None) -> Edit:
    """Add a line behind another, or at the end."""

    def edit(draft: Draft) -> Draft:
        lines = draft.lines
        place = len(lines) if after is None else draft.place(after) + 1
        lines.insert(place, (draft.next_id, line))
        return _with_lines(draft, lines, draft.next_id + 1)

    return edit


def remove_line(line_id: int) -> Edit:
    """Take a line away, and with it its part of the key."""

    def edit(draft: Draft) -> Draft:
        gone = draft.line(line_id)
        lines = [each for each in draft.lines if each[0] != line_id]
        left = _with_lines(draft, lines)
        key = tuple(p for p in draft.definition.key if not _is_pair(gone, p))
        return replace(left, definition=replace(left.definition, key=key))

    return edit


def move_line(line_id: int, place: int) -> Edit:
    """Put a line to a place, counted from 0 among the others."""

    def edit(draft: Draft) -> Draft:
        lines = draft.lines
        moved = lines.pop(draft.place(line_id))
        lines.insert(max(place, 0), moved)
        return _with_lines(draft, lines)

    return edit


def change_line(line_id: int, line: ColumnMap, *, key: bool | None = None) -> Edit:
    """Put another line in the place of one. Its part of the key follows its columns;
    `key` says whether it is to be one."""

    def edit(draft: Draft) -> Draft:
        before = draft.line(line_id)
        is_key = draft.is_key(before) if key is None else key
        lines = [(n, line if n == line_id else each) for n, each in draft.lines]
        changed = _with_lines(draft, lines)
        pairs = _key_after(draft.definition.key, before, line, is_key)
        return replace(changed, definition=replace(changed.definition, key=pairs))

    return edit


def _key_after(
    key: tuple[KeyPair, ...], before: ColumnMap, after: ColumnMap, is_key: bool
) -> tuple[KeyPair, ...]:
    pair = KeyPair(after.finops or "", after.dataverse or "")
    if not is_key:
        return tuple(each for each in key if not _is_pair(before, each))
    if any(_is_pair(before, each) for each in key):
        return tuple(pair if _is_pair(before, each) else each for each in key)
    return (*key, pair)


def _is_pair(line: ColumnMap, pair: KeyPair) -> bool:
    return all(
        (line.on(side) or "").casefold() == pair.on(side).casefold() for side in Side
    )


def move_key(number: int, by: int) -> Edit:
    """Move a part of the key to the front or to the back."""

    def edit(draft: Draft) -> Draft:
        key = list(draft.definition.key)
        if not 0 <= number < len(key):
            raise NotFound("This part of the key is not there any more.")
        pair = key.pop(number)
        key.insert(max(number + by, 0), pair)
        return replace(draft, definition=replace(draft.definition, key=tuple(key)))

    return edit


def remove_key(number: int) -> Edit:
    """Take a part out of the key; the line that carries it stays."""

    def edit(draft: Draft) -> Draft:
        key = draft.definition.key
        if not 0 <= number < len(key):
            raise NotFound("This part of the key is not there any more.")
        left = key[:number] + key[number + 1 :]
        return replace(draft, definition=replace(draft.definition, key=left))

    return edit


def set_values(**values: Any) -> Edit:
    """Change settings and filters of the map as a whole, by the names of their
    fields."""

    def edit(draft: Draft) -> Draft:
        return replace(draft, definition=replace(draft.definition, **values))

    return edit


def declare_lookup(lookup: LookupDeclaration) -> Edit:
    """Say where a column refers to; an earlier declaration of the same is replaced."""

    def edit(draft: Draft) -> Draft:
        left = [
            each
            for each in draft.definition.lookups
            if (each.side, each.column.casefold(), each.table.casefold())
            != (lookup.side, lookup.column.casefold(), lookup.table.casefold())
        ]
        return set_values(lookups=(*left, lookup))(draft)

    return edit


def forget_lookup(number: int) -> Edit:
    """Take a declaration back."""

    def edit(draft: Draft) -> Draft:
        lookups = draft.definition.lookups
        if not 0 <= number < len(lookups):
            raise NotFound("This declaration is not there any more.")
        return set_values(lookups=lookups[:number] + lookups[number + 1 :])(draft)

    return edit


def replace_all(definition: TableMap) -> Edit:
    """Put another definition in the place of the draft's. Lines that stay the same
    keep their numbers."""

    def edit(draft: Draft) -> Draft:
        known = {line: number for number, line in draft.lines}
        ids, next_id = [], draft.next_id
        wanted = draft_of(definition).definition
        for line in wanted.columns:
            number = known.pop(line, None)
            if number is None:
                number, next_id = next_id, next_id + 1
            ids.append(number)
        return Draft(wanted, tuple(ids), next_id)

    return edit


def with_symbol(before: ColumnMap, after: ColumnMap) -> ColumnMap:
    """The line with a doubled symbol once it got a transform, and the plain one again
    when it lost it."""
    had, has = _transforms(before), _transforms(after)
    if has and not had:
        return replace(after, type=TRANSFORM_OF.get(after.type, after.type))
    if had and not has:
        return replace(after, type=PLAIN_OF.get(after.type, after.type))
    return after


def _transforms(line: ColumnMap) -> bool:
    return line.computed or line.values is not None or line.default is not None
