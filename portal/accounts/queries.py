"""Reading users: the list, what one is limited to, and the matrix as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.http import urlencode

from portal.accounts.models import User
from portal.accounts.roles import ABOUT, MATRIX, Role
from portal.environments.models import Access, ConnectionSet

STATES = {"active": "Active", "inactive": "Deactivated", "limited": "Limited"}


@dataclass(frozen=True)
class UserFilter:
    """What the list is narrowed to."""

    text: str = ""
    role: str = ""
    state: str = ""

    @staticmethod
    def read(values: Mapping[str, str]) -> UserFilter:
        """From a query string; what is unknown is ignored."""
        role, state = values.get("role", ""), values.get("state", "")
        return UserFilter(
            text=values.get("q", "").strip(),
            role=role if role in set(Role) else "",
            state=state if state in STATES else "",
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        return bool(self.text or self.role or self.state)

    @property
    def query(self) -> str:
        """As a query string, for links."""
        values = {"q": self.text, "role": self.role, "state": self.state}
        return urlencode({name: value for name, value in values.items() if value})


@dataclass(frozen=True)
class UserRow:
    """A user as the list shows them."""

    user: User
    roles: Sequence[Role]
    limits: Sequence[str]


def users(filters: UserFilter) -> QuerySet[User]:
    """The users a filter selects, by name."""
    rows = User.objects.order_by("username")
    if filters.text:
        rows = rows.filter(
            Q(username__icontains=filters.text)
            | Q(email__icontains=filters.text)
            | Q(first_name__icontains=filters.text)
            | Q(last_name__icontains=filters.text)
        )
    if filters.role:
        has = Q(groups__name=filters.role)
        if filters.role == Role.ADMINISTRATOR:
            has |= Q(is_superuser=True)
        rows = rows.filter(has).distinct()
    if filters.state == "limited":
        rows = rows.filter(limited=True)
    elif filters.state:
        rows = rows.filter(is_active=filters.state == "active")
    return rows


def rows_of(found: Sequence[User]) -> list[UserRow]:
    """These users with roles and limits, in two queries."""
    ids = [one.pk for one in found]
    groups: dict[int, set[str]] = {pk: set() for pk in ids}
    for pk, name in User.groups.through.objects.filter(user__in=ids).values_list(
        "user", "group__name"
    ):
        groups[pk].add(name)
    limits: dict[int, list[str]] = {pk: [] for pk in ids}
    for access in Access.objects.filter(user__in=ids).select_related("connection_set"):
        limits[access.user_id].append(access_words(access))
    return [
        UserRow(
            one,
            [
                role
                for role in Role
                if role.value in groups[one.pk]
                or (role is Role.ADMINISTRATOR and one.is_superuser)
            ],
            limits[one.pk],
        )
        for one in found
    ]


def access_words(access: Access) -> str:
    """A connection set, with the company where it is only one."""
    name = access.connection_set.name
    return f"{name}/{access.finops_company}" if access.finops_company else name


@dataclass(frozen=True)
class LimitChoice:
    """One line of the form: a whole connection set, or one company of it."""

    value: str
    connection_set: ConnectionSet
    company: str
    chosen: bool


def limit_choices(user: User | None, chosen: Sequence[str] = ()) -> list[LimitChoice]:
    """All connection sets with their companies; `chosen` are values of the form, else
    those of the user."""
    picked = set(chosen)
    if user is not None and not picked:
        picked = {
            f"{one.connection_set_id}/{one.finops_company}"
            for one in Access.objects.filter(user=user)
        }
    found = []
    for one in ConnectionSet.objects.order_by("name").prefetch_related(
        "legal_entities"
    ):
        codes = ["", *(entity.finops_code for entity in one.legal_entities.all())]
        for code in codes:
            value = f"{one.pk}/{code}"
            found.append(LimitChoice(value, one, code, value in picked))
    return found


def chosen_limits(values: Sequence[str]) -> list[tuple[ConnectionSet, str]]:
    """The limits a form names; what does not exist is passed over."""
    sets = {str(one.pk): one for one in ConnectionSet.objects.all()}
    found = []
    for value in values:
        pk, _, company = value.partition("/")
        if pk in sets:
            found.append((sets[pk], company))
    return found


def matrix() -> list[tuple[str, list[bool]]]:
    """Every right in words, and for each role whether it has it."""
    return [(one.words, [role in one.roles for role in Role]) for one in MATRIX]


def roles() -> list[tuple[Role, str]]:
    """Every role and what it is for."""
    return [(role, ABOUT[role]) for role in Role]
