-- What questions about all that is in life need, in the narrow row that each of these requests has anyway:
-- the wide rows of `requests` lie among all that ever was. They say what the row of the request says.

-- Programs at work lock the two tables in either order. So both are had at once or let go again, before anybody
-- would be ended for a deadlock; then whoever writes waits until this step is done.
do $$
begin
    set local lock_timeout = '200ms';
    for n in 1 .. 1000 loop
        begin
            lock table requests in share row exclusive mode;
            lock table timers in access exclusive mode;
            set local lock_timeout = 0;
            return;
        exception when lock_not_available then
            null;
        end;
    end loop;
    raise 'the tables are never free';
end
$$;

alter table timers
    add column requester          text,
    add column responder          text,
    add column requester_province text,
    add column responder_province text,
    add column submitted_at       timestamptz,
    add column lookup_pending     boolean,
    add column state              text,
    add column clock_cause        text,
    add column answer_due_at      timestamptz;

-- contracts: safe after 0.0.0, because only columns are filled that no program of before knows.
update timers t set
    requester = r.requester, responder = r.responder, requester_province = r.requester_province,
    responder_province = r.responder_province, submitted_at = r.submitted_at, lookup_pending = r.lookup_pending,
    state = r.state, clock_cause = r.clock_cause, answer_due_at = r.answer_due_at
from requests r where r.request_id = t.request_id;

-- A binary of before, beside this one, writes only what it knows: for its connections the database keeps the
-- rest. Whoever knows these columns says `xacminh.keeps_timers`, and pays a look at that setting.
create function timers_of_the_binary_before() returns trigger language plpgsql as $$
begin
    select r.requester, r.responder, r.requester_province, r.responder_province, r.submitted_at, r.lookup_pending,
        r.state, r.clock_cause, r.answer_due_at
    into new.requester, new.responder, new.requester_province, new.responder_province, new.submitted_at,
        new.lookup_pending, new.state, new.clock_cause, new.answer_due_at
    from requests r where r.request_id = new.request_id;
    return new;
end
$$;
create trigger timers_of_the_binary_before before insert on timers for each row
    when (new.state is null) execute function timers_of_the_binary_before();

create function requests_of_the_binary_before() returns trigger language plpgsql as $$
begin
    update timers set state = new.state, clock_cause = new.clock_cause, answer_due_at = new.answer_due_at
    where request_id = new.request_id;
    return null;
end
$$;
create trigger requests_of_the_binary_before after update on requests for each row
    when (coalesce(current_setting('xacminh.keeps_timers', true), '') <> 'on')
    execute function requests_of_the_binary_before();
