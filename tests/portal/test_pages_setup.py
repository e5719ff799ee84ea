"""The wizard's pages: who may, back and forward, drafts, what each step takes in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.environments.models import Environment
from portal.setup import creating, drafts
from portal.setup.models import DraftState, SetupDraft, StepState
from portal.setup.steps import ORDER
from syncengine.mapping.model import Side
from tests.factories import (
    UNREACHABLE,
    make_connection_set,
    make_environment,
    make_user,
)
from tests.portal.setup_ground import (
    HIERARCHIES,
    ROLES,
    TAX_GROUPS,
    SetupGround,
    connected_draft,
    make_ground,
)

pytestmark = pytest.mark.django_db

ALL = (
    *("setup_list", "setup_begin", "setup_sample", "setup_check", "setup_agree"),
    *("setup_progress", "setup_live", "setup_again", "setup_undo", "setup_discard"),
    *("setup_test", "setup_step", "environment_clean", "connection_set_relink"),
    *("setup_needs", "setup_stamp", "setup_stamping", "setup_stamping_live"),
    "setup_stamping_cancel",
)
JOBS = ("setup_stamping", "setup_stamping_live", "setup_stamping_cancel")
POSTS = ("setup_begin", "setup_sample", "setup_check", "setup_agree", "setup_again")


@pytest.fixture
def ground(make_database: Callable[..., str]) -> SetupGround:
    return make_ground(make_database)


def address(name: str, draft: SetupDraft, *more: str) -> str:
    without = name in ("setup_list", "setup_begin", "setup_sample", "setup_needs")
    return reverse(name, args=[] if without else [draft.pk, *more])


def step(draft: SetupDraft, name: str) -> str:
    return reverse("setup_step", args=[draft.pk, name])


def every_address(draft: SetupDraft) -> list[str]:
    plain = [
        address(name, draft)
        for name in ALL
        if name.startswith("setup_") and name not in ("setup_test", "setup_step", *JOBS)
    ]
    link = make_connection_set()
    return [
        *plain,
        address("setup_test", draft, "finops"),
        *(address(name, draft, "1") for name in JOBS),
        *(step(draft, name) for name in ORDER),
        reverse("environment_clean", args=[link.finops_id]),
        reverse("connection_set_relink", args=[link.pk]),
    ]


def test_every_address_of_the_wizard_is_in_the_list_of_these_tests() -> None:
    from portal.setup.urls import urlpatterns

    assert {pattern.name for pattern in urlpatterns} == set(ALL)


def test_visitors_and_staff_without_the_rights_are_kept_out(client: Client) -> None:
    places = every_address(drafts.begin())
    for place in places:
        assert client.get(place)["Location"].startswith(reverse("login"))
    client.force_login(make_user(Role.OPERATOR, Role.MAP_MAKER))
    for place in places:
        assert client.get(place).status_code == 403, place
        assert client.post(place).status_code == 403, place


@pytest.mark.parametrize("name", POSTS)
def test_what_acts_takes_no_get(admin_client: Client, name: str) -> None:
    assert admin_client.get(address(name, drafts.begin())).status_code == 405


def test_the_first_visit_leads_to_the_wizard_and_the_sample(
    admin_client: Client,
) -> None:
    page = admin_client.get(reverse("dashboard")).content.decode()
    assert reverse("setup_list") in page
    assert reverse("setup_sample") in page


def test_several_drafts_are_kept_listed_and_discarded_after_a_question(
    admin_client: Client,
) -> None:
    for _ in range(2):
        admin_client.post(reverse("setup_begin"))
    first, second = SetupDraft.objects.order_by("pk")
    assert first.name != second.name
    listed = admin_client.get(reverse("setup_list")).content.decode()
    assert f'data-draft="{first.name}"' in listed
    assert f'data-draft="{second.name}"' in listed
    discard = address("setup_discard", first)
    assert "Discard the draft" in admin_client.get(discard).content.decode()
    assert SetupDraft.objects.count() == 2
    admin_client.post(discard)
    assert list(SetupDraft.objects.all()) == [second]


def test_a_step_keeps_what_was_filled_in_on_the_way_back_too(
    admin_client: Client,
) -> None:
    draft = drafts.begin()
    answer = admin_client.post(
        step(draft, "start"),
        {"name": "contoso", "situation": "new-existing", "go": "next"},
    )
    assert answer["Location"] == step(draft, "finops")
    admin_client.get(step(draft, "finops"))
    back = admin_client.post(step(draft, "finops"), {"go": "back"})
    assert back["Location"] == step(draft, "start")
    page = admin_client.get(back["Location"])
    assert page.context["name"] == "contoso"
    assert page.context["situation"] == "new-existing"


def test_a_name_that_is_taken_is_refused_beside_the_form(admin_client: Client) -> None:
    make_connection_set(name="contoso")
    draft = drafts.begin()
    answer = admin_client.post(
        step(draft, "start"), {"name": "contoso", "situation": "new-new"}
    )
    assert answer.status_code == 409
    assert "already" in answer.content.decode()


def test_a_later_step_leads_to_the_first_that_is_missing(admin_client: Client) -> None:
    draft = drafts.begin()
    for later in ("companies", "maps", "order", "check", "summary"):
        assert admin_client.get(step(draft, later))["Location"] == step(draft, "finops")
    assert (
        admin_client.get(reverse("setup_step", args=[draft.pk, "x"])).status_code == 404
    )


def test_an_environment_is_tested_then_added_and_its_password_never_shown(
    admin_client: Client, ground: SetupGround
) -> None:
    draft = drafts.begin()
    form = {"action": "add", "name": "erp", "dsn": UNREACHABLE, "add": "1"}
    place = address("setup_test", draft, "finops")
    failed = admin_client.post(place, form).content.decode()
    assert 'data-passed="no"' in failed
    assert "secret-word" not in failed
    assert not Environment.objects.exists()
    missing = admin_client.post(place, {"name": "erp"}).content.decode()
    assert "Fill in first" in missing
    form["dsn"] = ground.dsns[Side.FINOPS]
    only_tested = {**form}
    del only_tested["add"]
    assert 'data-passed="yes"' in admin_client.post(place, only_tested).content.decode()
    assert not Environment.objects.exists()
    added = admin_client.post(place, form)
    assert added["HX-Redirect"] == step(draft, "finops")
    draft.refresh_from_db()
    assert draft.finops is not None
    assert draft.finops.company_column == "dataareaid"
    assert draft.finops.fingerprint


def test_without_scripts_the_same_form_adds_the_environment(
    admin_client: Client, ground: SetupGround
) -> None:
    draft = drafts.begin()
    form = {"action": "add", "name": "erp", "dsn": UNREACHABLE, "go": "stay"}
    refused = admin_client.post(step(draft, "finops"), form)
    assert refused.status_code == 400
    assert "secret-word" not in refused.content.decode()
    form["dsn"] = ground.dsns[Side.FINOPS]
    assert admin_client.post(step(draft, "finops"), form).status_code == 302
    draft.refresh_from_db()
    assert draft.finops is not None


def test_an_environment_that_is_linked_cannot_be_chosen(admin_client: Client) -> None:
    link = make_connection_set()
    draft = drafts.begin()
    page = admin_client.get(step(draft, "finops")).content.decode()
    assert f"{link.finops.name} is linked already" in page
    assert 'data-testid="choose"' not in page
    answer = admin_client.post(
        step(draft, "finops"),
        {"action": "choose", "environment": link.finops_id, "go": "stay"},
    )
    assert answer.status_code == 409
    assert "is linked already" in answer.content.decode()


def test_a_system_that_cannot_be_asked_is_a_sentence_on_the_step(
    admin_client: Client,
) -> None:
    draft = drafts.begin()
    SetupDraft.objects.filter(pk=draft.pk).update(
        finops=make_environment("finops"), dataverse=make_environment("dataverse")
    )
    for name in ("companies", "maps", "summary"):
        page = admin_client.get(step(draft, name), follow=True)
        assert page.status_code == 200
        assert 'data-testid="refused"' in page.content.decode() or name == "summary"
    checked = admin_client.post(address("setup_check", draft), HTTP_HX_REQUEST="true")
    assert 'data-passed="no"' in checked.content.decode()


def test_the_steps_after_the_environments_in_order(
    admin_client: Client, ground: SetupGround
) -> None:
    draft = connected_draft(ground)
    page = admin_client.get(step(draft, "companies")).content.decode()
    assert "Only in Dataverse" in page
    sent = {
        "finops": ["dat", "gone", "usmf"],
        "dataverse": ["DAT", "", "USMF"],
        "chosen": ["gone", "usmf"],
    }
    refused = admin_client.post(step(draft, "companies"), sent)
    assert refused.status_code == 409
    assert "gone has no company" in refused.content.decode()
    sent["chosen"] = ["usmf"]
    answer = admin_client.post(step(draft, "companies"), sent)
    assert answer["Location"] == step(draft, "maps")

    offered = admin_client.get(step(draft, "maps")).content.decode()
    assert f'data-map="{TAX_GROUPS}"' in offered
    assert "Cannot be chosen" in offered
    answer = admin_client.post(
        step(draft, "maps"), {"name": [ROLES, TAX_GROUPS], "related": "on"}
    )
    assert answer["Location"] == step(draft, "order")
    names = [one.name for one in draft.maps.all()]
    assert names.index(HIERARCHIES) < names.index(ROLES)

    planned = {
        "plan": [TAX_GROUPS, HIERARCHIES, ROLES],
        "place": ["3", "1", "2"],
        "copy": [TAX_GROUPS],
        "master_3": "finops",
    }
    answer = admin_client.post(step(draft, "order"), planned)
    assert answer["Location"] == step(draft, "check")
    first = draft.maps.first()
    assert first is not None
    assert (first.name, first.master, first.copies) == (TAX_GROUPS, "finops", True)

    summary = admin_client.get(step(draft, "summary"))
    assert "disabled" in summary.content.decode()
    checked = admin_client.post(address("setup_check", draft), HTTP_HX_REQUEST="true")
    assert 'data-passed="yes"' in checked.content.decode()
    summary = admin_client.get(step(draft, "summary")).content.decode()
    assert f"dualwrite_{draft.link_id}_finops" in summary

    agree = address("setup_agree", draft)
    assert admin_client.post(agree)["Location"] == step(draft, "summary")
    draft.refresh_from_db()
    assert draft.state == DraftState.EDITING
    answer = admin_client.post(agree, {"consent": "on"})
    assert answer["Location"] == address("setup_progress", draft)
    draft.refresh_from_db()
    assert (draft.state, draft.consent_by.get_username()) == ("creating", "admin")  # type: ignore[union-attr]


def test_the_progress_page_shows_what_failed_and_leads_on(
    admin_client: Client, admin_user: User
) -> None:
    draft = creating.take_sample(user=admin_user)
    live = address("setup_live", draft)
    assert 'data-state="waiting"' in admin_client.get(live).content.decode()
    draft.steps.filter(name="sample").update(
        state=StepState.FAILED, message="The server is full.", script="VACUUM;"
    )
    SetupDraft.objects.filter(pk=draft.pk).update(state=DraftState.FAILED)
    page = admin_client.get(address("setup_progress", draft)).content.decode()
    assert "The server is full." in page
    assert "VACUUM;" in page
    admin_client.post(address("setup_again", draft))
    draft.refresh_from_db()
    assert draft.state == DraftState.CREATING
    assert creating.take_sample(user=admin_user) == draft
    SetupDraft.objects.filter(pk=draft.pk).update(state=DraftState.DONE)
    assert admin_client.get(live)["HX-Redirect"] == reverse("dashboard")
