//! Persons and free words, sealed with a data key of their request.
//!
//! Erasing a person is dropping the row: without its wrapped key the bytes elsewhere are noise.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use uuid::Uuid;
use xacminh_domain::id::RequestId;
use xacminh_trust::key::KeyRing;

use crate::error::Error;

/// What is sealed when a request opens: the person and the free words, as JSON.
#[derive(Debug)]
pub struct NewPerson {
    /// Of which request.
    pub request: RequestId,
    /// The bytes to seal.
    pub plain: Vec<u8>,
}

/// Seals and keeps persons.
pub async fn put(tx: &mut PgConnection, keys: &KeyRing, persons: &[NewPerson]) -> Result<(), Error> {
    if persons.is_empty() {
        return Ok(());
    }
    let (mut wrapped, mut sealed) = (Vec::new(), Vec::new());
    for person in persons {
        let (key, wrap) = keys.new_data_key()?;
        sealed.push(key.seal(person.request.uuid().as_bytes(), &person.plain)?);
        wrapped.push(wrap);
    }
    query(
        "insert into persons (request_id, wrapped_key, sealed)
         select unnest($1::uuid[]), unnest($2::bytea[]), unnest($3::bytea[])",
    )
    .bind(persons.iter().map(|p| p.request.uuid()).collect::<Vec<_>>())
    .bind(wrapped.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>())
    .bind(sealed)
    .execute(tx)
    .await?;
    Ok(())
}

/// Seals answers with their requests' data keys and keeps them. Where the person was erased, the
/// words about it are not kept either.
pub async fn put_answers(tx: &mut PgConnection, keys: &KeyRing, answers: &[(RequestId, Vec<u8>)]) -> Result<(), Error> {
    if answers.is_empty() {
        return Ok(());
    }
    let rows = query(
        "select p.request_id, p.wrapped_key from unnest($1::uuid[]) as i (id) join persons p on p.request_id = i.id",
    )
    .bind(answers.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let mut wrapped: HashMap<Uuid, &[u8]> = HashMap::with_capacity(rows.len());
    for row in &rows {
        wrapped.insert(row.try_get("request_id")?, row.try_get("wrapped_key")?);
    }
    let (mut ids, mut sealed) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (request, plain) in answers {
        let id = request.uuid();
        if let Some(wrapped) = wrapped.get(&id) {
            sealed.push(keys.unwrap_key(wrapped)?.seal(id.as_bytes(), plain)?);
            ids.push(id);
        }
    }
    query(
        "insert into answers (request_id, sealed) select unnest($1::uuid[]), unnest($2::bytea[]) on conflict do nothing",
    )
    .bind(ids)
    .bind(sealed)
    .execute(tx)
    .await?;
    Ok(())
}
