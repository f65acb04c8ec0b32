//! RabbitMQ: is it there, does it take what we send and no more, and has it room for every inbox?

use std::time::SystemTime;

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusSettings, BusState, InboxSight, Management, Node, Sight};

use super::ANSWER;
use super::finding::Finding;
use crate::readiness::{self, cause};
use crate::said_once;
use crate::settings::Settings;

/// The oldest release that is tried out.
const OLDEST: (u32, u32) = (3, 10);
/// The longest message RabbitMQ should take: the services take 64 KiB, and more is somebody's mistake.
const LONGEST: usize = 1024 * 1024;
/// Open files of an inbox.
const FILES_A_QUEUE: u64 = 3;
/// Connections of a granted office: one for sending, one for receiving.
const FILES_AN_OFFICE: u64 = 2;
/// What a node needs beside them.
const FILES_BESIDE: u64 = 1_000;

/// A node tells its figures some seconds after it started, and not before.
const NOT_YET: &str = "Ask again in ten seconds: a node that has just started tells its figures a little later. If this \
                       stays, `rabbitmq-diagnostics status` tells them on its host";

/// What RabbitMQ said.
pub(crate) struct Found {
    /// Over AMQP: how the connections are; none if the address is no address.
    bus: Result<BusState>,
    at: String,
    pub(crate) login: String,
    pub(crate) vhost: String,
    /// Whether it takes a message longer than it should; none if it could not be tried.
    too_long: Option<Result<bool, xacminh_bus::Error>>,
    /// Who reads the work queues.
    pub(crate) readers: Option<Vec<InboxSight>>,
    /// Over the management API; none if no address of it is set, or if it did not answer.
    pub(crate) sight: Option<Sight>,
    unseen: Option<Finding>,
}

/// Asks.
pub(crate) async fn look(settings: &Settings, queues: &[&str]) -> Found {
    let (amqp, (sight, unseen)) = tokio::join!(over_amqp(settings, queues), over_management(settings));
    let url = settings.rabbitmq.url().unwrap_or_default();
    let at = crate::play::host_and_port(&url).map_or_else(|_| "RabbitMQ".to_owned(), |(h, p)| format!("{h}:{p}"));
    let vhost = settings.rabbitmq.vhost().unwrap_or_default();
    let login = login_of(&url);
    let (bus, too_long, readers) = match amqp {
        Ok((state, too_long, readers)) => (Ok(state), too_long, readers),
        Err(error) => (Err(error), None, None),
    };
    Found { bus, at, login, vhost, too_long, readers, sight, unseen }
}

type OverAmqp = (BusState, Option<Result<bool, xacminh_bus::Error>>, Option<Vec<InboxSight>>);

async fn over_amqp(settings: &Settings, queues: &[&str]) -> Result<OverAmqp> {
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let only_looking = BusSettings { declare: false, ..BusSettings::new(settings.rabbitmq.url()?, "xacminh doctor") };
    let bus = Bus::connect(&only_looking, &stop)?;
    // Whether it came up or not stands in the state.
    let _ = timeout(ANSWER, bus.ready()).await;
    let state = bus.state().borrow().clone();
    if !state.is_connected() {
        return Ok((state, None, None));
    }
    let queues: Vec<String> = queues.iter().map(|queue| (*queue).to_owned()).collect();
    let probe = bus.inbox_probe();
    let readers = timeout(ANSWER, probe.look(&queues)).await.ok().and_then(Result::ok);
    let too_long = Some(bus.takes_more_than(LONGEST).await);
    // A node that is short of memory or disk says so once it was sent something.
    let state = bus.state().borrow().clone();
    Ok((state, too_long, readers))
}

async fn over_management(settings: &Settings) -> (Option<Sight>, Option<Finding>) {
    const NAME: &str = "rabbitmq management";
    let unseen = "rights, queues, policies, inboxes, alarms and the open-file limit could not be looked at";
    if !settings.rabbitmq.has_management() {
        let remedy = "Set rabbitmq.management_url, of a login with the tag administrator";
        return (None, Some(Finding::unseen(NAME, format!("its address is not set: {unseen}"), remedy)));
    }
    let asking = async {
        let management = Management::new(&settings.rabbitmq.management_url()?, &settings.rabbitmq.vhost()?)?;
        Ok::<_, anyhow::Error>(spawn_blocking(move || management.sight()).await.context("asking")??)
    };
    match asking.await {
        Ok(sight) => (Some(sight), None),
        Err(error) => {
            let said = error.downcast_ref::<xacminh_bus::Error>();
            let remedy = management_remedy(said.is_some_and(xacminh_bus::Error::is_unauthorized));
            (None, Some(Finding::fault(NAME, format!("{}: {unseen}", said_once(&error)), remedy)))
        }
    }
}

/// One that answers and refuses runs, and its plugin too.
fn management_remedy(refused: bool) -> &'static str {
    if refused {
        "Correct login and password in rabbitmq.management_url, or give that login the tag: `rabbitmqctl set_user_tags \
         LOGIN administrator`"
    } else {
        "Start RabbitMQ with its management plugin, and name it in rabbitmq.management_url with a login that has the tag \
         administrator"
    }
}

/// The login of an address; never the password.
fn login_of(url: &str) -> String {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest).rsplit_once('@').map_or("", |(login, _)| login);
    authority.split(':').next().unwrap_or_default().to_owned()
}

/// What is said of the connections, the node and the logins.
pub(crate) fn judge(found: &Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &found.bus {
        Ok(state) => findings.extend(readiness::rabbitmq(state, &found.at, SystemTime::now()).map(Finding::strictly)),
        Err(error) => findings.push(Finding::fault(
            "rabbitmq",
            format!("cannot be asked: {}", said_once(error)),
            "Correct rabbitmq.url; `xacminh config check` looks at it alone",
        )),
    }
    findings.push(longest(found.too_long.as_ref()));
    match (&found.sight, &found.unseen) {
        (Some(sight), _) => findings.extend(of_node(sight)),
        (None, Some(unseen)) => findings.push(unseen.clone()),
        (None, None) => {}
    }
    findings
}

fn longest(too_long: Option<&Result<bool, xacminh_bus::Error>>) -> Finding {
    const NAME: &str = "rabbitmq message size";
    match too_long {
        Some(Ok(false)) => Finding::sound(NAME, "a message of more than 1 MiB is refused"),
        Some(Ok(true)) => Finding::fault(
            NAME,
            "a message of more than 1 MiB is taken: one office could fill memory and disk for all",
            "Set `max_message_size = 1048576` in rabbitmq.conf and restart the node",
        ),
        Some(Err(error)) => {
            Finding::unseen(NAME, format!("could not be tried: {}", cause(error)), "See the lines above")
        }
        None => Finding::unseen(NAME, "could not be tried without a connection", "See the lines of the connections"),
    }
}

fn of_node(sight: &Sight) -> Vec<Finding> {
    let mut findings = vec![version(&sight.version), alarms(sight), files(sight), impersonators(sight)];
    findings.extend(certificates(sight));
    findings
}

fn version(version: &str) -> Finding {
    const NAME: &str = "rabbitmq version";
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) < OLDEST {
        let remedy = "Upgrade RabbitMQ to 3.10 or newer, one minor release at a time";
        return Finding::fault(NAME, format!("{version} is older than what this program was tried with"), remedy);
    }
    Finding::sound(NAME, version)
}

fn alarms(sight: &Sight) -> Finding {
    const NAME: &str = "rabbitmq alarms";
    let mut wrong = Vec::new();
    for node in &sight.nodes {
        let name = &node.name;
        if !node.running {
            wrong.push(format!("{name} does not run"));
        }
        if node.mem_alarm == Some(true) {
            wrong.push(format!("{name} is short of memory"));
        }
        if node.disk_free_alarm == Some(true) {
            wrong.push(format!("{name} is short of disk space"));
        }
    }
    let silent = |node: &&Node| node.running && (node.mem_alarm.is_none() || node.disk_free_alarm.is_none());
    if let (true, Some(node)) = (wrong.is_empty(), sight.nodes.iter().find(silent)) {
        return Finding::unseen(NAME, format!("{} does not tell yet", node.name), NOT_YET);
    }
    if wrong.is_empty() {
        return Finding::sound(NAME, "none");
    }
    Finding::fault(
        NAME,
        format!("{}: no message is taken from anybody", wrong.join("; ")),
        "Give the node memory or disk space, or start it; `rabbitmq-diagnostics alarms` says how much is missing",
    )
}

fn files(sight: &Sight) -> Finding {
    const NAME: &str = "rabbitmq open files";
    let offices = sight.queues.iter().filter(|queue| queue.name.starts_with(xacminh_contract::names::INBOX_PREFIX));
    let offices = u64::try_from(offices.count()).unwrap_or(u64::MAX);
    let needed = sight.queues_of_all * FILES_A_QUEUE + offices * FILES_AN_OFFICE + FILES_BESIDE;
    let running = || sight.nodes.iter().filter(|node| node.running);
    let told = running().filter_map(|node| node.fd_total.map(|limit| (node, limit))).min_by_key(|(_, limit)| *limit);
    let what = told.map(|(node, limit)| {
        format!(
            "{} may have {limit} open; {} queues and {offices} offices want about {needed}",
            node.name, sight.queues_of_all
        )
    });
    let enough = told.is_some_and(|(_, limit)| limit >= needed);
    let what = match (what, running().find(|node| node.fd_total.is_none())) {
        (Some(what), _) if !enough => what,
        (_, Some(node)) => {
            return Finding::unseen(NAME, format!("{} does not tell its limit yet", node.name), NOT_YET);
        }
        (Some(what), None) => return Finding::sound(NAME, what),
        (None, None) => return Finding::unseen(NAME, "no node tells its limit", "See the line of the alarms"),
    };
    Finding::fault(
        NAME,
        format!("{what}. Past its limit a node stops answering new connections without a word"),
        "Set `LimitNOFILE=65536` for rabbitmq-server.service (`systemctl edit`), or `ulimit -n 65536` in the very shell \
         that starts the node, and restart it",
    )
}

fn impersonators(sight: &Sight) -> Finding {
    const NAME: &str = "rabbitmq impersonator";
    let found: Vec<&str> = sight.logins.iter().filter(|l| l.has_tag("impersonator")).map(|l| l.name.as_str()).collect();
    let Some(first) = found.first() else { return Finding::sound(NAME, "no login carries that tag") };
    Finding::fault(
        NAME,
        format!("{} may send under any office's name", found.join(", ")),
        format!(
            "`rabbitmqctl set_user_tags {first}` and the tags it needs, without impersonator; then look who used it"
        ),
    )
}

fn certificates(sight: &Sight) -> Vec<Finding> {
    const NAME: &str = "rabbitmq certificates";
    let remedy = "Put a new certificate in place before that day; the node reads it again after \
                  `rabbitmqctl eval 'ssl:clear_pem_cache().'`";
    let one = |expiring: &xacminh_bus::Expiring| {
        let what = format!("one ends within {} days: {}", expiring.days, expiring.said);
        if expiring.days <= 7 { Finding::fault(NAME, what, remedy) } else { Finding::look(NAME, what, remedy) }
    };
    if sight.expiring.is_empty() {
        return vec![Finding::sound(NAME, "none of its listeners' ends within 30 days")];
    }
    sight.expiring.iter().map(one).collect()
}

#[cfg(test)]
#[path = "rabbitmq_tests.rs"]
mod tests;
