"""Who may do what: roles, rights, and the one matrix between them.

A role is a Django group of the same name (made by a migration); what its members may
do is read here, so that a right which comes with a new release needs no change of
rows. Views name the right they need once, with `portal.access.needs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

PREFIX = "right"
"""Rights are permissions of this name: `user.has_perm("right.run")`, and
`{% if perms.right.run %}` in templates."""


class Role(StrEnum):
    """What a user is in the portal. A user may have several roles."""

    ADMINISTRATOR = "Administrator"
    MAP_MAKER = "Map maker"
    OPERATOR = "Operator"
    AUDITOR = "Auditor"
    RUNTIME = "Runtime"


ABOUT = {
    Role.ADMINISTRATOR: "Sets everything up, and gives others their roles.",
    Role.MAP_MAKER: "Adds and changes maps and value maps; does not run them.",
    Role.OPERATOR: "Runs and pauses maps, mends errors, answers alerts.",
    Role.AUDITOR: "Reads everything, users and sign-ins too; changes nothing.",
    Role.RUNTIME: "A program that writes through the portal; sees no pages.",
}


class Right(StrEnum):
    """One thing that one may or may not do. The words are in `MATRIX`."""

    SEE = "see"
    RUN = "run"
    MEND = "mend"
    COMPARE = "compare"
    EDIT_MAPS = "edit_maps"
    ALERT_RULES = "alert_rules"
    LINK = "link"
    SEE_USERS = "see_users"
    USERS = "users"
    PROGRAM = "program"

    @property
    def permission(self) -> str:
        """As `user.has_perm` takes it."""
        return f"{PREFIX}.{self.value}"

    @property
    def words(self) -> str:
        """What one may do, in words that follow "may"."""
        return _ENTRIES[self].words

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that have it."""
        return _ENTRIES[self].roles


@dataclass(frozen=True)
class Entry:
    """One line of the matrix. `models` are patterns of the admin's permissions that
    come with the right."""

    right: Right
    words: str
    roles: tuple[Role, ...]
    models: tuple[str, ...] = ()


_ADMINISTRATOR = (Role.ADMINISTRATOR,)
_OPERATOR = (Role.ADMINISTRATOR, Role.OPERATOR)
_MAP_MAKER = (Role.ADMINISTRATOR, Role.MAP_MAKER)

MATRIX = (
    Entry(
        Right.SEE,
        "see the pages, lists and downloads",
        (Role.ADMINISTRATOR, Role.MAP_MAKER, Role.OPERATOR, Role.AUDITOR),
        tuple(
            f"{topic}.view_*"
            for topic in (
                *("environments", "maps", "runs", "checks", "errors", "activity"),
                *("alerts", "comparisons", "approvals", "sync", "synchronous"),
                *("units", "operations"),
            )
        ),
    ),
    Entry(
        Right.RUN,
        "run, pause, resume and stop maps, steer initial syncs, decide on held changes",
        _OPERATOR,
    ),
    Entry(
        Right.MEND,
        "retry and dismiss errors, decide conflicts, and answer alerts",
        _OPERATOR,
    ),
    Entry(Right.COMPARE, "compare maps and repair what differs", _OPERATOR),
    Entry(
        Right.EDIT_MAPS,
        "add, change and delete maps, their versions and guards, and value maps",
        _MAP_MAKER,
        ("maps.*",),
    ),
    Entry(
        Right.ALERT_RULES,
        "set up alert rules and where alerts go",
        _OPERATOR,
        ("alerts.*",),
    ),
    Entry(
        Right.LINK,
        "set up environments, connection sets, companies, limits and synchronous mode",
        _ADMINISTRATOR,
        ("environments.*", "synchronous.*"),
    ),
    Entry(
        Right.SEE_USERS,
        "see users, their roles and where they are signed in",
        (Role.ADMINISTRATOR, Role.AUDITOR),
        ("accounts.view_*", "auth.view_*"),
    ),
    Entry(
        Right.USERS,
        "add users, give them roles and limits, and deactivate them",
        _ADMINISTRATOR,
        ("*",),
    ),
    Entry(
        Right.PROGRAM,
        "write atomic units through the portal as a program",
        (Role.ADMINISTRATOR, Role.RUNTIME),
    ),
)

_ENTRIES = {entry.right: entry for entry in MATRIX}

MAP_WIDE = frozenset(
    {Right.RUN, Right.COMPARE, Right.EDIT_MAPS, Right.ALERT_RULES, Right.LINK}
)
"""Rights that act on all companies of a map: not for who is limited to some."""

PORTAL_WIDE = frozenset({Right.SEE_USERS, Right.USERS})
"""Rights over the whole portal: not for who is limited at all."""


def rights_of(roles: Iterable[str]) -> frozenset[Right]:
    """What these roles may do together; names of other groups give nothing."""
    held = set(roles)
    return frozenset(entry.right for entry in MATRIX if held.intersection(entry.roles))


def allows(rights: Iterable[Right], permission: str) -> bool:
    """Whether one of the rights gives the permission: itself, or one of a model."""
    held = tuple(rights)
    topic, _, name = permission.partition(".")
    if topic == PREFIX:
        return name in held
    return any(
        fnmatchcase(permission, pattern)
        for right in held
        for pattern in _ENTRIES[right].models
    )


def allows_topic(rights: Iterable[Right], topic: str) -> bool:
    """Whether one of the rights gives any permission on the models of an app."""
    return any(
        fnmatchcase(topic, pattern.partition(".")[0])
        for right in rights
        for pattern in _ENTRIES[right].models
    )


def right_for(permission: str) -> Right | None:
    """The least right that gives a permission, for saying what is missing."""
    topic, _, name = permission.partition(".")
    if topic == PREFIX:
        return Right(name) if name in set(Right) else None
    giving = [entry for entry in MATRIX if allows([entry.right], permission)]
    return max(giving, key=lambda entry: len(entry.roles)).right if giving else None
