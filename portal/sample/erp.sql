-- The sample ERP: four companies, keyed by natural keys that begin with the company.

CREATE TABLE legalentities (
    dataareaid varchar(4) PRIMARY KEY,
    name varchar(60) NOT NULL,
    country char(3) NOT NULL,
    accountingcurrency varchar(3) NOT NULL
);

CREATE TABLE currencies (
    currencycode varchar(3) PRIMARY KEY,
    name varchar(60) NOT NULL,
    symbol varchar(5) NOT NULL DEFAULT '',
    roundingprecision numeric(10, 6) NOT NULL DEFAULT 0.01,
    modifieddatetime timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE paymentterms (
    dataareaid varchar(4) NOT NULL REFERENCES legalentities,
    name varchar(10) NOT NULL,
    description varchar(60),
    numberofmonths integer NOT NULL DEFAULT 0,
    numberofdays integer NOT NULL DEFAULT 0,
    cutoffdayofmonth integer NOT NULL DEFAULT 0,
    iscashpayment varchar(3) NOT NULL DEFAULT 'no'
        CHECK (iscashpayment IN ('no', 'yes')),
    iscertifiedcompanycheck varchar(3) NOT NULL DEFAULT 'no'
        CHECK (iscertifiedcompanycheck IN ('no', 'yes')),
    isdefaultpaymentterm varchar(3) NOT NULL DEFAULT 'no'
        CHECK (isdefaultpaymentterm IN ('no', 'yes')),
    creditcardpaymenttype varchar(20) NOT NULL DEFAULT 'na'
        CHECK (creditcardpaymenttype IN ('na', 'creditCard')),
    creditcardcreditchecktype varchar(20) NOT NULL DEFAULT 'normal'
        CHECK (creditcardcreditchecktype IN ('normal', 'byPass')),
    paymentmethodtype varchar(20) NOT NULL DEFAULT 'net'
        CHECK (paymentmethodtype IN ('net', 'currentMth', 'currentQuart',
                                     'currentYear', 'currentWeek', 'cod',
                                     'cutOffDate')),
    modifieddatetime timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataareaid, name)
);

CREATE TABLE customergroups (
    dataareaid varchar(4) NOT NULL REFERENCES legalentities,
    customergroupid varchar(10) NOT NULL,
    description varchar(60),
    issalestaxincludedinprice varchar(3) NOT NULL DEFAULT 'no'
        CHECK (issalestaxincludedinprice IN ('no', 'yes')),
    paymenttermid varchar(10),
    clearingperiodpaymenttermname varchar(10),
    defaultdimensiondisplayvalue varchar(100),
    modifieddatetime timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataareaid, customergroupid),
    FOREIGN KEY (dataareaid, paymenttermid) REFERENCES paymentterms (dataareaid, name),
    FOREIGN KEY (dataareaid, clearingperiodpaymenttermname)
        REFERENCES paymentterms (dataareaid, name)
);

CREATE TABLE customersv3 (
    dataareaid varchar(4) NOT NULL REFERENCES legalentities,
    customeraccount varchar(20) NOT NULL,
    partytype varchar(20) NOT NULL CHECK (partytype IN ('Organization', 'Person')),
    organizationname varchar(100),
    personfirstname varchar(50),
    personlastname varchar(50),
    customergroupid varchar(10) NOT NULL,
    salescurrencycode varchar(3) NOT NULL REFERENCES currencies,
    paymentterms varchar(10),
    paymenttermsbasedays integer NOT NULL DEFAULT 0,
    creditlimit numeric(32, 6) NOT NULL DEFAULT 0 CHECK (creditlimit >= 0),
    creditlimitismandatory varchar(3) NOT NULL DEFAULT 'no'
        CHECK (creditlimitismandatory IN ('no', 'yes')),
    creditrating varchar(10),
    invoiceaccount varchar(20),
    isonetimecustomer varchar(3) NOT NULL DEFAULT 'no'
        CHECK (isonetimecustomer IN ('no', 'yes')),
    onholdstatus varchar(20) NOT NULL DEFAULT 'no'
        CHECK (onholdstatus IN ('no', 'invoice', 'all', 'payment', 'requisition',
                                'never')),
    salesmemo text,
    identificationnumber varchar(50),
    taxexemptnumber varchar(20),
    partycountry varchar(3),
    partystate varchar(10),
    addressstreet varchar(250),
    addresszipcode varchar(10),
    addresscity varchar(60),
    primarycontactphone varchar(50),
    primarycontactemail varchar(255),
    createddatetime timestamptz NOT NULL DEFAULT now(),
    modifieddatetime timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataareaid, customeraccount),
    FOREIGN KEY (dataareaid, customergroupid)
        REFERENCES customergroups (dataareaid, customergroupid),
    FOREIGN KEY (dataareaid, paymentterms) REFERENCES paymentterms (dataareaid, name),
    FOREIGN KEY (dataareaid, invoiceaccount)
        REFERENCES customersv3 (dataareaid, customeraccount)
);

CREATE INDEX customersv3_group ON customersv3 (dataareaid, customergroupid);
CREATE INDEX customersv3_invoice ON customersv3 (dataareaid, invoiceaccount);
