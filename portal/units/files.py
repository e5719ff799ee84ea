"""A unit as a JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portal.refusals import Refusal
from syncengine.atomic import UnitRecord
from syncengine.connectors.branch import WriteKind
from syncengine.mapping.model import Side

KNOWN = {"side", "kind", "table", "key", "values", "carry"}


def read_unit(given: Any) -> tuple[str, list[UnitRecord]]:
    """The unit's id and records. `{"unit": ..., "records": [{"side", "kind", "table",
    "key", "values", "carry"}]}`; `carry` is true where it is left out."""
    if not isinstance(given, Mapping) or not isinstance(given.get("records"), list):
        raise _bad("A unit is an object with 'unit' and a list 'records'.")
    records = [
        _record(number, one) for number, one in enumerate(given["records"], start=1)
    ]
    return str(given.get("unit", "")), records


def _record(number: int, given: Any) -> UnitRecord:
    if not isinstance(given, Mapping):
        raise _bad(f"Record {number} is not an object.")
    if strange := sorted(set(given) - KNOWN):
        raise _bad(f"Record {number} has unknown parts: {', '.join(strange)}.")
    try:
        side, kind = Side(given.get("side")), WriteKind(given.get("kind"))
    except ValueError as error:
        raise _bad(f"Record {number}: {error}.") from error
    key = _texts(number, "key", given.get("key", {}))
    values = _texts(number, "values", given.get("values", {}))
    if kind is not WriteKind.INSERT and not key:
        raise _bad(f"Record {number} needs a key to be found by.")
    if kind is not WriteKind.DELETE and not values:
        raise _bad(f"Record {number} has no values to write.")
    table = given.get("table")
    if not isinstance(table, str) or not table:
        raise _bad(f"Record {number} names no table.")
    carry = given.get("carry", True)
    if not isinstance(carry, bool):
        raise _bad(f"Record {number}: carry is true or false.")
    return UnitRecord(side, kind, table, key, values, carry)


def _texts(number: int, part: str, given: Any) -> dict[str, str | None]:
    if not isinstance(given, Mapping):
        raise _bad(f"Record {number}: '{part}' is not an object.")
    found: dict[str, str | None] = {}
    for name, value in given.items():
        if isinstance(value, bool):
            found[str(name)] = "t" if value else "f"
        elif value is None or isinstance(value, str):
            found[str(name)] = value
        elif isinstance(value, int):
            found[str(name)] = str(value)
        else:
            raise _bad(
                f"Record {number}: {name} must be a text, a whole number, true, false "
                "or null; write other numbers as texts, so that nothing is rounded."
            )
    return found


def _bad(message: str) -> Refusal:
    return Refusal(message, code="unit_unreadable")
