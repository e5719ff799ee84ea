-- The sample CRM: surrogate keys, references by them, option sets as integers.

CREATE TABLE cdm_companies (
    cdm_companyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    cdm_companycode varchar(4) NOT NULL UNIQUE,
    cdm_name varchar(100) NOT NULL
);

CREATE TABLE transactioncurrencies (
    transactioncurrencyid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    isocurrencycode varchar(5) NOT NULL UNIQUE,
    currencyname varchar(100) NOT NULL,
    currencysymbol varchar(13) NOT NULL,
    exchangerate numeric(23, 10) NOT NULL,
    currencyprecision integer NOT NULL DEFAULT 2,
    modifiedon timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE msdyn_paymentterms (
    msdyn_paymenttermid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid NOT NULL REFERENCES cdm_companies,
    msdyn_name varchar(100) NOT NULL,
    msdyn_description varchar(100),
    msdyn_numberofmonth integer,
    msdyn_days integer,
    msdyn_cutoffdayofmonth integer,
    msdyn_iscashpayment boolean NOT NULL DEFAULT false,
    msdyn_iscertifiedcompanycheck boolean NOT NULL DEFAULT false,
    msdyn_isdefaultpaymentterm boolean NOT NULL DEFAULT false,
    msdyn_creditcardpaymenttype integer,
    msdyn_creditcardcreditchecktype integer,
    msdyn_paymentmethodtype integer,
    statecode integer NOT NULL DEFAULT 0,
    modifiedon timestamptz NOT NULL DEFAULT now(),
    UNIQUE (msdyn_name, msdyn_company)
);

CREATE TABLE msdyn_customergroups (
    msdyn_customergroupid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid NOT NULL REFERENCES cdm_companies,
    msdyn_groupid varchar(100) NOT NULL,
    msdyn_description varchar(100),
    msdyn_issalestaxincludedinprice boolean NOT NULL DEFAULT false,
    msdyn_paymenttermid uuid REFERENCES msdyn_paymentterms,
    msdyn_clearingperiodpaymenttermname uuid REFERENCES msdyn_paymentterms,
    statecode integer NOT NULL DEFAULT 0,
    modifiedon timestamptz NOT NULL DEFAULT now(),
    UNIQUE (msdyn_groupid, msdyn_company)
);

CREATE TABLE accounts (
    accountid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid REFERENCES cdm_companies,
    accountnumber varchar(20),
    name varchar(160),
    customertypecode integer,
    creditlimit numeric(19, 4),
    transactioncurrencyid uuid REFERENCES transactioncurrencies,
    description varchar(2000),
    msdyn_creditlimitismandatory boolean NOT NULL DEFAULT false,
    msdyn_creditrating varchar(100),
    msdyn_customergroupid uuid REFERENCES msdyn_customergroups,
    msdyn_paymentterm uuid REFERENCES msdyn_paymentterms,
    msdyn_paymenttermsbasedays integer,
    msdyn_billingaccount uuid REFERENCES accounts,
    msdyn_onetimecustomer boolean NOT NULL DEFAULT false,
    msdyn_onholdstatus integer DEFAULT 806380000,
    msdyn_identificationnumber varchar(100),
    msdyn_taxexemptnumber varchar(100),
    msdyn_partycountry varchar(100),
    msdyn_partystateprovince varchar(100),
    websiteurl varchar(200),
    numberofemployees integer,
    statecode integer NOT NULL DEFAULT 0,
    createdon timestamptz NOT NULL DEFAULT now(),
    modifiedon timestamptz NOT NULL DEFAULT now(),
    UNIQUE (accountnumber, msdyn_company)
);

CREATE INDEX accounts_billing ON accounts (msdyn_billingaccount);
CREATE INDEX accounts_group ON accounts (msdyn_customergroupid);

CREATE TABLE contacts (
    contactid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    msdyn_company uuid REFERENCES cdm_companies,
    msdyn_contactpersonid varchar(20),
    firstname varchar(50),
    lastname varchar(50),
    msdyn_sellable boolean NOT NULL DEFAULT false,
    transactioncurrencyid uuid REFERENCES transactioncurrencies,
    description varchar(2000),
    msdyn_customergroupid uuid REFERENCES msdyn_customergroups,
    msdyn_paymentterms uuid REFERENCES msdyn_paymentterms,
    msdyn_identificationnumber varchar(100),
    msdyn_partycountry varchar(100),
    msdyn_partystateprovince varchar(100),
    parentcustomerid uuid REFERENCES accounts,
    emailaddress1 varchar(100),
    mobilephone varchar(50),
    statecode integer NOT NULL DEFAULT 0,
    createdon timestamptz NOT NULL DEFAULT now(),
    modifiedon timestamptz NOT NULL DEFAULT now(),
    UNIQUE (msdyn_contactpersonid, msdyn_company)
);

CREATE INDEX contacts_group ON contacts (msdyn_customergroupid);
