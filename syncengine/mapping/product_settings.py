"""Reads what only our own files say about a map (`dualWritePortal`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from syncengine.mapping.json_nodes import JsonReader, Members
from syncengine.mapping.model import (
    ConflictPolicy,
    Direction,
    KeyPair,
    LookupDeclaration,
    MapExample,
    OnError,
    OnFilterExit,
    Side,
    Values,
)
from syncengine.mapping.product_columns import read_pair

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True)
class Settings:
    """Key, policies and declared lookups; as usual where nothing is said."""

    key: tuple[KeyPair, ...]
    conflict: ConflictPolicy
    on_error: OnError
    on_filter_exit: OnFilterExit
    lookups: tuple[LookupDeclaration, ...]
    examples: tuple[MapExample, ...] = ()


def read_settings(reader: JsonReader, ours: Members) -> Settings:
    """What stands there; unknown members are left over."""
    made = Settings(
        key=tuple(
            KeyPair(*read_pair(reader, entry, place))
            for entry, place in ours.items("key")
        ),
        conflict=_choice(reader, ours, "conflict", ConflictPolicy.LAST_WRITER_WINS),
        on_error=_choice(reader, ours, "onError", OnError.TRANSACTION),
        on_filter_exit=_choice(reader, ours, "onFilterExit", OnFilterExit.LEAVE),
        lookups=tuple(
            _lookup(reader, entry, place) for entry, place in ours.items("lookups")
        ),
        examples=tuple(
            _example(reader, entry, place) for entry, place in ours.items("examples")
        ),
    )
    ours.leave("Unknown to the portal.")
    return made


def _choice(
    reader: JsonReader, members: Members, name: str, default: _Choice
) -> _Choice:
    text = members.text(name)
    kind = type(default)
    for choice in kind:
        if choice.value == text:
            return choice
    if text:
        allowed = ", ".join(choice.value for choice in kind)
        reader.problem(members.at(name), f"{text} is not one of {allowed}.")
    return default


def _example(reader: JsonReader, value: Any, place: str) -> MapExample:
    members = reader.object(value, place)
    made = MapExample(
        members.text("name"),
        _choice(reader, members, "direction", Direction.FINOPS_TO_DATAVERSE),
        _values(members, "given"),
        _values(members, "expect"),
        members.text("fails"),
        members.flag("left_out"),
    )
    members.leave("Unknown to the portal.")
    return made


def _values(members: Members, name: str) -> Values:
    if name not in members:
        return ()
    found = members.object(name)
    return tuple((path, _value(found, path)) for path in found.names())


def _value(members: Members, path: str) -> str | None:
    value = members.take(path)
    return None if value is None else str(value)


def _lookup(reader: JsonReader, value: Any, place: str) -> LookupDeclaration:
    members = reader.object(value, place)
    made = LookupDeclaration(
        _choice(reader, members, "side", Side.DATAVERSE),
        members.text("column"),
        members.text("table"),
        members.text("reference"),
    )
    for name in ("column", "table", "reference"):
        if name not in members:
            reader.problem(members.at(name), "Missing.")
    members.leave("Unknown to the portal.")
    return made
