"""Two systems that are not linked yet, for the pictures of the wizard. Runs in a
process of the portal, after `tests.e2e.exhibits.make`."""

from __future__ import annotations

import secrets
from functools import partial

from django.conf import settings

from portal.environments import services as environments
from portal.environments.models import ConnectionSet, Environment
from portal.sample import databases, seed
from portal.setup import checking, choosing, drafts
from portal.setup.models import SetupDraft
from syncengine.mapping.model import Side
from tests.e2e.exhibits import COPY, OF_MAPS

PREFIX = "fabrikam"
CUSTOMERS = 400


def make() -> None:
    """Make them, and take them for the draft that is shown."""
    server = databases.maintenance_dsn(settings.DATABASE_URL)
    password = secrets.token_urlsafe(24)
    erp = partial(seed.seed_erp, customers=CUSTOMERS)
    databases.create_databases(
        server, password, PREFIX, {"finops": erp, "dataverse": seed.seed_crm}
    )
    draft = SetupDraft.objects.get(name=COPY)
    linked = ConnectionSet.objects.order_by("pk")[0]
    for side in Side:
        drafts.choose_environment(draft, side, _environment(linked, side, password))
        draft.refresh_from_db()
    drafts.match_companies(draft)
    pairs = {one.finops_code: one.dataverse_code for one in draft.companies.all()}
    chosen = [code for code, other in pairs.items() if other][:2]
    drafts.settle_companies(draft, pairs, chosen)
    wanted = choosing.with_needed([OF_MAPS], choosing.read_tables(draft))
    drafts.choose_maps(draft, wanted)
    draft.refresh_from_db()
    checking.check(draft)
    drafts.reached(draft, "summary")


def _environment(linked: ConnectionSet, side: Side, password: str) -> Environment:
    """As the sample's, in another database."""
    like = linked.environment(side)
    server = databases.maintenance_dsn(settings.DATABASE_URL)
    return environments.create_environment(
        name=f"{PREFIX}-{'erp' if side is Side.FINOPS else 'crm'}",
        role=like.role,
        dsn=databases.dsn_for(server, side.value, password, PREFIX),
        schema=like.schema,
        company_column=like.company_column,
        company_lookup_table=like.company_lookup_table,
        company_lookup_column=like.company_lookup_column,
        company_also=like.company_also,
    )
