-- What is dated and imported: units, offices, calendar, rules, wording. Written by `xacminh import`
-- alone, whole or not at all. Days are days in Vietnam; valid_to is the last day of validity.

create table reference_versions (
    version       text primary key,
    digest        bytea not null,
    imported_at   timestamptz not null,
    record_begins date not null                 -- the first day of which the units tell
);

create table units (
    level         smallint not null,            -- 1 province, 2 district, 3 commune
    code          text not null,
    name          text not null,
    kind          text not null,
    parent_code   text,
    province_code text not null,
    valid_from    date,                         -- null: before the record begins
    valid_to      date                          -- null: still in force
);
create unique index units_key on units (code, coalesce(valid_from, '-infinity'));

create table unit_lineage (
    from_code text not null,
    to_code   text not null,
    effective date not null,
    detail    text not null,
    primary key (from_code, to_code, effective)
);

create table unit_name_variants (
    code     text not null,
    name     text not null,
    valid_to date not null,
    primary key (code, name, valid_to)
);

create table offices (
    office_id      text primary key,
    name           text not null,
    kind           text not null,
    province_code  text,
    phone          text,
    opening_hours  text not null,
    fallback_phone text,
    valid_from     date,
    valid_to       date
);

create table office_serves (
    office_id  text not null references offices,
    level      text not null,
    unit_code  text not null,
    valid_from date,
    valid_to   date
);
create unique index office_serves_key on office_serves (level, unit_code, office_id, coalesce(valid_from, '-infinity'));

create table calendar_days (
    scope   text not null,                      -- 'nation' for now
    on_date date not null,
    kind    text not null,
    name    text not null,
    status  text not null,
    version text not null,
    primary key (scope, on_date)
);

create table legal_rules (
    key        text not null,
    value      text not null,
    unit       text not null,
    valid_from date,
    valid_to   date,
    source     text not null
);
create unique index legal_rules_key on legal_rules (key, coalesce(valid_from, '-infinity'));

create table ladder_rules (
    trigger    text not null,
    rung       smallint not null,
    target     text not null,
    action     text not null,
    after_wd   integer not null,
    valid_from date,
    valid_to   date
);
create unique index ladder_rules_key on ladder_rules (trigger, rung, coalesce(valid_from, '-infinity'));

create table citizen_texts (
    code       text not null,
    version    text not null,
    valid_from date not null,
    valid_to   date,
    reviewer   text not null,
    text       text not null,
    primary key (code, valid_from)
);

-- Which offices have a login and an inbox, since when.
create table office_access (
    office_id  text not null references offices,
    channel    text not null check (channel in ('amqp', 'desk', 'agent')),
    granted_at timestamptz not null,
    revoked_at timestamptz,
    primary key (office_id, granted_at)
);
create unique index office_access_open on office_access (office_id) where revoked_at is null;
