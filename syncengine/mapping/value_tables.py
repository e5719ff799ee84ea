"""Value maps and decision tables over canonical texts, ready for rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from syncengine.errors import RecordError
from syncengine.mapping.decisions import DecisionTable
from syncengine.mapping.numbers import shown
from syncengine.mapping.schema import Column, ColumnType, TypeFamily
from syncengine.mapping.types import Conversion, equal, parse_literal

BLANK = "blank"
"""How administrators write no value: a null, and on texts also the empty one."""

_REMEMBERED = 10_000

Decide = Callable[[tuple[str | None, ...]], str | None]


def is_blank(text: str, type_: ColumnType) -> bool:
    """True when `text` is the word for no value, not a label of that name."""
    if text.strip().casefold() != BLANK:
        return False
    return all(label.casefold() != BLANK for label in type_.labels)


def read_value(text: str, type_: ColumnType) -> str | None:
    """Canonical text of what an administrator wrote; None where it means no value.

    RecordError `conversion_failed` says why it cannot stand in such a column.
    """
    return None if is_blank(text, type_) else parse_literal(text, type_)


def written_blank(column: Column) -> str | None:
    """What is written into `column` for no value: null or, where it takes none, an
    empty text. RecordError `conversion_failed` where it takes neither."""
    if column.nullable:
        return None
    if column.type.family is TypeFamily.TEXT:
        return ""
    raise RecordError(
        f"{column.name} takes no null, so {BLANK} cannot be written.",
        code="conversion_failed",
        value=BLANK,
    )


def spellings(value: str | None, type_: ColumnType) -> tuple[str | None, ...]:
    """All canonical texts a source may hold for `value`: no value has several."""
    if value is not None or type_.family is not TypeFamily.TEXT:
        return (value,)
    return (None, "", BLANK)


class ValueTable(dict[str, str | None]):
    """A value map over canonical texts: exact, else the same value spelled otherwise
    (case, trailing zeros), else what `otherwise` makes of it, else RecordError
    `value_not_in_map`. A null of the source is not looked up here: where the map
    `takes_null`, it stands for `when_null`. Some values may stand for null
    (`gives_null`)."""

    def __init__(
        self,
        values: Mapping[str | None, str | None],
        type_: ColumnType,
        otherwise: Conversion | None = None,
    ) -> None:
        declared = {key: value for key, value in values.items() if key is not None}
        self.when_null = values.get(None)
        self.takes_null = None in values
        self.gives_null = None in values.values()
        if self.takes_null:
            for key in spellings(None, type_):
                if key is not None and key not in declared:
                    declared[key] = self.when_null
        super().__init__(declared)
        self._declared = declared
        self._type = type_
        self._otherwise = otherwise
        self._folded: dict[str, str | None] = {}
        for key, value in declared.items():
            self._folded.setdefault(_fold(key), value)

    @property
    def declared(self) -> Mapping[str, str | None]:
        """The values of the map itself, in its own spelling."""
        return self._declared

    @property
    def has_otherwise(self) -> bool:
        """True when values that are not in the map are carried as well."""
        return self._otherwise is not None

    def __missing__(self, key: str) -> str | None:
        found = self._find(key)
        if len(self) < _REMEMBERED:
            self[key] = found
        return found

    def _find(self, key: str) -> str | None:
        folded = _fold(key)
        if folded in self._folded:
            return self._folded[folded]
        for known, value in self._declared.items():
            if equal(self._type, known, key):
                return value
        if self._otherwise is not None:
            return self._otherwise(key)
        raise RecordError(
            f"The value {shown(key)} is not in the value map.",
            code="value_not_in_map",
            value=key,
        )


def _fold(text: str) -> str:
    return text.strip().casefold()


def read_conditions(
    table: DecisionTable, types: Sequence[ColumnType]
) -> list[tuple[frozenset[str | None] | None, ...]]:
    """The conditions of each rule as canonical texts; None for one that always holds.
    Raises RecordError naming what its column cannot hold."""
    return [
        tuple(
            frozenset(
                spelled
                for text in condition
                for spelled in spellings(read_value(text, type_), type_)
            )
            if condition
            else None
            for condition, type_ in zip(rule.when, types, strict=True)
        )
        for rule in table.rules
    ]


class Decisions:
    """A decision table over canonical texts, called with the values of its sources.

    `results` has one canonical text for each rule. Where no rule applies, `default`
    is given; without one RecordError `no_rule_matches` names the values.
    """

    def __init__(
        self,
        table: DecisionTable,
        types: Sequence[ColumnType],
        results: Sequence[str | None],
        default: str | None,
    ) -> None:
        self._sources = table.sources
        self._types = tuple(types)
        self._rules = list(zip(read_conditions(table, types), results, strict=True))
        self._default = default
        self._known: dict[tuple[str | None, ...], str | None] = {}

    def __call__(self, values: tuple[str | None, ...]) -> str | None:
        """The result for these values."""
        if values in self._known:
            return self._known[values]
        result = self._decide(values)
        if len(self._known) < _REMEMBERED:
            self._known[values] = result
        return result

    def _decide(self, values: tuple[str | None, ...]) -> str | None:
        for conditions, result in self._rules:
            if all(
                condition is None or _holds(type_, condition, value)
                for condition, type_, value in zip(
                    conditions, self._types, values, strict=True
                )
            ):
                return result
        if self._default is not None:
            return self._default
        given = ", ".join(
            f"{source} {'blank' if value is None else shown(value)}"
            for source, value in zip(self._sources, values, strict=True)
        )
        raise RecordError(
            f"No rule of the decision table applies to {given}.",
            code="no_rule_matches",
            value=" / ".join(value or "" for value in values),
        )


def _holds(
    type_: ColumnType, condition: frozenset[str | None], value: str | None
) -> bool:
    if value in condition:
        return True
    if value is None:
        return False
    folded = _fold(value)
    return any(
        known is not None and (_fold(known) == folded or equal(type_, known, value))
        for known in condition
    )
