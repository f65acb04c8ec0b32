//! RabbitMQ's management API: logins, permissions, inboxes, connections.
//!
//! Every function blocks; callers in async code use `spawn_blocking`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{Method, Request};

use crate::Error;
use crate::permissions::{self, Grant};

/// How many offices go into one import. All of the country fit into one; a request of more than
/// some megabytes is refused by RabbitMQ.
const GRANTS_AT_ONCE: usize = 4_000;
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Thousands of quorum queues take RabbitMQ half a minute on a small machine.
const IMPORT_LIMIT: Duration = Duration::from_secs(600);

/// How long RabbitMQ lets a client take from the first byte to an open connection
/// (`handshake_timeout`, as delivered). A client that has shown the old password may open its
/// connection that much later, with the new one in force: RabbitMQ asks for the password first and
/// lists the connection last. So whoever changes a password closes the connections at once, and
/// once more after this time.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How many messages a queue holds, from the queue itself and not from the statistics, which lag.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct QueueTotals {
    /// The queue.
    pub name: String,
    /// Those waiting for a consumer.
    #[serde(default, rename = "messages_ready")]
    pub waiting: u64,
    /// Those a consumer has and has not acknowledged.
    #[serde(default, rename = "messages_unacknowledged")]
    pub in_hand: u64,
}

/// The management API, for one virtual host.
#[derive(Clone)]
pub struct Management {
    agent: ureq::Agent,
    base: String,
    authorization: String,
    vhost: String,
}

impl Management {
    /// `http://user:password@host:port`, of a login with the tag `administrator`.
    pub fn new(url: &str, vhost: &str) -> Result<Self, Error> {
        // Its own words, not the text: that has a password in it.
        let unusable = || Error::Address("not of the form http://user:password@host:port".into());
        let (scheme, rest) = url.split_once("://").ok_or_else(unusable)?;
        let (login, host) = rest.rsplit_once('@').ok_or_else(unusable)?;
        let login = percent_decode(login).ok_or_else(unusable)?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Ok(Self {
            agent: config.new_agent(),
            base: format!("{scheme}://{}", host.trim_end_matches('/')),
            authorization: format!("Basic {}", BASE64.encode(login)),
            vhost: vhost.to_owned(),
        })
    }

    /// The same for another virtual host.
    pub fn with_vhost(&self, vhost: &str) -> Self {
        Self { vhost: vhost.to_owned(), ..self.clone() }
    }

    /// Gives these offices a login, permissions and an inbox, in one import. Doing it again changes
    /// passwords and nothing else; an inbox keeps what waits in it, and open connections go on.
    pub fn grant_offices(&self, grants: &[Grant]) -> Result<(), Error> {
        self.put_policies()?;
        for some in grants.chunks(GRANTS_AT_ONCE) {
            let definitions = permissions::definitions(some, &self.vhost)?;
            self.call("import definitions", Method::POST, "/api/definitions", Some(&definitions))?;
        }
        Ok(())
    }

    /// Gives logins that are there other passwords. Open connections go on until
    /// [`Management::close_connections_of`] ends them, see [`HANDSHAKE_LIMIT`].
    pub fn set_passwords(&self, grants: &[Grant]) -> Result<(), Error> {
        for some in grants.chunks(GRANTS_AT_ONCE) {
            let logins = permissions::logins(some)?;
            self.call("set passwords", Method::POST, "/api/definitions", Some(&logins))?;
        }
        Ok(())
    }

    /// Sets a policy for the queues whose names match. Of all that match the one of the highest priority counts
    /// alone.
    pub fn put_policy(&self, name: &str, pattern: &str, definition: &Value, priority: i64) -> Result<(), Error> {
        let path = format!("/api/policies/{}/{}", encode(&self.vhost), encode(name));
        let body = json!({ "pattern": pattern, "definition": definition, "apply-to": "queues", "priority": priority });
        self.call("set a policy", Method::PUT, &path, Some(&body)).map(drop)
    }

    /// Makes the virtual host.
    pub fn create_vhost(&self) -> Result<(), Error> {
        let path = format!("/api/vhosts/{}", encode(&self.vhost));
        self.call("create a virtual host", Method::PUT, &path, Some(&json!({}))).map(drop)
    }

    /// Deletes the virtual host with all that is in it.
    pub fn delete_vhost(&self) -> Result<(), Error> {
        let path = format!("/api/vhosts/{}", encode(&self.vhost));
        self.delete("delete a virtual host", &path)
    }

    /// Makes a login with all permissions in the virtual host and no tag: for the broker itself.
    pub fn create_broker_user(&self, user: &str, password: &str) -> Result<(), Error> {
        let path = format!("/api/users/{}", encode(user));
        let body = json!({ "password": password, "tags": "" });
        self.call("create a user", Method::PUT, &path, Some(&body))?;
        let path = format!("/api/permissions/{}/{}", encode(&self.vhost), encode(user));
        let body = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        self.call("set permissions", Method::PUT, &path, Some(&body)).map(drop)
    }

    /// Takes a login away, and with it its open connections, also one opened a moment ago: RabbitMQ
    /// goes by its own list and not by the statistics. One that is still being opened is refused
    /// the virtual host. Its inbox stays.
    pub fn delete_user(&self, user: &str) -> Result<(), Error> {
        self.delete("delete a user", &format!("/api/users/{}", encode(user)))
    }

    /// Closes the connections of a login, also one opened a moment ago; it may come back at once.
    pub fn close_connections_of(&self, user: &str) -> Result<(), Error> {
        self.delete("close connections", &format!("/api/connections/username/{}", encode(user)))
    }

    /// Deletes a queue with what is in it.
    pub fn delete_queue(&self, queue: &str) -> Result<(), Error> {
        let path = format!("/api/queues/{}/{}", encode(&self.vhost), encode(queue));
        self.delete("delete a queue", &path)
    }

    /// How much is in every queue of the virtual host.
    pub fn queue_totals(&self) -> Result<Vec<QueueTotals>, Error> {
        let path = format!("/api/queues/{}?disable_stats=true&enable_queue_totals=true", encode(&self.vhost));
        self.get("list queues", &path)
    }

    fn delete(&self, doing: &'static str, path: &str) -> Result<(), Error> {
        match self.call(doing, Method::DELETE, path, None) {
            // Gone is what was asked for.
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    pub(crate) fn call(
        &self,
        doing: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Error> {
        self.answer(doing, method, path, body).map(|(text, _)| text)
    }

    /// What a question is answered with, read as this type.
    pub(crate) fn get<T: DeserializeOwned>(&self, doing: &'static str, path: &str) -> Result<T, Error> {
        self.get_dated(doing, path).map(|(answer, _)| answer)
    }

    /// The same, with what RabbitMQ's clock showed (the header `Date`, whole seconds).
    pub(crate) fn get_dated<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        path: &str,
    ) -> Result<(T, Option<String>), Error> {
        let (text, date) = self.answer(doing, Method::GET, path, None)?;
        let read = serde_json::from_str(&text);
        let unread =
            |error: serde_json::Error| Error::ManagementRefused { doing, status: 200, reason: error.to_string() };
        Ok((read.map_err(unread)?, date))
    }

    pub(crate) fn vhost(&self) -> &str {
        &self.vhost
    }

    /// The virtual host, as it stands in a path.
    pub(crate) fn vhost_in_path(&self) -> String {
        encode(&self.vhost)
    }

    fn answer(
        &self,
        doing: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(String, Option<String>), Error> {
        // Making or deleting thousands of queues.
        let long = path == "/api/definitions" || path.starts_with("/api/vhosts/");
        let limit = if long { IMPORT_LIMIT } else { CALL_LIMIT };
        let failed = |source| Error::Management { doing, source: Arc::new(source) };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json");
        let request = self.agent.configure_request(
            request.body(body.map(Value::to_string).unwrap_or_default()).map_err(|e| failed(e.into()))?,
        );
        let request = request.timeout_global(Some(limit)).allow_non_standard_methods(true).build();
        let mut response = self.agent.run(request).map_err(failed)?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(ToOwned::to_owned);
        let text = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_string().map_err(failed)?;
        if response.status().is_success() {
            Ok((text, date))
        } else {
            let reason = text.chars().take(300).collect();
            Err(Error::ManagementRefused { doing, status: response.status().as_u16(), reason })
        }
    }
}

fn encode(part: &str) -> String {
    part.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_the_way_through_an_address() {
        assert_eq!(encode("/"), "%2F");
        let odd = "a b/c@đặc";
        assert_eq!(percent_decode(&encode(odd)).unwrap(), odd.as_bytes());
    }

    #[test]
    fn an_address_without_a_login_is_refused_without_being_repeated() {
        let error = Management::new("http://geheim:15672", "/").err().unwrap();
        assert!(!error.to_string().contains("geheim"));
    }
}
