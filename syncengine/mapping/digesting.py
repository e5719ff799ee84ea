"""From a slot's plan to the digest of its two values, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from syncengine.mapping.compiled import Slot
from syncengine.mapping.digests import HashedColumn, HashedPair, HashForm
from syncengine.mapping.rows import Plan
from syncengine.mapping.schema import ColumnType, TypeFamily
from syncengine.mapping.value_tables import ValueTable

_T = TypeFamily
_NUMBERS = frozenset({_T.INTEGER, _T.DECIMAL})
_MOMENTS = frozenset({_T.TIMESTAMP, _T.TIMESTAMPTZ})
_AS_TEXT = frozenset({_T.TEXT, _T.INTEGER, _T.DECIMAL, _T.UUID, _T.ENUM})
_OUT_OF_TEXT = frozenset({_T.TEXT, _T.INTEGER, _T.UUID, _T.ENUM, _T.DATE})
_WORDS: dict[tuple[TypeFamily, TypeFamily], dict[str, str]] = {
    (_T.BOOLEAN, _T.TEXT): {"t": "true", "f": "false"},
    (_T.BOOLEAN, _T.INTEGER): {"t": "1", "f": "0"},
    (_T.INTEGER, _T.BOOLEAN): {"1": "t", "0": "f"},
}


@dataclass(frozen=True, slots=True)
class ValueTypes:
    """The types between which a plan carries a value (of natural keys, not of
    references)."""

    given: ColumnType
    made: ColumnType


def hashed_pair(
    plan: Plan, slot: Slot, types: ValueTypes | None, *, key: bool
) -> HashedPair | None:
    """How source and target hash the slot's value; None where the source cannot by
    itself. A null in a `key` equals nothing."""
    if plan.parts:
        return _composite(plan, slot, key=key)
    if plan.source is None:
        if plan.default is None:
            return None
        constant = HashedColumn(HashForm.TEXT, (), default=plan.default)
        return HashedPair(constant, HashedColumn(HashForm.TEXT, (slot.path,)))
    if plan.convert is None or not isinstance(plan.convert, Mapping):
        made = _plain(plan.source, slot.path, types)
    else:
        made = _valued(plan.source, slot.path, plan.convert)
    if made is None:
        return None
    source = replace(made.source, default=plan.default, required=key)
    return HashedPair(source, made.target)


def _plain(source: str, target: str, types: ValueTypes | None) -> HashedPair | None:
    if types is None:
        return None
    have, want = types.given.family, types.made.family
    words = _WORDS.get((have, want))
    if words is not None:
        return _pair(HashForm.TEXT, source, target, words)
    form = _form(types.given, types.made)
    return None if form is None else _pair(form, source, target)


def _form(given: ColumnType, made: ColumnType) -> HashForm | None:
    have, want = given.family, made.family
    if have is want is _T.INTEGER:
        return HashForm.INTEGER
    if have in _NUMBERS and want in _NUMBERS:
        return HashForm.NUMBER
    if have is want is _T.BOOLEAN:
        return HashForm.BOOLEAN
    if have in _MOMENTS and want in _MOMENTS:
        return HashForm.MOMENT
    if have is _T.DATE and want in _MOMENTS:
        return HashForm.MOMENT
    if have is want is _T.FLOAT:
        return HashForm.TEXT if given == made else None
    if have is want and have is not _T.OTHER:
        return HashForm.TEXT
    if want is _T.TEXT and have in _AS_TEXT:
        return HashForm.TEXT
    if have is _T.TEXT and want in _OUT_OF_TEXT:
        return HashForm.TEXT
    return None


def _valued(
    source: str, target: str, table: Mapping[str, str | None]
) -> HashedPair | None:
    """A value map, or the linked companies."""
    if isinstance(table, ValueTable):
        if table.gives_null or table.has_otherwise:
            return None
        table = table.declared
    values = {key: value for key, value in table.items() if value is not None}
    return _pair(HashForm.TEXT, source, target, values)


def _composite(plan: Plan, slot: Slot, *, key: bool) -> HashedPair | None:
    """The parts of a composite natural key, where each is carried as it is."""
    if slot.lookup is None or len(slot.lookup.keys) != len(plan.parts):
        return None
    paths = [part.source for part in plan.parts]
    plain = all(
        part.convert is None and part.default is None and not part.parts
        for part in plan.parts
    )
    if not plain or plan.default is not None or None in paths:
        return None
    return HashedPair(
        HashedColumn(HashForm.TEXT, tuple(p for p in paths if p), required=key),
        HashedColumn(HashForm.TEXT, (slot.path,)),
    )


def _pair(
    form: HashForm, source: str, target: str, values: Mapping[str, str] | None = None
) -> HashedPair:
    return HashedPair(
        HashedColumn(form, (source,), values), HashedColumn(form, (target,))
    )
