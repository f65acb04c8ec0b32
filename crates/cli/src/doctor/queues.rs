//! What is declared on RabbitMQ, beside what should be: virtual host, rights, topology, inboxes.

use std::collections::{HashMap, HashSet};

use xacminh_bus::{BINDINGS, EXCHANGES, HOLDS_BACK, Queue, Sight, WORK_QUEUES, limits_deliveries};
use xacminh_contract::names::{self, EXCHANGE_REJECTED, INBOX_PREFIX, QUEUE_ANSWERING, QUEUE_BULK, QUEUE_INTAKE};

use super::finding::Finding;
use super::postgresql::Offices;
use crate::readiness;

/// How many names a line repeats.
const SHOWN: usize = 3;
/// How many offices a remedy names one by one.
const NAMED: usize = 10;
/// Mends exchanges and bindings that are missing. Nobody reads those, so nobody misses them while it runs.
const DECLARE: &str = "Start `xacminh run`, or if it runs restart one process: it declares what is missing when it \
                       connects";

/// Queues that may not grow without end: offices fill them.
const BOUNDED: [&str; 3] = [QUEUE_INTAKE, QUEUE_BULK, QUEUE_ANSWERING];
/// Mends policies.
const SET_POLICIES: &str = "`xacminh office grant OFFICE`, of any office that is granted, sets it again and changes nothing \
                            else; if it says that nothing lacks, clear the policy of higher priority that hides it \
                            (`rabbitmqctl list_policies`)";

/// What is said of the virtual host. `offices`: who has access by the store, if that could be read.
pub(crate) fn judge(sight: &Sight, login: &str, vhost: &str, offices: Option<&Offices>) -> Vec<Finding> {
    if !sight.vhost_there {
        let what = format!("{vhost} is not there");
        let remedy = format!("`rabbitmqctl add_vhost {vhost}`, or name the right one at the end of rabbitmq.url");
        return vec![Finding::fault("rabbitmq virtual host", what, remedy)];
    }
    let queues: HashMap<&str, &Queue> = sight.queues.iter().map(|queue| (queue.name.as_str(), queue)).collect();
    let mut findings = vec![rights(sight, login, vhost), exchanges(sight), work(&queues), kinds(sight)];
    findings.extend([limits(sight, vhost), length(sight), policy(sight)]);
    match offices {
        Some(offices) => findings.extend([inboxes(&queues, offices), nobodys(sight, offices), logins(sight, offices)]),
        None => findings.push(Finding::unseen(
            "inboxes of offices",
            "who is granted could not be read from PostgreSQL",
            "Mend PostgreSQL first, then ask again",
        )),
    }
    findings
}

fn rights(sight: &Sight, login: &str, vhost: &str) -> Finding {
    const NAME: &str = "rabbitmq rights";
    let remedy = format!("`rabbitmqctl set_permissions -p {vhost} {login} '.*' '.*' '.*'`");
    let Some(rights) = sight.rights.get(login) else {
        return Finding::fault(NAME, format!("the login {login} has none in the virtual host {vhost}"), remedy);
    };
    let exchanges = EXCHANGES.iter().map(|(name, ..)| *name);
    let mut lacking = rights.lacking(exchanges.chain(WORK_QUEUES));
    // Letters leave through the default exchange. Nothing of it can be declared or read.
    lacking.extend(rights.lacking(["amq.default"]).into_iter().filter(|(what, _)| *what == "write"));
    match lacking.first() {
        None => Finding::sound(NAME, format!("the login {login} declares, sends and reads in {vhost}")),
        Some((what, name)) => Finding::fault(
            NAME,
            format!("the login {login} lacks {} rights, such as {what} for {name}", lacking.len()),
            remedy,
        ),
    }
}

fn exchanges(sight: &Sight) -> Finding {
    const NAME: &str = "exchanges and bindings";
    let there: HashMap<&str, _> = sight.exchanges.iter().map(|exchange| (exchange.name.as_str(), exchange)).collect();
    let mut wrong = Vec::new();
    for (name, kind, otherwise) in EXCHANGES {
        match there.get(name) {
            None => wrong.push(format!("{name} is not there")),
            Some(found) if found.kind != kind => wrong.push(format!("{name} is a {} exchange", found.kind)),
            Some(found) if found.otherwise() != otherwise => {
                wrong.push(format!("{name} has another alternate exchange"))
            }
            Some(_) => {}
        }
    }
    let bound: HashSet<_> =
        sight.bindings.iter().map(|b| (b.destination.as_str(), b.source.as_str(), b.routing_key.as_str())).collect();
    let unbound = BINDINGS.iter().filter(|binding| !bound.contains(*binding));
    wrong.extend(unbound.map(|(queue, exchange, key)| format!("{queue} is not bound to {exchange} by '{key}'")));
    if wrong.is_empty() {
        return Finding::sound(NAME, format!("{} exchanges, {} bindings", EXCHANGES.len(), BINDINGS.len()));
    }
    let different = wrong.iter().any(|what| !what.contains(" not "));
    let remedy = if different {
        "Delete the exchange that is different (management page, Exchanges) while no role runs, then start `xacminh run`"
    } else {
        DECLARE
    };
    Finding::fault(NAME, some(&wrong), remedy)
}

fn work(queues: &HashMap<&str, &Queue>) -> Finding {
    const NAME: &str = "work queues declared";
    let missing: Vec<&str> = WORK_QUEUES.into_iter().filter(|queue| !queues.contains_key(queue)).collect();
    match readiness::missing(&missing) {
        None => Finding::sound(NAME, format!("all {}", WORK_QUEUES.len())),
        Some((what, remedy)) => Finding::fault(NAME, what, remedy),
    }
}

fn kinds(sight: &Sight) -> Finding {
    const NAME: &str = "queue types";
    let other: Vec<String> = ours(sight)
        .filter(|queue| queue.kind != "quorum")
        .map(|queue| format!("{} is a {} queue", queue.name, queue.kind))
        .collect();
    if other.is_empty() {
        return Finding::sound(NAME, format!("all {} are quorum queues", ours(sight).count()));
    }
    Finding::fault(
        NAME,
        format!("{}: what RabbitMQ confirmed there could be lost with the power", some(&other)),
        "Stop the roles and let the offices be, move what is in it elsewhere (the shovel plugin), delete it, then start \
         `xacminh run` for a work queue, or `xacminh office grant OFFICE` for its inbox (the password stays)",
    )
}

fn limits(sight: &Sight, vhost: &str) -> Finding {
    const NAME: &str = "delivery limit of work queues";
    if let Some(pattern) = &sight.unreadable_policy {
        let what = format!("the pattern {pattern} of a policy cannot be read here");
        return Finding::unseen(
            NAME,
            what,
            "See `rabbitmqctl list_policies`: none with a delivery-limit may match ^xacminh\\.work\\.",
        );
    }
    let by_itself = limits_deliveries(&sight.version);
    let limited = |queue: &&Queue| match queue.limits.delivery {
        Some(limit) => limit >= 0,
        None => by_itself,
    };
    let found: Vec<String> = ours(sight)
        .filter(|queue| WORK_QUEUES.contains(&queue.name.as_str()))
        .filter(limited)
        .map(|queue| match queue.limits.delivery {
            Some(limit) => format!("{} gives a message up after {limit} deliveries", queue.name),
            None => format!("{} gives a message up after 20 deliveries, as RabbitMQ 4 does by itself", queue.name),
        })
        .collect();
    if found.is_empty() {
        return Finding::sound(NAME, "none, so that lost connections cost no message");
    }
    let remedy = if by_itself {
        // Of the policies that match a queue one counts alone: granting's has the higher priority.
        format!(
            "`xacminh office grant OFFICE`, of any office that is granted, for the queues that offices fill; for the others \
             `rabbitmqctl set_policy -p {vhost} --apply-to quorum_queues --priority 100 xacminh.work '^xacminh\\.work\\.' \
             '{{\"delivery-limit\":-1}}'`"
        )
    } else {
        format!("`rabbitmqctl list_policies -p {vhost}` shows which policy it is; clear it or narrow its pattern")
    };
    Finding::fault(NAME, format!("{}; lost connections count as deliveries", some(&found)), remedy)
}

/// Queues that hold publishers back when they are full, and none that drops what was confirmed.
fn length(sight: &Sight) -> Finding {
    const NAME: &str = "length of work queues";
    let mut wrong = Vec::new();
    for queue in ours(sight) {
        let (name, holds_back) = (&queue.name, queue.limits.overflow.as_deref() == Some(HOLDS_BACK));
        match queue.limits.length {
            Some(_) if !holds_back => wrong.push(format!("{name} drops its oldest message when it is full")),
            None if BOUNDED.contains(&name.as_str()) => wrong.push(format!("{name} grows without end")),
            Some(_) | None => {}
        }
    }
    if wrong.is_empty() {
        return Finding::sound(NAME, "when they are full, offices are told to send again");
    }
    Finding::fault(NAME, some(&wrong), SET_POLICIES)
}

fn policy(sight: &Sight) -> Finding {
    const NAME: &str = "inbox policy";
    let inboxes: Vec<&Queue> = ours(sight).filter(|queue| queue.name.starts_with(INBOX_PREFIX)).collect();
    let without: Vec<String> = inboxes
        .iter()
        .filter(|q| {
            q.limits.delivery.is_none_or(|n| n <= 0) || q.limits.dead_letters.as_deref() != Some(EXCHANGE_REJECTED)
        })
        .map(|queue| queue.name.clone())
        .collect();
    if without.is_empty() {
        return Finding::sound(NAME, format!("in force for all {} inboxes", inboxes.len()));
    }
    Finding::fault(
        NAME,
        format!(
            "not in force for {} of {} inboxes ({}): what an office cannot handle comes to it for ever",
            without.len(),
            inboxes.len(),
            some(&without)
        ),
        SET_POLICIES,
    )
}

fn inboxes(queues: &HashMap<&str, &Queue>, offices: &Offices) -> Finding {
    const NAME: &str = "inboxes of offices";
    let missing = offices.granted.iter().filter(|office| !queues.contains_key(names::inbox(**office).as_str()));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    if missing.is_empty() {
        return Finding::sound(NAME, format!("all {} granted offices have one", offices.granted.len()));
    }
    Finding::fault(
        NAME,
        format!("{} granted offices have none ({}); letters for them wait", missing.len(), some(&missing)),
        format!("{}: makes them again; where the login is there, the password stays", grant(&missing, false)),
    )
}

fn nobodys(sight: &Sight, offices: &Offices) -> Finding {
    const NAME: &str = "inboxes of nobody";
    let known: HashSet<String> = offices.granted.iter().chain(&offices.revoked).map(|o| names::inbox(*o)).collect();
    let found: Vec<String> = ours(sight)
        .filter(|queue| queue.name.starts_with(INBOX_PREFIX) && !known.contains(&queue.name))
        .map(|queue| queue.name.clone())
        .collect();
    if found.is_empty() {
        let revoked = offices.revoked.len();
        return Finding::sound(NAME, format!("none; those of {revoked} revoked offices stay on purpose"));
    }
    Finding::look(
        NAME,
        format!("{} belong to no office that was ever granted ({})", found.len(), some(&found)),
        "A grant that was killed half way leaves one: give the command again. Else look what is in it, and delete it",
    )
}

fn logins(sight: &Sight, offices: &Offices) -> Finding {
    const NAME: &str = "logins of offices";
    let logins: HashSet<&str> = sight.logins.iter().map(|login| login.name.as_str()).collect();
    let (mut wrong, mut whose, mut gone) = (Vec::new(), Vec::new(), false);
    for office in &offices.granted {
        let what = match sight.rights.get(office.as_str()) {
            _ if !logins.contains(office.as_str()) => {
                gone = true;
                "has no login"
            }
            None => "has no rights here",
            Some(rights) if !rights.are_of(*office) => "has other rights than an office's",
            Some(_) => continue,
        };
        wrong.push(format!("{office} {what}"));
        whose.push(office.to_string());
    }
    if wrong.is_empty() {
        return Finding::sound(NAME, format!("all {} granted offices, with an office's rights", offices.granted.len()));
    }
    let what = if gone {
        "a login that is gone comes back with a new password, in FILE; rights are set again and passwords stay"
    } else {
        "sets the rights again; passwords stay"
    };
    Finding::fault(
        NAME,
        format!("{} of {} are wrong: {}", wrong.len(), offices.granted.len(), some(&wrong)),
        format!("{}: {what}", grant(&whose, gone)),
    )
}

/// The command that brings back what these offices lack.
fn grant(offices: &[String], new_passwords: bool) -> String {
    if offices.len() > NAMED {
        return "`xacminh office grant --all --out FILE` (which grants every office there is; if some are to stay \
                outside, name those that lack something)"
            .to_owned();
    }
    let out = if new_passwords { " --out FILE" } else { "" };
    format!("`xacminh office grant {}{out}`", offices.join(" "))
}

/// The queues that are the broker's.
fn ours(sight: &Sight) -> impl Iterator<Item = &Queue> {
    sight.queues.iter().filter(|queue| queue.name.starts_with("xacminh."))
}

/// The first few, and how many more.
fn some(list: &[String]) -> String {
    let shown = list.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
