-- Requests, their ledger, and what moves them. Every instant comes from the services' clock, never
-- from the database's.

-- The projection of a request's events, for questions that span requests. No index on what
-- changes, so that updates stay in the page (HOT).
create table requests (
    request_id         uuid primary key,
    requester          text not null,
    responder          text not null,
    requester_province text not null,
    responder_province text not null,
    home_unit          text not null,
    kind               text not null,
    lane               text not null,
    lookup_pending     boolean not null,
    case_code          text not null,
    received_on        date not null,
    state              text not null,
    seq                integer not null,        -- of the last event
    head_hash          bytea not null,          -- of the last event
    submitted_at       timestamptz not null,
    sent_at            timestamptz,
    delivered_at       timestamptz,
    opened_at          timestamptz,
    answered_at        timestamptz,
    answer_sent_at     timestamptz,
    read_at            timestamptz,
    withdrawn_at       timestamptz,
    file_due_on        date,
    clock_cause        text,
    clock_start        timestamptz,
    accept_due_on      date,
    answer_due_on      date,
    answer_due_at      timestamptz,
    calendar_version   text,
    answer_code        text,
    answer_late        boolean,
    handler            text,
    rung               smallint not null default 0   -- the highest rung that fired
) with (fillfactor = 70);

-- One row a request that is still in life: the instant of its next rung, 'infinity' when only a
-- reading is awaited. Always asked for "open and due now", never walked.
create table timers (
    request_id uuid primary key,
    due_at     timestamptz not null
) with (fillfactor = 70);
create index timers_due on timers (due_at);

-- The ledger: append-only, chained per request, the bytes are canonical. Partitioned by the id,
-- which carries the time of its making, so that a chain leaves with its request.
create table events (
    request_id uuid not null,
    seq        integer not null,
    at         timestamptz not null,
    prev_hash  bytea not null,
    hash       bytea not null,
    body       bytea not null,
    primary key (request_id, seq)
) partition by range (request_id);

-- The broker's own stream: refusals and imports, chained per stream.
create table system_heads (
    stream text primary key,
    seq    integer not null,
    hash   bytea not null
);
create table system_events (
    stream    text not null,
    seq       integer not null,
    at        timestamptz not null,
    prev_hash bytea not null,
    hash      bytea not null,
    body      bytea not null,
    primary key (stream, seq)
);

-- Persons and free words, sealed with a data key of their request.
create table persons (
    request_id  uuid primary key,
    wrapped_key bytea not null,
    sealed      bytea not null
);
create table answers (
    request_id uuid primary key,
    sealed     bytea not null
);

-- What was taken, once: the first receipt is given again to a repeat.
create table inbox (
    message_id  uuid not null,
    sender      text not null,
    body_digest bytea not null,
    at          timestamptz not null,
    receipt     bytea,
    primary key (message_id, sender)
) partition by range (message_id);

-- What has to leave, until RabbitMQ confirmed it.
create table outbox (
    outbox_id    bigint generated always as identity primary key,
    shard        smallint not null,
    office       text not null,
    message_id   uuid not null,
    message_type text not null,
    request_id   uuid,
    marks        text check (marks in ('sent', 'answer_sent')),
    created_at   timestamptz not null,
    traceparent  text,
    sealed       bytea not null
) with (fillfactor = 90);
create index outbox_shard on outbox (shard, outbox_id);

-- Which rungs fired: the key is the promise "once".
create table rungs (
    request_id  uuid not null,
    trigger     text not null,
    rung        smallint not null,
    clock_start timestamptz not null,
    due_at      timestamptz not null,
    fired_at    timestamptz not null,
    target      text,
    primary key (request_id, trigger, rung, clock_start)
);

-- Lines that wait for the next half-day's digest.
create table notice_lines (
    line_id    bigint generated always as identity primary key,
    office     text not null,
    leave_at   timestamptz not null,
    topic      text not null,
    for_whom   text not null,
    request_id uuid not null,
    due_on     date
);
create index notice_lines_leave on notice_lines (leave_at);

-- Refused and kept.
create table refused (
    refused_id bigint generated always as identity primary key,
    sender     text not null,
    message_id uuid,
    command    text,
    code       text not null,
    pointer    text not null,
    at         timestamptz not null,
    sealed     bytea not null
);

-- Without a provable sender, or given up on by an inbox.
create table parked (
    parked_id    bigint generated always as identity primary key,
    at           timestamptz not null,
    queue        text not null,
    reason       text not null,
    routing_key  text not null,
    message_type text,
    bytes        integer not null,
    sealed       bytea not null
);

-- Outages of the broker, as far as it saw them itself.
create table outages (
    outage_id bigint generated always as identity primary key,
    what      text not null,
    from_at   timestamptz not null,
    to_at     timestamptz
);

-- Which life of the store this is; a restore from backup writes another.
create table epoch (
    only_row boolean primary key default true check (only_row),
    epoch    uuid not null
);
insert into epoch (epoch) values (gen_random_uuid());

-- Monthly partitions of what is keyed by a UUIDv7, whose first 48 bits are milliseconds.
create function uuid_floor(at timestamptz) returns uuid language sql immutable as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create function ensure_partitions(first date, last date) returns void language plpgsql as $$
declare
    month  date := date_trunc('month', first)::date;
    parent text;
    name   text;
begin
    -- Two copies may start at once.
    perform pg_advisory_xact_lock(7226463);
    while month <= last loop
        foreach parent in array array['events', 'inbox'] loop
            name := parent || to_char(month, '_YYYYMM');
            if to_regclass(name) is null then
                execute format('create table %I partition of %I for values from (%L) to (%L)',
                    name, parent,
                    uuid_floor(month::timestamp at time zone 'UTC'),
                    uuid_floor((month + interval '1 month')::timestamp at time zone 'UTC'));
            end if;
        end loop;
        month := (month + interval '1 month')::date;
    end loop;
end
$$;
