"""What the traffic of both sides has in common: a connection and weighted actions."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

import psycopg

from portal.sample.databases import SampleError

PATIENCE_SECONDS = 30.0
Action = tuple[int, Callable[[], str | None]]


class SideTraffic(ABC):
    """Makes one believable change after another on one side's database."""

    def __init__(self, dsn: str, random: Random) -> None:
        self._dsn = dsn
        self.random = random
        self.connection: psycopg.Connection[Any] = self._connect()
        try:
            self.prepare()
        except BaseException:
            self.connection.close()
            raise
        self._actions = self.actions()

    @abstractmethod
    def prepare(self) -> None:
        """Read what may be changed."""

    @abstractmethod
    def actions(self) -> Sequence[Action]:
        """The kinds of change with their weights. Each is one transaction and
        returns its name, or None when there was nothing to do it to."""

    def step(self) -> str:
        """One change; its kind. A lost connection is opened again and the change
        counted as `interrupted` (it may or may not have been committed)."""
        weights = [weight for weight, _ in self._actions]
        for _ in range(100):
            (_, action) = self.random.choices(self._actions, weights)[0]
            try:
                with self.connection.transaction():
                    done = action()
            except psycopg.OperationalError:
                self.connection.close()
                self.connection = self._connect()
                return "interrupted"
            if done is not None:
                return done
        raise SampleError("The sample databases hold nothing that could be changed.")

    def fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(query, values).fetchall()

    def number(self, query: str) -> int:
        """The single number a query gives; 0 for null."""
        return int(self.fetch(query)[0][0] or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return psycopg.connect(
                    self._dsn,
                    autocommit=True,
                    connect_timeout=5,
                    application_name="dualwrite traffic",
                )
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
