"""Every planted mistake gives exactly its documented code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncengine.mapping.compiler import CompilationError, compile_leg, validate
from syncengine.mapping.model import (
    ColumnMap,
    Direction,
    HealthFinding,
    KeyPair,
    LookupDeclaration,
    Severity,
    Side,
    TableMap,
)
from syncengine.mapping.schema import EnvironmentSchema
from tests.mapping.sample import (
    BACKWARD,
    CUSTOMERS_MAP,
    DATAVERSE,
    FINOPS,
    FORWARD,
    KEY_LINE,
    LINKED,
    UUID,
    accounts_map,
    environment,
    environments,
    line,
    table,
    text,
)


def compiled_codes(
    table_map: TableMap,
    direction: Direction = FORWARD,
    finops: EnvironmentSchema = FINOPS,
    dataverse: EnvironmentSchema = DATAVERSE,
) -> list[str]:
    """Codes of the errors `compile_leg` refuses the map with."""
    source, target = (
        (finops, dataverse) if direction is FORWARD else (dataverse, finops)
    )
    try:
        compile_leg(table_map, direction, source, target, LINKED)
    except CompilationError as error:
        return [finding.code for finding in error.findings]
    return []


def findings(table_map: TableMap) -> list[HealthFinding]:
    return validate(table_map, FINOPS, DATAVERSE, LINKED)


def changed(
    environment_: EnvironmentSchema, name: str, **columns: bool
) -> EnvironmentSchema:
    """The environment with a required column added to one table."""
    old = environment_.tables[name]
    extra = table(name, {"extra": text(5)}, required=("extra",)).columns
    extra = tuple(replace(column, **columns) for column in extra)
    new = replace(old, columns=(*old.columns, *extra))
    return replace(environment_, tables={**environment_.tables, name: new})


NAME = line("organizationname", "=", "name")
GROUP = "msdyn_customergroupid"

PLANTED: list[tuple[str, TableMap, Direction, str]] = [
    (
        "company-specific against shared",
        replace(
            accounts_map(),
            dataverse_table="transactioncurrencies",
            columns=(line("customeraccount", "=", "isocurrencycode"),),
            key=(KeyPair("customeraccount", "isocurrencycode"),),
        ),
        FORWARD,
        "DIPV1002",
    ),
    (
        "the company mapped as a column",
        accounts_map(line("dataareaid", "=", "msdyn_company.cdm_companycode")),
        FORWARD,
        "DIPV1002",
    ),
    ("no key", replace(accounts_map(NAME), key=()), FORWARD, "DIPV1003"),
    (
        "a one-way key in a two-way map",
        replace(
            CUSTOMERS_MAP,
            columns=(line("customeraccount", ">", "accountnumber"), NAME),
        ),
        FORWARD,
        "DIPV1004",
    ),
    (
        "a mandatory column nobody fills",
        replace(
            accounts_map(),
            columns=(line("organizationname", ">", "name"),),
            key=(KeyPair("organizationname", "name"),),
        ),
        FORWARD,
        "DIPV1010",
    ),
    (
        "a read-only destination",
        accounts_map(line("visits", ">", "versionnumber")),
        FORWARD,
        "DIPV1011",
    ),
    (
        "an unreadable Dataverse filter",
        accounts_map(NAME, dataverse_filter="customertypecode equals 3"),
        BACKWARD,
        "DIPV1012",
    ),
    (
        "an unknown column in a Dataverse filter",
        accounts_map(NAME, dataverse_filter="nothing eq 3"),
        BACKWARD,
        "DIPV1012",
    ),
    (
        "an unreadable FinOps filter",
        accounts_map(NAME, finops_filter='(partytype = "Organization"'),
        FORWARD,
        "900",
    ),
    (
        "a key column that is not mapped",
        replace(
            accounts_map(NAME),
            key=(
                KeyPair("customeraccount", "accountnumber"),
                KeyPair("salesmemo", "description"),
            ),
        ),
        FORWARD,
        "DIPV1014",
    ),
    (
        "an unknown source table",
        replace(accounts_map(NAME), finops_table="nothing"),
        FORWARD,
        "DIPV1018",
    ),
    (
        "an unknown destination table",
        replace(accounts_map(NAME), dataverse_table="nothing"),
        FORWARD,
        "DIPV1020",
    ),
    (
        "a line without source and default",
        accounts_map(line(None, ">>", "description")),
        FORWARD,
        "DIPV1021",
    ),
    (
        "a line without destination",
        accounts_map(line("salesmemo", ">", None)),
        FORWARD,
        "DIPV1024",
    ),
    (
        "an unknown source column",
        accounts_map(line("nothing", "=", "description")),
        FORWARD,
        "DIPV1022",
    ),
    (
        "an unknown destination column",
        accounts_map(line("salesmemo", "=", "nothing")),
        FORWARD,
        "DIPV1025",
    ),
    (
        "a source column used twice in a two-way map",
        accounts_map(NAME, line("organizationname", "=", "description")),
        FORWARD,
        "DIPV1023",
    ),
    (
        "a destination column used twice",
        accounts_map(NAME, line("salesmemo", ">", "name")),
        FORWARD,
        "DIPV1026",
    ),
    (
        "two constants for one destination",
        accounts_map(
            line(None, ">>", "description", "a"), line(None, ">>", "description", "b")
        ),
        FORWARD,
        "DIPV1026",
    ),
    (
        "a destination lookup without key",
        accounts_map(line("customergroupid", "=", f"{GROUP}.nothing")),
        FORWARD,
        "DIPV1027",
    ),
    (
        "a destination lookup over a column that refers to nothing",
        accounts_map(line("customergroupid", "=", "description.msdyn_groupid")),
        FORWARD,
        "DIPV1027",
    ),
    (
        "a path over two lookups",
        accounts_map(line("customergroupid", "=", f"{GROUP}.msdyn_company.code")),
        FORWARD,
        "DIPV1027",
    ),
    (
        "a source lookup without key",
        accounts_map(line("customergroupid", "=", f"{GROUP}.nothing")),
        BACKWARD,
        "DIPV1028",
    ),
    ("the same pair twice", accounts_map(NAME, NAME), FORWARD, "DIPV1029"),
    (
        "types that do not fit",
        accounts_map(line("birthdate", "=", "customertypecode")),
        FORWARD,
        "DIPV1030",
    ),
    (
        "a default of another type",
        accounts_map(line(None, ">>", "customertypecode", default="three")),
        FORWARD,
        "DIPV1030",
    ),
    (
        "a value map of another type",
        accounts_map(
            line("onholdstatus", "><", "msdyn_onholdstatus", values={"No": "none"})
        ),
        FORWARD,
        "DIPV1030",
    ),
]


@pytest.mark.parametrize(
    ("table_map", "direction", "code"),
    [entry[1:] for entry in PLANTED],
    ids=[entry[0] for entry in PLANTED],
)
def test_a_planted_mistake_gives_exactly_its_code(
    table_map: TableMap, direction: Direction, code: str
) -> None:
    assert compiled_codes(table_map, direction) == [code]


@pytest.mark.parametrize(
    ("table_map", "direction", "code"),
    [entry[1:] for entry in PLANTED],
    ids=[entry[0] for entry in PLANTED],
)
def test_validation_of_both_directions_reports_a_mistake_once(
    table_map: TableMap, direction: Direction, code: str
) -> None:
    errors = [f for f in findings(table_map) if f.severity is Severity.ERROR]
    assert len(errors) == 1
    # From FinOps to Dataverse is looked at first, so source and destination may swap.
    swapped = {"DIPV1028": "DIPV1027"}
    assert errors[0].code == swapped.get(code, code)
    assert errors[0].place
    assert errors[0].cure


@pytest.mark.parametrize("direction", list(Direction))
def test_a_clean_map_compiles(direction: Direction) -> None:
    assert compiled_codes(CUSTOMERS_MAP, direction) == []
    assert all(f.severity is not Severity.ERROR for f in findings(CUSTOMERS_MAP))


def test_the_refusal_is_a_sentence_with_the_codes() -> None:
    with pytest.raises(CompilationError) as caught:
        compile_leg(
            accounts_map(line("nothing", "=", "name")),
            FORWARD,
            FINOPS,
            DATAVERSE,
            LINKED,
        )
    assert caught.value.code == "map_invalid"
    assert "DIPV1022 nothing: The source column nothing" in caught.value.message
    assert all(f.severity is Severity.ERROR for f in caught.value.findings)


def test_it_reports_everything_wrong_at_once() -> None:
    table_map = accounts_map(
        line("nothing", "=", "description"),
        line("salesmemo", ">", "versionnumber"),
        line("birthdate", "=", "customertypecode"),
        finops_filter="(((",
    )
    codes = compiled_codes(table_map)
    assert sorted(codes) == ["900", "DIPV1011", "DIPV1022", "DIPV1030"]


def test_a_mandatory_destination_without_source_needs_a_default() -> None:
    dataverse = changed(DATAVERSE, "accounts")
    table_map = accounts_map(line(None, ">>", "extra"))
    assert compiled_codes(table_map, dataverse=dataverse) == ["DIPV1031"]
    with_default = accounts_map(line(None, ">>", "extra", default="x"))
    assert compiled_codes(with_default, dataverse=dataverse) == []


def test_mandatory_columns_the_system_fills_may_stay_unmapped() -> None:
    dataverse = changed(DATAVERSE, "accounts", has_default=True)
    assert compiled_codes(accounts_map(NAME), dataverse=dataverse) == []


def test_a_nullable_source_of_a_mandatory_destination_is_a_warning() -> None:
    dataverse = changed(DATAVERSE, "accounts")
    table_map = accounts_map(line("salesmemo", ">", "extra"))
    assert compiled_codes(table_map, dataverse=dataverse) == []
    found = validate(table_map, FINOPS, dataverse, LINKED)
    assert [(f.code, f.severity) for f in found] == [("DIPV1031", Severity.WARNING)]


def test_an_ambiguous_value_map_is_a_warning_for_two_way_columns() -> None:
    values = {"No": "0", "Never": "0"}
    both = accounts_map(line("onholdstatus", "><", "msdyn_onholdstatus", values=values))
    assert [(f.code, f.severity) for f in findings(both)] == [
        ("VMAP100", Severity.WARNING)
    ]
    forward = accounts_map(
        line("onholdstatus", ">>", "msdyn_onholdstatus", values=values)
    )
    assert findings(forward) == []


def test_a_lookup_that_may_find_several_rows_is_a_warning() -> None:
    table_map = accounts_map(line("customergroupid", ">", f"{GROUP}.msdyn_description"))
    assert [f.code for f in findings(table_map)] == ["VMAP101"]


def test_fewer_decimals_on_the_destination_are_a_warning() -> None:
    table_map = accounts_map(line("creditlimit", "=", "creditlimit"))
    assert [f.code for f in findings(table_map)] == ["PRECISION_MISMATCH"]


def test_a_key_that_is_no_unique_key_of_the_destination_is_found() -> None:
    table_map = replace(accounts_map(NAME), key=(KeyPair("organizationname", "name"),))
    codes = [f.code for f in findings(table_map)]
    assert codes == ["5100", "5200", "2000", "5100"]


def test_a_map_of_companies_cannot_run_without_linked_companies() -> None:
    found = validate(accounts_map(NAME), FINOPS, DATAVERSE, ())
    assert [(f.code, f.severity) for f in found] == [("DIPV1016", Severity.ERROR)]


def test_a_filter_on_empty_text_is_a_warning_where_null_is_possible() -> None:
    table_map = accounts_map(NAME, finops_filter='(SalesMemo != "")')
    assert [f.code for f in findings(table_map)] == ["VMAP103"]
    table_map = accounts_map(
        NAME, finops_filter='(SalesMemo != "") && (SalesMemo != null)'
    )
    assert findings(table_map) == []


def test_a_filter_on_no_date_is_a_warning_where_null_is_possible() -> None:
    table_map = accounts_map(NAME, finops_filter="BirthDate == 01\\01\\1900")
    assert [f.code for f in findings(table_map)] == ["VMAP103"]
    table_map = accounts_map(
        NAME, finops_filter="BirthDate == null || BirthDate == 1900-01-01"
    )
    assert findings(table_map) == []


def test_a_key_pair_given_twice_counts_once() -> None:
    pair = KeyPair("customeraccount", "accountnumber")
    table_map = replace(accounts_map(NAME), key=(pair, pair))
    leg = compile_leg(table_map, FORWARD, FINOPS, DATAVERSE, LINKED)
    assert leg.key == (0, 1)


def test_columns_of_the_other_direction_do_not_matter() -> None:
    table_map = accounts_map(line("nothing", "<", "description"))
    assert compiled_codes(table_map, FORWARD) == []
    assert compiled_codes(table_map, BACKWARD) == ["DIPV1025"]


def test_names_are_found_whatever_their_case() -> None:
    table_map = TableMap(
        "customers",
        "CustomersV3",
        "Accounts",
        (
            ColumnMap("CUSTOMERACCOUNT", "AccountNumber", KEY_LINE.type),
            line("CUSTOMERGROUPID", "=", f"{GROUP.upper()}.MSDYN_GROUPID"),
        ),
        (KeyPair("CustomerAccount", "accountnumber"),),
    )
    leg = compile_leg(table_map, FORWARD, FINOPS, DATAVERSE, LINKED)
    assert [slot.column for slot in leg.slots] == [
        "msdyn_company",
        "accountnumber",
        GROUP,
    ]
    assert leg.source_paths == ("dataareaid", "customeraccount", "customergroupid")


def test_the_company_comes_first_in_slots_and_keys() -> None:
    for direction in Direction:
        leg = compile_leg(CUSTOMERS_MAP, direction, *environments(direction), LINKED)
        assert leg.company == 0
        assert leg.key == (0, 1)
    assert leg.source_key == ("msdyn_company.cdm_companycode", "accountnumber")
    assert leg.companies == {"USMF": "usmf", "DAT": "dat"}
    assert [lookup.path for lookup in leg.source_lookups] == [
        "msdyn_company.cdm_companycode",
        f"{GROUP}.msdyn_groupid",
    ]


def test_lookups_stay_within_the_company_where_the_table_is_company_specific() -> None:
    leg = compile_leg(CUSTOMERS_MAP, FORWARD, FINOPS, DATAVERSE, LINKED)
    lookups = {slot.column: slot.lookup for slot in leg.slots if slot.lookup}
    assert lookups[GROUP].targets[0].company == DATAVERSE.company
    assert not lookups["msdyn_company"].scoped


def test_shared_tables_have_no_company() -> None:
    table_map = TableMap(
        "currencies",
        "currencies",
        "transactioncurrencies",
        (line("currencycode", "=", "isocurrencycode"), line("name", "=", "name")),
        (KeyPair("currencycode", "isocurrencycode"),),
    )
    leg = compile_leg(table_map, FORWARD, FINOPS, DATAVERSE, LINKED)
    assert leg.company is None
    assert leg.companies == {}
    assert leg.key == (0,)


def test_a_lookup_may_be_declared_where_the_database_has_none() -> None:
    groups = DATAVERSE.tables["msdyn_customergroups"]
    accounts = table(
        "accounts",
        {"msdyn_company": UUID, "accountnumber": text(20), "grouping": UUID},
        unique=(("msdyn_company", "accountnumber"),),
        references={"msdyn_company": ("cdm_companies", "cdm_companyid")},
    )
    dataverse = environment(
        "crm",
        DATAVERSE.company,
        accounts,
        groups,
        DATAVERSE.tables["cdm_companies"],
    )
    declared = LookupDeclaration(
        Side.DATAVERSE, "grouping", "msdyn_customergroups", "msdyn_customergroupid"
    )
    table_map = accounts_map(line("customergroupid", "=", "grouping.msdyn_groupid"))
    assert compiled_codes(table_map, dataverse=dataverse) == ["DIPV1027"]
    table_map = replace(table_map, lookups=(declared,))
    leg = compile_leg(table_map, FORWARD, FINOPS, dataverse, LINKED)
    lookup = leg.slots[2].lookup
    assert lookup is not None
    (target,) = lookup.targets
    assert (target.table, target.reference) == (
        "msdyn_customergroups",
        "msdyn_customergroupid",
    )
    assert lookup.paths == ("grouping.msdyn_groupid",)


def _with_models(*, unique: tuple[tuple[str, ...], ...]) -> EnvironmentSchema:
    """Accounts that refer to models, which belong to makers."""
    makers = table("makers", {"makerid": UUID, "code": text(10)}, primary=("makerid",))
    models = table(
        "models",
        {"modelid": UUID, "maker": UUID, "number": text(10)},
        primary=("modelid",),
        unique=unique,
        references={"maker": ("makers", "makerid")},
    )
    accounts = table(
        "accounts",
        {
            "accountid": UUID,
            "msdyn_company": UUID,
            "accountnumber": text(20),
            "model": UUID,
        },
        primary=("accountid",),
        has_default=("accountid",),
        unique=(("msdyn_company", "accountnumber"),),
        references={
            "model": ("models", "modelid"),
            "msdyn_company": ("cdm_companies", "cdm_companyid"),
        },
    )
    return environment(
        "crm",
        DATAVERSE.company,
        accounts,
        models,
        makers,
        DATAVERSE.tables["cdm_companies"],
    )


def test_several_lines_fill_one_reference_with_a_composite_key() -> None:
    dataverse = _with_models(unique=(("maker", "number"),))
    table_map = accounts_map(
        line("organizationname", "=", "model.number"),
        line("customergroupid", "=", "model.maker.code"),
    )
    leg = compile_leg(table_map, FORWARD, FINOPS, dataverse, LINKED)
    slot = leg.slots[-1]
    assert slot.lookup is not None
    assert slot.lookup.paths == ("model.number", "model.maker.code")
    assert slot.sources == ("organizationname", "customergroupid")
    back = compile_leg(table_map, BACKWARD, dataverse, FINOPS, LINKED)
    assert {lookup.path for lookup in back.source_lookups} == {
        "msdyn_company.cdm_companycode",
        "model.number",
        "model.maker.code",
    }


def test_a_part_of_a_wider_natural_key_is_not_enough() -> None:
    dataverse = _with_models(unique=(("maker", "number"),))
    table_map = accounts_map(line("organizationname", "=", "model.number"))
    assert compiled_codes(table_map, dataverse=dataverse) == ["DIPV1027"]
    keyed = replace(
        table_map,
        key=(*table_map.key, KeyPair("organizationname", "model.number")),
    )
    assert compiled_codes(keyed, dataverse=dataverse) == ["DIPV1015"]


def test_a_lookup_without_any_unique_key_is_only_warned_of() -> None:
    dataverse = _with_models(unique=())
    table_map = accounts_map(line("organizationname", "=", "model.number"))
    assert compiled_codes(table_map, dataverse=dataverse) == []
    found = validate(table_map, FINOPS, dataverse, LINKED)
    assert "VMAP101" in {finding.code for finding in found}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("model.nobody.code", "DIPV1027"),
        ("model.number.code", "DIPV1027"),
        ("model.Account(number)", "DIPV1027"),
        ("model.Nothing(number)", "DIPV1027"),
        ("model.Account(number", "DIPV1025"),
        ("model..number", "DIPV1025"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_finding(path: str, code: str) -> None:
    dataverse = _with_models(unique=(("maker", "number"),))
    table_map = accounts_map(line("organizationname", ">", path))
    assert compiled_codes(table_map, dataverse=dataverse) == [code]


def test_a_company_that_is_mapped_as_a_key_makes_it_an_ordinary_reference() -> None:
    """As the ready-made map of ledgers does: one ledger for each legal entity."""
    erp = table(
        "ledgers",
        {"legalentityid": text(4), "name": text(20)},
        primary=("legalentityid",),
    )
    crm = table(
        "msdyn_ledgers",
        {"id": UUID, "msdyn_company": UUID, "msdyn_name": text(20)},
        primary=("id",),
        has_default=("id",),
        unique=(("msdyn_company",),),
        references={"msdyn_company": ("cdm_companies", "cdm_companyid")},
    )
    companies = DATAVERSE.tables["cdm_companies"]
    dataverse = environment("crm", DATAVERSE.company, crm, companies)
    finops = environment("erp", FINOPS.company, erp)
    pair = KeyPair("legalentityid", "msdyn_company.cdm_companycode")
    table_map = TableMap(
        "ledgers",
        "ledgers",
        "msdyn_ledgers",
        (line(pair.finops, ">", pair.dataverse), line("name", ">", "msdyn_name")),
        (pair,),
    )
    leg = compile_leg(table_map, FORWARD, finops, dataverse, LINKED)
    assert leg.company is None
    assert leg.companies == {}
    assert leg.slots[leg.key[0]].path == "msdyn_company.cdm_companycode"


def test_another_column_may_hold_the_company_in_some_tables() -> None:
    rule = replace(DATAVERSE.company, also=("msdyn_companyid",))
    groups = table(
        "groups",
        {"id": UUID, "msdyn_companyid": UUID, "code": text(10)},
        primary=("id",),
    )
    dataverse = environment("crm", rule, groups)
    found = dataverse.company_of(groups)
    assert found is not None
    assert found.path == "msdyn_companyid.cdm_companycode"
    assert DATAVERSE.company_of(groups) is None
