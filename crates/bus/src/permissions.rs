//! What an office may do on RabbitMQ, and how that is written down for a bulk import.
//!
//! | permission | pattern | so an office |
//! | --- | --- | --- |
//! | configure | `^$` | declares and deletes nothing |
//! | write | `^xacminh\.in$` | publishes to one exchange, binds nothing |
//! | read | `^xacminh\.office\.<id>$` | consumes its own inbox |
//!
//! A *passive* declare of a foreign inbox still succeeds and shows its counts: RabbitMQ does not
//! check permissions there. No office carries a tag, least of all `impersonator`, so the `user-id`
//! of a message is either absent or true.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xacminh_contract::names;
use xacminh_domain::id::OfficeId;

use crate::Error;

/// Access for an office: its login is its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The office.
    pub office: OfficeId,
    /// Its password, of which RabbitMQ gets a salted hash only.
    pub password: String,
}

/// The three patterns of an office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficePermissions {
    /// What it may declare.
    pub configure: String,
    /// Where it may publish.
    pub write: String,
    /// What it may consume.
    pub read: String,
}

impl OfficePermissions {
    /// Those of this office.
    pub fn of(office: OfficeId) -> Self {
        let exactly = |name: &str| format!("^{}$", name.replace('.', r"\."));
        Self { configure: "^$".to_owned(), write: exactly(names::EXCHANGE_IN), read: exactly(&names::inbox(office)) }
    }
}

/// The name and pattern of the policy of all inboxes.
pub(crate) const INBOX_POLICY: &str = "xacminh.office";
pub(crate) const INBOX_PATTERN: &str = r"^xacminh\.office\.";

/// What a full queue does that loses nothing: whoever publishes is told that it was not taken.
pub const HOLDS_BACK: &str = "reject-publish";

/// What the policy says. An office that cannot handle a message must not be given it for ever.
pub(crate) fn inbox_policy() -> Value {
    json!({ "delivery-limit": 20, "dead-letter-exchange": names::EXCHANGE_REJECTED })
}

/// The name and pattern of the policy of what offices' commands wait in.
pub(crate) const WORK_POLICY: &str = "xacminh.work.length";
pub(crate) const WORK_PATTERN: &str = r"^xacminh\.work\.(intake|bulk|answering)$";
/// Above what an operator sets by hand for the same queues.
pub(crate) const WORK_PRIORITY: i64 = 200;
/// How many commands may wait in such a queue: more than the whole nation asks on a day (40,000, handbook
/// section 10). On two cores they are a minute or two of work.
const WORK_LENGTH: u32 = 50_000;
/// From which version on RabbitMQ limits deliveries by itself; a policy says then that it does not.
const LIMITS_DELIVERIES_FROM: u32 = 4;

/// What that policy says. More than goes through for long must stay with whoever sends it, who has it on disk:
/// RabbitMQ refuses the confirm, and the office sends again.
pub(crate) fn work_policy(version: &str) -> Value {
    let mut policy = json!({ "max-length": WORK_LENGTH, "overflow": HOLDS_BACK });
    if limits_deliveries(version) {
        policy["delivery-limit"] = json!(-1);
    }
    policy
}

/// Whether RabbitMQ of this version gives messages up by itself, after 20 deliveries.
pub fn limits_deliveries(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= LIMITS_DELIVERIES_FROM)
}

/// Logins, permissions and inboxes for RabbitMQ's import.
pub(crate) fn definitions(grants: &[Grant], vhost: &str) -> Result<Value, Error> {
    let offices: Vec<OfficeId> = grants.iter().map(|grant| grant.office).collect();
    let mut all = rights_and_inboxes(&offices, vhost);
    all["users"] = logins(grants)?["users"].take();
    Ok(all)
}

/// The same without logins, whose passwords it therefore leaves as they are.
pub(crate) fn rights_and_inboxes(offices: &[OfficeId], vhost: &str) -> Value {
    let mut permissions = Vec::with_capacity(offices.len());
    let mut queues = Vec::with_capacity(offices.len());
    for office in offices {
        let may = OfficePermissions::of(*office);
        permissions.push(json!({
            "user": office.as_str(), "vhost": vhost,
            "configure": may.configure, "write": may.write, "read": may.read,
        }));
        queues.push(json!({
            "name": names::inbox(*office), "vhost": vhost,
            "durable": true, "auto_delete": false,
            "arguments": { "x-queue-type": "quorum" },
        }));
    }
    json!({ "permissions": permissions, "queues": queues })
}

/// Logins alone, for an import that changes passwords.
pub(crate) fn logins(grants: &[Grant]) -> Result<Value, Error> {
    let mut users = Vec::with_capacity(grants.len());
    for grant in grants {
        users.push(json!({
            "name": grant.office.as_str(),
            "password_hash": password_hash(&grant.password, salt()?),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": [],
        }));
    }
    Ok(json!({ "users": users }))
}

fn salt() -> Result<[u8; 4], Error> {
    let mut salt = [0; 4];
    getrandom::fill(&mut salt).map_err(|_| Error::Random)?;
    Ok(salt)
}

/// RabbitMQ's form: the salt, then SHA-256 of salt and password, in base64.
fn password_hash(password: &str, salt: [u8; 4]) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update(password.as_bytes()).finalize();
    BASE64.encode([&salt[..], &digest[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_rabbitmqs_manual() {
        // "test12" with the salt 908DC60A, from the page on passwords.
        let hash = password_hash("test12", [0x90, 0x8d, 0xc6, 0x0a]);
        assert_eq!(hash, "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");
    }

    #[test]
    fn only_a_rabbitmq_that_limits_deliveries_is_told_not_to() {
        assert_eq!(work_policy("3.10.8"), json!({ "max-length": 50_000, "overflow": "reject-publish" }));
        assert_eq!(work_policy("4.1.0")["delivery-limit"], -1);
        assert!(!limits_deliveries("3.13.7") && limits_deliveries("10.0") && !limits_deliveries("?"));
    }

    #[test]
    fn an_office_may_read_its_own_inbox_only() {
        let may = OfficePermissions::of("vpa2b3c4".parse().unwrap());
        assert_eq!(may.configure, "^$");
        assert_eq!(may.write, r"^xacminh\.in$");
        assert_eq!(may.read, r"^xacminh\.office\.vpa2b3c4$");
    }
}
