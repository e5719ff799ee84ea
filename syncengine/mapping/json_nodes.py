"""Reads a JSON document strictly and collects what is wrong and what is left over,
each with its place (`legs[0].fieldMappings[3].syncDirection`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from syncengine.mapping.nodes import FileError, FileProblem

_SHOWN = 200
_BOOLEANS = {True: "True", False: "False"}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A part of a document that is not carried over: where it stands, its value as
    text, and why."""

    place: str
    value: str
    reason: str


class Number(str):
    """A number as the document spells it, so that 1.0 stays 1.0."""

    __slots__ = ()


class JsonObject(dict[str, Any]):
    """An object that remembers which names it gave more than once."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = Counter(name for name, _ in pairs)
        self.twice = {name for name, number in names.items() if number > 1}


def load_json(text: str, place: str = "") -> Any:
    """The value of a JSON text; FileError when it is none."""
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=JsonObject,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        line = error.lineno
        problem = FileProblem(place, f"This is not JSON: {error.msg}.", line)
    except _ConstantError as error:
        problem = FileProblem(place, f"This is not JSON: {error} is no number.")
    except RecursionError:
        problem = FileProblem(place, "This is nested too deeply.")
    raise FileError([problem])


class _ConstantError(ValueError):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def has_content(value: Any) -> bool:
    """False for what says nothing: null, false, and empty texts, lists, objects."""
    return value is not None and value is not False and (value == 0 or bool(value))


def shown(value: Any) -> str:
    """A value as short text."""
    if isinstance(value, str):
        text = str(value)
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            text = "..."
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class JsonReader:
    """Takes a document apart. Nothing raises before `finish`; what cannot be read is
    noted and replaced by an empty value."""

    def __init__(self) -> None:
        self.problems: list[FileProblem] = []
        self.leftovers: list[Leftover] = []

    def problem(self, place: str, message: str) -> None:
        """Note a mistake."""
        self.problems.append(FileProblem(place, message))

    def leftover(self, place: str, value: Any, reason: str) -> None:
        """Note what is not carried over."""
        self.leftovers.append(Leftover(place, shown(value), reason))

    def finish(self) -> None:
        """Raise FileError if anything was wrong."""
        if self.problems:
            raise FileError(self.problems)

    def object(self, value: Any, place: str) -> Members:
        """The members of an object; none, noted, when it is something else."""
        if not isinstance(value, JsonObject):
            self.problem(place, "An object { } is expected here.")
            value = JsonObject([])
        for name in sorted(value.twice):
            self.problem(_join(place, name), "Given twice.")
        return Members(self, value, place)

    def items(self, value: Any, place: str) -> Iterator[tuple[Any, str]]:
        """The entries of a list, each with its place; none for null."""
        if value is None:
            return
        if not isinstance(value, list):
            self.problem(place, "A list [ ] is expected here.")
            return
        for i, entry in enumerate(value):
            yield entry, f"{place}[{i}]"

    def text(self, value: Any, place: str) -> str:
        """A single value as text; empty for null."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return _BOOLEANS[value]
        if not isinstance(value, str):
            self.problem(place, "A single value is expected here.")
            return ""
        text = str(value)
        if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
            self.problem(place, "The text holds a character that no database keeps.")
            return ""
        return text


class Members:
    """The members of one object. Those nobody takes are left over."""

    def __init__(self, reader: JsonReader, value: JsonObject, place: str) -> None:
        self._reader, self._value, self.place = reader, value, place
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def names(self) -> tuple[str, ...]:
        """The names of all members, in their order."""
        return tuple(self._value)

    def at(self, name: str) -> str:
        """The place of a member."""
        return _join(self.place, name)

    def take(self, name: str) -> Any:
        """The raw value of a member; None when absent."""
        self._taken.add(name)
        return self._value.get(name)

    def text(self, *names: str) -> str:
        """The first of these members that is not empty, as text."""
        found = ""
        for name in names:
            found = found or self._reader.text(self.take(name), self.at(name))
        return found

    def flag(self, name: str) -> bool:
        """A member that is true or false; false when absent."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            self._reader.problem(self.at(name), "true or false is expected here.")
        return value is True

    def object(self, name: str) -> Members:
        """The members of a member that is an object; none when absent."""
        value = self.take(name)
        empty = JsonObject([])
        return self._reader.object(empty if value is None else value, self.at(name))

    def items(self, name: str) -> Iterator[tuple[Any, str]]:
        """The entries of a member that is a list."""
        return self._reader.items(self.take(name), self.at(name))

    def leave(self, reason: str, *names: str) -> None:
        """Note these members as left over where they say something; without names,
        all that nobody took, but for what a serializer notes for itself (`$type`)."""
        rest = [n for n in self._value if n not in self._taken and n[:1] != "$"]
        for name in names or rest:
            value = self.take(name)
            if has_content(value):
                self._reader.leftover(self.at(name), value, reason)


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
