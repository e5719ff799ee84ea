"""Guards: from which present values of a target column a result may be written.

A guard looks only at the result and at what the target holds now, so that writers can
decide for a whole set of rows at once. A record that is new is written in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from syncengine.mapping.schema import ColumnType, TypeFamily
from syncengine.mapping.truth import FALSE_WORDS, TRUE_WORDS

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOLD = str.maketrans(_UPPER, _UPPER.lower())
_WORDY = (TypeFamily.TEXT, TypeFamily.ENUM)

Values = frozenset[str | None]


@dataclass(frozen=True, slots=True)
class GuardRule:
    """One of `results` is written over one of `present` only or, when these are
    `kept`, over anything but them. Texts are folded; None is no value."""

    results: Values
    present: Values
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of a column of this type. All that have a result must allow it; one
    that none has is free."""

    type: ColumnType
    rules: tuple[GuardRule, ...]

    def allows(self, result: str | None, present: str | None) -> bool:
        """True when `result` may be written over `present`; canonical texts."""
        wanted, there = fold(self.type, result), fold(self.type, present)
        return all(
            (there in rule.present) is not rule.kept
            for rule in self.rules
            if wanted in rule.results
        )


def is_wordy(type_: ColumnType) -> bool:
    """True for types whose values are compared without regard to case and blanks
    around them; only the letters A to Z have a case here."""
    return type_.family in _WORDY


def fold(type_: ColumnType, value: str | None) -> str | None:
    """The value as guards compare it: on texts the empty one is no value."""
    if value is None or not is_wordy(type_):
        return value
    return value.strip(" ").translate(_FOLD) or None


def folded(type_: ColumnType, values: Iterable[str | None]) -> Values:
    """Values as guards compare them."""
    return frozenset(fold(type_, value) for value in values)


def sticky_rule(
    type_: ColumnType, values: Sequence[tuple[str, str, str | None]]
) -> GuardRule | None:
    """The rule that keeps a true where false or nothing would be written; None where
    it cannot be told what true and false are.

    `values` are the pairs of a value map, as written for the source and the target,
    with the canonical text for the target; without any, the type itself must tell.
    """
    yes: set[str | None] = set()
    no: set[str | None] = {None}
    for source, target, text in values:
        meaning = _meaning(source, target)
        if meaning is not None:
            (yes if meaning else no).add(text)
    if not values:
        words = _words(type_)
        yes |= words[0]
        no |= words[1]
    if not yes or len(no) < 2:
        return None
    return GuardRule(folded(type_, no), folded(type_, yes), kept=True)


def _meaning(source: str, target: str) -> bool | None:
    """What a pair of a value map means: words tell more than digits."""
    texts = [text.strip().casefold() for text in (source, target)]
    for text in sorted(texts, key=str.isdigit):
        if text in TRUE_WORDS:
            return True
        if text in FALSE_WORDS:
            return False
    return None


def _words(type_: ColumnType) -> tuple[set[str], set[str]]:
    match type_.family:
        case TypeFamily.BOOLEAN:
            return {"t"}, {"f"}
        case TypeFamily.INTEGER:
            return {"1"}, {"0"}
        case TypeFamily.TEXT:
            return set(TRUE_WORDS), set(FALSE_WORDS)
        case TypeFamily.ENUM:
            labels = {label.casefold(): label for label in type_.labels}
            return (
                {labels[word] for word in TRUE_WORDS & labels.keys()},
                {labels[word] for word in FALSE_WORDS & labels.keys()},
            )
    return set(), set()
