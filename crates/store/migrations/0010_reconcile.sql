-- What a comparison of a day with an office needs: which command each taken id was, and what was
-- sent to it. The key of the inbox begins with the sender, so that an office's day is one short
-- stretch of it; (sender, message_id) stays what it was, unique within the partition of the id.
alter table inbox
    add column command    text,                 -- null: taken before this, or of no known type
    add column request_id uuid,
    add column refused    boolean not null default false;
alter table inbox drop constraint inbox_pkey;
-- contracts: safe after 0.0.0, because the same two columns were the key before, in the other order.
alter table inbox add primary key (sender, message_id);

-- Work and answers that were sent, sealed as they were, for as long as their day may be reported.
create table sent_letters (
    office       text not null,
    message_id   uuid not null,
    message_type text not null,
    request_id   uuid not null,
    created_at   timestamptz not null,
    traceparent  text,
    sealed       bytea not null,
    sent_at      timestamptz,                   -- null: nobody saw it leave
    primary key (office, message_id)
);

-- The last report of an office for a day, compared.
create table reconcile_reports (
    office          text not null,
    day             date not null,
    made_at         timestamptz not null,       -- by the office's clock
    compared_at     timestamptz not null,
    sent_theirs     integer not null,
    sent_ours       integer not null,
    sent_agreed     integer not null,
    received_theirs integer not null,
    received_ours   integer not null,
    received_agreed integer not null,
    primary key (office, day)
);
-- The pages of one of which some are missing yet.
create table reconcile_pages (
    office   text not null,
    day      date not null,
    page     smallint not null,
    pages    smallint not null,
    made_at  timestamptz not null,
    sent     uuid[] not null,
    received uuid[] not null,
    primary key (office, day, page)
);

-- In what it differed, and what became of that; `times` is in how many reports one after the other.
create table reconcile_differences (
    office       text not null,
    day          date not null,
    message_id   uuid not null,
    difference   text not null,
    healing      text not null,
    message_type text,
    request_id   uuid,
    times        integer not null default 1,
    primary key (office, day, message_id, difference)
);
create index reconcile_unhealed on reconcile_differences (day) where healing = 'alerted' or times > 1;
