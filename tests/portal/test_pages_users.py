"""Users, profile, sessions, forgotten passwords and what is noted of sign-ins."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.accounts import services
from portal.accounts.models import SignedIn, User
from portal.accounts.roles import MATRIX, Role
from portal.accounts.services import set_limits
from portal.activity.models import ActivityEvent
from portal.refusals import Refusal
from tests.factories import make_connection_set, make_user
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

LIST, NEW = "/users/", "/users/new/"
LONG = "a-rather-long-one"


@pytest.fixture(autouse=True)
def _mails_are_kept(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def ada() -> User:
    return make_user(Role.ADMINISTRATOR, name="ada", password=LONG)


@pytest.fixture
def admin(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def page_of(user: User) -> str:
    return reverse("user_page", args=[user.pk])


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def noted(kind: str) -> list[str]:
    rows = ActivityEvent.objects.filter(kind=kind).order_by("id")
    return list(rows.values_list("message", flat=True))


def sign_in(client: Client, name: str, password: str = LONG) -> Any:
    return client.post(reverse("login"), {"username": name, "password": password})


# The list


def test_the_list_shows_roles_limits_and_state_and_filters(admin: Client) -> None:
    bob = make_user(Role.OPERATOR, Role.MAP_MAKER, name="bob")
    set_limits(bob, limited=True, limits=[(make_connection_set(name="north"), "")])
    carl = make_user(name="carl")
    services.set_active(carl, False)
    shown = text(admin.get(LIST))
    assert "Map maker, Operator" in shown
    assert "north" in shown
    assert "None: sees no page" in shown

    def names(**query: str) -> list[str]:
        return [row.user.username for row in admin.get(LIST, query).context["rows"]]

    assert names() == ["ada", "bob", "carl"]
    assert names(role="Administrator") == ["ada"]
    assert names(state="inactive") == ["carl"]
    assert names(state="limited") == ["bob"]
    assert names(q="BO") == ["bob"]
    assert "No user matches" in text(admin.get(LIST, {"q": "nobody"}))


def test_an_auditor_reads_and_changes_nothing(client: Client, ada: User) -> None:
    client.force_login(make_user(Role.AUDITOR))
    assert "New user" not in text(client.get(LIST))
    assert "Save the roles" not in text(client.get(page_of(ada)))
    assert client.post(page_of(ada), {"part": "roles"}).status_code == 403
    assert client.get(NEW).status_code == 403


def test_the_matrix_is_a_page_for_all_who_see_pages(client: Client) -> None:
    client.force_login(make_user(Role.OPERATOR))
    shown = text(client.get(reverse("role_list")))
    for entry in MATRIX:
        assert entry.words in shown


# Adding and changing


def test_a_user_is_invited_by_mail_and_sets_a_password(admin: Client) -> None:
    values = {"username": "bob", "email": "bob@example.com", "role": ["Operator"]}
    assert admin.post(NEW, values).status_code == 302
    bob = User.objects.get(username="bob")
    assert not bob.has_usable_password()
    assert bob.is_staff
    (sent,) = mail.outbox
    assert sent.to == ["bob@example.com"]
    assert "ada gave you access" in str(sent.body)
    link = re.search(r"http://testserver(\S+)", str(sent.body))
    assert link
    visitor = Client()
    form = visitor.get(link[1], follow=True)
    assert "Choose a password for" in text(form)
    both = {"new_password1": LONG, "new_password2": LONG}
    done = visitor.post(form.redirect_chain[-1][0], both, follow=True)
    assert "Your password is set" in text(done)
    assert sign_in(visitor, "bob")["Location"] == "/"
    assert "used already" in text(Client().get(link[1], follow=True))
    assert noted("user.invited") == ["bob was sent a link to set a password."]


def test_without_mail_the_administrator_gets_the_link(admin: Client) -> None:
    answer = admin.post(NEW, {"username": "bob", "role": ["Auditor"]}, follow=True)
    assert "No mail went to bob: bob has no mail address." in text(answer)
    assert "/accounts/password/" in text(answer)
    assert not mail.outbox


def test_where_no_mail_server_is_set_up_the_link_is_shown_too(
    admin: Client, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "portal.mailing.backend.PortalBackend"
    values = {"username": "bob", "email": "bob@example.com", "role": ["Auditor"]}
    answer = admin.post(NEW, values, follow=True)
    assert answer.status_code == 200
    assert "No mail went to bob" in text(answer)
    assert "/accounts/password/" in text(answer)
    assert not noted("user.invited")


def test_a_name_that_is_taken_is_refused(admin: Client) -> None:
    answer = admin.post(NEW, {"username": "ADA", "role": ["Auditor"]})
    assert answer.status_code == 409
    assert "There is a user ADA already." in text(answer)


def test_a_weak_password_is_refused_with_the_reasons(admin: Client) -> None:
    answer = admin.post(NEW, {"username": "bob", "password": "12345"})
    assert answer.status_code == 409
    assert "too short" in text(answer)
    assert not User.objects.filter(username="bob").exists()


def test_roles_change_at_once_and_are_noted(admin: Client) -> None:
    bob = make_user(Role.AUDITOR, name="bob")
    other = Client()
    other.force_login(bob)
    assert other.get("/maps/run/").status_code == 403
    admin.post(page_of(bob), {"part": "roles", "role": ["Operator"]})
    assert other.get("/maps/run/").status_code == 302
    assert noted("user.roles")[-1] == "bob is Operator now."


def test_limits_are_set_and_taken_away(admin: Client) -> None:
    bob = make_user(Role.OPERATOR, name="bob")
    north = make_connection_set(name="north", legal_entities=(("usmf", "USMF"),))
    values = {"part": "limits", "limited": "on", "limit": [f"{north.pk}/usmf"]}
    admin.post(page_of(bob), values)
    bob.refresh_from_db()
    assert bob.limited
    access = bob.accesses.get()  # type: ignore[attr-defined]
    assert (access.finops_company, access.dataverse_company) == ("usmf", "USMF")
    admin.post(page_of(bob), {"part": "limits"})
    assert noted("user.limits") == [
        "bob sees north/usmf now.",
        "bob sees everything now.",
    ]


def test_an_administrator_cannot_be_limited(admin: Client, ada: User) -> None:
    answer = admin.post(page_of(ada), {"part": "limits", "limited": "on"})
    assert answer.status_code == 409
    assert "an administrator, who sees everything" in text(answer)


def test_deactivating_asks_ends_sessions_and_is_noted(admin: Client) -> None:
    bob = make_user(Role.OPERATOR, name="bob", password=LONG)
    other = Client()
    sign_in(other, "bob")
    address = reverse("user_active", args=[bob.pk])
    assert "signed out everywhere" in text(admin.get(address))
    assert other.get("/maps/").status_code == 200
    admin.post(address)
    assert other.get("/maps/").status_code == 302
    assert sign_in(other, "bob").status_code == 200
    assert noted("user.deactivated") == ["User bob was deactivated."]
    admin.post(address)
    assert sign_in(other, "bob").status_code == 302


def test_the_last_administrator_stays_one(admin: Client, ada: User) -> None:
    answer = admin.post(page_of(ada), {"part": "roles", "role": ["Operator"]})
    assert "cannot take the role Administrator from yourself" in text(answer)
    answer = admin.post(reverse("user_active", args=[ada.pk]))
    assert "cannot deactivate yourself" in text(answer)
    with pytest.raises(Refusal, match="last administrator"):
        services.set_roles(ada, [Role.OPERATOR])
    with pytest.raises(Refusal, match="last administrator"):
        services.set_active(ada, False)
    make_user(Role.ADMINISTRATOR)
    assert services.set_roles(ada, [Role.OPERATOR])


def test_taking_the_role_from_a_superuser_takes_everything(ada: User) -> None:
    root = User.objects.create_superuser("root")
    services.set_roles(root, [Role.AUDITOR])
    root = User.objects.get(pk=root.pk)
    assert not root.is_superuser
    assert not root.has_perm("right.run")


def test_a_password_set_by_an_administrator_ends_sessions(admin: Client) -> None:
    bob = make_user(Role.OPERATOR, name="bob", password=LONG)
    other = Client()
    sign_in(other, "bob")
    admin.post(reverse("user_password", args=[bob.pk]), {"password": "another-long-1"})
    assert other.get("/maps/").status_code == 302
    assert sign_in(other, "bob", "another-long-1").status_code == 302


# One's own


def test_the_profile_changes_name_look_and_time_zone(client: Client) -> None:
    bob = make_user(Role.OPERATOR, name="bob")
    client.force_login(bob)
    values = {
        "first_name": "Bob",
        "last_name": "Berg",
        "email": "bob@example.com",
        "theme": "dark",
        "time_zone": "Asia/Tokyo",
    }
    page = client.post(reverse("profile"), values, follow=True)
    assert "Your profile is saved." in text(page)
    assert 'data-theme="dark"' in text(page)
    ActivityEvent.objects.update(created_at="2026-01-01T20:00:00Z")
    assert "2026-01-02 05:00" in text(client.get(reverse("activity_list")))
    answer = client.post(reverse("profile"), {**values, "time_zone": "Mars/Base"})
    assert answer.status_code == 409
    assert "Mars/Base is no time zone" in text(answer)


def test_staff_without_a_role_have_a_profile_and_a_page_that_says_whom_to_ask(
    client: Client, ada: User
) -> None:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    assert "No role yet" in text(client.get(reverse("profile")))
    refused = client.get("/", follow=True)
    assert refused.status_code == 403
    assert "You have no role yet" in text(refused)
    assert "Ask an administrator: ada." in text(refused)
    assert 'href="/maps/' not in text(refused)


@pytest.mark.parametrize(
    ("roles", "said"),
    [((), "You have no role yet"), ((Role.RUNTIME,), "This user is for programs")],
)
def test_who_has_no_pages_signs_in_and_is_told_so(
    client: Client, roles: tuple[Role, ...], said: str
) -> None:
    make_user(*roles, name="bob", password=LONG)
    assert sign_in(client, "bob")["Location"] == "/"
    for path in ("/", "/maps/", "/admin/", "/admin/maps/tablemap/"):
        refused = client.get(path)
        assert (refused.status_code, said in text(refused)) == (403, True), path


def test_a_password_change_asks_for_the_present_one(client: Client) -> None:
    make_user(Role.OPERATOR, name="bob", password=LONG)
    other = Client()
    sign_in(other, "bob")
    sign_in(client, "bob")
    address = reverse("own_password")
    new = {"new": "another-long-1", "again": "another-long-1"}
    wrong = client.post(address, {"present": "guess", **new})
    assert "The present password is wrong." in text(wrong)
    twice = client.post(address, {"present": LONG, **new, "again": "x"})
    assert "not typed the same twice" in text(twice)
    done = client.post(address, {"present": LONG, **new}, follow=True)
    assert "Your password is changed" in text(done)
    assert client.get("/maps/").status_code == 200
    assert other.get("/maps/").status_code == 302
    assert noted("user.password") == ["The password of bob was set."]


def test_sessions_are_listed_and_others_signed_out(client: Client) -> None:
    make_user(Role.OPERATOR, name="bob", password=LONG)
    other = Client(headers={"user-agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/140"})
    sign_in(other, "bob")
    sign_in(client, "bob")
    shown = text(client.get(reverse("profile")))
    assert "Firefox on Windows" in shown
    assert "127.0.0.1" in shown
    assert "This one" in shown
    client.post(reverse("end_sessions"), {"all": "yes"})
    assert other.get("/maps/").status_code == 302
    assert client.get("/maps/").status_code == 200
    assert SignedIn.objects.count() == 1


def test_nobody_ends_sessions_of_others(client: Client, ada: User) -> None:
    other = Client()
    sign_in(other, "ada")
    theirs = SignedIn.objects.get()
    client.force_login(make_user(Role.OPERATOR))
    client.post(reverse("end_sessions"), {"session": theirs.pk})
    assert other.get("/maps/").status_code == 200


def test_a_forgotten_password_says_the_same_whoever_asks(ada: User) -> None:
    services.update_person(ada, email="ada@example.com")
    for address in ("nobody@example.com", "ada@example.com"):
        answer = Client().post(
            reverse("admin_password_reset"), {"email": address}, follow=True
        )
        assert "If a user has this address" in text(answer)
    (sent,) = mail.outbox
    assert sent.to == ["ada@example.com"]
    assert "Set another password" in sent.subject


def test_the_sign_in_page_leads_to_forgotten_passwords(client: Client) -> None:
    assert reverse("admin_password_reset") in text(client.get(reverse("login")))


# What is noted, locks and headers


def test_sign_ins_failed_ones_and_sign_outs_are_noted(
    client: Client, ada: User
) -> None:
    sign_in(client, "ada", "wrong")
    sign_in(client, "my-secret-typed-in-the-wrong-field", "x")
    sign_in(client, "ada")
    client.post(reverse("logout"))
    assert noted("sign_in.failed") == [
        "Failed sign-in as ada from 127.0.0.1.",
        "Failed sign-in as an unknown name from 127.0.0.1.",
    ]
    assert noted("sign_in.done") == ["ada signed in from 127.0.0.1."]
    assert noted("sign_in.ended") == ["ada signed out."]


def test_a_lock_is_noted_once_shown_and_opened(admin: Client) -> None:
    bob = make_user(Role.OPERATOR, name="bob", password=LONG)
    other = Client()
    for _ in range(12):
        sign_in(other, "bob", "wrong")
    assert len(noted("sign_in.locked")) == 1
    assert "cannot sign in for a quarter of an hour" in text(admin.get(page_of(bob)))
    assert "can sign in again" in dw("unlock", "bob").out
    assert "was not locked" in dw("unlock", "bob").out
    assert sign_in(other, "bob").status_code == 302


def test_headers_keep_browsers_from_harm(client: Client) -> None:
    headers = client.get(reverse("login")).headers
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


# By command


def test_users_are_added_changed_and_listed_by_command() -> None:
    make_user(Role.ADMINISTRATOR, name="ada")
    make_connection_set(name="north", legal_entities=(("usmf", "USMF"),))
    made = dw("user", "bob", "--add", "--role", "operator", "--email", "b@example.com")
    assert made.out.strip() == "bob: Operator."
    dw("user", "bob", "--limit", "north/usmf", "--deactivate")
    (listed,) = dw("users", "bob", "--json").document["users"]
    assert listed["limits"] == ["north/usmf"]
    assert not listed["active"]
    assert dw("user", "bob", "--role", "Boss").code == 1
    assert dw("user", "ada", "--role", "Auditor").code == 1
    assert "Operator" in dw("roles").out
