//! Questions that span requests. Read-only, on the projection and the small hot tables.

pub mod installation;
pub mod lag;
pub mod late;
pub mod office;
pub mod readiness;
pub mod reconcile;
pub mod standing;
