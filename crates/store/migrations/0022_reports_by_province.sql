-- A province's report reads what is its own. By the days alone it read a month of the whole nation: with ten million
-- requests on record up to 3 s for each of its three questions. Neither column ever changes, so updates still stay in
-- their page (HOT). Making it takes ten seconds for ten million requests, in which nothing is written.
create index requests_province_day on requests (responder_province, report_day(submitted_at));

-- None of these changes anything or keeps anything: what a report asks may be worked out by several processes of
-- PostgreSQL at once.
alter function report_as_of() parallel safe;
alter function report_cap() parallel safe;
alter function report_day(timestamptz) parallel safe;
alter function report_passed(time[], time[], bigint, timestamptz) parallel safe;
alter function report_unread_since() parallel safe;
alter function report_why(text, text) parallel safe;
