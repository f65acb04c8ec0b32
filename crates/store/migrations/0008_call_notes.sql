-- What whoever phones offices notes of a call. Free words of the operator's, sealed like all others.
create table call_notes (
    note_id uuid primary key,
    office  text not null references offices,
    at      timestamptz not null,
    sealed  bytea not null
);
create index call_notes_office on call_notes (office, at);
