-- Since when this life of the store runs (null: from its beginning), and when a process last looked
-- in: a copy of the database carries the instant it is of.
alter table epoch
    add column since_at timestamptz,
    add column alive_at timestamptz;
