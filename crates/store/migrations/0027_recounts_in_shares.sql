-- Pages of what is counted anew are committed side by side. What each has done is added to a row of its own, so that
-- none waits for another's commit; `recounts.recounted` is their sum as of the last step.
create table recount_shares (
    recount_id bigint not null references recounts,
    share      smallint not null,
    recounted  bigint not null,
    primary key (recount_id, share)
);
