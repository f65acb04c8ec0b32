//! What is set up for a size: a database, a virtual host with every inbox, and the product's process.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use xacminh_demo::line::Address;
use xacminh_domain::id::OfficeId;
use xacminh_testkit::{ChildProcess, World};
use xacminh_trust::key::{KeyRing, MasterKey};

use super::fill::{self, Filled, Size};
use crate::offices::Place;
use crate::side::{beside, declare, settings, xacminh};

/// How long the product may take to get ready or to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long what a start sets free may take to leave.
pub(crate) const SETTLE: Duration = Duration::from_secs(300);

/// Letters, work with room at its office, rungs and digests. The bench runs on the machine's clock.
const LEFT_TO_DO: &str = "select (select count(*) from outbox)
    + (select coalesce(sum(least(waiting, greatest(report_cap() - in_flight, 0))), 0)::bigint from (
        select count(*) filter (where sent_at is null) as waiting, count(sent_at) as in_flight
        from deliveries group by office) d)
    + (select count(*) from timers where due_at <= now())
    + (select count(*) from notice_lines where leave_at <= now())";

/// A filled store, and what stands around it.
pub(crate) struct Stage {
    pub(crate) world: World,
    dir: PathBuf,
    env: Vec<(String, String)>,
    /// The offices that a bench may connect, with their passwords.
    grants: Vec<(Place, String)>,
    /// The one that is silent and may come back.
    silent_one: Option<(Place, String)>,
}

/// The product's process, ready.
pub(crate) struct Running {
    pub(crate) child: ChildProcess,
    pub(crate) admin: String,
    /// From its start to its first 200 on `/readyz`.
    pub(crate) ready_seconds: f64,
}

impl Stage {
    /// Sets it up in an empty directory and fills it.
    pub(crate) async fn make(
        dir: &Path,
        data: &Path,
        name: &str,
        size: Size,
        connected: usize,
    ) -> Result<(Self, Filled)> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let world = World::new(name).await?;
        let path = |name: &str| dir.join(name).display().to_string();
        let env = settings(&world, data, path("master.key"));
        let mut stage = Self { world, dir: dir.to_owned(), env, grants: Vec::new(), silent_one: None };
        stage.xacminh(&["keys", "new", &path("master.key")])?;
        stage.xacminh(&["migrate"])?;
        stage.xacminh(&["import"])?;
        declare(&stage.world).await?;
        let out = path("credentials.csv");
        stage.xacminh(&["office", "grant", "--all", "--out", &out])?;
        stage.adopt(&out, connected).await?;
        let keys = KeyRing::new(MasterKey::from_file(&dir.join("master.key"))?);
        let filled = fill::fill(&stage.world.pg_url(), keys, size, connected, Timestamp::now(), 1).await?;
        Ok((stage, filled))
    }

    /// Every login goes with the world; the first offices of communes may be connected.
    async fn adopt(&mut self, credentials: &str, connected: usize) -> Result<()> {
        let store = xacminh_store::Store::connect(&self.world.pg_url(), 1)?;
        let reference = xacminh_store::reference::load(&mut *store.conn().await?).await?;
        // As the product makes them when it starts.
        let today = xacminh_domain::calendar::local_date(Timestamp::now());
        let days = |n: i64| jiff::SignedDuration::from_hours(24 * n);
        store.ensure_partitions(today.saturating_sub(days(400)), today.saturating_add(days(60))).await?;
        store.close().await;
        let nation = super::nation::Nation::new(&reference, Timestamp::now(), connected, 1)?;
        let units: std::collections::BTreeMap<OfficeId, String> =
            nation.places[..connected].iter().map(|place| (place.office, place.unit.to_string())).collect();
        let silent = &nation.places[nation.silent_one];
        for line in fs::read_to_string(credentials)?.lines().skip(1) {
            let mut fields = line.split(',');
            let office: OfficeId = fields.next().context("no office")?.parse()?;
            let password = fields.nth(1).context("no password")?.to_owned();
            self.world.adopt(office);
            if office == silent.office {
                self.silent_one = Some((Place { office, unit: silent.unit.to_string() }, password));
            } else if let Some(unit) = units.get(&office) {
                self.grants.push((Place { office, unit: unit.clone() }, password));
            }
        }
        self.grants.sort_by_key(|(place, _)| place.office);
        ensure!(self.grants.len() == connected, "{} of {connected} offices have a login", self.grants.len());
        Ok(())
    }

    /// Runs a command of the product.
    pub(crate) fn xacminh(&self, args: &[&str]) -> Result<Output> {
        xacminh(&self.env, args)
    }

    /// Puts other reference data in force by the product's own command, off the threads that offices live on.
    pub(crate) async fn import(&self, data: &Path) -> Result<()> {
        let mut env = self.env.clone();
        env.retain(|(name, _)| name != "XACMINH_DATA_DIR");
        env.push(("XACMINH_DATA_DIR".to_owned(), data.display().to_string()));
        tokio::task::spawn_blocking(move || xacminh(&env, &["import"])).await?.map(drop)
    }

    /// Where its files lie.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same, timed, in seconds.
    pub(crate) fn timed(&self, args: &[&str]) -> Result<(f64, Output)> {
        let began = Instant::now();
        let out = self.xacminh(args)?;
        Ok((began.elapsed().as_secs_f64(), out))
    }

    /// Where the offices connect to.
    pub(crate) fn addresses(&self) -> Result<Vec<(Place, Address)>> {
        self.grants.iter().map(|grant| self.address(grant)).collect()
    }

    /// Where the silent office connects to, once it comes back.
    pub(crate) fn silent_one(&self) -> Result<(Place, Address)> {
        self.address(self.silent_one.as_ref().context("no office is silent")?)
    }

    fn address(&self, (place, password): &(Place, String)) -> Result<(Place, Address)> {
        let url = self.world.amqp_url();
        let (_, rest) = url.rsplit_once('@').context("no login in the address")?;
        let (host, vhost) = rest.split_once('/').context("no virtual host in the address")?;
        let (host, port) = host.rsplit_once(':').context("no port in the address")?;
        let (port, host, vhost) = (port.parse()?, host.to_owned(), vhost.to_owned());
        Ok((place.clone(), Address { host, port, vhost, office: place.office, password: password.clone() }))
    }

    /// Starts the product and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Running> {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let began = Instant::now();
        let mut child = ChildProcess::spawn(beside("xacminh")?, ["run"], &env)?;
        let line = child.wait_for_line("admin port", PATIENCE).await?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let admin = line["listen"].as_str().context("no address of the admin port")?.to_owned();
        child.wait_until_ready(&admin, "/readyz", PATIENCE).await?;
        Ok(Running { child, admin, ready_seconds: began.elapsed().as_secs_f64() })
    }

    /// Waits until nothing can leave and nothing is due; gives how long it took.
    pub(crate) async fn settled(&self, within: Duration) -> Result<f64> {
        self.until_none(LEFT_TO_DO, "letters and rungs", within).await
    }

    /// The same, and until all that the store says is in flight lies in its inbox: a filled store's inboxes are empty, so
    /// the product sends it once more when it has found that out. For a store to which no office has been connected.
    pub(crate) async fn filled_inboxes(&self, started: Timestamp, within: Duration) -> Result<f64> {
        let question = format!("{LEFT_TO_DO} + (select count(*) from deliveries where sent_at < '{started}')");
        self.until_none(&question, "letters, rungs and deliveries", within).await
    }

    /// Asks twice a second.
    async fn until_none(&self, question: &str, what: &str, within: Duration) -> Result<f64> {
        let began = Instant::now();
        loop {
            let left = self.world.number(question).await?;
            if left == 0 {
                return Ok(began.elapsed().as_secs_f64());
            }
            ensure!(began.elapsed() < within, "{left} {what} still wait after {within:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Takes it away.
    pub(crate) async fn close(self) -> Result<()> {
        self.world.close().await?;
        Ok(fs::remove_dir_all(&self.dir)?)
    }
}

impl Running {
    /// Ends it in order; gives the warnings and errors that it logged, by message.
    pub(crate) async fn end(self) -> Result<Vec<String>> {
        let said = self.child.said();
        self.child.terminate(PATIENCE).await?;
        Ok(said
            .iter()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|line| matches!(line["level"].as_str(), Some("WARN" | "ERROR")))
            .map(|line| line.to_string())
            .collect())
    }

    /// Resident memory now and at its most, in MiB.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let id = self.child.id().context("it has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let of = |name: &str| -> Result<f64> {
            let line = status.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name}"))?;
            let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
            Ok(kib / 1_024.0)
        };
        Ok((of("VmRSS")?, of("VmHWM")?))
    }

    /// Processor time it has used so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let id = self.child.id().context("it has ended")?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let (_, rest) = stat.rsplit_once(')').context("no name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |n: usize| -> Result<f64> { Ok(fields.get(n).context("no figure")?.parse()?) };
        // Fields 14 and 15 of the line, in hundredths of a second on Linux.
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Asks for a page, in milliseconds; anything but 200 is an error.
    pub(crate) async fn page(&self, path: &str) -> Result<(f64, usize)> {
        let began = Instant::now();
        let length = self.answer(path).await?.len();
        Ok((began.elapsed().as_secs_f64() * 1_000.0, length))
    }

    /// The sum of a metric's series that have these labels; nothing if there is none.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        Ok(sum_of(&self.answer("/metrics").await?, name, labels))
    }

    async fn answer(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            bail!("{path}: {}", String::from_utf8_lossy(&answer).lines().next().unwrap_or_default());
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn sum_of(page: &str, name: &str, labels: &[&str]) -> f64 {
    page.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum::<f64>()
        // Of nothing it is minus zero.
        + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_what_is_not_asked_for() {
        let page = "# HELP a b\na{x=\"1\",y=\"1\"} 3\na{x=\"1\",y=\"2\"} 4\na{x=\"2\"} 5\nab{x=\"1\"} 6\n";
        assert!((sum_of(page, "a", &["x=\"1\""]) - 7.0).abs() < 1e-9);
        assert!(sum_of(page, "c", &[]).abs() < 1e-9);
    }
}
