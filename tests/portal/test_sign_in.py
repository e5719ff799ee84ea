"""Whose address a sign-in has behind proxies, the mail about a forgotten password as a
real server takes it, and who gave a command."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.accounts.locks import locked
from portal.accounts.models import SignedIn, User
from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.mailing.services import save_settings
from portal.proxies import client as client_of
from tests.factories import make_user
from tests.outside import MailServer, part
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

LONG = "a-rather-long-one"
OURS = [ip_network("10.0.0.0/24"), ip_network("127.0.0.1")]


@pytest.fixture
def bob() -> User:
    return make_user(Role.OPERATOR, name="bob", password=LONG, email="bob@example.com")


def sign_in(forwarded: str, password: str = LONG) -> int:
    """Through the proxy on 127.0.0.1, which says whose request it passes on."""
    visitor = Client(headers={"X-Forwarded-For": forwarded})
    values = {"username": "bob", "password": password}
    return visitor.post(reverse("login"), values).status_code


@pytest.mark.parametrize(
    ("peer", "claimed", "expected"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_the_nearest_address_that_is_not_ours_counts(
    peer: str, claimed: str, expected: str
) -> None:
    assert client_of(peer, claimed.split(","), OURS) == expected


def test_behind_a_proxy_a_name_is_locked_for_one_address_only(
    bob: User, settings: Settings
) -> None:
    settings.TRUSTED_PROXIES = OURS
    for _ in range(10):
        last = sign_in("198.51.100.1, 203.0.113.66", "guess")
    assert last == 429
    assert sign_in("203.0.113.66") == 429
    assert sign_in("203.0.113.7") == 302
    assert locked("bob")
    assert SignedIn.objects.get().address == "203.0.113.7"
    done = ActivityEvent.objects.get(kind="sign_in.done")
    assert done.message == "bob signed in from 203.0.113.7."


def test_what_strangers_say_of_addresses_is_thrown_away(bob: User) -> None:
    for number in range(10):
        last = sign_in(f"203.0.113.{number}", "guess")
    assert last == 429
    assert sign_in("203.0.113.77") == 429


def test_a_trusted_proxy_says_whether_the_browser_came_by_tls(
    bob: User, settings: Settings
) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    said = {"X-Forwarded-Proto": "https"}
    address = reverse("login")
    assert "Strict-Transport-Security" not in Client(headers=said).get(address)
    settings.TRUSTED_PROXIES = OURS
    assert "Strict-Transport-Security" in Client(headers=said).get(address)


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    settings.EMAIL_BACKEND = "portal.mailing.backend.PortalBackend"
    server = MailServer()
    save_settings(
        {
            "host": "127.0.0.1",
            "port": server.port,
            "security": "none",
            "sender": "Dual-write <portal@example.com>",
            "portal_url": "https://sync.example.com",
        }
    )
    yield server
    server.close()


def test_a_forgotten_password_is_mailed_and_set(bob: User, server: MailServer) -> None:
    elsewhere = Client()
    elsewhere.force_login(bob)
    visitor = Client()
    visitor.post(reverse("admin_password_reset"), {"email": "bob@example.com"})
    (mail,) = server.messages
    assert mail["To"] == "bob@example.com"
    assert mail["From"] == "Dual-write <portal@example.com>"
    found = {
        re.search(r"https?://[^/]+(/accounts/password/\S+?/\S+?/)", part(mail, kind))
        for kind in ("plain", "html")
    }
    paths = {one[1] for one in found if one}
    assert len(paths) == 1
    form = visitor.get(paths.pop(), follow=True)
    new = "another-long-one-2"
    both = {"new_password1": new, "new_password2": new}
    visitor.post(form.redirect_chain[-1][0], both)
    assert elsewhere.get("/maps/").status_code == 302
    assert sign_in("", new) == 302
    kinds = ActivityEvent.objects.filter(kind="user.password")
    assert kinds.get().message == "bob set a password by a mailed link."


def test_who_was_invited_and_lost_the_mail_asks_for_another(
    bob: User, server: MailServer
) -> None:
    bob.set_unusable_password()
    bob.save()
    gone = make_user(Role.AUDITOR, name="gone", email="gone@example.com")
    gone.is_active = False
    gone.save()
    for address in ("BOB@example.com", "gone@example.com", "nobody@example.com"):
        Client().post(reverse("admin_password_reset"), {"email": address})
    assert [mail["To"] for mail in server.messages] == ["bob@example.com"]


def test_a_command_is_noted_with_who_gave_it(
    bob: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    dw("user", "bob", "--role", "Auditor")
    event = ActivityEvent.objects.get(kind="user.roles", operator__gt="")
    assert event.who == f"ann as {getpass.getuser()}, command line"
    assert event.user is None
    client.force_login(make_user(Role.ADMINISTRATOR))
    assert event.who in client.get(reverse("activity_list")).content.decode()
    assert (
        event.who
        in b"".join(
            client.get(reverse("activity_export")).streaming_content  # type: ignore[arg-type]
        ).decode()
    )
    # What requests and tasks do names no user of the system.
    assert ActivityEvent.objects.exclude(pk=event.pk).filter(operator="").exists()


def from_address(visitor: Client, address: str, name: str, password: str) -> int:
    """A sign-in that comes straight from this address."""
    values = {"username": name, "password": password}
    answer = visitor.post(reverse("login"), values, REMOTE_ADDR=address)
    return answer.status_code


def known_browser(name: str = "bob") -> Client:
    """A browser in which somebody has signed in, and out again."""
    browser = Client()
    assert from_address(browser, "192.0.2.1", name, LONG) == 302
    browser.post(reverse("logout"))
    return browser


def test_many_addresses_do_not_lock_a_user_out_but_are_stopped(
    bob: User, settings: Settings
) -> None:
    settings.SIGN_IN_FAILURES_BY_NAME = 4
    own = known_browser()
    for number in range(4):
        stranger = f"203.0.113.{number}"
        assert from_address(Client(), stranger, "bob", "guess") == 200
    # Another address, even with the right password: it is not looked at.
    refused = Client().post(
        reverse("login"), {"username": "bob", "password": LONG}, REMOTE_ADDR="192.0.2.8"
    )
    assert refused.status_code == 429
    assert "from several places" in refused.content.decode()
    assert locked("bob")
    noted = ActivityEvent.objects.get(kind="sign_in.locked").message
    assert noted == "bob is locked for browsers not used before: too many wrong" + (
        " passwords."
    )
    # Bob's own browser is let in, wherever it is; another's is not taken for his.
    make_user(Role.AUDITOR, name="eve", password=LONG)
    assert from_address(known_browser("eve"), "192.0.2.9", "bob", LONG) == 429
    assert from_address(own, "192.0.2.9", "bob", LONG) == 302
    # Who has such a browser may not guess without end either.
    own.post(reverse("logout"))
    for number in range(4):
        from_address(own, f"198.51.100.{number}", "bob", "guess")
    assert from_address(own, "192.0.2.10", "bob", LONG) == 429
    dw("unlock", "bob")
    assert from_address(Client(), "192.0.2.8", "bob", LONG) == 302


def test_one_address_that_tries_many_names_is_stopped(
    bob: User, settings: Settings
) -> None:
    settings.SIGN_IN_FAILURES_BY_ADDRESS = 4
    own = known_browser()
    for name in ("ann", "root", "admin", "mara"):
        assert from_address(Client(), "192.0.2.1", name, "guess") == 200
    assert from_address(Client(), "192.0.2.1", "bob", LONG) == 429
    noted = ActivityEvent.objects.get(kind="sign_in.locked").message
    assert noted.startswith("192.0.2.1 is locked for all names")
    assert from_address(Client(), "192.0.2.2", "bob", LONG) == 302
    assert from_address(own, "192.0.2.1", "bob", LONG) == 302


def test_a_forged_cookie_makes_no_browser_known(bob: User, settings: Settings) -> None:
    settings.SIGN_IN_FAILURES_BY_NAME = 1
    forger = Client()
    forger.cookies["dw_known"] = signing.dumps([bob.pk], salt="another")
    from_address(forger, "203.0.113.1", "bob", "guess")
    assert from_address(forger, "203.0.113.2", "bob", LONG) == 429
