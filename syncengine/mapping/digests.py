"""How a system can add up hashes of mapped rows by itself, so that none need travel.

A digest may call two rows different that a map makes equal (they are then read and
judged one by one), but never equal where the leg that writes them would change
something or fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class HashForm(StrEnum):
    """In which form values are hashed. Numbers by value, whatever their decimals;
    moments with and without a zone, and dates, as UTC; texts as canonical text."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class HashedColumn:
    """One value to hash: a column path, or several that make one composite key.

    `values` are the only canonical texts that stand for something, and for what; any
    other is hashed as a value that nothing equals, as is a null where `required`.
    `default` stands for a null.
    """

    form: HashForm
    paths: tuple[str, ...]
    values: Mapping[str, str] | None = field(default=None, hash=False)
    default: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class HashedPair:
    """One slot of a leg: its value as the source makes it, and as the target has
    it."""

    source: HashedColumn
    target: HashedColumn


@dataclass(frozen=True, slots=True)
class RowDigest:
    """What of a row is hashed: its key, which chooses one of `buckets` (a power of
    two), and its whole image."""

    key: tuple[HashedColumn, ...]
    image: tuple[HashedColumn, ...]
    buckets: int
