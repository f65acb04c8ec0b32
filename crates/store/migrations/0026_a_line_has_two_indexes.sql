-- A line for a digest is written for nearly every rung, hundreds of thousands in a herd of deadlines. Its key is the
-- order in which it leaves, so that it needs no index of numbers beside that.
alter table notice_lines drop constraint notice_lines_pkey;
drop index notice_lines_leave_office;
-- contracts: safe after 0.0.0, because its number is given by the database alone and none of the three could be null.
alter table notice_lines add primary key (leave_at, office, line_id);
