-- What an event follows is the hash of the event before it, which stands in its own row. Kept twice it was 1 GB
-- of 35 at eleven million requests. Programs of before still write it; the release after drops the columns.
alter table events alter column prev_hash drop not null;
alter table archive.events alter column prev_hash drop not null;
alter table system_events alter column prev_hash drop not null;

-- A part of that goes to requests: a page that is filled to 45 % has room for each of its rows once more, with all that is
-- written into them on the way, so that one transaction may change all of them where they are (HOT).
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
                    execute format('alter table %I set (fillfactor = 45)', name);
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
        execute format('alter table %s set (fillfactor = 45)', part);
    end loop;
end
$$;
