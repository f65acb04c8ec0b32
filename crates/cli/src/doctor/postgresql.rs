//! PostgreSQL: is it there, may we work on it, does it keep what it confirms, and is anything left lying?

use std::time::SystemTime;

use anyhow::Result;
use jiff::SignedDuration;
use xacminh_clock::Clock;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::OfficeId;
use xacminh_store::view::installation::{self, InForce, Rights, Schema, Server, Work};
use xacminh_store::view::readiness::{self, Place};
use xacminh_store::{Store, access};
use xacminh_trust::key::KeyRing;

use super::finding::Finding;
use super::{asked, middle_ms};
use crate::readiness::{age, cause, local, postgresql_remedy};
use crate::settings::Settings;
use crate::{said_once, wiring};

/// The oldest release that is tried out.
const OLDEST: i32 = 150_000;
/// A process listens for letters beside its pool.
const BESIDE_THE_POOL: i64 = 1;
/// At most a process a role.
const PROCESSES: i64 = 5;
/// A rung that is due fires within the second; longer is worth a look.
const RUNG_PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// What PostgreSQL said.
pub(crate) struct Found {
    address: String,
    server: Result<Server>,
    schema: Option<Result<Schema>>,
    /// What can only be asked of a schema that is as this program knows it.
    there: Option<Result<There>>,
    /// How far its clock is ahead of this host's.
    pub(crate) clock_ahead_ms: Option<i64>,
}

/// What stands in the tables.
pub(crate) struct There {
    rights: Rights,
    opens: Option<Option<Result<(), xacminh_trust::Error>>>,
    pub(crate) reference: Option<InForce>,
    pub(crate) offices: Offices,
    pub(crate) work: Work,
    pub(crate) place: Place,
}

/// Who has access by the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offices {
    pub(crate) granted: Vec<OfficeId>,
    /// Those whose access is over; their inboxes stay.
    pub(crate) revoked: Vec<OfficeId>,
}

impl Found {
    /// What stands in the tables, if they are there.
    pub(crate) fn schema_there(&self) -> Option<&There> {
        self.there.as_ref().and_then(|there| there.as_ref().ok())
    }
}

/// Asks. Without settings that are right there is nobody to ask, and nothing is found.
pub(crate) async fn look(settings: &Settings, keys: Option<&KeyRing>, clock: Option<&Clock>) -> Found {
    let store = match wiring::store(settings) {
        Ok(store) => store,
        Err(error) => {
            let address = "the server of postgresql.url".to_owned();
            return Found { address, server: Err(error), schema: None, there: None, clock_ahead_ms: None };
        }
    };
    let address = store.address().to_owned();
    let asking = async {
        let mut conn = store.conn().await?;
        // The clock comes with the other facts, and was read between these two looks at ours.
        let before = SystemTime::now();
        let server = installation::server(&mut conn).await?;
        let ahead_ms = server.now.as_millisecond() - middle_ms(before, SystemTime::now());
        Ok::<_, xacminh_store::Error>((server, ahead_ms))
    };
    let (server, clock_ahead_ms) = match asked(asking).await {
        Ok((server, ahead_ms)) => (Ok(server), Some(ahead_ms)),
        Err(error) => (Err(error), None),
    };
    let (mut schema, mut there) = (None, None);
    if server.is_ok() {
        let asking = async { installation::schema(&mut *store.conn().await?).await };
        let found = asked(asking).await;
        if found.as_ref().is_ok_and(|schema| schema.missing.is_empty()) {
            let now = clock.map_or_else(Timestamp::now, Clock::now);
            there = Some(asked(tables(&store, keys, now)).await);
        }
        schema = Some(found);
    }
    store.close().await;
    Found { address, server, schema, there, clock_ahead_ms }
}

async fn tables(store: &Store, keys: Option<&KeyRing>, now: Timestamp) -> Result<There, xacminh_store::Error> {
    let mut conn = store.conn().await?;
    Ok(There {
        rights: installation::rights(&mut conn).await?,
        opens: match keys {
            Some(keys) => Some(installation::opens(&mut conn, keys).await?),
            None => None,
        },
        reference: installation::reference(&mut conn, local_date(now)).await?,
        offices: Offices { granted: access::granted(&mut conn).await?, revoked: access::revoked(&mut conn).await? },
        work: installation::work(&mut conn, now).await?,
        place: readiness::place(&mut conn).await?,
    })
}

/// What is said of the server, the schema, our rights and the keys. `pool` is the most connections
/// of one process.
pub(crate) fn judge(found: &Found, pool: u32) -> Vec<Finding> {
    const NAME: &str = "postgresql";
    let at = &found.address;
    let server = match &found.server {
        Ok(server) => server,
        Err(error) => {
            let why = cause(error.as_ref());
            let lasting = error.downcast_ref::<xacminh_store::Error>().is_some_and(|error| !error.is_transient());
            return vec![
                Finding::fault(NAME, format!("{at} cannot be used ({why})"), postgresql_remedy(lasting)),
                Finding::unseen(
                    "what PostgreSQL holds",
                    "schema, rights, reference data, offices and what waits could not be looked at",
                    "Mend PostgreSQL first, then ask again",
                ),
            ];
        }
    };
    let mut findings = vec![version(at, server)];
    findings.extend(of_server(server, pool));
    match &found.schema {
        Some(Ok(known)) => findings.push(schema(known)),
        Some(Err(error)) => findings.push(unreadable("schema", error)),
        None => {}
    }
    match &found.there {
        Some(Ok(there)) => findings.extend([rights(&there.rights), opens(there.opens.as_ref())]),
        Some(Err(error)) => findings.push(unreadable("what PostgreSQL holds", error)),
        None => findings.push(Finding::unseen(
            "what PostgreSQL holds",
            "the schema is behind, so rights, reference data, offices and what waits could not be looked at",
            "`xacminh migrate` first, then ask again",
        )),
    }
    findings
}

fn unreadable(part: &'static str, error: &anyhow::Error) -> Finding {
    Finding::fault(
        part,
        format!("could not be read: {}", said_once(error)),
        "Give the login of postgresql.url the rights to read what `xacminh migrate` made: best let it own the database",
    )
}

fn version(at: &str, server: &Server) -> Finding {
    let (major, minor) = (server.version / 10_000, server.version % 10_000);
    let what = format!("{at} answers, version {major}.{minor}");
    if server.version < OLDEST {
        let remedy = "Move the database to PostgreSQL 15 or newer (`pg_upgradecluster`)";
        return Finding::fault("postgresql", format!("{what}, which is older than 15"), remedy);
    }
    Finding::sound("postgresql", what)
}

fn of_server(server: &Server, pool: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(if server.in_recovery {
        Finding::fault(
            "postgresql writes",
            "it is a standby and takes no writes",
            "Name the primary in postgresql.url, or promote this one (`pg_ctl promote`)",
        )
    } else if server.read_only {
        Finding::fault(
            "postgresql writes",
            "every transaction of our login begins read-only",
            "`alter role … reset default_transaction_read_only`, or the same for the database",
        )
    } else {
        Finding::sound("postgresql writes", "it takes writes")
    });
    let durable = "what offices were told is accepted could be lost with the power";
    findings.push(if !server.syncs {
        Finding::fault(
            "postgresql durable",
            format!("fsync or full_page_writes is off: {durable}"),
            "Set `fsync = on` and `full_page_writes = on` in postgresql.conf, and reload",
        )
    } else if server.synchronous_commit == "off" {
        Finding::fault(
            "postgresql durable",
            format!("synchronous_commit is off for our login: {durable}"),
            "Set `synchronous_commit = on` (postgresql.conf, or `alter role … reset synchronous_commit`)",
        )
    } else {
        Finding::sound("postgresql durable", format!("fsync on, synchronous_commit {}", server.synchronous_commit))
    });
    findings.push(connections(server, pool));
    findings.push(if server.remote && !server.encrypted {
        Finding::look(
            "postgresql line",
            "our connection leaves this host and is not encrypted",
            "Put PostgreSQL on this host or on a line that encrypts (a tunnel, a private network of your own): this \
             program does not speak TLS with PostgreSQL yet",
        )
    } else {
        Finding::sound("postgresql line", if server.encrypted { "encrypted" } else { "does not leave this host" })
    });
    findings
}

fn connections(server: &Server, pool: u32) -> Finding {
    const NAME: &str = "postgresql connections";
    let (room, taken) = (i64::from(server.room), server.taken);
    let one = i64::from(pool) + BESIDE_THE_POOL;
    let all = one * PROCESSES;
    let what = format!("{taken} of {room} taken; a process takes {one} at the most, a process a role {all}");
    let remedy = format!(
        "Raise max_connections in postgresql.conf (at {all} and what others need, it suits a process a role) and \
         restart PostgreSQL, or lower postgresql.connections"
    );
    if room < one {
        Finding::fault(NAME, what, remedy)
    } else if room < all || taken * 10 > room * 9 {
        Finding::look(NAME, what, remedy)
    } else {
        Finding::sound(NAME, what)
    }
}

fn schema(known: &Schema) -> Finding {
    const NAME: &str = "schema";
    let Schema { wanted, missing, unknown, changed, half } = known;
    let list = |steps: &[i64]| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !half.is_empty() {
        return Finding::fault(
            NAME,
            format!("step {} was begun and not ended", list(half)),
            "Restore the database from the backup taken before the upgrade, and `xacminh migrate` again",
        );
    }
    if !missing.is_empty() {
        return Finding::fault(
            NAME,
            format!("behind this program, which knows it up to step {wanted}: missing {}", list(missing)),
            "`xacminh migrate` of this program's release",
        );
    }
    if !changed.is_empty() {
        return Finding::fault(
            NAME,
            format!("step {} was made with another text than this program has", list(changed)),
            "Use a released program; steps that were released never change",
        );
    }
    if !unknown.is_empty() {
        return Finding::look(
            NAME,
            format!("ahead of this program, which knows it up to step {wanted}: also {}", list(unknown)),
            "In the middle of an upgrade this is as it should be; else replace this older program",
        );
    }
    Finding::sound(NAME, format!("at step {wanted}, as this program knows it"))
}

fn rights(rights: &Rights) -> Finding {
    const NAME: &str = "postgresql rights";
    let login = &rights.login;
    if !rights.shut.is_empty() {
        let tables = rights.shut.join(", ");
        return Finding::fault(
            NAME,
            format!("the login {login} cannot read and write {tables}"),
            format!("As the owner: `grant select, insert, update, delete on all tables in schema public to {login}`"),
        );
    }
    if !rights.foreign.is_empty() || !rights.may_create {
        let tables = rights.foreign.join(", ");
        return Finding::fault(
            NAME,
            format!("the login {login} cannot make partitions (owned by somebody else: {tables})"),
            format!(
                "Let it own them: `alter table … owner to {login}` and `grant create on schema public to {login}`; \
                 without partitions nothing can be stored from the month after next"
            ),
        );
    }
    Finding::sound(NAME, format!("the login {login} reads, writes and makes partitions"))
}

/// Outer option: were there keys to try; inner one: was there anything to try them on.
fn opens(tried: Option<&Option<Result<(), xacminh_trust::Error>>>) -> Finding {
    const NAME: &str = "keys open the store";
    match tried {
        None => Finding::unseen(NAME, "there are no keys to try", "See the line of the keys"),
        Some(None) => Finding::sound(NAME, "nothing is sealed yet"),
        Some(Some(Ok(()))) => Finding::sound(NAME, "the oldest and the newest of what is sealed"),
        Some(Some(Err(error))) => Finding::fault(
            NAME,
            format!("they do not: {error}"),
            "Name the key that sealed it in keys.master_file or keys.older_files: bring it back from the copy that is \
             kept apart. Without it no person can be read, and letters that wait cannot leave",
        ),
    }
}

/// Rungs that should have fired.
pub(crate) fn timers(work: &Work, now: Timestamp) -> Finding {
    const NAME: &str = "timers";
    match work.oldest_due {
        None => Finding::sound(NAME, "no rung is overdue"),
        Some(due) if now.duration_since(due) <= RUNG_PATIENCE => {
            Finding::sound(NAME, format!("the oldest rung is due for {}", age(now.duration_since(due))))
        }
        Some(due) => Finding::fault(
            NAME,
            format!("a rung is due since {} (for {}) and has not fired", local(due), age(now.duration_since(due))),
            "Start a process with the role escalating; if one runs, its log says why the rung cannot fire",
        ),
    }
}

/// Messages without a provable sender, or that could not be worked on.
pub(crate) fn parked(work: &Work, now: Timestamp) -> Finding {
    const NAME: &str = "parked messages";
    match work.oldest_parked {
        Some(oldest) if work.parked > 0 => Finding::look(
            NAME,
            format!("{}, the oldest since {} (for {})", work.parked, local(oldest), age(now.duration_since(oldest))),
            "`xacminh parked list` says why each lies there; tell its sender, and `xacminh parked replay` or `close` it",
        ),
        _ => Finding::sound(NAME, "none"),
    }
}

#[cfg(test)]
#[path = "postgresql_tests.rs"]
mod tests;
