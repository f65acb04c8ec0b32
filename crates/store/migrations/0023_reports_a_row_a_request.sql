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

-- The segments of a request: `report_segments_worked` in columns.
create view report_ways as
with days as materialized (
    select on_date, begins, ends, worked_us, before_us from report_days
), worked as (
    select r.request_id, r.submitted_on, r.responder_province, r.unit_type, r.purpose, r.kind,
        r.received_at, r.submitted_at, r.sent_at, r.delivered_at, r.opened_at, r.answered_at, r.read_at,
        d1.before_us + report_passed(d1.begins, d1.ends, d1.worked_us, r.received_at) as received_us,
        d2.before_us + report_passed(d2.begins, d2.ends, d2.worked_us, r.submitted_at) as submitted_us,
        d3.before_us + report_passed(d3.begins, d3.ends, d3.worked_us, r.sent_at) as sent_us,
        d4.before_us + report_passed(d4.begins, d4.ends, d4.worked_us, r.delivered_at) as delivered_us,
        d5.before_us + report_passed(d5.begins, d5.ends, d5.worked_us, r.opened_at) as opened_us,
        d6.before_us + report_passed(d6.begins, d6.ends, d6.worked_us, r.answered_at) as answered_us,
        d7.before_us + report_passed(d7.begins, d7.ends, d7.worked_us, r.read_at) as read_us
    from report_requests r
    left join days d1 on d1.on_date = report_day(r.received_at)
    left join days d2 on d2.on_date = report_day(r.submitted_at)
    left join days d3 on d3.on_date = report_day(r.sent_at)
    left join days d4 on d4.on_date = report_day(r.delivered_at)
    left join days d5 on d5.on_date = report_day(r.opened_at)
    left join days d6 on d6.on_date = report_day(r.answered_at)
    left join days d7 on d7.on_date = report_day(r.read_at)
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
