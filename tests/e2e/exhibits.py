"""One row of each kind that a sample portal does not have by itself, so that the page
of each can be looked at. Runs in a process of the portal:
`manage.py shell -c "from tests.e2e.exhibits import ..."`."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from portal.accounts import services as accounts
from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.alerts import services as alerts
from portal.alerts.models import Alert, AlertRule, Delivery, Webhook
from portal.alerts.rule_services import save_rule
from portal.approvals.models import Approval
from portal.editor import services as editor
from portal.editor.models import MapDraft
from portal.environments.models import ConnectionSet
from portal.maps import value_maps
from portal.maps.conversion import to_engine
from portal.maps.models import SharedValueMap, TableMap
from portal.maps.removal import remove_maps
from portal.maps.versions import create_version
from portal.setup import checking, drafts
from portal.setup.models import SetupDraft
from tests.e2e.pages import SPARE
from tests.factories import make_map
from tests.portal.page_rows import make_comparison, make_run

COPY, BROKEN = "fabrikam", "fabrikam-asia"
WATCHED = "The queue grows old"
PERSON, WORDS, HOOK, KIND = "mara.okafor", "Branch priority", "Shift chat", "exhibit"
RULE = "Many new errors"
OF_MAPS = "Customers V3 (accounts)"


@transaction.atomic
def make() -> None:
    """Make them all."""
    present = TableMap.objects.get(name=OF_MAPS)
    spare = _spare_map(present)
    make_comparison(spare, 60)
    broken = make_run(
        spare,
        state="failed",
        message="The connection to Dataverse was lost.",
        legal_entities=["usmf"],
    )
    # That its company is left out of the map is what can be repeated or skipped.
    spare.legs.create(direction="finops_to_dataverse", scope=broken.pk)
    Approval.objects.create(
        table_map=spare,
        direction="finops_to_dataverse",
        kind="delete",
        count=412,
        rows=2014,
        sample=[["usmf", "C-1"], ["usmf", "C-2"]],
    )
    value_maps.save(WORDS, [("Low", "0"), ("Normal", "1"), ("High", "2")])
    mara = accounts.add_user(
        PERSON,
        roles=[Role.OPERATOR],
        email="mara@example.com",
        first_name="Mara",
        last_name="Okafor",
    )
    accounts.set_limits(mara, limited=True, limits=[(present.connection_set, "usmf")])
    _alerts(spare)
    _drafts(present.connection_set)


def _spare_map(present: TableMap) -> TableMap:
    """Not running, with two versions and a draft: the editor may change it."""
    assert present.version is not None
    definition = replace(to_engine(present.version), name=SPARE, version="1.0.0.0")
    spare = make_map(present.connection_set, name=SPARE, definition=definition)
    create_version(spare, replace(definition, version="1.0.1.0"))
    spare.refresh_from_db()
    editor.begin(spare, user=User.objects.get(username="admin"))
    return spare


def _alerts(spare: TableMap) -> None:
    webhook = Webhook.objects.create(
        name=HOOK, url="https://chat.example.com/hooks/shift", enabled=False
    )
    save_rule(WATCHED, measure="queue_minutes", threshold=600, enabled=False)
    alerts.raise_alert(
        KIND,
        "FinOps has grown slow to answer: 2.4 s at best of three.",
        connection_set=spare.connection_set,
        table_map=spare,
    )
    now = timezone.now()
    for state, code, message in (
        ("sent", "", ""),
        ("failed", "refused", "It answered 503: the chat is being serviced. " * 4),
    ):
        Delivery.objects.create(
            alert=Alert.objects.get(kind=KIND),
            rule=RULE,
            channel="webhook",
            occasion="opened",
            recipient=webhook.url,
            webhook=webhook,
            state=state,
            not_before=now,
            attempts=1,
            sent_at=now if state == "sent" else None,
            code=code,
            message=message,
        )


def _drafts(link: ConnectionSet) -> None:
    """A link about to be made, and one that could not be."""
    draft = drafts.begin(name=COPY)
    # Its systems are linked already, which the health check says, too.
    SetupDraft.objects.filter(pk=draft.pk).update(
        finops=link.finops, dataverse=link.dataverse
    )
    draft.refresh_from_db()
    drafts.match_companies(draft)
    pairs = {one.finops_code: one.dataverse_code for one in draft.companies.all()}
    whole = {code: other for code, other in pairs.items() if other}
    drafts.settle_companies(draft, pairs, list(whole))
    drafts.choose_maps(draft, [OF_MAPS])
    checking.check(draft)
    drafts.reached(draft, "summary")

    broken = drafts.begin(name=BROKEN)
    steps = (
        ("link", "Link FinOps and Dataverse", "done", "The link was made."),
        ("maps", "Install 12 ready-made maps", "done", "They were installed."),
        (
            "finops",
            "Install change capture on FinOps",
            "failed",
            "The account may not create a publication: must be owner of the table.",
        ),
        ("dataverse", "Install change capture on Dataverse", "waiting", ""),
        ("run", "Run 12 maps", "waiting", ""),
    )
    for number, (name, title, state, message) in enumerate(steps, 1):
        broken.steps.create(  # type: ignore[attr-defined]
            number=number, name=name, title=title, state=state, message=message
        )
    SetupDraft.objects.filter(pk=broken.pk).update(state="failed")


@transaction.atomic
def remove() -> None:
    """Take away what `make` made."""
    SetupDraft.objects.filter(name__in=[COPY, BROKEN]).delete()
    Delivery.objects.filter(webhook__name=HOOK).delete()
    AlertRule.objects.filter(name=WATCHED).delete()
    Webhook.objects.filter(name=HOOK).delete()
    Alert.objects.filter(kind=KIND).delete()
    User.objects.filter(username=PERSON).delete()
    SharedValueMap.objects.filter(name=WORDS).delete()
    spare = TableMap.objects.filter(name=SPARE)
    MapDraft.objects.filter(table_map__in=spare).delete()
    remove_maps(list(spare.values_list("pk", flat=True)))
