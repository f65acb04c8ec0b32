//! What whoever phones offices notes of a call: free words, sealed like all others.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use uuid::Uuid;
use xacminh_domain::Timestamp;
use xacminh_domain::id::OfficeId;
use xacminh_trust::key::KeyRing;

use crate::error::Error;
use crate::time::At;

/// The longest note, in characters.
pub const LONGEST_NOTE: usize = 500;

/// A note of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When it was written.
    pub at: Timestamp,
    /// The words; none when the keys at hand do not open them.
    pub words: Option<String>,
}

/// Keeps a note about an office.
pub async fn note(
    conn: &mut PgConnection,
    keys: &KeyRing,
    office: OfficeId,
    at: Timestamp,
    words: &str,
) -> Result<(), Error> {
    let id = Uuid::now_v7();
    query("insert into call_notes (note_id, office, at, sealed) values ($1, $2, $3, $4)")
        .bind(id)
        .bind(office.as_str())
        .bind(At(at))
        .bind(keys.seal(id.as_bytes(), words.as_bytes())?)
        .execute(conn)
        .await?;
    Ok(())
}

/// The latest note about each of these offices that has one; its words only with keys that open them.
pub async fn latest(
    conn: &mut PgConnection,
    keys: Option<&KeyRing>,
    offices: &[&str],
) -> Result<HashMap<String, Note>, Error> {
    let rows = query(
        "select distinct on (office) office, note_id, at, sealed from call_notes where office = any($1)
         order by office, at desc, note_id desc",
    )
    .bind(offices)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get("note_id")?;
            let sealed = row.try_get("sealed")?;
            let words = keys.and_then(|keys| keys.open(id.as_bytes(), sealed).ok());
            let words = words.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            Ok((row.try_get("office")?, Note { at: row.try_get::<At, _>("at")?.0, words }))
        })
        .collect()
}
