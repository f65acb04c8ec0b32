-- What reports are read from: views, so that whoever asks with SQL gets the figures that
-- `xacminh report` gives (docs/REPORTS.md says what each means).
--
-- Nothing here asks the database for the time of the services: they say `xacminh.as_of` for their
-- transaction. Only who asks by hand and says nothing gets the machine's.

-- W's instant of the receipt, and for what the data are used. Rows written before, or by an older
-- binary beside this one, have neither; the views then read the request's first event.
alter table requests
    add column received_at timestamptz,
    add column purpose     text;

-- Outages that change nobody's blame and are on record all the same: the store, as a process saw
-- it, and an inbox with work on its way and no reader. A table of its own, because an older binary
-- takes every row of `outages` for one of RabbitMQ's, which moves blame and waits.
create table noted_outages (
    outage_id bigint generated always as identity primary key,
    what      text not null check (what in ('store', 'inbox')),
    office    text,
    from_at   timestamptz not null,
    to_at     timestamptz,
    check ((what = 'inbox') = (office is not null))
);
-- An inbox is without a reader once at a time, whoever saw it.
create unique index noted_outages_lasting on noted_outages (office) where what = 'inbox' and to_at is null;
create index noted_outages_office on noted_outages (office, from_at) where what = 'inbox';

-- The instant as of which the views speak.
create function report_as_of() returns timestamptz language sql stable as $$
    select coalesce(nullif(current_setting('xacminh.as_of', true), '')::timestamptz, now())
$$;

-- A day in Vietnam, UTC+7.
create function report_day(at timestamptz) returns date language sql immutable as $$
    select (at at time zone interval '07:00')::date
$$;

-- Why a request waits; none when nothing is awaited. The same as `store/src/view/late.rs`, `why`.
create function report_why(state text, clock_cause text) returns text language sql immutable as $$
    select case
        when state = 'submitted' and clock_cause is null then 'not_sent'
        when state in ('submitted', 'sent') and clock_cause = 'not_connected' then 'not_connected'
        when state in ('submitted', 'sent') then 'not_confirmed'
        when state = 'delivered' then 'not_opened'
        when state = 'opened' then 'not_answered'
        when state = 'answered' then 'not_read'
    end
$$;

-- How many requests an office has in flight at most: `store/src/delivery.rs`, `CAP`.
create function report_cap() returns integer language sql immutable as 'select 200';

-- Requests with what older rows lack.
create view report_base as
select r.*, coalesce(r.received_at, old.received_at) as t0, coalesce(r.purpose, old.purpose) as used_for
from requests r
left join lateral (
    select (convert_from(e.body, 'UTF8')::jsonb ->> 'received_at')::timestamptz as received_at,
        convert_from(e.body, 'UTF8')::jsonb ->> 'purpose' as purpose
    from events e where r.purpose is null and e.request_id = r.request_id and e.seq = 1
) old on true;

-- One row a request: what it is, how far it is, and how both clocks stand.
create view report_requests as
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
    end as under_30s
from report_base r
left join units u on u.level = 3 and u.code = r.home_unit
    and (u.valid_from is null or u.valid_from <= report_day(r.submitted_at))
    and (u.valid_to is null or u.valid_to >= report_day(r.submitted_at));

-- The nation's working days: the time worked on each, and before it, in microseconds. Years that
-- nobody imported are plain weeks, as in `domain/src/calendar`.
create view report_days as
with known as (
    select date_trunc('year', min(on_date))::date as first,
        (date_trunc('year', max(on_date)) + interval '1 year - 1 day')::date as last
    from calendar_days where scope = 'nation'
), hours as (
    select array_agg(split_part(span, '-', 1)::time order by n) as begins,
        array_agg(split_part(span, '-', 2)::time order by n) as ends
    from unnest(string_to_array((
        select value from legal_rules where key = 'office_hours' order by valid_from desc nulls last limit 1
    ), ';')) with ordinality as s (span, n)
), spans as (
    select begins, ends,
        (select sum(extract(epoch from t.e - t.b))::bigint * 1000000 from unnest(begins, ends) as t (b, e)) as whole,
        extract(epoch from ends[1] - begins[1])::bigint * 1000000 as morning
    from hours
), days as (
    select d::date as on_date, s.begins, s.ends,
        case
            when c.kind in ('working_swap', 'local_work') then s.whole
            when c.kind is not null then 0
            when extract(isodow from d) <= 5 then s.whole
            when extract(isodow from d) = 6 and d::date between k.first and k.last and exists (
                select from saturday_modes m where m.scope = 'nation' and m.mode = 'counts'
                    and (m.valid_from is null or m.valid_from <= d::date)
                    and (m.valid_to is null or m.valid_to >= d::date)) then s.morning
            else 0
        end as worked_us
    from generate_series(timestamp '2020-01-01', timestamp '2049-12-31', interval '1 day') as d
    cross join spans s cross join known k
    left join calendar_days c on c.scope = 'nation' and c.on_date = d::date
)
select on_date, begins, ends, worked_us,
    (sum(worked_us) over (order by on_date))::bigint - worked_us as before_us
from days;

-- Office hours since midnight that had passed on a day, in microseconds.
create function report_passed(begins time[], ends time[], worked_us bigint, at timestamptz)
returns bigint language sql immutable as $$
    select least(worked_us, sum(extract(epoch from
        greatest(least((at at time zone interval '07:00')::time, e) - b, interval '0')) * 1000000)::bigint)
    from unnest(begins, ends) as s (b, e)
$$;

-- The measured parts of the way whose both ends are known: `domain/src/lag.rs`, `segment`.
create view report_segments as
select r.request_id, s.segment, s.from_at, greatest(s.from_at, s.until) as to_at,
    extract(epoch from greatest(s.from_at, s.until) - s.from_at) as wall_seconds
from report_base r
cross join lateral (values
    ('ask', r.t0, r.submitted_at),
    ('send', r.submitted_at, r.sent_at),
    ('transport', r.sent_at, r.delivered_at),
    ('unopened', r.delivered_at, r.opened_at),
    ('work', r.opened_at, r.answered_at),
    ('unread', r.answered_at, r.read_at)
) as s (segment, from_at, until)
where s.from_at is not null and s.until is not null;

-- The same with whole minutes of office hours, by the nation's calendar.
create view report_segments_worked as
select s.*,
    div(b.before_us + report_passed(b.begins, b.ends, b.worked_us, s.to_at)
      - a.before_us - report_passed(a.begins, a.ends, a.worked_us, s.from_at), 60000000)::bigint as working_minutes
from report_segments s
join report_days a on a.on_date = report_day(s.from_at)
join report_days b on b.on_date = report_day(s.to_at);

-- Who held each request from when to when, up to its end or to `xacminh.as_of`: the hops follow each
-- other without gap or overlap. The same as `domain/src/lag.rs`, `path`; a test holds the two equal.
create view report_hops as
with away as (
    select coalesce(range_agg(tstzrange(from_at, to_at)), '{}'::tstzmultirange) as spans
    from outages where what in ('rabbitmq', 'restore') and from_at < coalesce(to_at, 'infinity')
), ends as (
    -- A step that was overtaken lasted until what overtook it.
    select request_id, clock_cause, clock_start, sent_at,
        least(coalesce(t0, submitted_at), submitted_at) as began,
        greatest(coalesce(read_at, withdrawn_at, (select report_as_of())), submitted_at) as ended,
        least(submitted_at, sent_at, delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e1,
        least(sent_at, delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e2,
        least(delivered_at, opened_at, answered_at, answer_sent_at, read_at) as e3,
        least(opened_at, answered_at, answer_sent_at, read_at) as e4,
        least(answered_at, answer_sent_at, read_at) as e5,
        least(answer_sent_at, read_at) as e6,
        read_at as e7
    from report_base
), steps as (
    select e.request_id, e.began, e.ended, s.step, s.until, s.after, s.upto,
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
    select request_id, step, holder, until,
        tstzrange(least(greatest(after, began), ended),
            case when upto is null then ended else least(greatest(upto, began), ended) end) as span
    from steps
)
select h.request_id, h.step, p.holder, h.until, lower(p.span) as from_at, upper(p.span) as to_at,
    extract(epoch from upper(p.span) - lower(p.span)) as seconds
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

-- The morning from which on an answer that lay unread the evening before is late: the opening of
-- the latest working day before today.
create function report_unread_since() returns timestamptz language sql stable as $$
    select (d.on_date + d.begins[1]) at time zone interval '07:00'
    from report_days d
    where d.worked_us > 0 and d.on_date < report_day(report_as_of()) order by d.on_date desc limit 1
$$;

-- What is in life: who has to act, since when, by which day, why it waits, and whether it is late.
create view report_in_hand as
select r.request_id, r.case_code, r.state, r.requester, r.responder,
    case r.state when 'answered' then r.requester else r.responder end as office,
    case r.state when 'answered' then r.requester_province else r.responder_province end as province,
    r.kind, r.home_unit, r.lane, r.lookup_pending, r.submitted_at, r.answered_at, r.answer_due_on,
    r.answer_due_at, r.file_due_on, r.rung, t.due_at as next_rung_at,
    report_why(r.state, r.clock_cause) as why,
    -- Behind the cap of its office it is that office's system that has to confirm what it got before.
    r.state = 'submitted' and r.clock_cause is null and report_cap() > (
        select count(*) from deliveries d where d.office = r.responder and d.sent_at is not null
    ) as with_broker,
    case r.state
        when 'submitted' then r.submitted_at
        when 'sent' then r.sent_at
        when 'delivered' then r.delivered_at
        when 'opened' then r.opened_at
        else r.answered_at
    end as since_at,
    -- The last day on which the next step is in time.
    case r.state
        when 'answered' then r.file_due_on
        when 'opened' then r.answer_due_on
        else r.accept_due_on
    end as step_due_on,
    r.state <> 'answered' and coalesce(r.answer_due_at <= (select report_as_of()), false) as overdue,
    coalesce(case r.state
        when 'submitted' then r.clock_start is not null
            or r.submitted_at < (select report_as_of()) - interval '1 minute'
        when 'sent' then r.clock_start is not null
        when 'delivered' then r.accept_due_on < report_day((select report_as_of()))
            or r.answer_due_at <= (select report_as_of())
        when 'opened' then r.answer_due_at <= (select report_as_of())
        when 'answered' then r.answered_at < (select report_unread_since())
    end, false) as late
from timers t join requests r using (request_id);

-- What was refused, by day and by the province of whoever sent it.
create view report_refusals as
select f.refused_id, f.sender, coalesce(o.province_code, 'VN') as province, f.command, f.code, f.at,
    report_day(f.at) as refused_on
from refused f left join offices o on o.office_id = f.sender;

-- All outages on record; what several processes saw of one is one.
create view report_outages as
select o.what, o.office, lower(s.span) as from_at,
    case when upper_inf(s.span) or upper(s.span) = 'infinity' then null else upper(s.span) end as to_at
from (
    select what, office, range_agg(tstzrange(from_at, to_at)) as spans
    from (
        select what, null as office, from_at, to_at from outages
        union all
        select what, office, from_at, to_at from noted_outages
    ) a
    where from_at < coalesce(to_at, 'infinity') group by what, office
) o cross join lateral unnest(o.spans) as s (span);
