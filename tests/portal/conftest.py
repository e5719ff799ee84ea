"""What all tests of the portal share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from pytest_django.fixtures import Settings

from syncengine.mapping.model import Side
from tests.engine.pair import Pair

if TYPE_CHECKING:
    from portal.environments.models import ConnectionSet


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    """Hashing a password on purpose takes long; no test is about that."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def pair(make_database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(make_database)
    yield pair
    pair.close()


@pytest.fixture
def link(pair: Pair) -> ConnectionSet:
    # Django is set up after this module has been read.
    from tests.factories import make_connection_set, make_environment

    return make_connection_set(
        finops=make_environment(
            "finops",
            name="erp",
            dsn=pair.dsns[Side.FINOPS],
            company_column="dataareaid",
        ),
        dataverse=make_environment(
            "dataverse",
            name="crm",
            dsn=pair.dsns[Side.DATAVERSE],
            company_column="msdyn_company",
            company_lookup_table="cdm_companies",
            company_lookup_column="cdm_companycode",
        ),
        legal_entities=(("usmf", "USMF"), ("dat", "DAT")),
    )
