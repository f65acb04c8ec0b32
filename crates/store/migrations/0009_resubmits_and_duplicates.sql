-- A refused submit is found by sender and id when its ward makes it whole.
create index refused_submits on refused (message_id, sender)
    where command = 'request.submit' and code <> 'id_reused';

-- A second request about the same file names the first. Only columns that never change, so that
-- updates of a request stay in the page (HOT).
create index requests_same_file on requests (requester, case_code, kind, responder, submitted_at, request_id);
