//! Persons and free words, sealed with a data key of their request.
//!
//! Erasing a person is dropping the row: without its wrapped key the bytes elsewhere are noise.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
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
    query("insert into persons (request_id, wrapped_key, sealed) select * from unnest($1::uuid[], $2::bytea[], $3::bytea[])")
        .bind(persons.iter().map(|p| p.request.uuid()).collect::<Vec<_>>())
        .bind(wrapped.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>())
        .bind(sealed)
        .execute(tx)
        .await?;
    Ok(())
}

/// Seals an answer with its request's data key and keeps it.
pub async fn put_answer(tx: &mut PgConnection, keys: &KeyRing, request: RequestId, plain: &[u8]) -> Result<(), Error> {
    let Some(row) = query("select wrapped_key from persons where request_id = $1")
        .bind(request.uuid())
        .fetch_optional(&mut *tx)
        .await?
    else {
        // The person was erased; then so are the words about it.
        return Ok(());
    };
    let key = keys.unwrap_key(row.try_get("wrapped_key")?)?;
    query("insert into answers (request_id, sealed) values ($1, $2) on conflict do nothing")
        .bind(request.uuid())
        .bind(key.seal(request.uuid().as_bytes(), plain)?)
        .execute(tx)
        .await?;
    Ok(())
}
