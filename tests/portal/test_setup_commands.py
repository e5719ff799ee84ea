"""`dw setup --fill-company`: what it gives, what it refuses, what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from django.core.management.base import CommandError

from portal.environments.models import Environment
from portal.setup.models import SetupDraft
from syncengine.mapping.model import Side
from tests.portal.setup_ground import TAX_GROUPS, SetupGround, make_ground
from tests.portal.test_command_line import Outcome, dw

pytestmark = pytest.mark.django_db(transaction=True)

GIVEN = (
    "SELECT c.cdm_companycode FROM msdyn_taxgroups t"
    " LEFT JOIN cdm_companies c ON c.cdm_companyid = t.msdyn_company"
)


@pytest.fixture
def ground(make_database: Callable[..., str]) -> SetupGround:
    return make_ground(make_database)


@pytest.fixture
def setup(ground: SetupGround, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs `dw setup` for the ground, which gives each such company."""
    company = {"column": "msdyn_company", "lookup": "cdm_companies.cdm_companycode"}
    columns = {Side.FINOPS: {"column": "dataareaid"}, Side.DATAVERSE: company}
    document = {
        "environments": [
            {
                "name": side.value,
                "role": side.value,
                "connector": "postgres",
                "dsn": ground.dsns[side],
                "company": columns[side],
            }
            for side in Side
        ],
        "connection_sets": [
            {
                "name": "link",
                "finops": "finops",
                "dataverse": "dataverse",
                "legal_entities": [{"finops": "usmf", "dataverse": "USMF"}],
            }
        ],
    }
    file = tmp_path / "link.yaml"
    file.write_text(yaml.safe_dump(document))
    return lambda *more: dw("setup", str(file), "--maps", TAX_GROUPS, *more)


def test_what_cannot_be_given_is_refused_and_nothing_stays(
    ground: SetupGround, setup: Callable[..., Outcome]
) -> None:
    with pytest.raises(CommandError, match="write it as TABLE=CODE"):
        setup("--fill-company", "msdyn_taxgroups")
    for wrong, said in (
        ("msdyn_taxgroups=XXXX", "XXXX does not take part"),
        ("accounts=USMF", "No chosen map reads records without a company"),
    ):
        ran = setup("--fill-company", wrong)
        assert (ran.code, said in ran.err) == (1, True), ran.err
        assert not SetupDraft.objects.exists()
        assert not Environment.objects.exists()
    assert ground.value(Side.DATAVERSE, GIVEN) is None


def test_records_get_their_company_before_the_check_but_not_for_a_plan(
    ground: SetupGround, setup: Callable[..., Outcome]
) -> None:
    fill = ("--fill-company", "msdyn_taxgroups=USMF")
    planned = setup(*fill, "--plan")
    assert planned.code == 0, planned.err
    assert "1 records of msdyn_taxgroups belong to no company" in planned.err
    assert ground.value(Side.DATAVERSE, GIVEN) is None
    # Something else stands in the way: what was given stays, the draft does not.
    ground.execute(Side.FINOPS, "ALTER TABLE taxgroups DROP COLUMN description")
    ran = setup(*fill)
    assert ran.code == 1
    assert "1 records of msdyn_taxgroups got USMF." in ran.err
    assert "belong to no company" not in ran.err
    assert ground.value(Side.DATAVERSE, GIVEN) == "USMF"
    assert not SetupDraft.objects.exists()
