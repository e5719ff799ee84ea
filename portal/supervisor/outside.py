"""Checks of what the administrator gave: port, address, servers of their own."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import psycopg
import redis

from portal.embedded import EmbeddedError, given, launch

DEFAULT_PORT = "8000"
PORT_SECONDS = 3.0


def port_of(argument: str | None) -> int:
    """The port to listen on: from the argument, DUALWRITE_PORT, PORT, or 8000."""
    value = (
        argument
        or os.environ.get("DUALWRITE_PORT")
        or os.environ.get("PORT")
        or DEFAULT_PORT
    )
    if not re.fullmatch(r"\s*[0-9]{1,5}\s*", value) or not 1 <= int(value) <= 65535:
        raise EmbeddedError(
            "bad_port",
            f"The port must be a number from 1 to 65535, not {value!r}: "
            "for example, make run PORT=8001",
        )
    return int(value)


def check_port(host: str, port: int) -> None:
    """Refuse a port that is taken, or that this user may not take."""
    problem: list[OSError] = []

    def free() -> bool:
        problem.clear()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                problem.append(error)
        return not problem

    # What a killed run left behind needs a moment to end.
    if launch.wait_for(free, PORT_SECONDS):
        return
    error = problem[0]
    if isinstance(error, PermissionError):
        raise EmbeddedError(
            "port_forbidden",
            f"This user may not listen on port {port}; choose one above 1023: "
            "make run PORT=8001",
        )
    if isinstance(error, socket.gaierror):
        raise EmbeddedError(
            "bad_host",
            f"DUALWRITE_HOST={host!r} is no address of this machine; use 127.0.0.1 "
            "or 0.0.0.0.",
        )
    other = port + 1 if port < 65535 else port - 1
    raise EmbeddedError(
        "port_busy",
        f"Port {port} is in use by another program: stop it, or choose another "
        f"port with make run PORT={other}",
    )


def check_given_servers() -> None:
    """Connect to the servers that DATABASE_URL and REDIS_URL name, if they do."""
    if given("DATABASE_URL"):
        try:
            psycopg.connect(read("DATABASE_URL"), connect_timeout=5).close()
        except (psycopg.Error, ValueError) as error:
            raise EmbeddedError(
                "database_unreachable",
                "The PostgreSQL server of DATABASE_URL does not let us in: start "
                "it, correct the variable, or unset it to use the embedded server. "
                f"It said: {first_line(error)}",
            ) from error
    if given("REDIS_URL"):
        try:
            client = redis.Redis.from_url(
                read("REDIS_URL"), socket_connect_timeout=5, socket_timeout=5
            )
            client.ping()
            client.close()
        except (redis.RedisError, ValueError) as error:
            raise EmbeddedError(
                "redis_unreachable",
                "The Redis or Valkey server of REDIS_URL does not answer: start it, "
                "correct the variable, or unset it to use the embedded server. "
                f"It said: {first_line(error)}",
            ) from error


def read(name: str) -> str:
    """The variable, or the content of the file that NAME_FILE points to."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise EmbeddedError(
                "file_unreadable",
                f"{name}_FILE points to {path}, which cannot be read "
                f"({error.strerror or error}).",
            ) from error
    return os.environ.get(name, "")


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
