"""`dw deliveries` and `dw webhooks`."""

from __future__ import annotations

import argparse

from portal.alerts import delivering, webhooks
from portal.alerts.message_queries import DeliveryFilter, delivery_list
from portal.alerts.models import Channel, DeliveryState, Webhook
from portal.management.results import Add, Console, Result, table
from portal.refusals import NotFound


def register(add: Add) -> None:
    """Add the commands about messages."""
    parser = add(
        "deliveries", deliveries, "list messages about alerts, or send some again"
    )
    parser.add_argument("--retry", nargs="+", type=int, metavar="ID")
    parser.add_argument("--state", choices=DeliveryState.values, default="")
    parser.add_argument("--channel", choices=Channel.values, default="")
    parser.add_argument("--limit", type=int, default=100, metavar="N")
    parser = add("webhooks", webhooks_command, "list webhooks, or change one")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--set", metavar="NAME", dest="saved", help="add or change")
    chosen.add_argument("--delete", metavar="NAME", dest="deleted")
    chosen.add_argument("--test", metavar="NAME", dest="tested")
    parser.add_argument("--url", metavar="ADDRESS")
    parser.add_argument("--disabled", action="store_true", help="keep it for later")
    parser.add_argument("--renew", action="store_true", help="make a new secret")
    parser.set_defaults(usage=parser.error)


def deliveries(options: argparse.Namespace, console: Console) -> Result:
    """Messages, newest first; or send some again."""
    if options.retry:
        number = delivering.retry(options.retry)
        return Result({"retried": number}, f"{number} go out again.")
    filters = DeliveryFilter(state=options.state, channel=options.channel)
    document = [
        {
            "id": one.pk,
            "alert": one.alert_id,
            "occasion": one.occasion,
            "channel": one.channel,
            "recipient": one.recipient,
            "rule": one.rule or None,
            "digest": one.digest or None,
            "state": one.state,
            "attempts": one.attempts,
            "not_before": one.not_before,
            "sent_at": one.sent_at,
            "code": one.code or None,
            "message": one.message,
        }
        for one in delivery_list(filters)[: max(options.limit, 0)]
    ]
    columns = ("id", "state", "channel", "recipient", "occasion", "attempts", "message")
    rows = [[entry[name] for name in columns] for entry in document]
    text = table(rows, columns) if rows else "There are no messages."
    return Result({"deliveries": document}, text)


def webhooks_command(options: argparse.Namespace, console: Console) -> Result:
    """All webhooks without their secrets; the secret of one that was just made."""
    if options.deleted:
        webhooks.delete_webhook(options.deleted)
        return Result({"deleted": options.deleted}, f"Deleted {options.deleted}.")
    if options.tested:
        found = Webhook.objects.filter(name=options.tested).first()
        if found is None:
            raise NotFound(f"There is no webhook {options.tested}.")
        answer = delivering.send_test_to(found)
        return Result({"answer": answer}, f"{found.name} answered {answer}.")
    if options.saved:
        return _save(options)
    rows = [
        {"name": one.name, "url": one.url, "enabled": one.enabled}
        for one in Webhook.objects.defer("secret")
    ]
    text = "There are no webhooks."
    if rows:
        text = table([list(row.values()) for row in rows], ("name", "url", "enabled"))
    return Result({"webhooks": rows}, text)


def _save(options: argparse.Namespace) -> Result:
    known = Webhook.objects.filter(name=options.saved).first()
    if not (options.url or known):
        options.usage("--set needs --url")
    before = known.secret if known else ""
    saved = webhooks.save_webhook(
        options.saved,
        options.url or (known.url if known else ""),
        enabled=not options.disabled,
        renew=options.renew,
    )
    document = {"name": saved.name, "url": saved.url, "enabled": saved.enabled}
    text = f"Saved {saved.name}."
    if saved.secret != before:
        document["secret"] = saved.secret
        text += f" Its secret, shown this once: {saved.secret}"
    return Result({"webhook": document}, text)
