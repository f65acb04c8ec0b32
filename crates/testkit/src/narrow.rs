//! Whether the narrow rows of what is in life say what the wide ones say.

use anyhow::{Result, ensure};

use crate::World;

/// What of the narrow rows of `timers` does not say what `requests` says, or is there though the request is
/// over, or is not though it is in life.
const WRONG: &str = "select concat_ws(' ', coalesce(t.request_id, r.request_id), r.state, t.state, r.clock_cause,
        t.clock_cause, r.answer_due_at, t.answer_due_at)
    from timers t full join requests r using (request_id)
    where (r.state not in ('read', 'withdrawn')) is distinct from (t.request_id is not null)
        or t.request_id is not null and (
            t.requester, t.responder, t.requester_province, t.responder_province, t.submitted_at, t.lookup_pending,
            t.state, t.clock_cause, t.answer_due_at)
        is distinct from (
            r.requester, r.responder, r.requester_province, r.responder_province, r.submitted_at, r.lookup_pending,
            r.state, r.clock_cause, r.answer_due_at)";

/// What is in life is counted on narrow rows: whether they agree with the wide ones, at any moment.
pub async fn narrow_rows_agree(world: &World) -> Result<()> {
    if world.number("select count(to_regclass('timers'))").await? == 0 {
        return Ok(());
    }
    let wrong = world.rows(WRONG).await?;
    ensure!(wrong.is_empty(), "timers and requests do not agree: {wrong:#?}");
    Ok(())
}
