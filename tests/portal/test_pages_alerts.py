"""The pages of alert rules, messages, webhooks, mail and the inbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.alerts import inbox, rule_services, services, telling
from portal.alerts import webhooks as hooks
from portal.alerts.models import Alert, AlertRule, Delivery, InboxItem, Webhook
from portal.mailing.models import MailSettings
from portal.mailing.services import save_settings
from portal.maps.models import MapState
from tests.factories import make_connection_set, make_map, make_user
from tests.outside import MailServer, Receiver, part
from tests.portal.page_rows import ago, make_error

pytestmark = pytest.mark.django_db

WITH_RULE = ("alert_rule_page", "alert_rule_delete")
RULE_ACTIONS = ("alert_rule_switch", "alert_rule_test")
WITH_WEBHOOK = ("webhook_page", "webhook_delete")
SETTINGS = ("webhook_list", "webhook_new", "mail_settings", "alert_rule_new")
ALL = {
    *(*WITH_RULE, *RULE_ACTIONS, *WITH_WEBHOOK, *SETTINGS),
    *("webhook_test", "mail_test", "alert_page"),
}

RULE = {
    "name": "many errors",
    "measure": "errors",
    "threshold": "10",
    "window_minutes": "15",
    "codes": ["value_not_in_map"],
    "connection_set": "",
    "table_map": "",
    "action": "pause",
    "enabled": "on",
    "recipients": "ops@example.com",
    "digest": "at_once",
    "cooldown_minutes": "15",
    "quiet_from": "22:00",
    "quiet_until": "06:00",
    "time_zone": "Europe/Berlin",
    "tell_over": "on",
}
MAIL = {
    "host": "smtp.example.com",
    "port": "587",
    "security": "starttls",
    "username": "portal",
    "password": "hunter2-hunter2",
    "sender": "Dual-write <portal@example.com>",
    "portal_url": "http://sync:8000",
    "digest_hour": "7",
}


def make_rule(name: str = "any", **values: Any) -> AlertRule:
    return rule_services.save_rule(name, **{"measure": "any_alert", **values})[0]


def paths() -> list[tuple[str, bool]]:
    """Everything of these pages, and whether it takes only POST."""
    rule, hook = make_rule(), hooks.save_webhook("chat", "https://one.example/")
    reading = [
        *(reverse(name, args=[rule.pk]) for name in WITH_RULE),
        *(reverse(name, args=[hook.pk]) for name in WITH_WEBHOOK),
        *(reverse(name) for name in SETTINGS),
    ]
    acting = [
        *(reverse(name, args=[rule.pk]) for name in RULE_ACTIONS),
        reverse("webhook_test", args=[hook.pk]),
        reverse("mail_test"),
    ]
    return [(path, False) for path in reading] + [(path, True) for path in acting]


def test_visitors_and_those_without_rights_are_kept_out(client: Client) -> None:
    found = paths()
    for path, _ in found:
        assert client.get(path).status_code == 302
        assert client.post(path).status_code == 302
    client.force_login(User.objects.create_user("visitor"))
    for path, _ in found:
        assert client.get(path).status_code == 403
    client.force_login(make_user(Role.AUDITOR))
    page = reverse("alert_rule_page", args=[AlertRule.objects.get().pk])
    for path, acting in found:
        assert acting or path == page or client.get(path).status_code == 403
        assert client.post(path, RULE).status_code in (403, 405)
    assert "fieldset class" in client.get(page).content.decode()
    assert "save-rule" not in client.get(page).content.decode()
    assert AlertRule.objects.get().measure == "any_alert"


def test_actions_take_only_post_and_nothing_is_shown_of_what_is_not_there(
    admin_client: Client,
) -> None:
    for path, acting in paths():
        assert admin_client.get(path).status_code == (405 if acting else 200)
    for name in ("alert_page", *WITH_RULE, *WITH_WEBHOOK):
        assert admin_client.get(reverse(name, args=[10**9])).status_code == 404


def test_a_rule_is_made_changed_switched_and_deleted(
    admin_client: Client, admin_user: User
) -> None:
    anna = make_user(Role.OPERATOR, name="anna")
    table_map = make_map(make_connection_set(name="contoso"))
    admin_client.post(
        reverse("alert_rule_new"),
        {**RULE, "users": [anna.pk], "table_map": table_map.pk},
    )
    rule = AlertRule.objects.get()
    assert (rule.threshold, rule.action, rule.table_map) == (10, "pause", table_map)
    assert f"{rule.quiet_from:%H:%M}" == "22:00"
    assert list(rule.users.all()) == [anna]
    page = reverse("alert_rule_page", args=[rule.pk])
    text = admin_client.get(page).content.decode()
    assert "When 10 or more errors within 15 minutes of the kind" in text
    assert "in customers, pause the map" in text
    assert rule.codes == "value_not_in_map"
    assert rule.time_zone == "Europe/Berlin"
    assert "No mail for anna" in text
    admin_client.post(page, {**RULE, "threshold": "20"})
    event = ActivityEvent.objects.get(kind="alert_rule.changed")
    assert event.user == admin_user
    assert {"what": "Threshold", "old": 10, "new": 20} in event.details["changes"]
    admin_client.post(reverse("alert_rule_switch", args=[rule.pk]), {"enabled": "no"})
    rule.refresh_from_db()
    assert not rule.enabled
    assert (
        "many errors" in admin_client.get(reverse("alert_rule_list")).content.decode()
    )
    delete = reverse("alert_rule_delete", args=[rule.pk])
    assert admin_client.post(delete, {"name": "many"}).status_code == 400
    admin_client.post(delete, {"name": "many errors"})
    assert not AlertRule.objects.exists()


def test_a_rule_that_makes_no_sense_is_shown_again_with_the_reason(
    admin_client: Client,
) -> None:
    make_rule("taken")
    path = reverse("alert_rule_new")
    for values, words in (
        ({"name": ""}, "This field is required"),
        ({"recipients": "nobody"}, "nobody is no mail address"),
        ({"name": "taken"}, "There is a rule taken already"),
        ({"quiet_until": ""}, "both ends"),
        ({"threshold": "0"}, "greater than or equal to 1"),
    ):
        response = admin_client.post(path, {**RULE, **values})
        assert response.status_code == 400
        assert words in response.content.decode()
    assert AlertRule.objects.count() == 1


def test_a_rule_shows_what_it_measures_now(admin_client: Client) -> None:
    table_map = make_map(state=MapState.RUNNING)
    for number in range(2):
        make_error(table_map, key=f"usmf / {number}", first_seen=ago(60))
    rule = make_rule(measure="errors", threshold=2)
    text = admin_client.get(reverse("alert_rule_page", args=[rule.pk])).content.decode()
    assert "Now: 2 errors within 15 minutes" in text
    assert "Reached" in text


def test_the_page_of_an_alert_leads_on_and_marks_it_read(
    admin_client: Client, admin_user: User
) -> None:
    table_map = make_map()
    make_rule(recipients="ops@example.com")
    services.raise_alert("drift", "Drift!", table_map=table_map, comparison=7)
    telling.tell()
    assert inbox.unread(admin_user) == 1
    home = admin_client.get("/").content.decode()
    assert 'data-testid="nav-badge">1<' in home
    alert = Alert.objects.get()
    page = reverse("alert_page", args=[alert.pk])
    text = admin_client.get(page).content.decode()
    assert 'href="/comparisons/7/"' in text
    assert "ops@example.com" in text
    assert inbox.unread(admin_user) == 0
    assert "nav-badge" not in admin_client.get("/").content.decode()
    admin_client.post(
        reverse("alert_mark"),
        {"alert": alert.pk, "action": "snooze", "minutes": "240"},
    )
    alert.refresh_from_db()
    assert alert.snoozed_until is not None
    assert page not in admin_client.get("/").content.decode()
    assert "Snoozed until" in admin_client.get(page).content.decode()


def test_everybody_has_an_inbox_of_their_own(
    admin_client: Client, admin_user: User
) -> None:
    anna = make_user(Role.OPERATOR, name="anna")
    for number in range(3):
        services.raise_alert("slow", f"No. {number}", about=str(number))
    telling.tell()
    mine = InboxItem.objects.filter(user=admin_user).order_by("pk")
    mark = reverse("inbox_mark")
    others = InboxItem.objects.filter(user=anna)[0]
    admin_client.post(mark, {"item": [mine[0].pk, others.pk], "action": "read"})
    assert (inbox.unread(admin_user), inbox.unread(anna)) == (2, 3)
    unread = admin_client.get(reverse("inbox"), {"show": "unread"})
    assert len(unread.context["page"].rows) == 2
    admin_client.post(mark, {"item": mine[0].pk, "action": "unread"})
    assert inbox.unread(admin_user) == 3
    admin_client.post(mark, {"action": "all"})
    assert inbox.unread(admin_user) == 0
    text = admin_client.get(reverse("inbox"), {"show": "unread"}).content.decode()
    assert "All is read" in text


def test_sent_messages_are_listed_filtered_and_sent_again(
    admin_client: Client,
) -> None:
    path = reverse("delivery_list")
    assert "Nothing was sent yet" in admin_client.get(path).content.decode()
    make_rule(recipients="ops@example.com, it@example.com")
    services.raise_alert("slow", "Slow.")
    telling.tell()
    Delivery.objects.filter(recipient="ops@example.com").update(
        state="failed", message="550 no"
    )
    assert len(admin_client.get(path).context["page"].rows) == 2
    found = admin_client.get(path, {"state": "failed", "to": "OPS"})
    (row,) = found.context["page"].rows
    assert "550 no" in found.content.decode()
    admin_client.post(reverse("delivery_retry"), {"delivery": row.pk})
    row.refresh_from_db()
    assert row.state == "waiting"
    assert "No message matches" in (
        admin_client.get(path, {"to": "nobody"}).content.decode()
    )


def test_retrying_needs_the_right(client: Client) -> None:
    client.force_login(make_user(Role.AUDITOR))
    assert client.post(reverse("delivery_retry")).status_code == 403
    client.force_login(make_user(Role.OPERATOR))
    assert client.post(reverse("delivery_retry")).status_code == 302


def test_a_webhook_is_made_tested_and_deleted(
    admin_client: Client, receiver: Receiver
) -> None:
    assert (
        "No webhooks yet" in admin_client.get(reverse("webhook_list")).content.decode()
    )
    values = {"name": "chat", "url": receiver.url, "enabled": "on"}
    admin_client.post(reverse("webhook_new"), values)
    hook = Webhook.objects.get()
    assert hook.secret in (
        admin_client.get(reverse("webhook_page", args=[hook.pk])).content.decode()
    )
    assert hook.secret not in admin_client.get(reverse("webhook_list")).content.decode()
    test = reverse("webhook_test", args=[hook.pk])
    answer = admin_client.post(test, follow=True).content.decode()
    assert "chat answered 200 OK" in answer
    assert receiver.document()["event"] == "alert.test"
    receiver.status = 500
    answer = admin_client.post(test, follow=True).content.decode()
    assert "chat answers 500" in answer
    assert Delivery.objects.get(state="failed").code == "http_500"
    bad = admin_client.post(
        reverse("webhook_page", args=[hook.pk]), {**values, "url": "chat.example"}
    )
    assert bad.status_code == 400
    admin_client.post(reverse("webhook_delete", args=[hook.pk]), {"name": "chat"})
    assert not Webhook.objects.exists()
    assert hook.secret not in str(list(ActivityEvent.objects.values()))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


# -- mail -------------------------------------------------------------------------


def test_the_mail_password_goes_in_and_never_comes_out(admin_client: Client) -> None:
    path = reverse("mail_settings")
    assert "No mail is sent yet" in admin_client.get(path).content.decode()
    assert admin_client.post(path, MAIL).status_code == 302
    assert MailSettings.objects.get().password == MAIL["password"]
    assert MAIL["password"] not in admin_client.get(path).content.decode()
    assert MAIL["password"] not in str(list(ActivityEvent.objects.values()))
    admin_client.post(path, {**MAIL, "password": "", "port": "465"})
    row = MailSettings.objects.get()
    assert (row.port, row.password) == (465, MAIL["password"])
    admin_client.post(path, {**MAIL, "password": "", "host": "evil.example.com"})
    assert MailSettings.objects.get().password == ""
    changes = ActivityEvent.objects.filter(kind="mail.settings").first()
    assert changes is not None
    assert {"what": "Host", "old": "smtp.example.com", "new": "evil.example.com"} in (
        changes.details["changes"]
    )


def test_mail_settings_that_make_no_sense_are_shown_again(
    admin_client: Client,
) -> None:
    for values in (
        {"sender": ""},
        {"sender": "nobody"},
        {"portal_url": "sync.example.com"},
        {"port": "0"},
        {"digest_hour": "24"},
    ):
        response = admin_client.post(reverse("mail_settings"), {**MAIL, **values})
        assert response.status_code == 400, values
    assert not MailSettings.objects.exists()


@pytest.fixture(scope="module")
def locked_server() -> Iterator[MailServer]:
    """A mail server that asks for a name and a password."""
    server = MailServer("portal", "right-word")
    yield server
    server.close()


def by(server: MailServer, password: str) -> None:
    save_settings(
        {
            "host": "127.0.0.1",
            "port": server.port,
            "security": "none",
            "username": "portal",
            "password": password,
            "sender": "portal@example.com",
        }
    )


def test_a_test_mail_says_what_the_server_says(
    admin_client: Client, locked_server: MailServer
) -> None:
    path = reverse("mail_test")
    locked_server.forget()

    def answer(recipient: str = "me@example.com") -> str:
        found = admin_client.post(path, {"recipient": recipient}, follow=True)
        return str(found.content.decode())

    assert "No mail server is set up" in answer()
    by(locked_server, "wrong-word")
    assert "does not accept the user name and password" in answer()
    by(locked_server, "right-word")
    assert "took the mail to me@example.com" in answer()
    (mail,) = locked_server.messages
    assert "Mail from the portal arrives" in part(mail, "plain")
    assert "no mail address" in answer("nobody")
    assert "550 5.1.1 no such mailbox here" in answer("refused@example.com")
    save_settings({"security": "starttls"})
    assert "does not offer what is asked for" in answer()
    save_settings({"security": "none", "port": 1})
    assert "does not answer as a mail server should" in answer()


def test_djangos_own_mails_go_the_same_way(
    locked_server: MailServer, settings: Any
) -> None:
    from django.core.mail import send_mail

    settings.EMAIL_BACKEND = "portal.mailing.backend.PortalBackend"
    locked_server.forget()
    by(locked_server, "right-word")
    assert send_mail("Reset", "Here.", None, ["me@example.com"]) == 1
    (mail,) = locked_server.messages
    assert mail["From"] == "portal@example.com"


def test_the_environment_decides_where_it_names_a_server(
    admin_client: Client, settings: Any
) -> None:
    settings.MAIL = {
        **settings.MAIL,
        "host": "relay.example.com",
        "sender": "portal@example.com",
        "portal_url": "https://sync.example.com",
    }
    text = admin_client.get(reverse("mail_settings")).content.decode()
    assert "relay.example.com:587" in text
    assert 'name="host"' not in text
    assert 'name="portal_url"' not in text
    admin_client.post(reverse("mail_settings"), {"digest_hour": "9"})
    assert MailSettings.objects.get().digest_hour == 9
