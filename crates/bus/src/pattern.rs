//! The patterns of RabbitMQ's rights and policies, read as RabbitMQ reads them.
//!
//! A pattern matches anywhere in a name unless it is anchored. The empty one means different things:
//! as a right it gives nothing, as a policy's it matches every name.

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Whether a right's pattern covers a name; none if the pattern cannot be read here.
pub(crate) fn gives(pattern: &str, name: &str) -> Option<bool> {
    if pattern.is_empty() { Some(false) } else { matches(pattern, name) }
}

fn matches(pattern: &str, name: &str) -> Option<bool> {
    Regex::new(pattern).ok().map(|pattern| pattern.is_match(name))
}

/// A policy, or an operator's policy.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Policy {
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: String,
    #[serde(default)]
    priority: i64,
    definition: Map<String, Value>,
}

impl Policy {
    fn covers(&self, queue: &str, kind: &str) -> bool {
        let of_kind = match self.apply_to.as_str() {
            "all" | "queues" => true,
            other => other.strip_suffix("_queues") == Some(kind),
        };
        of_kind && matches(&self.pattern, queue) == Some(true)
    }
}

/// The pattern of a policy that cannot be read here, if there is one.
pub(crate) fn unreadable(policies: &[Policy]) -> Option<&str> {
    policies.iter().map(|policy| policy.pattern.as_str()).find(|pattern| Regex::new(pattern).is_err())
}

/// What the policies say of a queue: of those that cover it, the one of the highest priority alone.
pub(crate) fn in_force<'a>(policies: &'a [Policy], queue: &str, kind: &str) -> Option<&'a Map<String, Value>> {
    let covering = policies.iter().filter(|policy| policy.covers(queue, kind));
    covering.max_by_key(|policy| policy.priority).map(|policy| &policy.definition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policies(of: Value) -> Vec<Policy> {
        serde_json::from_value(of).unwrap()
    }

    #[test]
    fn a_right_without_a_pattern_gives_nothing() {
        assert_eq!(gives("", "xacminh.in"), Some(false));
        assert_eq!(gives("^$", "xacminh.in"), Some(false));
        assert_eq!(gives(".*", "xacminh.in"), Some(true));
        assert_eq!(gives("xacminh", "a.xacminh.b"), Some(true), "not anchored");
        assert_eq!(gives("(", "xacminh.in"), None);
    }

    #[test]
    fn of_policies_the_highest_counts_and_only_for_its_kind() {
        let policies = policies(json!([
            { "pattern": "^q", "apply-to": "queues", "priority": 1, "definition": { "delivery-limit": 1 } },
            { "pattern": "^q1$", "apply-to": "all", "priority": 7, "definition": { "max-length": 3 } },
            { "pattern": "", "apply-to": "classic_queues", "priority": 9, "definition": { "delivery-limit": 9 } },
            { "pattern": ".*", "apply-to": "exchanges", "priority": 99, "definition": { "delivery-limit": 8 } },
        ]));
        let limit = |queue, kind| in_force(&policies, queue, kind).map(|said| said.get("delivery-limit").cloned());
        assert_eq!(limit("q2", "quorum"), Some(Some(json!(1))));
        assert_eq!(limit("q1", "quorum"), Some(None), "the higher one hides the lower whole");
        assert_eq!(limit("q2", "classic"), Some(Some(json!(9))));
        assert_eq!(limit("other", "quorum"), None);
        assert_eq!(unreadable(&policies), None);
    }
}
