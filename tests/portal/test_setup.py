"""Setting a link up: the draft, its check, the job that makes it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from portal.activity.models import ActivityEvent
from portal.environments import copies, relinking
from portal.environments import services as environments
from portal.environments.models import ConnectionSet, Environment, Stream
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.maps.removal import remove_maps
from portal.refusals import ConfigurationRefused, Refusal
from portal.runs.models import InitialSyncRun
from portal.setup import (
    checking,
    choosing,
    creating,
    drafts,
    filling,
    needs,
    stamping,
)
from portal.setup.models import (
    DraftState,
    SetupDraft,
    Situation,
    Stamping,
    StepState,
)
from portal.setup.situations import PLANS, Progress, tasks
from portal.setup.summary import summary_of
from portal.setup.tasks import give_companies
from portal.setup.testing import test_environment
from syncengine import catalog
from syncengine.mapping.model import Severity, Side
from tests.portal.setup_ground import (
    HIERARCHIES,
    PAYMENT_DAYS,
    ROLES,
    TAX_GROUPS,
    SetupGround,
    connected_draft,
    environment,
    make_ground,
    ready_draft,
)

pytestmark = pytest.mark.django_db
job = pytest.mark.django_db(transaction=True)
"""The job must not run inside a transaction."""


@pytest.fixture
def ground(make_database: Callable[..., str]) -> SetupGround:
    return make_ground(make_database)


def states(found: object) -> dict[str, str]:
    return {item.title: item.state for item in found.items}  # type: ignore[attr-defined]


# What needs what


def test_maps_are_staged_behind_what_they_need_and_a_tree_spells_each_out_once() -> (
    None
):
    names = ["Customer groups", "Terms of payment", "Payment days CDS", "Currencies"]
    found = [[one.name for one in stage] for stage in needs.stages(names)]
    assert found == [
        ["Payment days CDS", "Currencies"],
        ["Terms of payment"],
        ["Customer groups"],
    ]
    told: list[str] = []

    def walk(one: needs.Need) -> None:
        if not one.again:
            told.append(one.name)
        for below in one.needs:
            walk(below)

    walk(needs.tree("Customers V3 (accounts)"))
    spelled = [name for name in told if catalog.find(name).related]
    assert len(spelled) == len(set(spelled)) > 5
    assert {"Vendors V2", "Contacts V2", "Currencies"} <= set(told)
    everything = [entry.name for entry in catalog.entries()]
    staged = [one.name for stage in needs.stages(everything) for one in stage]
    assert sorted(staged) == sorted(everything)


# Records without a company


HOMELESS = "SELECT count(*) FROM msdyn_taxgroups WHERE msdyn_company IS NULL"
MANY = """INSERT INTO msdyn_taxgroups (msdyn_name)
    SELECT 'homeless ' || n FROM generate_series(1, 6) n"""


def stamped(draft: SetupDraft, company: str = "USMF") -> Stamping:
    return stamping.begin(draft, "msdyn_taxgroups", company)


@job
def test_records_without_a_company_get_one_that_takes_part(
    ground: SetupGround, admin_client: Client
) -> None:
    draft = ready_draft(ground)
    assert stamping.waiting(draft)[0][0] == "msdyn_taxgroups"
    with pytest.raises(Refusal, match="does not take part"):
        stamped(draft, "XXXX")
    place = reverse("setup_stamp", args=[draft.pk])
    wanted = {"table": "msdyn_taxgroups", "company": "USMF"}
    assert "1 record." in admin_client.get(place, wanted).content.decode()
    begun = admin_client.post(place, wanted)
    # Until a worker has done it, nothing else begins, and no link is made.
    with pytest.raises(Refusal, match="are being given USMF"):
        stamped(draft, "DAT")
    with pytest.raises(Refusal) as caught:
        creating.agree(draft)
    assert caught.value.reasons == ("Wait until records of msdyn_taxgroups have USMF.",)
    shown = admin_client.get(begun["Location"]).content.decode()
    assert 'data-state="waiting"' in shown
    assert "0 of 1 record" in shown
    give_companies()
    shown = admin_client.get(f"{begun['Location']}live/").content.decode()
    assert 'data-state="done"' in shown
    assert "hx-get" not in shown
    assert ground.value(Side.DATAVERSE, HOMELESS) == 0
    event = ActivityEvent.objects.get(kind="setup.stamped")
    assert event.details["rows"] == 1
    assert event.message.startswith("1 record of msdyn_taxgroups")
    draft.refresh_from_db()
    assert draft.checked_at is None
    checking.check(draft)
    assert (draft.homeless, stamping.waiting(draft)) == (0, [])


@job
def test_giving_a_company_goes_on_where_it_stopped_and_can_be_cancelled(
    ground: SetupGround, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "ROWS_A_STEP", 2)
    ground.execute(Side.DATAVERSE, MANY)
    draft = ready_draft(ground)
    first = stamped(draft)
    told: list[int] = []
    # The worker is asked to stop after its first step; another goes on.
    filling.work(first.pk, lambda: bool(told), told.append)
    first.refresh_from_db()
    assert (first.state, first.rows, told) == ("working", 2, [2])
    place = reverse("setup_stamping_cancel", args=[draft.pk, first.pk])
    filling.work(
        first.pk, told=lambda rows: admin_client.post(place) and told.append(rows)
    )
    first.refresh_from_db()
    assert (first.state, first.rows, told) == ("cancelled", 4, [2, 4])
    assert ground.value(Side.DATAVERSE, HOMELESS) == 3
    page = admin_client.get(reverse("setup_stamping", args=[draft.pk, first.pk]))
    assert "Give the others USMF" in page.content.decode()
    give_companies()
    assert ground.value(Side.DATAVERSE, HOMELESS) == 3
    second = stamped(draft)
    filling.work_off()
    second.refresh_from_db()
    assert (second.state, second.rows) == ("done", 3)


@job
def test_giving_a_company_that_fails_says_why(ground: SetupGround) -> None:
    draft = ready_draft(ground)
    job = stamped(draft)
    ground.execute(
        Side.DATAVERSE, "DELETE FROM cdm_companies WHERE cdm_companycode = 'USMF'"
    )
    filling.work_off()
    job.refresh_from_db()
    assert (job.state, job.code, job.rows) == ("failed", "company_missing", 0)
    assert "has no company USMF" in job.message


def test_a_discarded_draft_forgets_environments_that_nothing_else_needs(
    ground: SetupGround,
) -> None:
    draft, other = connected_draft(ground), drafts.begin()
    SetupDraft.objects.filter(pk=other.pk).update(finops=draft.finops)
    drafts.discard(draft, forget=True)
    assert [one.name for one in Environment.objects.all()] == ["finops-system"]


# The test of an environment


def test_a_good_environment_passes_item_by_item_and_its_companies_are_found(
    ground: SetupGround,
) -> None:
    erp = test_environment(environment(ground, Side.FINOPS))
    assert erp.passed
    assert set(states(erp).values()) == {"good"}
    assert erp.environment.company_column == "dataareaid"
    crm = test_environment(environment(ground, Side.DATAVERSE)).environment
    assert (crm.company_column, crm.company_lookup_table) == (
        "msdyn_company",
        "cdm_companies",
    )
    assert crm.company_lookup_column == "cdm_companycode"
    assert not Environment.objects.exists()


def test_an_environment_out_of_reach_says_why_and_leaves_the_rest_untested(
    ground: SetupGround,
) -> None:
    wanted = environment(ground, Side.FINOPS)
    wanted.dsn = "postgresql://nobody:secret-word@127.0.0.1:1/nothing"
    found = test_environment(wanted)
    assert not found.usable
    assert states(found)["The system answers"] == "bad"
    assert "off" in states(found).values()
    assert "secret-word" not in str(found.items)


def test_the_database_of_another_environment_is_recognised(ground: SetupGround) -> None:
    draft = connected_draft(ground)
    again = test_environment(environment(ground, Side.FINOPS, "twin"))
    assert not again.usable
    assert again.origin is not None
    assert again.origin.twin == draft.finops


# Companies


def test_companies_are_matched_by_code_and_corrected_by_hand(
    ground: SetupGround,
) -> None:
    draft = connected_draft(ground)
    finops, dataverse = drafts.match_companies(draft)
    assert (finops, dataverse) == (["dat", "gone", "usmf"], ["DAT", "USMF", "XXXX"])
    found = {one.finops_code: one for one in draft.companies.all()}
    assert found["usmf"].dataverse_code == "USMF"
    assert found["usmf"].chosen
    assert not found["gone"].chosen
    drafts.settle_companies(
        draft, {"dat": "DAT", "gone": "XXXX", "usmf": "USMF"}, ["gone", "usmf"]
    )
    drafts.match_companies(draft)
    assert [(pair.finops, pair.dataverse) for pair in checking.pairs_of(draft)] == [
        ("gone", "XXXX"),
        ("usmf", "USMF"),
    ]


def test_all_mistakes_of_companies_are_said_at_once(ground: SetupGround) -> None:
    draft = drafts.begin()
    with pytest.raises(ConfigurationRefused) as refused:
        drafts.settle_companies(draft, {"a": "X", "b": "X", "c": ""}, ["a", "b", "c"])
    assert len(refused.value.reasons) == 2
    assert not draft.companies.exists()


def test_a_new_erp_begins_with_its_default_company(ground: SetupGround) -> None:
    draft = connected_draft(ground, situation=Situation.NEW_EXISTING)
    drafts.match_companies(draft)
    chosen = draft.companies.filter(chosen=True)
    assert [one.finops_code for one in chosen] == ["dat"]
    drafts.settle_start(draft, name="other", situation=Situation.EXISTING_NEW)
    chosen = draft.companies.filter(chosen=True)
    assert [one.finops_code for one in chosen] == ["dat", "usmf"]


# Situations


@pytest.mark.parametrize("situation", list(Situation))
def test_every_situation_has_its_own_check_list(situation: Situation) -> None:
    plan = PLANS[situation]
    titles = [task.title for task in tasks(situation, Progress())]
    assert titles[:2] == ["Connect the ERP", "Connect the CRM"]
    assert titles[-1] == "Create the link"
    assert ("Create your companies in the ERP" in titles) is (not plan.erp_rows)
    assert ("Give the CRM's records a company" in titles) is plan.crm_rows
    assert ("Say whose rows are copied first" in titles) is plan.copies
    assert ("Remove companies that shall not take part" in titles) is plan.all_companies
    done = tasks(situation, Progress(True, True, True, True, True, True, 0))
    assert {task.done for task in done} <= {True, None}


def test_two_new_systems_have_nothing_to_copy(ground: SetupGround) -> None:
    draft = connected_draft(ground, situation=Situation.NEW_NEW)
    drafts.choose_maps(draft, [TAX_GROUPS])
    assert not draft.maps.get().copies
    drafts.settle_start(draft, name="other", situation=Situation.FILLED_NEW)
    assert draft.maps.get().copies
    assert draft.maps.get().master == "finops"


# Maps


def test_only_maps_whose_tables_are_there_can_be_chosen(ground: SetupGround) -> None:
    draft = connected_draft(ground)
    schemas = choosing.read_tables(draft)
    fitting = {
        one.name
        for package in choosing.offered(draft, schemas)
        for one in package.maps
        if not one.lacking
    }
    assert fitting == {TAX_GROUPS, PAYMENT_DAYS, HIERARCHIES, ROLES}
    assert choosing.with_needed([ROLES, "Currencies"], schemas) == [HIERARCHIES, ROLES]


def test_the_order_and_what_was_said_of_a_map_stay_when_others_are_added(
    ground: SetupGround,
) -> None:
    draft = connected_draft(ground)
    drafts.choose_maps(draft, [ROLES, HIERARCHIES])
    assert [one.name for one in draft.maps.all()] == [HIERARCHIES, ROLES]
    drafts.settle_order(
        draft, [ROLES, HIERARCHIES], [ROLES], {ROLES: "finops", HIERARCHIES: "?"}
    )
    first, second = choosing.planned(draft)
    assert (first.name, first.late) == (ROLES, [HIERARCHIES])
    assert not second.copies
    drafts.choose_maps(draft, [ROLES, HIERARCHIES, TAX_GROUPS])
    kept = {one.name: one for one in draft.maps.all()}
    assert kept[ROLES].master == "finops"
    assert not kept[HIERARCHIES].copies
    assert kept[TAX_GROUPS].copies


# The check


def test_the_check_names_what_is_wrong_with_its_cure_and_can_be_run_again(
    ground: SetupGround,
) -> None:
    draft = ready_draft(ground, TAX_GROUPS)
    assert draft.passed
    assert draft.homeless == 1
    codes = {finding.code for _, finding in draft.shown_findings()}
    assert "rows_without_company" in codes
    ground.execute(
        Side.DATAVERSE, "ALTER TABLE msdyn_taxgroups DROP COLUMN msdyn_description"
    )
    checking.check(draft)
    draft.refresh_from_db()
    errors = [
        (name, finding)
        for name, finding in draft.shown_findings()
        if finding.severity is Severity.ERROR
    ]
    assert not draft.passed
    assert {name for name, _ in errors} == {TAX_GROUPS}
    assert all(finding.cure for _, finding in errors)
    with pytest.raises(Refusal) as refused:
        creating.agree(draft)
    assert refused.value.code == "unfinished"
    ground.execute(
        Side.DATAVERSE,
        "ALTER TABLE msdyn_taxgroups ADD COLUMN msdyn_description varchar(60)",
    )
    checking.check(draft)
    assert draft.passed


def test_a_change_after_the_check_asks_for_another(ground: SetupGround) -> None:
    draft = ready_draft(ground, TAX_GROUPS)
    drafts.choose_maps(draft, [TAX_GROUPS, PAYMENT_DAYS])
    with pytest.raises(Refusal, match="cannot be created yet"):
        creating.agree(draft)


# The summary and the job


@job
def test_the_summary_names_exactly_what_the_job_makes(ground: SetupGround) -> None:
    draft = ready_draft(ground)
    summary = summary_of(draft)
    planned = {
        side.environment.role: {(one.kind, one.name) for one in side.made}
        for side in summary.sides
    }
    for side in Side:
        name = f"dualwrite_{draft.link_id}_{side.value}"
        assert planned[side.value] == {
            ("schema", "dualwrite"),
            ("table", "dualwrite.position"),
            ("table", "dualwrite.installed"),
            ("publication", name),
            ("replication slot", name),
        }
        assert ground.value(side, "SELECT count(*) FROM pg_publication") == 0
    creating.agree(draft)
    creating.work(draft.pk)
    for side in Side:
        name = f"dualwrite_{draft.link_id}_{side.value}"
        assert ground.value(side, "SELECT pubname FROM pg_publication") == name
        published = "SELECT count(*) FROM pg_publication_tables"
        (one,) = [each for each in summary.sides if each.environment.role == side.value]
        assert ground.value(side, published) == len(one.published)
        assert ground.value(
            side, "SELECT count(*) FROM pg_class WHERE relreplident = 'f'"
        ) == len(one.whole_rows)
    made = ConnectionSet.objects.get()
    environments_of_it = (made.finops, made.dataverse)
    assert all(one.fingerprint for one in environments_of_it)


@job
def test_the_job_links_installs_runs_and_waits_for_the_streams(
    ground: SetupGround,
) -> None:
    draft = ready_draft(ground)
    drafts.settle_order(
        draft, [HIERARCHIES, ROLES, TAX_GROUPS], [TAX_GROUPS], {TAX_GROUPS: "finops"}
    )
    checking.check(draft)
    creating.agree(draft)
    assert creating.work(draft.pk) == 5
    made = ConnectionSet.objects.get()
    assert made.link_id == draft.link_id
    assert made.legal_entities.count() == 2
    found = {one.name: one.state for one in TableMap.objects.all()}
    assert found == {
        HIERARCHIES: MapState.RUNNING,
        ROLES: MapState.RUNNING,
        TAX_GROUPS: MapState.INITIALIZING,
    }
    assert InitialSyncRun.objects.get().master == "finops"
    draft.refresh_from_db()
    assert draft.state == DraftState.CREATING
    Stream.objects.update(state="running")
    assert creating.work(draft.pk) == 1
    draft.refresh_from_db()
    assert draft.state == DraftState.DONE
    assert ActivityEvent.objects.filter(kind="setup.agreed").exists()


@job
def test_another_worker_goes_on_when_the_first_dies_within_a_step(
    ground: SetupGround,
) -> None:
    draft = ready_draft(ground, TAX_GROUPS)
    creating.agree(draft)
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "pool"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters, autocommit=True) as dying:
        dying.execute(
            "SELECT pg_advisory_lock(%s, %s)", [creating.LOCK_CLASS, draft.pk]
        )
        draft.steps.filter(name="link").update(state=StepState.WORKING)
        assert creating.work(draft.pk) == 0
    # Killed with its connection, after the link was made but not noted.
    made = environments.create_connection_set(
        name=draft.name,
        finops=Environment.objects.get(role="finops"),
        dataverse=Environment.objects.get(role="dataverse"),
        legal_entities=checking.pairs_of(draft),
        link_id=draft.link_id,
    )
    SetupDraft.objects.filter(pk=draft.pk).update(connection_set=made)
    assert creating.work(draft.pk) == 5
    assert ConnectionSet.objects.count() == 1


@job
def test_a_failed_step_says_why_can_go_on_and_can_be_undone(
    ground: SetupGround,
) -> None:
    draft = ready_draft(ground, TAX_GROUPS)
    creating.agree(draft)
    ground.execute(Side.DATAVERSE, "ALTER TABLE msdyn_taxgroups RENAME TO hidden")
    creating.work(draft.pk)
    draft.refresh_from_db()
    assert draft.state == DraftState.FAILED
    failed = draft.steps.get(state=StepState.FAILED)
    assert failed.name == "dataverse"
    assert "msdyn_taxgroups" in failed.message
    with pytest.raises(Refusal, match="created in part"):
        drafts.discard(draft)
    creating.undo(draft)
    draft.refresh_from_db()
    assert draft.state == DraftState.EDITING
    assert not ConnectionSet.objects.exists()
    assert ground.value(Side.FINOPS, "SELECT count(*) FROM pg_publication") == 0
    ground.execute(Side.DATAVERSE, "ALTER TABLE hidden RENAME TO msdyn_taxgroups")
    checking.check(draft)
    creating.agree(draft)
    assert creating.work(draft.pk) == 5


# Copies


def copy_of(ground: SetupGround, side: Side, make_database: Callable[..., str]) -> str:
    """Another database that carries the rows a link left in the first."""
    fresh = make_database()
    link = ground.value(side, "SELECT link FROM dualwrite.installed LIMIT 1")
    with psycopg.connect(fresh, autocommit=True) as target:
        target.execute((ERP_COPY if side is Side.FINOPS else "").encode())
        target.execute(
            "CREATE SCHEMA dualwrite;"
            " CREATE TABLE dualwrite.position (link text PRIMARY KEY, position text"
            " NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());"
            " CREATE TABLE dualwrite.installed (link text NOT NULL, table_name text"
            ' NOT NULL, former_identity "char" NOT NULL, former_index text,'
            " PRIMARY KEY (link, table_name))"
        )
        target.execute(
            "INSERT INTO dualwrite.installed VALUES (%s, 'public.taxgroups', 'd')",
            [link],
        )
    return fresh


ERP_COPY = (
    "CREATE TABLE taxgroups (dataareaid varchar(4) NOT NULL, taxgroupcode varchar(20)"
    " NOT NULL, description varchar(60), PRIMARY KEY (dataareaid, taxgroupcode));"
    " ALTER TABLE taxgroups REPLICA IDENTITY FULL"
)


def made_link(ground: SetupGround) -> ConnectionSet:
    draft = ready_draft(ground, TAX_GROUPS)
    creating.agree(draft)
    creating.work(draft.pk)
    made = ConnectionSet.objects.get()
    maps.stop(list(made.maps.all()))
    return made


@job
def test_a_copy_of_a_linked_system_is_refused_until_it_is_cleaned_up(
    ground: SetupGround, make_database: Callable[..., str]
) -> None:
    made = made_link(ground)
    dsn = copy_of(ground, Side.FINOPS, make_database)
    copied = environments.create_environment(name="copied", role="finops", dsn=dsn)
    found = test_environment(copied)
    assert found.cleanable
    assert found.origin is not None
    assert found.origin.known == (made.name,)
    draft = drafts.begin()
    with pytest.raises(Refusal, match="is a copy, or was restored") as refused:
        drafts.choose_environment(draft, Side.FINOPS, copied)
    assert refused.value.code == "copied_environment"
    assert copies.clean_up(copied) == (made.link_id,)
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT to_regnamespace('dualwrite'), relreplident FROM pg_class"
            " WHERE relname = 'taxgroups'"
        ).fetchone()
    assert row == (None, "d")
    drafts.choose_environment(draft, Side.FINOPS, copied)
    draft.refresh_from_db()
    assert draft.finops == copied
    # The system it was copied from keeps its link.
    assert ground.value(Side.FINOPS, "SELECT count(*) FROM pg_publication") == 1


@job
def test_a_live_link_of_another_portal_is_cleaned_up_only_by_force(
    ground: SetupGround,
) -> None:
    made = made_link(ground)
    # Another portal: ours forgets the link, which stays where it is.
    erp = made.finops
    remove_maps([one.pk for one in made.maps.all()])
    made.delete()
    with pytest.raises(Refusal) as refused:
        copies.clean_up(erp)
    assert refused.value.code == "link_alive"
    copies.clean_up(erp, force=True)
    assert ground.value(Side.FINOPS, "SELECT count(*) FROM pg_publication") == 0
    # The other side is dropped with its database, but for its slot.
    copies.clean_up(Environment.objects.get(role="dataverse"), force=True)


@job
def test_a_restored_system_is_relinked_with_its_maps(
    ground: SetupGround, make_database: Callable[..., str]
) -> None:
    made = made_link(ground)
    former = made.link_id
    environments.update_environment(
        made.finops, dsn=copy_of(ground, Side.FINOPS, make_database)
    )
    made.refresh_from_db()
    with pytest.raises(Refusal):
        maps.run(list(made.maps.all()))
    result = relinking.relink(made)
    made.refresh_from_db()
    assert result.moved == ("finops-system",)
    assert made.link_id != former
    assert made.retired_at is None
    assert ground.value(Side.DATAVERSE, "SELECT count(*) FROM pg_publication") == 0
    assert [one.name for one in made.maps.all()] == [TAX_GROUPS]
    maps.run(list(made.maps.all()))
    name = f"dualwrite_{made.link_id}_dataverse"
    assert ground.value(Side.DATAVERSE, "SELECT pubname FROM pg_publication") == name
    # The former ERP, which nobody reaches any more, is cleaned up by hand.
    ground.execute(Side.FINOPS, dict(result.scripts)["finops-system"])
    assert ground.value(Side.FINOPS, "SELECT count(*) FROM pg_publication") == 0


@job
def test_the_page_relinks_once_the_name_is_typed_and_leads_to_running(
    ground: SetupGround, admin_client: Client
) -> None:
    draft = ready_draft(ground, TAX_GROUPS)
    creating.agree(draft)
    creating.work(draft.pk)
    made = ConnectionSet.objects.get()
    page = reverse("connection_set_relink", args=[made.pk])
    assert admin_client.post(page, {"name": "another"}).status_code == 400
    assert TableMap.objects.get().state == MapState.INITIALIZING
    done = admin_client.post(page, {"name": made.name})
    assert done["Location"].startswith(reverse("map_run"))
    assert TableMap.objects.get().state == MapState.NOT_RUNNING
    assert ConnectionSet.objects.get().link_id != made.link_id
    assert ground.value(Side.FINOPS, "SELECT count(*) FROM pg_publication") == 0


@job
def test_the_page_cleans_a_copy_up_and_leads_back_to_the_step(
    ground: SetupGround, make_database: Callable[..., str], admin_client: Client
) -> None:
    made_link(ground)
    dsn = copy_of(ground, Side.FINOPS, make_database)
    draft = drafts.begin()
    form = {"name": "copied", "dsn": dsn}
    test = reverse("setup_test", args=[draft.pk, "finops"])
    assert "Clean up and relink" in admin_client.post(test, form).content.decode()
    kept = admin_client.post(test, {**form, "keep": "1"})["HX-Redirect"]
    step = reverse("setup_step", args=[draft.pk, "finops"])
    # The form posts to its own address, which says where to go on.
    assert admin_client.post(kept, {"name": "copied"})["Location"] == step
    copied = Environment.objects.get(name="copied")
    chosen = {"action": "choose", "environment": copied.pk, "go": "stay"}
    assert admin_client.post(step, chosen)["Location"] == step
    draft.refresh_from_db()
    assert draft.finops == copied
