"""Finds the checks and runs them."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Iterable
from functools import cache

from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import HealthFinding, Severity

Check = Callable[[Subject], Iterable[HealthFinding]]

_checks: list[Check] = []
_ORDER = tuple(Severity)


def check(function: Check) -> Check:
    """Register a check; its docstring says what it looks for."""
    _checks.append(function)
    return function


@cache
def checks() -> tuple[Check, ...]:
    """All checks, by name of module and function."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return tuple(sorted(_checks, key=lambda one: (one.__module__, one.__name__)))


def examine(
    subject: Subject, on_failure: Callable[[Exception], None] | None = None
) -> list[HealthFinding]:
    """Everything wrong or notable, errors first, each finding once.

    Never raises: a check that fails unexpectedly is itself a finding, DIPV1001, and
    `on_failure` is told.
    """
    found: dict[HealthFinding, None] = {}
    for one in checks():
        try:
            found.update(dict.fromkeys(one(subject)))
        except Exception as error:
            if on_failure is not None:
                on_failure(error)
            found.setdefault(unexpected("DIPV1001", subject.definition.name, error))
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def unexpected(code: str, place: str, error: Exception) -> HealthFinding:
    """The finding for an exception that nobody foresaw, with what support needs."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.name}, line {frame.lineno} of {frame.filename.rsplit('/', 1)[-1]}"
    return HealthFinding(
        code,
        Severity.ERROR,
        f"The check itself failed: {type(error).__name__}: {error} (in {where}).",
        place,
        "This is a fault of the product: report it with this text and the map's file.",
    )
