-- What was parked and will not be replayed is closed by an operator, with the reason.
alter table parked
    add column closed_at    timestamptz,
    add column close_reason text;
