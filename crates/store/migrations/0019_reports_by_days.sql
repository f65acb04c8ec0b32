-- Reports in the time that their days and their province take, whatever else is on record. Each view now carries
-- by what figures are cut, so that nothing is joined with the requests once more: a join made the steps of every
-- request there ever was before it kept a day's.

create or replace view report_requests as
select r.request_id, r.requester, r.responder, r.requester_province, r.responder_province, r.home_unit,
    coalesce(u.kind, 'unknown') as unit_type, r.kind, r.used_for as purpose, r.lane, r.state,
    report_day(r.submitted_at) as submitted_on,
    r.t0 as received_at, r.submitted_at, r.sent_at, r.delivered_at, r.opened_at, r.answered_at,
    r.answer_sent_at, r.read_at, r.withdrawn_at, r.clock_cause, r.clock_start,
    r.accept_due_on, r.answer_due_on, r.answer_due_at, r.file_due_on, r.file_closed_on, r.answer_code,
    -- The reply clock, H's: every request is exactly one of these.
    case
        when r.answered_at is not null and r.answer_late then 'late'
        when r.answered_at is not null then 'in_time'
        when r.withdrawn_at is not null then 'withdrawn'
        when r.answer_due_at <= (select report_as_of()) then 'overdue'
        else 'open'
    end as reply,
    -- The file clock, W's: every request is exactly one of these.
    case
        when r.file_due_on is null then 'no_limit'
        when r.file_closed_on <= r.file_due_on then 'in_time'
        when r.file_closed_on is not null then 'late'
        when r.state in ('read', 'withdrawn') then 'not_told'
        when r.file_due_on < report_day((select report_as_of())) then 'overdue'
        else 'running'
    end as file,
    -- Under 30 s after somebody opened it; an opening that the answer itself implied is none.
    case
        when r.answered_at - r.opened_at >= interval '30 seconds' then false
        when r.answered_at > r.opened_at then true
        when r.answered_at = r.opened_at then not exists (
            select from events e where e.request_id = r.request_id and e.seq > 1
                and convert_from(e.body, 'UTF8')::jsonb @> '{"event": "opened", "implied": true}')
        else false
    end as under_30s,
    r.case_code, r.rung
from report_base r
left join units u on u.level = 3 and u.code = r.home_unit
    and (u.valid_from is null or u.valid_from <= report_day(r.submitted_at))
    and (u.valid_to is null or u.valid_to >= report_day(r.submitted_at));

-- The measured parts of the way whose both ends are known: `domain/src/lag.rs`, `segment`.
create or replace view report_segments as
select r.request_id, s.segment, s.from_at, greatest(s.from_at, s.until) as to_at,
    extract(epoch from greatest(s.from_at, s.until) - s.from_at) as wall_seconds,
    r.submitted_on, r.responder_province, r.unit_type, r.purpose, r.kind
from report_requests r
cross join lateral (values
    ('ask', r.received_at, r.submitted_at),
    ('send', r.submitted_at, r.sent_at),
    ('transport', r.sent_at, r.delivered_at),
    ('unopened', r.delivered_at, r.opened_at),
    ('work', r.opened_at, r.answered_at),
    ('unread', r.answered_at, r.read_at)
) as s (segment, from_at, until)
where s.from_at is not null and s.until is not null;

create or replace view report_segments_worked as
select s.request_id, s.segment, s.from_at, s.to_at, s.wall_seconds,
    div(b.before_us + report_passed(b.begins, b.ends, b.worked_us, s.to_at)
      - a.before_us - report_passed(a.begins, a.ends, a.worked_us, s.from_at), 60000000)::bigint as working_minutes,
    s.submitted_on, s.responder_province, s.unit_type, s.purpose, s.kind
from report_segments s
join report_days a on a.on_date = report_day(s.from_at)
join report_days b on b.on_date = report_day(s.to_at);

-- Who held each request from when to when, up to its end or to `xacminh.as_of`: the hops follow each
-- other without gap or overlap. The same as `domain/src/lag.rs`, `path`; a test holds the two equal.
create or replace view report_hops as
with away as (
    select coalesce(range_agg(tstzrange(from_at, to_at)), '{}'::tstzmultirange) as spans
    from outages where what in ('rabbitmq', 'restore') and from_at < coalesce(to_at, 'infinity')
), ends as (
    -- A step that was overtaken lasted until what overtook it.
    select request_id, clock_cause, clock_start, sent_at,
        least(coalesce(received_at, submitted_at), submitted_at) as began,
        greatest(coalesce(read_at, withdrawn_at, (select report_as_of())), submitted_at) as ended,
        least(submitted_at, sent_at, delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e1,
        least(sent_at, delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e2,
        least(delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e3,
        least(opened_at, answered_at, answer_sent_at, read_at) as e4,
        least(answered_at, answer_sent_at, read_at) as e5,
        least(answer_sent_at, read_at) as e6,
        read_at as e7,
        submitted_on, responder_province, unit_type, purpose, kind
    from report_requests
), steps as (
    select e.request_id, e.began, e.ended, s.step, s.until, s.after, s.upto,
        e.submitted_on, e.responder_province, e.unit_type, e.purpose, e.kind,
        case
            -- Behind the cap it waits for what H's system has not confirmed.
            when s.step = 2 and e.clock_cause in ('not_connected', 'not_confirmed')
                and (e.sent_at is null or e.sent_at > e.clock_start) then 'responder_system'
            else s.holder
        end as holder
    from ends e
    cross join lateral (values
        (1, 'requester', 'submitted', e.began, e.e1),
        (2, 'broker', 'sent', e.e1, e.e2),
        (3, 'responder_system', 'delivered', e.e2, e.e3),
        (4, 'responder', 'opened', e.e3, e.e4),
        (5, 'responder', 'answered', e.e4, e.e5),
        (6, 'broker', 'answer_sent', e.e5, e.e6),
        (7, 'requester', 'read', e.e6, e.e7)
    ) as s (step, holder, until, after, upto)
    where s.after is not null
), hops as (
    select request_id, step, holder, until, submitted_on, responder_province, unit_type, purpose, kind,
        tstzrange(least(greatest(after, began), ended),
            case when upto is null then ended else least(greatest(upto, began), ended) end) as span
    from steps
)
select h.request_id, h.step, p.holder, h.until, lower(p.span) as from_at, upper(p.span) as to_at,
    extract(epoch from upper(p.span) - lower(p.span)) as seconds,
    h.submitted_on, h.responder_province, h.unit_type, h.purpose, h.kind
from hops h cross join away a
cross join lateral (
    select 'transport' as holder, unnest(tstzmultirange(h.span) * a.spans) as span
    where h.holder = 'responder_system' and h.span && a.spans
    union all
    select h.holder, unnest(tstzmultirange(h.span) - a.spans)
    where h.holder = 'responder_system' and h.span && a.spans
    union all
    select h.holder, h.span
    where not isempty(h.span) and (h.holder <> 'responder_system' or not h.span && a.spans)
) as p;

-- Narrowed to an office's, a province's or a state's by the narrow rows, before the wide ones are looked at; how
-- much an office has in flight is counted once an office, not once a request that waits behind it.
create or replace view report_in_hand as
select r.request_id, r.case_code, t.state, t.requester, t.responder,
    case t.state when 'answered' then t.requester else t.responder end as office,
    case t.state when 'answered' then t.requester_province else t.responder_province end as province,
    r.kind, r.home_unit, r.lane, t.lookup_pending, t.submitted_at, r.answered_at, r.answer_due_on,
    t.answer_due_at, r.file_due_on, r.rung, t.due_at as next_rung_at,
    report_why(t.state, t.clock_cause) as why,
    -- Behind the cap of its office it is that office's system that has to confirm what it got before.
    t.state = 'submitted' and t.clock_cause is null and report_cap() > coalesce(f.in_flight, 0) as with_broker,
    case t.state
        when 'submitted' then t.submitted_at
        when 'sent' then r.sent_at
        when 'delivered' then r.delivered_at
        when 'opened' then r.opened_at
        else r.answered_at
    end as since_at,
    -- The last day on which the next step is in time.
    case t.state
        when 'answered' then r.file_due_on
        when 'opened' then r.answer_due_on
        else r.accept_due_on
    end as step_due_on,
    t.state <> 'answered' and coalesce(t.answer_due_at <= (select report_as_of()), false) as overdue,
    coalesce(case t.state
        when 'submitted' then t.clock_cause is not null
            or t.submitted_at < (select report_as_of()) - interval '1 minute'
        when 'sent' then t.clock_cause is not null
        when 'delivered' then r.accept_due_on < report_day((select report_as_of()))
            or t.answer_due_at <= (select report_as_of())
        when 'opened' then t.answer_due_at <= (select report_as_of())
        when 'answered' then r.answered_at < (select report_unread_since())
    end, false) as late,
    r.unit_type, r.purpose
from timers t join report_requests r using (request_id)
left join (
    select office, count(*) as in_flight from deliveries where sent_at is not null group by office
) f on f.office = t.responder;
