//! What a RabbitMQ node is like, as its management API tells: for `xacminh doctor`, which judges.
//!
//! Of queues the lists without statistics are asked, and policies are worked out here: statistics
//! lag by up to a minute, and a policy set a moment ago would not be seen.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde_json::{Map, Value};
use xacminh_domain::id::OfficeId;

use crate::pattern::{self, Policy};
use crate::{Error, Management, OfficePermissions};

/// What is there, in one virtual host and around it.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// RabbitMQ's version, such as `3.10.8`.
    pub version: String,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Queues of all virtual hosts together.
    pub queues_of_all: u64,
    /// What RabbitMQ's clock showed beside what ours did: positive when it is ahead. In milliseconds,
    /// to about half a second, because it tells whole seconds.
    pub clock_ahead_ms: Option<i64>,
    /// Logins.
    pub logins: Vec<Login>,
    /// Whether there is the virtual host; if not, all below is empty.
    pub vhost_there: bool,
    /// Who may do what in the virtual host.
    pub rights: HashMap<String, Rights>,
    /// Its exchanges.
    pub exchanges: Vec<Exchange>,
    /// Its queues.
    pub queues: Vec<Queue>,
    /// What is bound in it.
    pub bindings: Vec<Binding>,
    /// A policy's pattern that cannot be read here, so that what is said of limits may be wrong.
    pub unreadable_policy: Option<String>,
    /// Certificates of its listeners that end soon.
    pub expiring: Vec<Expiring>,
}

/// A node. For some seconds after its start it tells its name only.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it runs; of one that does not, nothing else is known.
    pub running: bool,
    /// How many files it may have open; none while it does not tell.
    pub fd_total: Option<u64>,
    /// It stopped taking messages for want of memory; none while it does not tell.
    pub mem_alarm: Option<bool>,
    /// It stopped taking messages for want of disk space; none while it does not tell.
    pub disk_free_alarm: Option<bool>,
}

/// A login.
#[derive(Debug, Clone, Deserialize)]
pub struct Login {
    /// Its name.
    pub name: String,
    #[serde(default)]
    tags: Value,
}

impl Login {
    /// Whether it carries a tag. Older nodes write tags as one text.
    pub fn has_tag(&self, tag: &str) -> bool {
        match &self.tags {
            Value::Array(tags) => tags.iter().any(|had| had == tag),
            Value::String(tags) => tags.split(',').any(|had| had.trim() == tag),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }
}

/// What a login may do, three patterns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rights {
    configure: String,
    write: String,
    read: String,
}

impl Rights {
    /// Whether it may make, fill and read queues and exchanges of these names; else which of
    /// `configure`, `write` and `read` it lacks, and for what.
    pub fn lacking<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<(&'static str, String)> {
        let mut lacking = Vec::new();
        for name in names {
            for (what, pattern) in [("configure", &self.configure), ("write", &self.write), ("read", &self.read)] {
                if pattern::gives(pattern, name) != Some(true) {
                    lacking.push((what, name.to_owned()));
                }
            }
        }
        lacking
    }

    /// Whether they are those of this office, no more and no less.
    pub fn are_of(&self, office: OfficeId) -> bool {
        let OfficePermissions { configure, write, read } = OfficePermissions::of(office);
        *self == Self { configure, write, read }
    }
}

/// An exchange.
#[derive(Debug, Clone, Deserialize)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// `topic`, `fanout` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Exchange {
    /// Where goes what no binding takes.
    pub fn otherwise(&self) -> Option<&str> {
        self.arguments.get("alternate-exchange").and_then(Value::as_str)
    }
}

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// `quorum`, `classic` and so on.
    pub kind: String,
    /// What its arguments and the policies in force say.
    pub limits: Limits,
}

/// What is said of a queue's deliveries and its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// After how many deliveries it gives a message up.
    pub delivery: Option<i64>,
    /// Where goes what it gave up.
    pub dead_letters: Option<String>,
    /// How many messages it may hold.
    pub length: Option<i64>,
    /// What it does when it is full; RabbitMQ drops its oldest message if nothing is said.
    pub overflow: Option<String>,
}

/// A queue at an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Binding {
    /// The exchange.
    pub source: String,
    /// The queue.
    pub destination: String,
    /// The routing key.
    pub routing_key: String,
}

/// A certificate that ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Within how many days.
    pub days: u16,
    /// RabbitMQ's own words: which listener, which file.
    pub said: String,
}

#[derive(Deserialize)]
pub(crate) struct Overview {
    pub(crate) rabbitmq_version: String,
    #[serde(default)]
    object_totals: HashMap<String, u64>,
}

#[derive(Deserialize)]
pub(crate) struct RightsOf {
    pub(crate) user: String,
    #[serde(flatten)]
    pub(crate) rights: Rights,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Within how many days a certificate's end is told, the soonest first.
const ENDS_WITHIN: [u16; 2] = [7, 30];

impl Management {
    /// All of it. Needs a login with the tag `administrator`; without it the error says what was
    /// refused.
    pub fn sight(&self) -> Result<Sight, Error> {
        let asked = SystemTime::now();
        let (overview, date) = self.get_dated::<Overview>("look at the node", "/api/overview")?;
        let answered = SystemTime::now();
        let mut sight = Sight {
            version: overview.rabbitmq_version,
            queues_of_all: overview.object_totals.get("queues").copied().unwrap_or_default(),
            clock_ahead_ms: date.and_then(|date| ahead(&date, asked, answered)),
            nodes: self.get("list nodes", "/api/nodes")?,
            logins: self.get("list logins", "/api/users")?,
            expiring: self.expiring()?,
            ..Sight::default()
        };
        let vhost = self.vhost_in_path();
        match self.get::<Value>("look at the virtual host", &format!("/api/vhosts/{vhost}")) {
            Err(error) if error.is_not_found() => return Ok(sight),
            other => sight.vhost_there = other.map(|_| true)?,
        }
        let rights: Vec<RightsOf> = self.get("list rights", &format!("/api/vhosts/{vhost}/permissions"))?;
        sight.rights = rights.into_iter().map(|of| (of.user, of.rights)).collect();
        sight.exchanges = self.get("list exchanges", &format!("/api/exchanges/{vhost}"))?;
        sight.bindings = self.get("list bindings", &format!("/api/bindings/{vhost}"))?;
        let policies: Vec<Policy> = self.get("list policies", &format!("/api/policies/{vhost}"))?;
        let operators: Vec<Policy> =
            self.get("list operators' policies", &format!("/api/operator-policies/{vhost}"))?;
        let unreadable = pattern::unreadable(&policies).or_else(|| pattern::unreadable(&operators));
        sight.unreadable_policy = unreadable.map(ToOwned::to_owned);
        let listed: Vec<Listed> = self.get("list queues", &format!("/api/queues/{vhost}?disable_stats=true"))?;
        sight.queues = listed.into_iter().map(|queue| queue.judged(&policies, &operators)).collect();
        Ok(sight)
    }

    fn expiring(&self) -> Result<Vec<Expiring>, Error> {
        for days in ENDS_WITHIN {
            let path = format!("/api/health/checks/certificate-expiration/{days}/days");
            match self.get::<Value>("look at certificates", &path) {
                Ok(_) => {}
                Err(Error::ManagementRefused { status: 503, reason, .. }) => {
                    return Ok(vec![Expiring { days, said: reason }]);
                }
                // A node older than the question.
                Err(error) if error.is_not_found() => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }
}

impl Listed {
    /// Of an argument and a policy the policy of an operator comes first, then the argument.
    fn judged(self, policies: &[Policy], operators: &[Policy]) -> Queue {
        let (policy, operator) =
            (pattern::in_force(policies, &self.name, &self.kind), pattern::in_force(operators, &self.name, &self.kind));
        let said = |name: &str| {
            let of = |map: Option<&Map<String, Value>>| map.and_then(|map| map.get(name)).cloned();
            of(operator).or_else(|| self.arguments.get(&format!("x-{name}")).cloned()).or_else(|| of(policy))
        };
        let number = |name| said(name).and_then(|limit| limit.as_i64());
        let word = |name| said(name).and_then(|word| word.as_str().map(ToOwned::to_owned));
        let limits = Limits {
            delivery: number("delivery-limit"),
            dead_letters: word("dead-letter-exchange"),
            length: number("max-length"),
            overflow: word("overflow"),
        };
        Queue { limits, name: self.name, kind: self.kind }
    }
}

/// How far RabbitMQ's clock is ahead of ours, in milliseconds, from a header and the instants
/// between which it was written.
fn ahead(date: &str, asked: SystemTime, answered: SystemTime) -> Option<i64> {
    let shown = rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    let ours = asked + answered.duration_since(asked).unwrap_or(Duration::ZERO) / 2;
    let ours = i64::try_from(ours.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()?;
    // The seconds are cut off, so on average it was half a second later.
    Some(shown + 500 - ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_clock_of_a_header_is_compared_with_the_middle_of_the_asking() {
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let date = "Thu, 26 Nov 2026 02:53:57 GMT";
        let shown = 1_795_661_637_000;
        assert_eq!(ahead(date, at(shown), at(shown + 1_000)), Some(0));
        assert_eq!(ahead(date, at(shown - 5_000), at(shown - 5_000)), Some(5_500));
        assert_eq!(ahead("yesterday", at(0), at(0)), None);
    }

    #[test]
    fn tags_are_read_in_both_forms() {
        for tags in [json!(["monitoring", "impersonator"]), json!("monitoring, impersonator")] {
            let login = Login { name: "a".to_owned(), tags };
            assert!(login.has_tag("impersonator") && !login.has_tag("person"));
        }
    }

    #[test]
    fn an_argument_limits_a_queue_and_an_operator_limits_it_more() {
        let queue = |arguments: Value| Listed {
            name: "xacminh.work.bulk".to_owned(),
            kind: "quorum".to_owned(),
            arguments: arguments.as_object().unwrap().clone(),
        };
        let policy = |limit: i64| -> Vec<Policy> {
            serde_json::from_value(json!([
                { "pattern": "^xacminh", "apply-to": "queues", "definition": { "delivery-limit": limit } }
            ]))
            .unwrap()
        };
        let limit = |queue: Listed, policies: &[Policy], operators: &[Policy]| queue.judged(policies, operators).limits;
        assert_eq!(limit(queue(json!({})), &[], &[]), Limits::default());
        assert_eq!(limit(queue(json!({})), &policy(5), &[]).delivery, Some(5));
        assert_eq!(limit(queue(json!({ "x-delivery-limit": 3 })), &policy(5), &[]).delivery, Some(3));
        assert_eq!(limit(queue(json!({ "x-delivery-limit": 3 })), &policy(5), &policy(1)).delivery, Some(1));
    }
}
