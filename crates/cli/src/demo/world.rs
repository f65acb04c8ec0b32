//! One world of the demo: a vhost, a database, a clock, a key, and the product running on them.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, BusSettings, InboxProbe, InboxSight, Management, WORK_QUEUES};
use xacminh_clock::SteppedClock;
use xacminh_contract::names::inbox;
use xacminh_contract::notice::Why;
use xacminh_demo::{HomeOffice, InHand, OperatorView, RungRow, Standing, start};
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_registry::Registry;
use xacminh_store::Store;
use xacminh_store::view::late::{self, Filter, Late};
use xacminh_store::view::{look, standing};

use super::homes;
use super::process::{Part, Program};
use crate::show;

/// The roles, each a process of its own where they run apart.
const ROLES: [&str; 5] = ["intake", "answering", "relay", "escalating", "measuring"];

/// The servers the worlds are made on.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) pg_url: String,
    pub(crate) amqp_url: String,
    pub(crate) mgmt_url: String,
    pub(crate) data_dir: PathBuf,
}

/// One world.
pub(crate) struct World {
    /// Also the name of the database.
    vhost: String,
    servers: Servers,
    wrapper: String,
    credentials: HashMap<OfficeId, String>,
    homes: Vec<HomeOffice>,
    ambiguous: (String, Date),
    clock: SteppedClock,
    program: Program,
    parts: Vec<Part>,
    store: Store,
    probe: InboxProbe,
    bus_stop: CancellationToken,
}

impl World {
    /// Makes a world and starts the product in it, as one process or as one a role. No offices means
    /// all of them.
    pub(crate) async fn begin(
        name: &str,
        run_dir: &Path,
        servers: &Servers,
        registry: &Registry,
        offices: Vec<OfficeId>,
        apart: bool,
    ) -> Result<Self> {
        let dir = run_dir.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let unique =
            format!("demo_{name}_{:08x}", std::process::id() ^ Timestamp::now().subsec_nanosecond().unsigned_abs());
        let management = Management::new(&servers.mgmt_url, &unique)?;
        tokio::task::spawn_blocking(move || management.create_vhost()).await??;
        let pg_url = Store::create_database(&servers.pg_url, &unique).await?;
        let amqp_url = format!("{}/{unique}", servers.amqp_url.trim_end_matches('/'));
        let clock = SteppedClock::create(&dir.join("clock"), start())?;
        let path = |file: &str| dir.join(file).display().to_string();
        let env: Vec<(String, String)> = [
            ("XACMINH_DATA_DIR", servers.data_dir.display().to_string()),
            ("XACMINH_POSTGRESQL__URL", pg_url.clone()),
            ("XACMINH_RABBITMQ__URL", amqp_url.clone()),
            ("XACMINH_RABBITMQ__MANAGEMENT_URL", servers.mgmt_url.clone()),
            ("XACMINH_KEYS__MASTER_FILE", path("master.key")),
            ("XACMINH_CLOCK__FILE", path("clock")),
            ("XACMINH_ESCALATING__EVERY_MS", "50".to_owned()),
            ("XACMINH_DEMO_CREDENTIALS", path("credentials.csv")),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .to_vec();
        let mut parts = Vec::new();
        for role in if apart { ROLES.map(Some).to_vec() } else { vec![None] } {
            parts.push(Part::new(&dir, role).await?);
        }
        let admin = parts.first().context("no process")?.admin();
        let seen = [env.as_slice(), &[("XACMINH_ADMIN__LISTEN".to_owned(), admin)]].concat();
        let wrapper = wrapper(&dir, &seen)?;
        let program = Program { env, log: dir.join("xacminh.log") };
        program.run(&["keys", "new", &path("master.key")]).await?;
        program.run(&["migrate"]).await?;
        program.run(&["import"]).await?;
        let out = path("credentials.csv");
        let ids: Vec<String> = offices.iter().map(ToString::to_string).collect();
        let mut grant = vec!["office", "grant", "--out", &out];
        if ids.is_empty() {
            grant.push("--all");
        } else {
            grant.extend(ids.iter().map(String::as_str));
        }
        // The topology comes first: inboxes dead-letter into it.
        let bus_stop = CancellationToken::new();
        let bus = Bus::connect(&BusSettings::new(amqp_url, "xacminh demo"), &bus_stop)?;
        bus.ready().await?;
        program.run(&grant).await?;
        let credentials = read_credentials(&dir.join("credentials.csv"))?;
        let directory = registry.directory();
        for part in &parts {
            part.start(&program).await?;
        }
        Ok(Self {
            vhost: unique,
            servers: servers.clone(),
            wrapper,
            credentials,
            homes: homes::all(registry, &directory),
            ambiguous: homes::ambiguous(registry, &directory).context("no ambiguous home in the registry")?,
            clock,
            program,
            parts,
            store: Store::connect(&pg_url, 4)?,
            probe: bus.inbox_probe(),
            bus_stop,
        })
    }

    fn part(&self, process: usize) -> Result<&Part> {
        self.parts.get(process).context("there is no such process")
    }

    /// Where the product's log is.
    pub(crate) fn log(&self) -> &Path {
        &self.program.log
    }

    async fn late(&self) -> Result<Vec<Late>> {
        Ok(late::list(&mut *look(&self.store, self.clock.now()).await?, &Filter::default()).await?)
    }

    /// Prints commands about a request that is late, ready to paste: a person can play its office
    /// and see `late` and the trace change.
    pub(crate) async fn suggest(&self) -> Result<()> {
        let rows = self.late().await?;
        let Some(row) = rows.iter().find(|row| row.why == Why::NotOpened) else { return Ok(()) };
        let (run, id, province) = (&self.wrapper, row.request_id, &row.province);
        show::line("Play a silent office yourself:");
        for command in [
            format!("late --province {province}"),
            format!("request trace {id}"),
            format!("answer {id} A01"),
            format!("inbox {}", row.requester),
            format!("request trace {id}"),
            format!("late --province {province}"),
        ] {
            show::line(format!("  {run} {command}"));
        }
        show::line("Look at its health and its figures:");
        show::line(format!("  curl http://{}/readyz?verbose", self.part(0)?.admin()));
        Ok(())
    }

    /// Ends the product in an orderly way; with `clean` its virtual host and database go too.
    pub(crate) async fn end(self, clean: bool) -> Result<()> {
        for part in &self.parts {
            part.stop().await?;
        }
        self.bus_stop.cancel();
        self.store.close().await;
        if clean {
            let management = Management::new(&self.servers.mgmt_url, &self.vhost)?;
            tokio::task::spawn_blocking(move || management.delete_vhost()).await??;
            Store::drop_database(&self.servers.pg_url, &self.vhost).await?;
        }
        Ok(())
    }

    /// Leaves the product running.
    pub(crate) fn leave(self) {
        self.bus_stop.cancel();
    }
}

/// A small script that sets the environment of this world, so that commands can be pasted.
fn wrapper(dir: &Path, env: &[(String, String)]) -> Result<String> {
    let file = dir.join("xacminh");
    let mut text = String::from("#!/bin/sh\n# Runs xacminh on this world of the demo.\n");
    for (name, value) in env {
        text.push_str(&format!("export {name}='{value}'\n"));
    }
    text.push_str(&format!("exec '{}' \"$@\"\n", std::env::current_exe()?.display()));
    std::fs::write(&file, text)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700))?;
    let here = std::env::current_dir()?;
    Ok(file.strip_prefix(&here).unwrap_or(&file).display().to_string())
}

fn read_credentials(file: &Path) -> Result<HashMap<OfficeId, String>> {
    let text = std::fs::read_to_string(file)?;
    text.lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            ensure!(cells.len() == 4, "a line of {} has not four cells", file.display());
            Ok((cells[0].parse()?, cells[2].to_owned()))
        })
        .collect()
}

fn waiting(sights: &[InboxSight]) -> u64 {
    sights.iter().map(|s| if let InboxSight::There { waiting, .. } = s { u64::from(*waiting) } else { 0 }).sum()
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl xacminh_demo::World for World {
    fn vhost(&self) -> &str {
        &self.vhost
    }

    fn credentials(&self) -> &HashMap<OfficeId, String> {
        &self.credentials
    }

    fn homes(&self) -> &[HomeOffice] {
        &self.homes
    }

    fn ambiguous_home(&self) -> (String, Date) {
        self.ambiguous.clone()
    }

    fn prefix(&self) -> &str {
        &self.wrapper
    }

    fn clock(&self) -> &SteppedClock {
        &self.clock
    }

    async fn standing(&self, now: Timestamp, readers: &[OfficeId]) -> Result<Standing> {
        let stored = standing::standing(&mut *self.store.conn().await?, now).await?;
        let mut queues: Vec<String> = WORK_QUEUES.iter().map(|q| (*q).to_owned()).collect();
        let work = queues.len();
        queues.extend(readers.iter().map(|office| inbox(*office)));
        let seen = self.probe.look(&queues).await?;
        Ok(Standing {
            outbox: count(stored.outbox),
            due: count(stored.due),
            taken: count(stored.taken),
            work_queues: waiting(&seen[..work]),
            inboxes: waiting(&seen[work..]),
        })
    }

    async fn in_hand(&self) -> Result<InHand> {
        let outbox = standing::letters(&mut *self.store.conn().await?).await?;
        let seen = self.probe.look(&WORK_QUEUES.map(str::to_owned)).await?;
        Ok(InHand { ready: waiting(&seen), outbox: count(outbox) })
    }

    fn processes(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.name.clone()).collect()
    }

    async fn kill_9(&self, process: usize) -> Result<()> {
        self.part(process)?.kill_9().await
    }

    async fn restart(&self, process: usize) -> Result<()> {
        self.part(process)?.start(&self.program).await
    }

    async fn trace(&self, id: RequestId) -> Result<String> {
        self.program.run(&["request", "trace", &id.to_string()]).await
    }

    async fn rungs(&self) -> Result<Vec<RungRow>> {
        let rows = standing::rungs(&mut *self.store.conn().await?).await?;
        rows.into_iter()
            .map(|row| {
                Ok(RungRow {
                    request: row.request,
                    trigger: row.trigger,
                    rung: u8::try_from(row.rung)?,
                    clock_start: row.clock_start,
                    due_at: row.due_at,
                    fired_at: row.fired_at,
                    target: row.target.as_deref().map(str::parse).transpose()?,
                })
            })
            .collect()
    }

    async fn operator_view(&self) -> Result<OperatorView> {
        let rows = self.late().await?;
        let names: HashMap<String, &str> = self.homes.iter().map(|h| (h.office.to_string(), h.name.as_str())).collect();
        let (mut by_reason, mut holders, mut next) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for row in &rows {
            *by_reason.entry(row.why.as_str().to_owned()).or_insert(0_u64) += 1;
            let holder = names.get(&row.holder).map_or_else(|| row.holder.clone(), |n| format!("{n} ({})", row.holder));
            *holders.entry(holder).or_insert(0_u64) += 1;
            if let Some(at) = row.next_at {
                *next.entry(local_date(at).to_string()).or_insert(0_u64) += 1;
            }
        }
        let mut holders: Vec<(String, u64)> = holders.into_iter().collect();
        holders.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        holders.truncate(8);
        let mut memory_mib = 0;
        for part in &self.parts {
            memory_mib += part.memory_mib().await;
        }
        Ok(OperatorView {
            memory_mib,
            queues: u64::try_from(self.credentials.len() + WORK_QUEUES.len())?,
            late_by_reason: by_reason.into_iter().collect(),
            holders,
            due_next: next.into_iter().collect(),
        })
    }
}
