-- What is done on Saturdays, by scope (nation, province:CODE, office:ID); the days of single provinces and
-- offices stand in calendar_days under their scope.
create table saturday_modes (
    scope      text not null,
    mode       text not null check (mode in ('off', 'receive_only', 'counts')),
    valid_from date,
    valid_to   date
);
create unique index saturday_modes_key on saturday_modes (scope, coalesce(valid_from, '-infinity'));
