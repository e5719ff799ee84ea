"""Messages about alerts: by a real mail server and a real HTTP server."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.accounts.services import set_limits
from portal.activity.models import ActivityEvent
from portal.alerts import delivering, inbox, rule_services, rules, services, telling
from portal.alerts import webhooks as hooks
from portal.alerts.models import Alert, AlertRule, Delivery, InboxItem
from portal.alerts.rule_services import Told
from portal.alerts.tasks import deliver, tell
from portal.alerts.timing import MOST_ATTEMPTS, due_at, next_attempt
from portal.environments.models import ConnectionSet
from portal.mailing.services import save_settings
from portal.maps.models import MapState, TableMap
from portal.refusals import NotFound, Refusal
from tests.factories import make_connection_set, make_map, make_user
from tests.outside import MailServer, Receiver, part
from tests.portal.page_rows import ago, make_error

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shared_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


@pytest.fixture
def server(shared_server: MailServer) -> MailServer:
    """A mail server that the portal sends by."""
    shared_server.forget()
    save_settings(
        {
            "host": "127.0.0.1",
            "port": shared_server.port,
            "security": "none",
            "sender": "Dual-write <portal@example.com>",
            "portal_url": "https://sync.example.com",
        }
    )
    return shared_server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def make_rule(name: str = "any", **values: object) -> AlertRule:
    defaults: dict[str, object] = {
        "measure": "any_alert",
        "recipients": "ops@example.com",
        "cooldown_minutes": 15,
    }
    rule, _ = rule_services.save_rule(name, **{**defaults, **values})  # type: ignore[arg-type]
    return rule


def open_alert(links: ConnectionSet | None = None, message: str = "Slow.") -> Alert:
    services.raise_alert("slow", message, connection_set=links or make_connection_set())
    return Alert.objects.latest("pk")


def everything(now: datetime | None = None) -> None:
    telling.tell(now)
    if now is not None:
        Delivery.objects.filter(state="waiting").update(not_before=timezone.now())
    deliver()


# -- mail -------------------------------------------------------------------------


def test_a_mail_names_the_cause_and_leads_to_it(server: MailServer) -> None:
    table_map = make_map(state=MapState.RUNNING)
    make_rule("many errors", measure="errors", threshold=2)
    errors = [
        make_error(table_map, key=f"usmf / {n}", first_seen=ago(60)) for n in range(2)
    ]
    rules.evaluate()
    tell()
    deliver()
    (mail,) = server.messages
    assert mail["To"] == "ops@example.com"
    assert mail["From"] == "Dual-write <portal@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == (
        "[Dual-write] Warning: customers: 2 errors within 15 minutes "
        "(rule many errors)."
    )
    link = f"https://sync.example.com/errors/causes/{errors[0].cause_id}/"
    for kind in ("plain", "html"):
        text = part(mail, kind)
        assert link in text
        assert "value_not_mapped" in text
        assert "2 waiting records" in text
    assert "many errors" in part(mail, "plain")
    sent = Delivery.objects.get()
    assert (sent.state, sent.attempts) == ("sent", 1)


def test_people_groups_and_addresses_get_it_once(server: MailServer) -> None:
    anna = make_user(Role.AUDITOR, name="anna", email="anna@example.com")
    ben = make_user(Role.OPERATOR, name="ben")
    User.objects.create_user("blind", email="blind@example.com")
    User.objects.create_user("gone", email="gone@example.com", is_active=False)
    group = Group.objects.create(name="operators")
    group.user_set.set(User.objects.all())
    told = Told(users=[anna], groups=[group])
    make_rule(recipients="ANNA@example.com, ops@example.com", told=told)
    make_rule("second", recipients="ops@example.com")
    alert = open_alert()
    everything()
    assert {mail["To"] for mail in server.messages} == {
        "anna@example.com",
        "ops@example.com",
    }
    assert len(server.messages) == 2
    assert set(alert.inboxes.values_list("user__username", flat=True)) == {
        "anna",
        "ben",
    }
    assert inbox.unread(ben) == 1


def test_people_are_told_only_of_what_they_may_see(server: MailServer) -> None:
    """In the inbox, and by mail as their limits are when it goes out."""
    own, foreign = make_connection_set(name="own"), make_connection_set(name="other")
    clerk = make_user(Role.OPERATOR, name="clerk", email="clerk@example.com")
    boss = make_user(Role.AUDITOR, name="boss", email="boss@example.com")
    set_limits(clerk, limited=True, limits=[(own, "")])
    make_rule(recipients="", told=Told(users=[clerk, boss]), digest="hourly")
    for links in (own, foreign):
        open_alert(links, f"{links.name} is slow.")
    telling.tell()
    assert [one.alert.message for one in clerk.inbox.all()] == ["own is slow."]
    theirs = Delivery.objects.filter(recipient="clerk@example.com")
    assert [one.alert.message for one in theirs if one.alert] == ["own is slow."]
    # Limited to nothing meanwhile: what was collected for them is not sent.
    set_limits(clerk, limited=True)
    everything(timezone.now())
    assert [mail["To"] for mail in server.messages] == ["boss@example.com"]
    assert list(theirs.values_list("state", "code")) == [("failed", "may_not_see")]


def test_what_no_rule_gives_to_people_is_in_every_inbox() -> None:
    staff = make_user(Role.OPERATOR, name="anna")
    other = User.objects.create_user("visitor")
    open_alert()
    telling.tell()
    assert (inbox.unread(staff), inbox.unread(other)) == (1, 0)
    assert not Delivery.objects.exists()


def test_whoever_was_told_hears_when_it_is_over(server: MailServer) -> None:
    links = make_connection_set()
    rule = make_rule()
    open_alert(links)
    everything()
    services.clear_alert("slow", connection_set=links)
    everything()
    opened, over = server.messages
    assert over["Subject"] == "[Dual-write] Over: Slow."
    assert over["References"] == opened["References"]
    rule.tell_over = False
    rule.cooldown_minutes = 0
    rule.save()
    services.raise_alert("slow", "Slow.", connection_set=links)
    everything()
    services.clear_alert("slow", connection_set=links)
    everything()
    assert len(server.messages) == 3


def test_an_alert_is_told_once_however_often_it_is_looked_at(
    server: MailServer,
) -> None:
    links = make_connection_set()
    make_rule()
    open_alert(links)
    for _ in range(3):
        services.raise_alert("slow", "Slow.", connection_set=links)
        everything()
    assert len(server.messages) == 1


def test_what_comes_and_goes_is_told_once_in_the_cooldown(server: MailServer) -> None:
    links = make_connection_set()
    make_rule(tell_over=False, cooldown_minutes=15)
    now = timezone.now()
    for minutes in (0, 5, 14, 16):
        services.raise_alert("slow", "Slow.", connection_set=links)
        everything(now + timedelta(minutes=minutes))
        services.clear_alert("slow", connection_set=links)
    assert len(server.messages) == 2


def test_a_warning_that_becomes_an_error_is_told_again(server: MailServer) -> None:
    links = make_connection_set()
    make_rule()
    alert = open_alert(links)
    everything()
    services.snooze([alert.pk], 60)
    services.raise_alert("slow", "Worse.", connection_set=links, severity="error")
    everything()
    assert server.messages[-1]["Subject"] == "[Dual-write] Needs you: Worse."
    alert.refresh_from_db()
    assert alert.snoozed_until is None


def test_a_snoozed_alert_reminds_while_it_lasts(server: MailServer) -> None:
    make_rule()
    first, second = open_alert(), open_alert()
    everything()
    server.forget()
    services.snooze([first.pk, second.pk], 60)
    everything(timezone.now() + timedelta(minutes=59))
    assert not server.messages
    services.close([second.pk])
    everything(timezone.now() + timedelta(minutes=61))
    subjects = [mail["Subject"] for mail in server.messages]
    assert sorted(subjects) == [
        "[Dual-write] Over: Slow.",
        "[Dual-write] Reminder, warning: Slow.",
    ]
    with pytest.raises(Refusal):
        services.snooze([first.pk], 0)


def test_a_digest_is_one_mail_at_its_time(server: MailServer) -> None:
    make_rule(digest="hourly")
    for number in range(3):
        open_alert(message=f"Trouble {number}.")
    everything()
    assert not server.messages
    Delivery.objects.update(not_before=timezone.now())
    deliver()
    (mail,) = server.messages
    assert mail["Subject"] == "[Dual-write] 3 messages about alerts"
    for kind in ("plain", "html"):
        assert all(f"Trouble {number}." in part(mail, kind) for number in range(3))
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_a_refused_recipient_is_not_tried_again_and_others_get_theirs(
    server: MailServer,
) -> None:
    make_rule(
        recipients="refused@example.com, later@example.com, ops@example.com",
    )
    open_alert()
    everything()
    assert [mail["To"] for mail in server.messages] == ["ops@example.com"]
    refused = Delivery.objects.get(recipient="refused@example.com")
    assert (refused.state, refused.code) == ("failed", "recipient_refused")
    assert "550 5.1.1 no such mailbox here" in refused.message
    later = Delivery.objects.get(recipient="later@example.com")
    assert later.state == "waiting"
    assert later.not_before > timezone.now() + timedelta(seconds=20)
    assert delivering.retry([refused.pk]) == 1
    deliver()
    refused.refresh_from_db()
    assert (refused.state, refused.attempts) == ("failed", 1)
    with pytest.raises(NotFound):
        delivering.retry([refused.pk, 10**9])


def test_messages_wait_while_the_server_is_away(server: MailServer) -> None:
    make_rule(recipients="a@example.com, b@example.com")
    server.stop()
    try:
        open_alert()
        everything()
        states = Delivery.objects.values_list("state", "attempts", "code")
        assert sorted(states) == [("waiting", 0, ""), ("waiting", 1, "unreachable")]
    finally:
        server.start()
    deliver()
    Delivery.objects.update(not_before=timezone.now())
    deliver()
    assert len(server.messages) == 2


def test_without_a_mail_server_the_reason_is_shown() -> None:
    make_rule()
    open_alert()
    everything()
    waiting = Delivery.objects.get()
    assert (waiting.state, waiting.code) == ("waiting", "no_mail_server")


def test_what_a_dead_process_left_is_sent_by_another(server: MailServer) -> None:
    make_rule()
    open_alert()
    telling.tell()
    Delivery.objects.update(state="sending", claimed_at=timezone.now())
    deliver()
    assert not server.messages
    Delivery.objects.update(claimed_at=timezone.now() - timedelta(minutes=6))
    deliver()
    assert len(server.messages) == 1


def test_after_many_attempts_a_person_must_look() -> None:
    now = timezone.now()
    waits = [next_attempt(now, number) for number in range(1, MOST_ATTEMPTS)]
    assert waits == sorted(waits)  # type: ignore[type-var]
    assert next_attempt(now, MOST_ATTEMPTS) is None


def test_digests_and_quiet_hours_say_when_a_message_is_due() -> None:
    now = datetime(2026, 3, 5, 21, 30, tzinfo=UTC)
    assert due_at(now, "at_once", 7) == now
    assert due_at(now, "hourly", 7) == datetime(2026, 3, 5, 22, tzinfo=UTC)
    assert due_at(now, "daily", 7) == datetime(2026, 3, 6, 7, tzinfo=UTC)
    assert due_at(now, "daily", 22) == datetime(2026, 3, 5, 22, tzinfo=UTC)
    night = (time(21), time(6))
    assert due_at(now, "at_once", 7, *night) == datetime(2026, 3, 6, 6, tzinfo=UTC)
    early = datetime(2026, 3, 6, 5, 59, tzinfo=UTC)
    assert due_at(early, "at_once", 7, *night) == datetime(2026, 3, 6, 6, tzinfo=UTC)
    noon = datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert due_at(noon, "at_once", 7, *night) == noon
    assert due_at(noon, "at_once", 7, time(11), time(13)) == datetime(
        2026, 3, 6, 13, tzinfo=UTC
    )
    # Elsewhere the same clock shows another hour: 06:00 in Berlin is 05:00 UTC.
    berlin = due_at(now, "at_once", 7, *night, "Europe/Berlin")
    assert berlin == datetime(2026, 3, 6, 5, tzinfo=UTC)
    assert due_at(now, "daily", 7, zone="Asia/Kolkata") == datetime(
        2026, 3, 6, 1, 30, tzinfo=UTC
    )
    summer = datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert due_at(summer, "at_once", 7, *night, "Europe/Berlin") == datetime(
        2026, 3, 29, 4, tzinfo=UTC
    )


# -- events -----------------------------------------------------------------------


def test_a_rule_that_waits_for_an_event_tells_and_acts(server: MailServer) -> None:
    table_map = make_map(state=MapState.RUNNING)
    other = make_map(table_map.connection_set, name="other", state=MapState.RUNNING)
    make_rule(
        "drifting", measure="drift", threshold=10, action="pause", table_map=table_map
    )
    for one, differences in ((other, 50), (table_map, 9)):
        services.raise_alert("drift", "!", table_map=one, differences=differences)
        everything()
    assert not server.messages
    services.clear_alert("drift", table_map=table_map)
    services.raise_alert("drift", "Drift!", table_map=table_map, differences=10)
    everything()
    assert [mail["Subject"] for mail in server.messages] == [
        "[Dual-write] Warning: Drift!"
    ]
    states = dict(TableMap.objects.values_list("name", "state"))
    assert states == {"customers": "paused", "other": "running"}
    assert ActivityEvent.objects.filter(kind="alert_rule.acted").count() == 1


def test_a_finished_initial_sync_is_told_to_those_who_asked(server: MailServer) -> None:
    make_user(Role.OPERATOR, name="anna")
    table_map = make_map()
    make_rule()
    services.announce("initial_sync_done", "Copied.", table_map=table_map, run=1)
    everything()
    assert not server.messages
    assert not InboxItem.objects.exists()
    make_rule("done", measure="run_done")
    services.announce("initial_sync_done", "Copied.", table_map=table_map, run=2)
    everything()
    (mail,) = server.messages
    assert mail["Subject"] == "[Dual-write] Good to know: Copied."
    assert f"/maps/{table_map.pk}/initial-sync/" in part(mail, "plain")
    assert Alert.objects.filter(closed_at=None).count() == 0


# -- webhooks ---------------------------------------------------------------------


def test_a_webhook_gets_signed_json(receiver: Receiver) -> None:
    hook = hooks.save_webhook("chat", receiver.url)
    make_rule(recipients="", told=Told(webhooks=[hook]))
    alert = open_alert(make_connection_set(name="contoso"))
    everything()
    headers, body = receiver.requests[0]
    moment, _, found = headers["X-Dualwrite-Signature"].partition(",v1=")
    signed = moment.removeprefix("t=").encode() + b"." + body
    assert hmac.new(hook.secret.encode(), signed, hashlib.sha256).hexdigest() == found
    document = receiver.document()
    assert document["event"] == "alert.opened"
    assert document["alert"]["id"] == alert.pk
    assert document["alert"]["connection_set"] == "contoso"
    assert Delivery.objects.get().message == "200 OK"
    services.close([alert.pk])
    everything()
    assert receiver.document()["event"] == "alert.over"


@pytest.mark.parametrize(
    ("status", "state"),
    [(500, "waiting"), (429, "waiting"), (404, "failed"), (302, "failed")],
)
def test_a_webhook_is_tried_again_unless_that_cannot_help(
    receiver: Receiver, status: int, state: str
) -> None:
    receiver.status = status
    hook = hooks.save_webhook("chat", receiver.url)
    make_rule(recipients="", told=Told(webhooks=[hook]))
    open_alert()
    everything()
    found = Delivery.objects.get()
    assert (found.state, found.code) == (state, f"http_{status}")
    assert len(receiver.requests) == 1


def test_a_webhook_that_is_away_is_tried_again(receiver: Receiver) -> None:
    hook = hooks.save_webhook("chat", "http://127.0.0.1:1/")
    make_rule(recipients="", told=Told(webhooks=[hook]))
    open_alert()
    everything()
    found = Delivery.objects.get()
    assert (found.state, found.code) == ("waiting", "unreachable")


def test_another_address_never_gets_the_old_secret() -> None:
    hook = hooks.save_webhook("chat", "https://one.example/hook")
    secret = hook.secret
    assert hooks.save_webhook("chat", "https://one.example/hook").secret == secret
    assert hooks.save_webhook("chat", "https://two.example/hook").secret != secret
    for bad in ("ftp://one.example", "one.example", "https://me:word@one.example/"):
        with pytest.raises(Refusal):
            hooks.save_webhook("other", bad)


def test_a_test_of_a_rule_reaches_all_it_tells(
    server: MailServer, receiver: Receiver
) -> None:
    hook = hooks.save_webhook("chat", receiver.url)
    rule = make_rule(told=Told(webhooks=[hook]), digest="daily")
    assert telling.send_test(rule) == 2
    deliver()
    (mail,) = server.messages
    assert mail["Subject"] == "[Dual-write] Test of an alert rule"
    assert receiver.document()["event"] == "alert.test"


# -- rules ------------------------------------------------------------------------


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    for values, words in (
        ({"recipients": "nobody"}, "no mail address"),
        ({"quiet_from": time(9)}, "both ends"),
        ({"quiet_from": time(9), "quiet_until": time(9)}, "whole day"),
        ({"action": "pause"}, "can only tell"),
        ({"cooldown_minutes": -1}, "below zero"),
    ):
        with pytest.raises(Refusal, match=words):
            make_rule(**values)
    assert not AlertRule.objects.exists()


def test_the_activity_log_has_old_and_new_values_of_a_rule() -> None:
    anna = User.objects.create_user("anna")
    make_rule()
    make_rule(cooldown_minutes=30, told=Told(users=[anna]), user=anna)
    event = ActivityEvent.objects.get(kind="alert_rule.changed")
    assert event.user == anna
    assert event.details["changes"] == [
        {"what": "Cooldown minutes", "old": 15, "new": 30},
        {"what": "Users", "old": "", "new": "anna"},
    ]
    make_rule(cooldown_minutes=30)
    assert ActivityEvent.objects.filter(kind="alert_rule.changed").count() == 1


def test_the_commands_do_what_the_pages_do(
    receiver: Receiver,
    shared_server: MailServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dw(*arguments: str) -> Any:
        call_command("dw", *arguments, "--json")
        return json.loads(capsys.readouterr().out)

    shared_server.forget()
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    line = f"mail set --host 127.0.0.1 --port {shared_server.port} --security none"
    found = dw(*line.split(), "--sender", "portal@example.com", "--password-stdin")
    assert (found["mail"]["host"], found["mail"]["password"]) == ("127.0.0.1", "set")
    save_settings({"username": ""})
    assert dw("mail", "test", "me@example.com")["sent"] == "me@example.com"
    assert len(shared_server.messages) == 1

    made = dw("webhooks", "--set", "chat", "--url", receiver.url)["webhook"]
    assert made["secret"]
    assert "secret" not in dw("webhooks", "--set", "chat")["webhook"]
    assert dw("webhooks")["webhooks"][0]["name"] == "chat"
    assert dw("webhooks", "--test", "chat")["answer"] == "200 OK"

    User.objects.create_user("anna")
    line = "alert-rules --set any --measure any_alert --user anna --webhook chat"
    rule = dw(*line.split(), "--quiet", "22:00-06:00", "--digest", "hourly")["rule"]
    assert (rule["users"], rule["webhooks"]) == (["anna"], ["chat"])
    assert rule["quiet_hours"] == "22:00-06:00"
    assert dw("alert-rules", "--test", "any")["messages"] == 1
    assert not dw("alert-rules", "--off", "any")["rule"]["enabled"]

    sent = dw("deliveries", "--channel", "webhook")["deliveries"]
    assert [one["state"] for one in sent] == ["waiting", "sent"]
    assert dw("deliveries", "--retry", str(sent[0]["id"]))["retried"] == 1
    alert = open_alert()
    assert dw("alerts", "--snooze", str(alert.pk))["snoozed"] == 1
    assert dw("alerts")["alerts"][0]["snoozed_until"]
    assert dw("webhooks", "--delete", "chat")["deleted"] == "chat"
