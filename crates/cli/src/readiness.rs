//! What `/readyz` says: whether PostgreSQL and RabbitMQ are there, and, on demand, every part with
//! what is wrong, since when, and what to do.
//!
//! The words are for an operator who was woken: where it looked, what came back, what it means for
//! the offices' messages, what to do. Never a login or a password.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp, tz};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusState, InboxSight, LineState, WORK_QUEUES};
use xacminh_console::health::CheckState;
use xacminh_console::parts::Part;
use xacminh_contract::names::{QUEUE_REJECTED, QUEUE_UNROUTED};
use xacminh_services::{Core, Dependency, Metrics};
use xacminh_store::Store;
use xacminh_store::view::readiness;

use crate::doctor::finding::Finding;
use crate::in_place::in_place;

/// How long PostgreSQL or RabbitMQ may take to answer a question of ours.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often PostgreSQL is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Whether PostgreSQL answers.
#[derive(Debug, Clone)]
pub(crate) struct StoreState {
    /// For the check.
    pub(crate) state: CheckState,
    since: SystemTime,
    why: Option<Away>,
}

/// Why PostgreSQL cannot be used.
#[derive(Debug, Clone)]
struct Away {
    words: String,
    /// It will not pass by itself, such as a refused login.
    lasting: bool,
}

impl Away {
    fn passing(words: &str) -> Self {
        Self { words: words.to_owned(), lasting: false }
    }
}

/// Asks PostgreSQL again and again whether it is there.
pub(crate) fn watch_store(store: Store, stop: CancellationToken) -> watch::Receiver<StoreState> {
    let first = StoreState { state: CheckState::Starting, since: SystemTime::now(), why: None };
    let (told, receiver) = watch::channel(first);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(ASK_EVERY);
        while !stop.is_cancelled() {
            tick.tick().await;
            let why = match timeout(ANSWER_LIMIT, store.ping()).await {
                Ok(Ok(())) => None,
                // The pool knows no cause; a try of its own does.
                Ok(Err(_)) | Err(_) => match timeout(ANSWER_LIMIT, store.reach()).await {
                    Ok(Ok(())) => Some(Away::passing("it takes connections and answers no question in time")),
                    Ok(Err(error)) => Some(Away { words: cause(&error), lasting: !error.is_transient() }),
                    Err(_) => Some(Away::passing("no answer")),
                },
            };
            let state = if why.is_none() { CheckState::Ready } else { CheckState::Failing };
            told.send_if_modified(|now| {
                let other = now.state != state;
                if other {
                    tell(now.state, why.as_ref(), store.address());
                    now.since = SystemTime::now();
                }
                (now.state, now.why) = (state, why);
                other
            });
        }
    });
    receiver
}

/// Says in the log that PostgreSQL is away, and that it is back: once each.
fn tell(was: CheckState, why: Option<&Away>, address: &str) {
    match why {
        Some(Away { words, lasting: true }) => {
            tracing::error!(
                address,
                reason = words,
                "PostgreSQL cannot be used, and waiting will not mend this; trying on"
            );
        }
        Some(Away { words, lasting: false }) => {
            tracing::warn!(address, reason = words, "PostgreSQL cannot be used, trying on");
        }
        // Of the first answer `run` tells.
        None if was == CheckState::Starting => {}
        None => tracing::info!(address, "PostgreSQL can be used again"),
    }
}

/// The state of PostgreSQL, or of RabbitMQ, as a check has it.
pub(crate) fn check<T: Clone + Send + Sync + 'static>(
    mut of: watch::Receiver<T>,
    state: impl Fn(&T) -> CheckState + Send + 'static,
) -> watch::Receiver<CheckState> {
    let (told, receiver) = watch::channel(state(&of.borrow()));
    tokio::spawn(async move {
        // The sender goes with the process, or when the part ends: then the check fails.
        while of.changed().await.is_ok() {
            let now = state(&of.borrow_and_update());
            told.send_if_modified(|was| std::mem::replace(was, now) != now);
        }
    });
    receiver
}

/// Keeps the gauges of what this process needs, whatever roles it has.
pub(crate) fn count(metrics: &Metrics, mut store: watch::Receiver<StoreState>, mut bus: watch::Receiver<BusState>) {
    let of_store = metrics.clone();
    tokio::spawn(async move {
        loop {
            let state = store.borrow_and_update().state;
            // Not asked yet is not away.
            of_store.dependency(Dependency::Postgresql, state != CheckState::Failing);
            if store.changed().await.is_err() {
                return;
            }
        }
    });
    let of_bus = metrics.clone();
    tokio::spawn(async move {
        loop {
            let BusState { publishing, consuming } = bus.borrow_and_update().clone();
            of_bus.dependency(Dependency::RabbitmqPublish, publishing.connected);
            of_bus.dependency(Dependency::RabbitmqConsume, consuming.connected);
            of_bus.rabbitmq_blocked(publishing.connected && publishing.blocked.is_some());
            if bus.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Whether RabbitMQ can be used, both ways.
pub(crate) fn of_bus(state: &BusState) -> CheckState {
    if state.is_connected() { CheckState::Ready } else { CheckState::Failing }
}

/// Everything that the long page asks.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) store_state: watch::Receiver<StoreState>,
    pub(crate) bus: Bus,
    /// Host and port of RabbitMQ.
    pub(crate) rabbitmq_at: String,
    /// There once PostgreSQL answered and the roles could begin.
    pub(crate) core: watch::Receiver<Option<Core>>,
}

impl Parts {
    /// Every part, as it is now.
    pub(crate) async fn look(self) -> Vec<Part> {
        let now = SystemTime::now();
        let store_state = self.store_state.borrow().clone();
        let bus = self.bus.state().borrow().clone();
        let core = self.core.borrow().clone();
        let mut parts = vec![postgresql(&store_state, self.store.address(), now)];
        parts.extend(rabbitmq(&bus, &self.rabbitmq_at, now).map(Part::from));
        parts.push(reference(core.as_ref().map(|core| core.reference().version.clone())));
        let asked = async { readiness::place(&mut *self.store.conn().await?).await };
        if store_state.state == CheckState::Ready
            && let Some(core) = core
            && let Ok(Ok(place)) = timeout(ANSWER_LIMIT, asked).await
        {
            parts.extend(in_place(&place, core.clock.now()).map(Part::from));
        }
        let queues = WORK_QUEUES.map(ToOwned::to_owned);
        if let Ok(Ok(sights)) = timeout(ANSWER_LIMIT, self.bus.inbox_probe().look(&queues)).await {
            parts.push(readers(&WORK_QUEUES, &sights).into());
        }
        parts
    }
}

fn postgresql(seen: &StoreState, at: &str, now: SystemTime) -> Part {
    const NAME: &str = "postgresql";
    match (seen.state, &seen.why) {
        (CheckState::Ready, _) => Part::good(NAME, format!("{at} answers, since {}", since(seen.since, now))),
        (CheckState::Starting, _) => Part::bad(NAME, format!("{at} is being asked for the first time")),
        (CheckState::Failing, why) => Part::bad(
            NAME,
            format!(
                "{at} cannot be used since {} ({}). Nothing can be stored; what offices send waits in RabbitMQ and is \
                 not lost. {}; the broker goes on by itself.",
                since(seen.since, now),
                why.as_ref().map_or("no cause is known", |why| &why.words),
                postgresql_remedy(why.as_ref().is_some_and(|why| why.lasting)),
            ),
        ),
    }
}

/// What is to be done about a PostgreSQL that cannot be used.
pub(crate) fn postgresql_remedy(lasting: bool) -> &'static str {
    if lasting {
        "Waiting will not mend this: correct postgresql.url, the login or its rights, and start the process again if it \
         is the url"
    } else {
        "Start PostgreSQL, or mend the way to it (postgresql.url)"
    }
}

/// The two connections, and whether RabbitMQ takes messages.
pub(crate) fn rabbitmq(state: &BusState, at: &str, now: SystemTime) -> [Finding; 3] {
    let line = |name, line: &LineState, meaning: &str| {
        if line.connected {
            return Finding::sound(name, format!("{at} connected, since {}", since(line.since, now)));
        }
        let (why, todo) = match &line.trouble {
            Some(trouble) if !trouble.is_transient() => {
                (cause(trouble), "Waiting will not mend this: correct rabbitmq.url, the login or its rights")
            }
            Some(trouble) => (cause(trouble), "Start RabbitMQ, or mend the way to it (rabbitmq.url)"),
            None => ("no cause is known".to_owned(), "Start RabbitMQ, or mend the way to it (rabbitmq.url)"),
        };
        let since = since(line.since, now);
        Finding::fault(
            name,
            format!("{at} cannot be used since {since} ({why}). {meaning}"),
            format!("{todo}; the broker goes on by itself"),
        )
    };
    let publishing = line("rabbitmq publish", &state.publishing, "Letters to offices wait in PostgreSQL, none is lost");
    let consuming = line(
        "rabbitmq consume",
        &state.consuming,
        "Nothing is taken from offices; what RabbitMQ has confirmed to them waits there",
    );
    let blocked = match &state.publishing.blocked {
        Some(words) => Finding::look(
            "rabbitmq blocked",
            format!(
                "RabbitMQ takes no messages ({words}). Letters to offices wait in PostgreSQL, none is lost; offices \
                 cannot send either"
            ),
            "Give RabbitMQ disk space or memory (`rabbitmq-diagnostics alarms` says which); it goes on by itself",
        ),
        None if state.publishing.connected => Finding::sound("rabbitmq blocked", "no, RabbitMQ takes messages"),
        None => Finding::look("rabbitmq blocked", "not known without a connection", "See the lines of the connections"),
    };
    [publishing, consuming, blocked]
}

fn reference(version: Option<String>) -> Part {
    match version {
        Some(version) => Part::good("reference data", format!("version {version} is in force")),
        None => Part::bad("reference data", "not read yet: the roles begin as soon as PostgreSQL answers"),
    }
}

/// Who reads the work queues. Those for what nobody knows are the intake's too.
pub(crate) fn readers(queues: &[&str], sights: &[InboxSight]) -> Finding {
    const NAME: &str = "work queues";
    let (mut told, mut unread, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (queue, sight) in queues.iter().zip(sights) {
        let short = queue.trim_start_matches("xacminh.work.");
        match sight {
            InboxSight::There { consumers: 0, waiting } => unread.push(format!("{short} ({waiting} waiting)")),
            InboxSight::There { consumers, waiting } => {
                told.push(format!("{short} {consumers} readers, {waiting} waiting"));
            }
            InboxSight::Missing => gone.push(*queue),
        }
    }
    let missing = missing(&gone);
    if unread.is_empty() && missing.is_none() {
        return Finding::sound(NAME, told.join("; "));
    }
    let unread = (!unread.is_empty()).then(|| {
        (
            format!("nobody reads {}; what lies there waits, none is lost", unread.join(", ")),
            "Start a process with the role answering for answering, with the role intake for the others".to_owned(),
        )
    });
    let (what, remedies): (Vec<String>, Vec<String>) = missing.into_iter().chain(unread).unzip();
    Finding::look(NAME, what.join(". "), remedies.join(". "))
}

/// What it means that these work queues are not there, and what to do; none if none is missing.
pub(crate) fn missing(queues: &[&str]) -> Option<(String, String)> {
    if queues.is_empty() {
        return None;
    }
    let mut what = format!("not there: {}. What lay in it is gone with it", queues.join(", "));
    if queues.contains(&QUEUE_UNROUTED) {
        what.push_str("; what offices send and no other queue takes is not kept");
    } else if queues.iter().any(|queue| *queue != QUEUE_REJECTED) {
        what.push_str("; what offices send for it meanwhile goes to xacminh.work.unrouted, where intake takes it");
    }
    what.push_str("; an office sends again what has no receipt");
    let remedy = "A process that runs makes it again within seconds: with the role answering for answering, with the \
                  role intake for the others. Start `xacminh run` if none does; if one does, its log says why it cannot";
    Some((what, remedy.to_owned()))
}

/// The innermost cause in the words of whoever gave it: the rest says what the page says anyway.
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let mut inmost = error;
    while let Some(source) = inmost.source() {
        inmost = source;
    }
    let words = inmost.to_string();
    // PostgreSQL adds the line of its own source.
    words.rsplit_once(" at line ").map_or(words.clone(), |(words, _)| words.to_owned())
}

fn since(from: SystemTime, now: SystemTime) -> String {
    let lasted = now.duration_since(from).unwrap_or_default();
    let at = Timestamp::try_from(from).map_or_else(|_| "an unknown time".to_owned(), local);
    format!("{at} (for {})", age(SignedDuration::try_from(lasted).unwrap_or(SignedDuration::MAX)))
}

/// An instant in Vietnam.
pub(crate) fn local(at: Timestamp) -> String {
    tz::offset(7).to_datetime(at).strftime("%Y-%m-%d %H:%M:%S +07:00").to_string()
}

pub(crate) fn age(lasted: SignedDuration) -> String {
    let seconds = lasted.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
