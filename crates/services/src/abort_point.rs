//! Numbered points at which a process can be told to die, for tests of what a death there leaves.
//!
//! `XACMINH_ABORT_AT=2` aborts the process the first time it gets to point 2. Compiled into debug
//! builds alone: a release has none of it.

/// Where to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortPoint {
    /// A batch of commands is in a transaction that is not committed.
    BeforeCommit = 1,
    /// A batch of commands is committed and not acknowledged.
    BeforeAck = 2,
    /// Letters are read and not published.
    BeforePublish = 3,
    /// Letters are confirmed by RabbitMQ and not marked.
    BeforeMark = 4,
    /// Rungs have fired in a transaction that is not committed.
    BeforeFired = 5,
    /// Digests are in the outbox of a transaction that is not committed.
    BeforeDigest = 6,
    /// Due dates are counted anew in a transaction that is not committed.
    BeforeRecounted = 7,
}

impl AbortPoint {
    /// All points, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::BeforeCommit,
        Self::BeforeAck,
        Self::BeforePublish,
        Self::BeforeMark,
        Self::BeforeFired,
        Self::BeforeDigest,
        Self::BeforeRecounted,
    ];

    /// Dies here if the environment says so.
    #[inline]
    pub(crate) fn reach(self) {
        #[cfg(debug_assertions)]
        if wanted() == Some(self) {
            tracing::error!(point = self as u8, "told to die here");
            std::process::abort();
        }
    }
}

#[cfg(debug_assertions)]
fn wanted() -> Option<AbortPoint> {
    static WANTED: std::sync::OnceLock<Option<AbortPoint>> = std::sync::OnceLock::new();
    *WANTED.get_or_init(|| {
        let number = std::env::var("XACMINH_ABORT_AT").ok()?;
        let found = AbortPoint::ALL.into_iter().find(|point| (*point as u8).to_string() == number);
        if found.is_none() {
            tracing::error!(number, "there is no abort point of this number");
        }
        found
    })
}
