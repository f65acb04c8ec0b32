-- What a report adds up, a row a request. As a row a segment and a row a hop a month of a large province was 400,000
-- rows, each sorted by each cut; these say the same of a request in columns, and a test holds them equal.

-- From one instant to a later one, in microseconds; exact for some 280 years.
create function report_micros(from_at timestamptz, until timestamptz) returns bigint
language sql immutable parallel safe as $$
    select (date_part('epoch', until - from_at) * 1000000)::bigint
$$;

-- How long a segment took whose both ends are known, in seconds; a step that was overtaken took none.
create function report_seconds(from_at timestamptz, until timestamptz) returns float8
language sql immutable parallel safe as $$
    select case when until < from_at then 0 else date_part('epoch', until - from_at) end
$$;

-- The same in whole minutes of office hours, from how many microseconds of them had passed at its ends. Each of them
-- stands here once, so that the planner takes in what they are instead of calling this.
create function report_minutes(from_us bigint, until_us bigint) returns bigint
language sql immutable parallel safe as $$
    select nullif(greatest(coalesce(until_us - from_us, 9223372036854775807), 0), 9223372036854775807) / 60000000
$$;

-- The nation's working days in one row, in microseconds: an instant finds its day by counting, where a join looked for
-- seven of them in each request. The offset takes nothing away; it has the row made once.
create view report_day_sums as
select d.first,
    (select array_agg((extract(epoch from b) * 1000000)::bigint order by n)
        from unnest(d.begins) with ordinality as s (b, n)) as begins_us,
    (select array_agg((extract(epoch from e) * 1000000)::bigint order by n)
        from unnest(d.ends) with ordinality as s (e, n)) as ends_us,
    d.worked_us, d.before_us
from (
    select min(on_date) as first, min(begins) as begins, min(ends) as ends,
        array_agg(worked_us order by on_date) as worked_us, array_agg(before_us order by on_date) as before_us
    from report_days
) d
offset 0;

-- The time of the day in Vietnam, in microseconds since midnight.
create function report_time_us(at timestamptz) returns bigint language sql immutable parallel safe as $$
    select ((date_part('epoch', at) + 25200) * 1000000)::bigint % 86400000000
$$;

-- Office hours that had passed by an instant since the first of those days, in microseconds: `report_passed` without
-- intervals and numerics. A day has at most four spans of office hours; those that there are not count nothing.
create function report_worked(
    first date, begins_us bigint[], ends_us bigint[], worked_us bigint[], before_us bigint[], at timestamptz
) returns bigint language sql immutable parallel safe as $$
    select before_us[report_day(at) - first + 1] + least(worked_us[report_day(at) - first + 1],
        greatest(least(report_time_us(at), ends_us[1]) - begins_us[1], 0)
        + greatest(least(report_time_us(at), ends_us[2]) - begins_us[2], 0)
        + greatest(least(report_time_us(at), ends_us[3]) - begins_us[3], 0)
        + greatest(least(report_time_us(at), ends_us[4]) - begins_us[4], 0))
$$;

-- The segments of a request: `report_segments_worked` in columns.
create view report_ways as
with worked as (
    select r.request_id, r.submitted_on, r.responder_province, r.unit_type, r.purpose, r.kind,
        t.received_at, r.submitted_at, r.sent_at, r.delivered_at, r.opened_at, r.answered_at, r.read_at,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, t.received_at) as received_us,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, r.submitted_at) as submitted_us,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, r.sent_at) as sent_us,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, r.delivered_at) as delivered_us,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, r.opened_at) as opened_us,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, r.answered_at) as answered_us,
        report_worked(d.first, d.begins_us, d.ends_us, d.worked_us, d.before_us, r.read_at) as read_us
    from report_requests r
    cross join report_day_sums d
    -- It may have to be looked for in the ledger: once, not wherever it is used.
    cross join lateral (select r.received_at offset 0) t
)
select request_id, submitted_on, responder_province, unit_type, purpose, kind,
    report_seconds(received_at, submitted_at) as ask_seconds,
    report_minutes(received_us, submitted_us) as ask_working_minutes,
    report_seconds(submitted_at, sent_at) as send_seconds,
    report_minutes(submitted_us, sent_us) as send_working_minutes,
    report_seconds(sent_at, delivered_at) as transport_seconds,
    report_minutes(sent_us, delivered_us) as transport_working_minutes,
    report_seconds(delivered_at, opened_at) as unopened_seconds,
    report_minutes(delivered_us, opened_us) as unopened_working_minutes,
    report_seconds(opened_at, answered_at) as work_seconds,
    report_minutes(opened_us, answered_us) as work_working_minutes,
    report_seconds(answered_at, read_at) as unread_seconds,
    report_minutes(answered_us, read_us) as unread_working_minutes
from worked;

-- How long each holder held a request, up to its end or to `xacminh.as_of`: `report_hops` added up.
create view report_holders as
with away as (
    select coalesce(range_agg(tstzrange(from_at, to_at)), '{}'::tstzmultirange) as spans
    from outages where what in ('rabbitmq', 'restore') and from_at < coalesce(to_at, 'infinity')
), ends as (
    -- A step that was overtaken lasted until what overtook it.
    select request_id, submitted_on, responder_province, unit_type, purpose, kind,
        -- Behind the cap it waits for what H's system has not confirmed.
        clock_cause in ('not_connected', 'not_confirmed') and (sent_at is null or sent_at > clock_start) as behind,
        least(coalesce(received_at, submitted_at), submitted_at) as began,
        greatest(coalesce(read_at, withdrawn_at, (select report_as_of())), submitted_at) as ended,
        least(submitted_at, sent_at, delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e1,
        least(sent_at, delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e2,
        least(delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e3,
        least(answered_at, answer_sent_at, read_at) as e5,
        least(answer_sent_at, read_at) as e6,
        read_at as e7
    from report_requests
), points as (
    -- Where a step ended, none of them outside of the request's own time.
    select request_id, submitted_on, responder_province, unit_type, purpose, kind, behind, began,
        case when e1 is null then ended else least(greatest(e1, began), ended) end as p1,
        case when e2 is null then ended else least(greatest(e2, began), ended) end as p2,
        case when e3 is null then ended else least(greatest(e3, began), ended) end as p3,
        case when e5 is null then ended else least(greatest(e5, began), ended) end as p5,
        case when e6 is null then ended else least(greatest(e6, began), ended) end as p6,
        case when e7 is null then ended else least(greatest(e7, began), ended) end as p7
    from ends
), spans as (
    select p.*, case when behind then p1 else p2 end as given,
        case when a.spans = '{}' or not tstzrange(case when behind then p1 else p2 end, p3) && a.spans then 0 else (
            select sum(report_micros(lower(s), upper(s)))::bigint
            from unnest(tstzmultirange(tstzrange(case when behind then p1 else p2 end, p3)) * a.spans) as s
        ) end as away_us
    from points p cross join away a
)
select request_id, submitted_on, responder_province, unit_type, purpose, kind,
    report_micros(began, p1) + report_micros(p6, p7) as requester_us,
    case when behind then 0 else report_micros(p1, p2) end + report_micros(p5, p6) as broker_us,
    away_us as transport_us,
    report_micros(given, p3) - away_us as responder_system_us,
    report_micros(p3, p5) as responder_us
from spans;
