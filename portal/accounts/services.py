"""Changing users: roles, limits, passwords, and whether they may sign in. Every change
is an event of the activity log; `by` is who did it, None for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from portal.accounts.models import User
from portal.accounts.roles import Right, Role, rights_of
from portal.accounts.sessions import sign_out_everywhere
from portal.activity.changes import changes
from portal.activity.services import record
from portal.environments.models import Access, ConnectionSet
from portal.refusals import NotFound, Refusal

Limits = Sequence[tuple[ConnectionSet, str]]
"""Connection sets, each with a company's code in FinOps, or "" for the whole set."""


def find_user(name: str) -> User:
    """The user of this name."""
    found: User | None = User.objects.filter(username=name).first()
    if found is None:
        raise NotFound(f"There is no user {name}.")
    return found


def roles_of(user: User) -> list[Role]:
    """The roles of a user, in the order of the matrix. Django's superuser is an
    administrator."""
    held = set(user.groups.values_list("name", flat=True))
    return [
        role
        for role in Role
        if role.value in held or (role is Role.ADMINISTRATOR and user.is_superuser)
    ]


def as_roles(names: Iterable[str]) -> list[Role]:
    """Roles by their names, whatever the case."""
    known = {role.value.lower(): role for role in Role}
    found = []
    for name in names:
        role = known.get(name.strip().lower())
        if role is None:
            raise Refusal(
                f"There is no role {name}. The roles are: {', '.join(Role)}.",
                code="unknown_role",
            )
        found.append(role)
    return list(dict.fromkeys(found))


@transaction.atomic
def add_user(
    username: str,
    *,
    roles: Iterable[Role],
    email: str = "",
    first_name: str = "",
    last_name: str = "",
    password: str = "",
    by: User | None = None,
) -> User:
    """A new user. Without a password nobody can sign in as them until one is set."""
    user = User(
        username=username.strip(),
        email=email.strip(),
        first_name=first_name.strip(),
        last_name=last_name.strip(),
    )
    user.set_unusable_password()
    _check(user)
    if User.objects.filter(username__iexact=user.username).exists():
        raise Refusal(f"There is a user {user.username} already.", code="user_exists")
    if password:
        _check_password(password, user)
        user.set_password(password)
    user.save()
    record(
        "user.added",
        f"User {user.username} was added.",
        user=by,
        details={"email": user.email},
    )
    set_roles(user, roles, by=by)
    return user


@transaction.atomic
def set_roles(user: User, roles: Iterable[Role], *, by: User | None = None) -> bool:
    """Give a user exactly these roles. True when that changed something."""
    before, after = roles_of(user), [role for role in Role if role in set(roles)]
    if Role.ADMINISTRATOR in before and Role.ADMINISTRATOR not in after:
        _keep_an_administrator(user)
    if Role.ADMINISTRATOR in after and user.limited:
        raise Refusal(
            f"{user.username} is limited; an administrator sees everything. Take the "
            "limits away first.",
            code="administrator_limited",
        )
    user.groups.remove(*Group.objects.filter(name__in=_names(Role)))
    # A group that somebody deleted is made anew: a role must not vanish unseen.
    made = [Group.objects.get_or_create(name=role.value)[0] for role in after]
    user.groups.add(*made)
    user.is_superuser = user.is_superuser and Role.ADMINISTRATOR in after
    user.is_staff = Right.SEE in rights_of(after)
    user.save(update_fields=["is_superuser", "is_staff"])
    if before == after:
        return False
    record(
        "user.roles",
        f"{user.username} is {_list(after)} now.",
        user=by,
        details={
            "old": _names(before),
            "new": _names(after),
            "changes": changes({"roles": _names(before)}, {"roles": _names(after)}),
        },
    )
    return True


@transaction.atomic
def set_limits(
    user: User, *, limited: bool, limits: Limits = (), by: User | None = None
) -> bool:
    """Limit a user to connection sets, or companies of them; or not at all."""
    if limited and Role.ADMINISTRATOR in roles_of(user):
        raise Refusal(
            f"{user.username} is an administrator, who sees everything. Take the role "
            "away first.",
            code="administrator_limited",
        )
    wanted = _accesses(user, limits) if limited else []
    before = _limits_words(user)
    user.limited = limited
    user.save(update_fields=["limited"])
    user.accesses.all().delete()  # type: ignore[attr-defined]
    Access.objects.bulk_create(wanted)
    after = _limits_words(user)
    if before == after:
        return False
    record(
        "user.limits",
        f"{user.username} sees {', '.join(after) or 'nothing'} now.",
        user=by,
        details={
            "old": before,
            "new": after,
            "changes": changes({"sees": before}, {"sees": after}),
        },
    )
    return True


def _accesses(user: User, limits: Limits) -> list[Access]:
    whole = {connection_set.pk for connection_set, company in limits if not company}
    found: dict[tuple[int, str], Access] = {}
    for connection_set, company in limits:
        if company and connection_set.pk in whole:
            continue
        other = ""
        if company:
            pair = connection_set.legal_entities.filter(finops_code=company).first()
            if pair is None:
                raise NotFound(
                    f"{connection_set.name} has no company {company}; link it first."
                )
            other = pair.dataverse_code
        found[connection_set.pk, company] = Access(
            user=user,
            connection_set=connection_set,
            finops_company=company,
            dataverse_company=other,
        )
    return list(found.values())


def _limits_words(user: User) -> list[str]:
    if not user.limited:
        return ["everything"]
    rows = Access.objects.filter(user=user).select_related("connection_set")
    return [
        f"{one.connection_set.name}/{one.finops_company}".rstrip("/") for one in rows
    ]


@transaction.atomic
def set_active(user: User, active: bool, *, by: User | None = None) -> bool:
    """Let a user sign in, or not any more; then their sessions end at once."""
    if user.is_active == active:
        return False
    if not active:
        if by is not None and by.pk == user.pk:
            raise Refusal(
                "You cannot deactivate yourself; another administrator can.",
                code="own_user",
            )
        _keep_an_administrator(user)
    user.is_active = active
    user.save(update_fields=["is_active"])
    if not active:
        sign_out_everywhere(user)
    word = "activated" if active else "deactivated"
    record(f"user.{word}", f"User {user.username} was {word}.", user=by)
    return True


@transaction.atomic
def set_password(user: User, password: str, *, by: User | None = None) -> None:
    """Set another password; all sessions of the user end."""
    _check_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    sign_out_everywhere(user)
    record("user.password", f"The password of {user.username} was set.", user=by)


@transaction.atomic
def update_person(user: User, *, by: User | None = None, **values: Any) -> bool:
    """Name, mail, theme and time zone."""
    changed = {
        name: value for name, value in values.items() if getattr(user, name) != value
    }
    if not changed:
        return False
    old = {name: getattr(user, name) for name in changed}
    for name, value in changed.items():
        setattr(user, name, value)
    _check(user)
    user.save(update_fields=list(changed))
    record(
        "user.changed",
        f"{user.username} has another {' and '.join(sorted(changed))}.".replace(
            "_", " "
        ),
        user=by,
        details={"old": old, "new": changed, "changes": changes(old, changed)},
    )
    return True


def _check(user: User) -> None:
    try:
        user.full_clean(exclude=["password"], validate_unique=False)
    except ValidationError as error:
        reasons = [
            f"{name.replace('_', ' ').capitalize()}: {text}"
            for name, texts in error.message_dict.items()
            for text in texts
        ]
        raise Refusal(
            "The user was not saved.", code="user_invalid", reasons=reasons
        ) from error


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Refusal(
            "Choose another password; nothing was changed.",
            code="password_refused",
            reasons=error.messages,
        ) from error


def _keep_an_administrator(user: User) -> None:
    """Refuse to lose the last one who can give roles."""
    others = User.objects.select_for_update().filter(is_active=True)
    for one in others.exclude(pk=user.pk):
        if Role.ADMINISTRATOR in roles_of(one):
            return
    if user.is_active and Role.ADMINISTRATOR in roles_of(user):
        raise Refusal(
            f"{user.username} is the last administrator; make somebody else one first.",
            code="last_administrator",
        )


def _names(roles: Iterable[Role]) -> list[str]:
    return [role.value for role in roles]


def _list(roles: Sequence[Role]) -> str:
    return " and ".join(_names(roles)) or "without a role"
