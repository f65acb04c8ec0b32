-- Commands are taken 500 at a time, so that all requests of a page are often changed by one transaction, within which
-- nothing is tidied up: a page needs room for most of its rows once more. At 60 % 88 to 90 of 100 updates stayed in
-- their page (HOT). Pages written from now on are filled to 53 %.
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
                    execute format('alter table %I set (fillfactor = 53)', name);
                end if;
            end if;
        end loop;
        month := (month + interval '1 month')::date;
    end loop;
end
$$;

do $$
declare
    part regclass;
begin
    for part in select inhrelid::regclass from pg_inherits where inhparent = 'requests'::regclass loop
        execute format('alter table %s set (fillfactor = 53)', part);
    end loop;
end
$$;

-- Hardly ever are there two requests of one ward under one code, so the rest of what is asked for need not be in the
-- index: half a gigabyte at eleven million requests, as much as the room above takes.
create index requests_of_file on requests (requester, case_code);
-- contracts: safe after 0.0.0, because an index is asked for by nobody; the one above serves the same question.
drop index requests_same_file;
