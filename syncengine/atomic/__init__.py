"""Atomic writes: records of both sides in one unit, written on both or on neither."""

from syncengine.atomic.model import (
    MOST_RECORDS,
    AtomicUnit,
    DecisionLog,
    UnitRecord,
    UnitRefused,
    UnitResult,
    UnitState,
)
from syncengine.atomic.resolving import resolve
from syncengine.atomic.writing import write_unit

__all__ = [
    "MOST_RECORDS",
    "AtomicUnit",
    "DecisionLog",
    "UnitRecord",
    "UnitRefused",
    "UnitResult",
    "UnitState",
    "resolve",
    "write_unit",
]
