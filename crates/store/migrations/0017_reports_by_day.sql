-- Reports look at the requests of some days, by an expression that had no index: each read the whole
-- table, however old. Rows lie in the order of their submits and an instant of submit never changes, so
-- a few blocks of summary do, and updates of a request still stay in their page (HOT).
create index requests_submitted_day on requests using brin (report_day(submitted_at))
    with (pages_per_range = 32, autosummarize = on);
