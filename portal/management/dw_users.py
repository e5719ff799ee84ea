"""`dw users`, `dw user`, `dw roles` and `dw unlock`."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any

from django.db import transaction

from portal.accounts import locks, queries, services, sessions
from portal.accounts.models import User
from portal.accounts.queries import UserFilter
from portal.accounts.roles import ABOUT, MATRIX, Role
from portal.environments.models import ConnectionSet
from portal.management.results import Add, Console, Result, table
from portal.refusals import NotFound, Refusal


def register(add: Add) -> None:
    """Add the commands about users."""
    parser = add("users", users, "list users, or one of them")
    parser.add_argument("user", nargs="?", metavar="USER")
    parser = add("user", user, "add or change a user")
    parser.add_argument("user", metavar="USER")
    parser.add_argument("--add", action="store_true", help="a new user")
    parser.add_argument(
        "--role",
        action="append",
        metavar="ROLE",
        help="exactly these roles; may be given several times",
    )
    parser.add_argument("--no-role", action="store_true", help="take all roles away")
    parser.add_argument("--email", metavar="ADDRESS")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read a new password"
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--limit",
        action="append",
        metavar="SET[/COMPANY]",
        help="see only this connection set, or company of it; several times",
    )
    limits.add_argument("--no-limits", action="store_true", help="see everything")
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--deactivate", action="store_true", help="no more sign-ins")
    switch.add_argument("--activate", action="store_true", help="sign-ins again")
    add("roles", roles, "show what each role may do")
    parser = add("unlock", unlock, "forget the wrong passwords of a user")
    parser.add_argument("user", metavar="USER")


def users(options: argparse.Namespace, console: Console) -> Result:
    """All users, or one."""
    if options.user:
        found = [services.find_user(options.user)]
    else:
        found = list(queries.users(UserFilter()))
    document = [_document(row) for row in queries.rows_of(found)]
    lines = [
        [
            one["user"],
            one["email"],
            ", ".join(one["roles"]) or "-",
            ", ".join(one["limits"]) or "nothing" if one["limited"] else "everything",
            "active" if one["active"] else "deactivated",
        ]
        for one in document
    ]
    text = table(lines, ("user", "mail", "roles", "sees", "state"))
    return Result({"users": document}, text)


def _document(row: queries.UserRow) -> dict[str, Any]:
    return {
        "user": row.user.username,
        "name": row.user.get_full_name(),
        "email": row.user.email,
        "roles": [role.value for role in row.roles],
        "limited": row.user.limited,
        "limits": list(row.limits),
        "active": row.user.is_active,
        "locked": locks.locked(row.user.username),
        "last_sign_in": row.user.last_login,
        "sessions": sessions.sessions_of(row.user).count(),
    }


def user(options: argparse.Namespace, console: Console) -> Result:
    """Add or change one user, all that is asked or nothing."""
    password = _password() if options.password_stdin else ""
    with transaction.atomic():
        chosen = _change(options, password)
    (row,) = queries.rows_of([chosen])
    document = _document(row)
    names = ", ".join(document["roles"]) or "no role"
    return Result(document, f"{chosen.username}: {names}.")


def _change(options: argparse.Namespace, password: str) -> User:
    wanted = services.as_roles(options.role or [])
    if options.add:
        chosen = services.add_user(
            options.user, roles=wanted, email=options.email or "", password=password
        )
    else:
        chosen = services.find_user(options.user)
        if options.no_limits:
            services.set_limits(chosen, limited=False)
        if options.role or options.no_role:
            services.set_roles(chosen, wanted)
        if options.email is not None:
            services.update_person(chosen, email=options.email)
        if password:
            services.set_password(chosen, password)
    if options.limit:
        limits = [_limit(text) for text in options.limit]
        services.set_limits(chosen, limited=True, limits=limits)
    if options.activate or options.deactivate:
        services.set_active(chosen, options.activate)
    return chosen


def _limit(text: str) -> tuple[ConnectionSet, str]:
    name, _, company = text.partition("/")
    found = ConnectionSet.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no connection set {name}.")
    return found, company


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("New password: ")
    given = sys.stdin.readline().rstrip("\n")
    if not given:
        raise Refusal("Give the password on standard input.", code="no_password")
    return given


def roles(options: argparse.Namespace, console: Console) -> Result:
    """The matrix."""
    document = {
        "roles": [{"role": role.value, "about": ABOUT[role]} for role in Role],
        "rights": [
            {
                "right": entry.right.value,
                "may": entry.words,
                "roles": [role.value for role in entry.roles],
            }
            for entry in MATRIX
        ],
    }
    lines = [
        [entry.words, ", ".join(role.value for role in entry.roles)] for entry in MATRIX
    ]
    return Result(document, table(lines, ("may", "roles")))


def unlock(options: argparse.Namespace, console: Console) -> Result:
    """Let a user try passwords again."""
    chosen = services.find_user(options.user)
    opened = locks.unlock(chosen)
    text = f"{chosen.username} can sign in again."
    if not opened:
        text = f"{chosen.username} was not locked."
    return Result({"user": chosen.username, "unlocked": opened}, text)
