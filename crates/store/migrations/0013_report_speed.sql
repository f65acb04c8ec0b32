-- Reports in a tenth of the time; the views say what they said.

-- What older rows lack is looked up for them alone: as a join it was looked up for all, in the whole
-- ledger.
create or replace view report_base as
select r.*,
    case when r.purpose is not null then r.received_at else (
        select (convert_from(e.body, 'UTF8')::jsonb ->> 'received_at')::timestamptz
        from events e where e.request_id = r.request_id and e.seq = 1
    ) end as t0,
    case when r.purpose is not null then r.purpose else (
        select convert_from(e.body, 'UTF8')::jsonb ->> 'purpose'
        from events e where e.request_id = r.request_id and e.seq = 1
    ) end as used_for
from requests r;

-- One expression, which the planner takes in; a question of its own was asked twice a row. A day has
-- at most four spans of office hours; those that there are not count nothing.
create or replace function report_passed(begins time[], ends time[], worked_us bigint, at timestamptz)
returns bigint language sql immutable as $$
    select least(worked_us, (extract(epoch from
        greatest(least((at at time zone interval '07:00')::time, ends[1]) - begins[1], interval '0')
        + greatest(least((at at time zone interval '07:00')::time, ends[2]) - begins[2], interval '0')
        + greatest(least((at at time zone interval '07:00')::time, ends[3]) - begins[3], interval '0')
        + greatest(least((at at time zone interval '07:00')::time, ends[4]) - begins[4], interval '0')
    ) * 1000000)::bigint)
$$;
