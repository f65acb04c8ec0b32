-- A changed working calendar: what changed, and how far the open requests are counted anew.
create table recounts (
    recount_id   bigint generated always as identity primary key,
    from_version text not null,
    to_version   text not null,
    imported_at  timestamptz not null,
    reached      uuid,                          -- the last request looked at in this pass; null: none yet
    passes       integer not null default 0,    -- how many went through all that is in life
    recounted    bigint not null default 0,     -- events written
    finished_at  timestamptz
);
create index recounts_open on recounts (recount_id) where finished_at is null;

-- The days that are worked otherwise, by scope (nation, province:CODE, office:ID). Who has a calendar of its
-- own has a row of its own, which may be empty.
create table recount_days (
    recount_id bigint not null references recounts,
    scope      text not null,
    days       date[] not null,
    primary key (recount_id, scope)
);

-- Lines of a rung whose due moved later are taken back, request by request.
create index notice_lines_request on notice_lines (request_id);
