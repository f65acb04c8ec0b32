-- Lines leave office by office, those of the earliest half-day first. By their instant alone, each batch of
-- digests read all lines that wait: after a herd of deadlines, hundreds of thousands a hundred times over.
create index notice_lines_leave_office on notice_lines (leave_at, office);
-- contracts: safe after 0.0.0, because no program names an index.
drop index notice_lines_leave;
