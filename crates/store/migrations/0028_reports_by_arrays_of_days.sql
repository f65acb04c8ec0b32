-- The office hours of a request's instants by arrays of days, in a report of a month half of the time that joins with a
-- row a day took: seven joins of each request. What they say stays.

-- Office hours that had passed at an instant (Vietnam's time), in microseconds since `origin`, the day before the first of
-- the two arrays. A day has at most four spans. Its first argument stands here often: the planner takes this in only
-- where that is no question of its own.
create function report_worked_us(
    local timestamp, origin date, before_us bigint[], worked_us bigint[],
    b1 time, e1 time, b2 time, e2 time, b3 time, e3 time, b4 time, e4 time
) returns bigint language sql immutable parallel safe as $$
    select before_us[local::date - origin] + least(worked_us[local::date - origin], (date_part('epoch',
        greatest(least(local::time, e1) - b1, interval '0')
        + case when b2 is null then interval '0' else greatest(least(local::time, e2) - b2, interval '0') end
        + case when b3 is null then interval '0' else greatest(least(local::time, e3) - b3, interval '0') end
        + case when b4 is null then interval '0' else greatest(least(local::time, e4) - b4, interval '0') end
    ) * 1000000)::bigint)
$$;

-- The segments of a request: `report_segments_worked` in columns. What older rows lack of `received_at` is a question of
-- its own, asked once: behind an offset.
create or replace view report_ways as
with days as materialized (
    select min(on_date) - 1 as origin,
        array_agg(worked_us order by on_date) as worked_us, array_agg(before_us order by on_date) as before_us,
        max(begins[1]) as b1, max(ends[1]) as e1, max(begins[2]) as b2, max(ends[2]) as e2,
        max(begins[3]) as b3, max(ends[3]) as e3, max(begins[4]) as b4, max(ends[4]) as e4
    from report_days
), worked as (
    select r.request_id, r.submitted_on, r.responder_province, r.unit_type, r.purpose, r.kind,
        t.received_at, r.submitted_at, r.sent_at, r.delivered_at, r.opened_at, r.answered_at, r.read_at,
        report_worked_us(t.received_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as received_us,
        report_worked_us(r.submitted_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as submitted_us,
        report_worked_us(r.sent_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as sent_us,
        report_worked_us(r.delivered_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as delivered_us,
        report_worked_us(r.opened_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as opened_us,
        report_worked_us(r.answered_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as answered_us,
        report_worked_us(r.read_at at time zone interval '07:00', d.origin, d.before_us, d.worked_us,
            d.b1, d.e1, d.b2, d.e2, d.b3, d.e3, d.b4, d.e4) as read_us
    from report_requests r
    cross join lateral (select r.received_at offset 0) t
    cross join days d
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
