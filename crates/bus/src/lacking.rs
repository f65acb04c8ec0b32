//! What RabbitMQ lacks of the access that is on record, and how it comes back without a new password.
//!
//! Somebody deleted an inbox, a login or rights, or a node was lost for good and another one is empty.
//! Queues are listed without statistics, which lag: what was deleted a moment ago is missed at once.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use ureq::http::Method;
use xacminh_contract::names;
use xacminh_domain::id::OfficeId;

use crate::permissions::{self, INBOX_PATTERN, INBOX_POLICY, WORK_PATTERN, WORK_POLICY, WORK_PRIORITY};
use crate::sight::{Login, Overview, Rights, RightsOf};
use crate::{Error, Management};

/// What some offices lack that should have access.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Those without a login; only a new password brings that back.
    pub logins: Vec<OfficeId>,
    /// Those with a login and no rights, or other ones.
    pub rights: Vec<OfficeId>,
    /// Those with a login and no inbox.
    pub inboxes: Vec<OfficeId>,
    /// Whether a policy, of all inboxes or of the work queues, is gone or says something else.
    pub policies: bool,
}

impl Lacking {
    /// All is there.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Those that get back what they lack and keep their passwords.
    pub fn keep_passwords(&self) -> Vec<OfficeId> {
        let mut seen = HashSet::new();
        self.rights.iter().chain(&self.inboxes).copied().filter(|office| seen.insert(*office)).collect()
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Management {
    /// What RabbitMQ lacks of the access of these offices. Needs the tag `administrator` whatever the
    /// offices are, so whoever asks first learns of a refused login before anything is changed.
    pub fn lacking(&self, offices: &[OfficeId]) -> Result<Lacking, Error> {
        let vhost = self.vhost_in_path();
        let logins: Vec<Login> = self.get("list logins", "/api/users")?;
        if offices.is_empty() {
            return Ok(Lacking::default());
        }
        let logins: HashSet<String> = logins.into_iter().map(|login| login.name).collect();
        let rights: Vec<RightsOf> = self.get("list rights", &format!("/api/vhosts/{vhost}/permissions"))?;
        let rights: HashMap<String, Rights> = rights.into_iter().map(|of| (of.user, of.rights)).collect();
        let queues: Vec<Named> = self.get("list queues", &format!("/api/queues/{vhost}?disable_stats=true"))?;
        let queues: HashSet<String> = queues.into_iter().map(|queue| queue.name).collect();

        let mut lacking = Lacking { policies: !self.policies_stand()?, ..Lacking::default() };
        for office in offices {
            if !logins.contains(office.as_str()) {
                lacking.logins.push(*office);
                continue;
            }
            if !rights.get(office.as_str()).is_some_and(|rights| rights.are_of(*office)) {
                lacking.rights.push(*office);
            }
            if !queues.contains(&names::inbox(*office)) {
                lacking.inboxes.push(*office);
            }
        }
        Ok(lacking)
    }

    /// Gives these offices their rights and inboxes again. Logins and passwords stay as they are, and so
    /// does an inbox that is there, with what waits in it.
    pub fn restore_offices(&self, offices: &[OfficeId]) -> Result<(), Error> {
        let definitions = permissions::rights_and_inboxes(offices, self.vhost());
        self.call("import definitions", Method::POST, "/api/definitions", Some(&definitions)).map(drop)
    }

    /// Sets the policies of all inboxes and of the work queues.
    pub fn put_policies(&self) -> Result<(), Error> {
        for policy in self.policies()? {
            self.put_policy(policy.name, policy.pattern, &policy.definition, policy.priority)?;
        }
        Ok(())
    }

    fn policies_stand(&self) -> Result<bool, Error> {
        for policy in self.policies()? {
            let path = format!("/api/policies/{}/{}", self.vhost_in_path(), policy.name);
            let stands = match self.get::<Value>("look at a policy", &path) {
                Ok(found) => {
                    found["pattern"] == policy.pattern
                        && found["definition"] == policy.definition
                        && found["priority"] == policy.priority
                }
                Err(error) if error.is_not_found() => false,
                Err(error) => return Err(error),
            };
            if !stands {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn policies(&self) -> Result<[OwnPolicy; 2], Error> {
        let overview: Overview = self.get("ask for the version", "/api/overview")?;
        let inboxes = OwnPolicy {
            name: INBOX_POLICY,
            pattern: INBOX_PATTERN,
            definition: permissions::inbox_policy(),
            priority: 0,
        };
        let work = OwnPolicy {
            name: WORK_POLICY,
            pattern: WORK_PATTERN,
            definition: permissions::work_policy(&overview.rabbitmq_version),
            priority: WORK_PRIORITY,
        };
        Ok([inboxes, work])
    }
}

/// A policy that comes with granting offices access.
struct OwnPolicy {
    name: &'static str,
    pattern: &'static str,
    definition: Value,
    priority: i64,
}
