-- When an office got the password that holds now: at its grant, or later by a rotation.
alter table office_access add column password_at timestamptz;

-- What a replay needs beside the body: the sender's login as RabbitMQ proved it, ids, type, key and
-- the headers we know, sealed, because a sender may have written anything into them. Rows from
-- before have none and cannot be replayed. A replayed row stays, with the day and the reason.
alter table parked
    add column envelope bytea,
    add column replayed_at timestamptz,
    add column replay_reason text;
