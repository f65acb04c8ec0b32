-- The work on its way to home offices: from the submit until H's system says that it has it (or has
-- answered, or W took it back). What H has not confirmed may have to be sent again, byte for byte.

create table deliveries (
    request_id  uuid primary key,
    shard       smallint not null,
    office      text not null,
    message_id  uuid not null,
    rank        smallint not null,              -- of the lane: urgent, normal, bulk
    due_on      date not null,                  -- W's file due; infinity where there is none
    created_at  timestamptz not null,
    traceparent text,
    sealed      bytea not null,
    sent_at     timestamptz,                    -- null: it waits for room
    again_at    timestamptz                     -- when it may be sent again, once sent
) with (fillfactor = 80);

-- What waits, an office at a time, in the order in which it leaves.
create index deliveries_waiting on deliveries (shard, office, rank, due_on, created_at, request_id)
    where sent_at is null;
-- What is in flight: at most a few hundred rows an office.
create index deliveries_in_flight on deliveries (office, again_at, sent_at) where sent_at is not null;
