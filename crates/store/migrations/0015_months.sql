-- Requests, and what hangs on each, by month of the id, as the ledger and the inbox are: a month that
-- is over leaves as a whole (`store/src/retention.rs`), and what is worked on does not grow with
-- history. What is there already is one partition more, `_000000`: all months before the first of its
-- own.

-- Where months go that have left. A table there has the columns of its namesake, so whoever puts
-- `archive` first on the search path finds a request that left with the same questions.
create schema archive;

-- The time in a UUIDv7: its first 48 bits are milliseconds.
create function uuid_instant(id uuid) returns timestamptz language sql immutable as $$
    select to_timestamp(('x0000' || left(replace(id::text, '-', ''), 12))::bit(64)::bigint / 1000.0)
$$;

-- The first id after all that the partition `_000000` of a table holds; none if it has none.
create function partitions_begin(parent text) returns uuid language sql stable as $$
    select substring(pg_get_expr(relpartbound, oid) from 'TO \(''([0-9a-f-]{36})''\)')::uuid
    from pg_class where oid = to_regclass(parent || '_000000')
$$;

create or replace function ensure_partitions(first date, last date) returns void language plpgsql as $$
declare
    month  date := date_trunc('month', first)::date;
    parent text;
    name   text;
    low    uuid;
    high   uuid;
begin
    -- Two copies may start at once.
    perform pg_advisory_xact_lock(7226463);
    while month <= last loop
        low := uuid_floor(month::timestamp at time zone 'UTC');
        high := uuid_floor((month + interval '1 month')::timestamp at time zone 'UTC');
        foreach parent in array array['events', 'inbox', 'requests', 'persons', 'answers', 'rungs'] loop
            name := parent || to_char(month, '_YYYYMM');
            if to_regclass(name) is null and low >= coalesce(partitions_begin(parent), low) then
                execute format('create table %I partition of %I for values from (%L) to (%L)', name, parent, low, high);
                -- A partitioned table has no place of its own for it: room for updates in the page (HOT).
                if parent = 'requests' then
                    execute format('alter table %I set (fillfactor = 70)', name);
                end if;
            end if;
        end loop;
        month := (month + interval '1 month')::date;
    end loop;
end
$$;

-- contracts: safe after 0.0.0, because the same names hold the same columns and rows, in parts.
do $$
declare
    -- In the order in which they were made: each after those it reads.
    views  text[] := array['report_base', 'report_requests', 'report_segments', 'report_segments_worked',
                           'report_hops', 'report_in_hand'];
    said   text[] := '{}';
    named  text;
    parent text;
    keys   text;
    last   uuid;
begin
    foreach named in array views loop
        said := said || pg_get_viewdef(named::regclass);
    end loop;
    execute 'drop view ' || array_to_string(views, ', ');
    select request_id from requests order by 1 desc limit 1 into last;
    foreach parent in array array['requests', 'persons', 'answers', 'rungs'] loop
        execute format('alter table %I rename to %I', parent, parent || '_000000');
        execute format('alter index %I rename to %I', parent || '_pkey', parent || '_000000_pkey');
        execute format('create table %I (like %I including defaults) partition by range (request_id)',
            parent, parent || '_000000');
        keys := case parent when 'rungs' then 'request_id, trigger, rung, clock_start' else 'request_id' end;
        execute format('alter table %I add primary key (%s)', parent, keys);
        if last is null then
            execute format('drop table %I', parent || '_000000');
        else
            execute format('alter table %I attach partition %I for values from (minvalue) to (%L)', parent,
                parent || '_000000', uuid_floor((date_trunc('month', uuid_instant(last) at time zone 'UTC')
                    + interval '1 month') at time zone 'UTC'));
        end if;
    end loop;
    for n in 1 .. array_length(views, 1) loop
        execute format('create view %I as %s', views[n], said[n]);
    end loop;
end
$$;

-- Processes at work make what is missing only some seconds from now.
select ensure_partitions((now() at time zone 'UTC')::date - 100, (now() at time zone 'UTC')::date + 60)
where partitions_begin('requests') is not null;

-- A part of the new one, where there are rows; only columns that never change (HOT).
-- contracts: safe after 0.0.0, because no program names an index.
alter index if exists requests_same_file rename to requests_same_file_000000;
create index requests_same_file on requests (requester, case_code, kind, responder, submitted_at, request_id);

create table archive.requests (like requests including defaults) partition by range (request_id);
alter table archive.requests add primary key (request_id);
create table archive.persons (like persons including defaults) partition by range (request_id);
alter table archive.persons add primary key (request_id);
create table archive.answers (like answers including defaults) partition by range (request_id);
alter table archive.answers add primary key (request_id);
create table archive.rungs (like rungs including defaults) partition by range (request_id);
alter table archive.rungs add primary key (request_id, trigger, rung, clock_start);
create table archive.events (like events including defaults) partition by range (request_id);
alter table archive.events add primary key (request_id, seq);
create table archive.inbox (like inbox including defaults) partition by range (message_id);
alter table archive.inbox add primary key (sender, message_id);
