//! The product in this process, on a database and a virtual host of its own, with the real
//! registry and a clock that is moved by hand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, Grant};
use xacminh_clock::{Clock, ManualClock};
use xacminh_contract::names::inbox;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::Directory;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_domain::office::OfficeKind;
use xacminh_domain::unit::UnitCode;
use xacminh_registry::Registry;
use xacminh_services::recounting::{self, Pace};
use xacminh_services::{Core, FRESH_FOR, Metrics, OfficePage, answering, escalating, intake, measuring, relay};
use xacminh_store::{Store, access, ledger, reference};
use xacminh_testkit::{OfficeClient, OfficeLogin, PATIENCE, World, eventually, narrow_rows_agree};
use xacminh_trust::key::{KeyRing, MasterKey};

use crate::desk::Desk;

/// How often an idle escalating looks: often, since a test waits for it.
const LOOK: Duration = Duration::from_millis(20);

/// An instant in Vietnam: `2026-11-19T08:00`.
pub(crate) fn at(text: &str) -> Timestamp {
    format!("{text}:00+07:00").parse().expect("an instant")
}

/// An office of the real registry with access.
#[derive(Clone)]
pub(crate) struct Office {
    /// Its id.
    pub(crate) id: OfficeId,
    /// Its name.
    pub(crate) name: String,
    /// Its number.
    pub(crate) phone: String,
    /// A commune that it serves today.
    pub(crate) unit: UnitCode,
    login: OfficeLogin,
}

struct Running {
    stop: CancellationToken,
    bus_stop: CancellationToken,
    tasks: JoinSet<()>,
    /// What the copy with all roles counts.
    metrics: Metrics,
}

/// The product, its servers, its clock.
pub(crate) struct Stage {
    /// Its database and virtual host.
    pub(crate) world: World,
    /// The store, for looking.
    pub(crate) store: Store,
    /// What time it is for the product and for its offices.
    pub(crate) clock: ManualClock,
    key: KeyFile,
    running: Option<Running>,
}

impl Stage {
    /// A running product on this instant.
    pub(crate) async fn new(name: &str, now: &str) -> Result<Self> {
        Self::with_copies(name, now, 1).await
    }

    /// The same with so many copies of escalating.
    pub(crate) async fn with_copies(name: &str, now: &str, escalating: usize) -> Result<Self> {
        let world = World::new(name).await?;
        let clock = ManualClock::at(at(now));
        let store = Store::connect(&world.pg_url(), 8)?;
        store.migrate().await?;
        let mut tx = store.begin().await?;
        reference::import(&mut tx, registry(), clock.now()).await?;
        tx.commit().await?;
        let key = KeyFile::new(world.name())?;
        let mut stage = Self { world, store, clock, key, running: None };
        stage.start_copies(escalating).await?;
        Ok(stage)
    }

    /// Imports the registry with a change and starts anew on it, as after an operator's import.
    pub(crate) async fn import(&mut self, change: impl FnOnce(&mut Registry)) -> Result<()> {
        self.stop().await?;
        self.import_beside(change).await?;
        self.start().await
    }

    /// Imports the registry with a change, whatever runs meanwhile.
    pub(crate) async fn import_beside(&self, change: impl FnOnce(&mut Registry)) -> Result<()> {
        let mut changed = registry().clone();
        change(&mut changed);
        // Its own version and digest, as files of their own would have.
        let number: u64 = rand::rng().random();
        changed.version = format!("{}{number}", changed.version);
        changed.digest[..8].copy_from_slice(&number.to_be_bytes());
        let mut tx = self.store.begin().await?;
        reference::import(&mut tx, &changed, Timestamp::now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Starts all roles, as a new process would.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.start_copies(1).await
    }

    /// Starts all roles, with so many copies of escalating.
    pub(crate) async fn start_copies(&mut self, copies: usize) -> Result<()> {
        ensure!(self.running.is_none(), "it runs already");
        let (stop, bus_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let metrics = Metrics::new()?;
        for copy in 0..copies {
            // Everything a process has of its own: keys, reference data, bell, connections.
            let metrics = if copy == 0 { metrics.clone() } else { Metrics::new()? };
            let core = self.core_with(metrics).await?;
            core.ensure_partitions().await?;
            let bus = Bus::connect(&self.world.bus_settings(), &bus_stop)?;
            bus.ready().await?;
            tasks.spawn(escalating::run(core.clone(), bus.clone(), LOOK, stop.clone()));
            // Here nobody works on the reference data of before when an import is over.
            let pace = Pace { settle: Duration::ZERO, ..Pace::every(LOOK) };
            tasks.spawn(recounting::run(core.clone(), pace, stop.clone()));
            if copy == 0 {
                tasks.spawn(intake::run(core.clone(), bus.clone(), stop.clone()));
                tasks.spawn(answering::run(core.clone(), bus.clone(), stop.clone()));
                tasks.spawn(relay::run(core.clone(), bus.clone(), LOOK, stop.clone()));
                let offices = OfficePage::new(core.store.clone(), core.clock.clone(), FRESH_FOR);
                tasks.spawn(measuring::run(core, bus, Arc::new(offices), Duration::from_secs(1), stop.clone()));
            }
        }
        self.running = Some(Running { stop, bus_stop, tasks, metrics });
        Ok(())
    }

    /// Stops all roles in order. What offices send meanwhile waits at RabbitMQ.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let mut running = self.running.take().context("it does not run")?;
        running.stop.cancel();
        let drained = timeout(PATIENCE, async {
            while let Some(ended) = running.tasks.join_next().await {
                ended?;
            }
            Ok::<_, anyhow::Error>(())
        });
        drained.await.context("a role does not end")??;
        running.bus_stop.cancel();
        Ok(())
    }

    /// Ends all and takes it away. A role that panicked fails the test here.
    pub(crate) async fn close(mut self) -> Result<()> {
        if self.running.is_some() {
            self.stop().await?;
        }
        self.store.close().await;
        narrow_rows_agree(&self.world).await?;
        self.world.close().await
    }

    /// Moves the clock.
    pub(crate) fn set(&self, now: &str) {
        self.clock.set(at(now));
    }

    /// So many commune offices of the real registry, with access. No other test has them meanwhile.
    pub(crate) async fn grant(&mut self, count: usize) -> Result<Vec<Office>> {
        self.grant_where(count, |_| true).await
    }

    /// Two commune offices of different provinces, with access.
    pub(crate) async fn grant_apart(&mut self) -> Result<(Office, Office)> {
        let first = self.grant(1).await?.remove(0);
        let province = directory().province_of(&first.id);
        let second = self.grant_where(1, |office| directory().province_of(&office) != province).await?.remove(0);
        Ok((first, second))
    }

    async fn grant_where(&mut self, count: usize, fits: impl Fn(OfficeId) -> bool) -> Result<Vec<Office>> {
        let today = local_date(self.clock.now());
        let directory = directory();
        let mut found: Vec<(OfficeId, UnitCode)> = directory
            .communes(today)
            .filter_map(|unit| Some((directory.office_serving(&unit.code, today)?, unit.code)))
            .filter(|(office, _)| office.kind == OfficeKind::CommunePolice && fits(office.id))
            .map(|(office, unit)| (office.id, unit))
            .collect();
        let start = rand::rng().random_range(0..found.len());
        found.rotate_left(start);
        let leased = self.world.lease(found.iter().map(|(id, _)| *id), count).await?;
        let units = leased.iter().filter_map(|id| found.iter().find(|(office, _)| office == id)).map(|(_, unit)| *unit);
        let with_units: Vec<_> = leased.iter().copied().zip(units).collect();
        self.give_access(&with_units).await
    }

    /// PC06 and C06 above an office, with access. Waits while another test has them.
    pub(crate) async fn grant_above(&mut self, office: &Office) -> Result<[Office; 2]> {
        let above = directory().superiors(&office.id, local_date(self.clock.now()));
        let of = |kind| above.iter().find(|(k, _)| *k == kind).map(|(_, id)| *id).context("nobody stands above");
        let (pc06, c06) = (of(OfficeKind::ProvinceUnit)?, of(OfficeKind::MinistryUnit)?);
        // In this order everywhere, so that two tests never wait for each other.
        self.world.lease_one(pc06).await?;
        self.world.lease_one(c06).await?;
        let granted = self.give_access(&[(pc06, office.unit), (c06, office.unit)]).await?;
        granted.try_into().ok().context("two were granted")
    }

    async fn give_access(&self, offices: &[(OfficeId, UnitCode)]) -> Result<Vec<Office>> {
        let mut granted = Vec::new();
        for (id, unit) in offices {
            let found = directory().office(id).context("no such office")?;
            let password = format!("p{:032x}", rand::rng().random::<u128>());
            granted.push(Office {
                id: *id,
                name: found.name.clone(),
                phone: found.phone.clone().or_else(|| found.fallback_phone.clone()).context("no phone")?,
                unit: *unit,
                login: OfficeLogin { office: *id, password },
            });
        }
        let grants: Vec<Grant> =
            granted.iter().map(|o| Grant { office: o.id, password: o.login.password.clone() }).collect();
        self.world.manage(move |m| m.grant_offices(&grants)).await?;
        let ids: Vec<OfficeId> = granted.iter().map(|o| o.id).collect();
        access::grant(&mut *self.store.conn().await?, &ids, "amqp", self.clock.now()).await?;
        Ok(granted)
    }

    /// Takes an office's inbox away, as if it had not got one yet.
    pub(crate) async fn take_inbox(&self, of: &Office) -> Result<()> {
        let queue = inbox(of.id);
        self.world.manage(move |m| m.delete_queue(&queue)).await
    }

    /// Gives an office an inbox, as a grant does.
    pub(crate) async fn give_inbox(&self, to: &Office) -> Result<()> {
        let grant = Grant { office: to.id, password: to.login.password.clone() };
        self.world.manage(move |m| m.grant_offices(&[grant])).await
    }

    /// Connects an office's own system. It begins to read its inbox when it first waits for
    /// something there.
    pub(crate) async fn desk(&self, office: &Office) -> Result<Desk> {
        Ok(Desk::new(office.clone(), self.world.connect(&office.login).await?, self.clock.clone()))
    }

    /// A ward and a home office, connected.
    pub(crate) async fn ward_and_home(&mut self) -> Result<(Desk, Desk)> {
        let offices = self.grant(2).await?;
        Ok((self.desk(&offices[0]).await?, self.desk(&offices[1]).await?))
    }

    /// Connects as an office, with a client that does not behave by itself.
    pub(crate) async fn client(&self, office: &Office) -> Result<OfficeClient> {
        self.world.connect(&office.login).await
    }

    /// What another process would stand on: its own keys and reference data.
    pub(crate) async fn core(&self) -> Result<Core> {
        self.core_with(Metrics::new()?).await
    }

    async fn core_with(&self, metrics: Metrics) -> Result<Core> {
        let keys = KeyRing::new(MasterKey::from_file(&self.key.0)?);
        Ok(Core::new(self.store.clone(), keys, Clock::Manual(self.clock.clone()), metrics).await?)
    }

    /// Waits until the relay has counted a letter of this type with this outcome.
    pub(crate) async fn until_letter(&self, message_type: &str, outcome: &str) -> Result<()> {
        let registry = self.running.as_ref().context("it does not run")?.metrics.registry();
        eventually(&format!("a {message_type} with the outcome {outcome}"), PATIENCE, async || {
            let families = registry.gather();
            let letters = families.iter().find(|family| family.name() == "xacminh_letters_total")?;
            let is = |labels: &[&str]| labels.contains(&message_type) && labels.contains(&outcome);
            letters
                .get_metric()
                .iter()
                .any(|letter| is(&letter.get_label().iter().map(|label| label.value()).collect::<Vec<_>>()))
                .then_some(())
        })
        .await;
        Ok(())
    }

    /// Waits until a question to the database has this number for an answer.
    pub(crate) async fn until(&self, question: &str, wanted: i64) {
        let what = format!("{wanted} from: {question}");
        eventually(&what, PATIENCE, async || (self.world.number(question).await.ok()? == wanted).then_some(())).await;
    }

    /// Waits until a request is in this state.
    pub(crate) async fn until_state(&self, request: MessageId, state: &str) {
        self.until(&format!("select count(*) from requests where request_id = '{request}' and state = '{state}'"), 1)
            .await;
    }

    /// When a request's next rung is due, in microseconds since 1970; none while none is.
    pub(crate) async fn timer(&self, request: MessageId) -> Result<Option<Timestamp>> {
        let question = format!(
            "select case when due_at = 'infinity' then null else (extract(epoch from due_at) * 1000000)::bigint end
             from timers where request_id = '{request}'"
        );
        let rows = self.world.rows(format!("select coalesce(x, -1) from ({question}) as q (x)")).await?;
        let us: i64 = rows.first().context("no timer")?.parse()?;
        Ok((us >= 0).then(|| Timestamp::from_microsecond(us)).transpose()?)
    }

    /// How a request's row tells what fired, in order: trigger, rung, due, fired, target.
    pub(crate) async fn rungs(&self, request: MessageId) -> Result<Vec<Rung>> {
        let rows = self
            .world
            .rows(format!(
                "select concat_ws('|', trigger, rung, (extract(epoch from due_at) * 1000000)::bigint,
                     (extract(epoch from fired_at) * 1000000)::bigint, coalesce(target, '-'))
                 from rungs where request_id = '{request}' order by due_at, trigger desc, rung"
            ))
            .await?;
        rows.iter()
            .map(|row| {
                let parts: Vec<&str> = row.split('|').collect();
                Ok(Rung {
                    trigger: parts[0].to_owned(),
                    rung: parts[1].parse()?,
                    due_at: Timestamp::from_microsecond(parts[2].parse()?)?,
                    fired_at: Timestamp::from_microsecond(parts[3].parse()?)?,
                    target: parts[4].parse().ok(),
                })
            })
            .collect()
    }

    /// Proves a request's chain whole; gives the number of its events.
    pub(crate) async fn verify(&self, request: MessageId) -> Result<u32, xacminh_store::Error> {
        ledger::verify(&mut *self.store.conn().await?, RequestId::of(request)).await
    }
}

/// A rung that fired, as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rung {
    /// What made it fire.
    pub(crate) trigger: String,
    /// Which.
    pub(crate) rung: i16,
    /// When it was due.
    pub(crate) due_at: Timestamp,
    /// When it fired.
    pub(crate) fired_at: Timestamp,
    /// Whom it pressed.
    pub(crate) target: Option<OfficeId>,
}

/// The registry in `data/`, read once.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
        Registry::load(&data).expect("the registry is right")
    })
}

/// Its units and offices, as the product knows them after an import.
pub(crate) fn directory() -> &'static Directory {
    static DIRECTORY: OnceLock<Directory> = OnceLock::new();
    DIRECTORY.get_or_init(|| registry().directory())
}

/// The product's key, which outlives its processes.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}.key"));
        MasterKey::generate()?.write_new(&path)?;
        Ok(Self(path))
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        // Only litter.
        let _ = std::fs::remove_file(&self.0);
    }
}
