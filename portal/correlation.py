"""One id for everything an action sets off: log lines, activity rows, runs, and what
streams do about it later.

A request brings one (`X-Correlation-ID`) or gets one; it is in the answer's header. A
command makes one. What happens later, in other processes, takes it from the row of the
run or of the map that the action wrote it to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bound_contextvars, get_contextvars

HEADER = "X-Correlation-ID"
NAME = "correlation_id"
OPERATOR = "operator"

_WELL_FORMED = re.compile(r"[A-Za-z0-9-]{8,32}")


def new_id() -> str:
    """An id nobody has used."""
    return uuid4().hex


def current_id() -> str:
    """The id of the action that is going on; empty outside of one."""
    return str(get_contextvars().get(NAME, ""))


def current_operator() -> str:
    """Who gave the command that is going on; empty for requests and tasks."""
    return str(get_contextvars().get(OPERATOR, ""))


@contextmanager
def operated_by(name: str) -> Iterator[None]:
    """Within the block events and log lines name this user of the operating system."""
    with bound_contextvars(**{OPERATOR: name}):
        yield


@contextmanager
def correlated(given: str = "") -> Iterator[str]:
    """Within the block everything belongs to one action: the given one, or a new."""
    chosen = given or new_id()
    with bound_contextvars(**{NAME: chosen}):
        yield chosen


class CorrelationMiddleware:
    """Every request is an action of its own, unless it says of which it is part."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        known = given if _WELL_FORMED.fullmatch(given) else ""
        with correlated(known) as chosen:
            response = self._get_response(request)
            response[HEADER] = chosen
            return response
