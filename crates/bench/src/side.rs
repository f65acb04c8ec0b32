//! What is set up for the product and for the relays: a database, a virtual host with the same logins and
//! inboxes, and the process to measure.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::tz::offset;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, Grant};
use xacminh_demo::line::Address;
use xacminh_domain::office::OfficeKind;
use xacminh_registry::Registry;
use xacminh_testkit::{ChildProcess, World};

use crate::floor;
use crate::offices::{KINDS, Life, Place};

/// How long a process may take to get ready or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// `xacminh run`.
    Product,
    /// The bare relay of the same messages.
    Floor,
    /// The same relay with four messages a life. It has the floor's database and virtual host.
    Plain,
}

impl Side {
    /// As people read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Floor => "floor",
            Self::Plain => "plain relay",
        }
    }

    /// Of what its lives are made.
    pub(crate) fn life(self) -> Life {
        match self {
            Self::Product | Self::Floor => Life::Whole,
            Self::Plain => Life::Bare,
        }
    }
}

/// Both, with the offices that live on them.
pub(crate) struct Sides {
    pub(crate) product: World,
    pub(crate) floor: World,
    dir: PathBuf,
    data: PathBuf,
    env: Vec<(String, String)>,
    grants: Vec<(Place, Grant)>,
}

impl Sides {
    /// Sets both up in an empty directory.
    pub(crate) async fn make(dir: &Path, data: &Path, offices: usize) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let (product, floor) = (World::new("bench_product").await?, World::new("bench_floor").await?);
        let path = |name: &str| dir.join(name).display().to_string();
        let env = settings(&product, data, path("master.key"));
        let mut sides = Self { product, floor, dir: dir.to_owned(), data: data.to_owned(), env, grants: Vec::new() };
        sides.xacminh(&["keys", "new", &path("master.key")])?;
        sides.xacminh(&["migrate"])?;
        sides.xacminh(&["import"])?;
        let places = sides.places(offices)?;
        for world in [&sides.product, &sides.floor] {
            declare(world).await?;
        }
        let out = path("credentials.csv");
        let mut grant = vec!["office", "grant", "--out", &out];
        grant.extend(places.iter().map(|place| place.office.as_str()));
        sides.xacminh(&grant)?;
        let credentials = fs::read_to_string(&out)?;
        for (place, line) in places.into_iter().zip(credentials.lines().skip(1)) {
            let password = line.split(',').nth(2).context("no password")?.to_owned();
            ensure!(line.starts_with(place.office.as_str()), "credentials in another order");
            // Logins are RabbitMQ's, not a virtual host's: they go with the one, for both.
            sides.product.adopt(place.office);
            sides.grants.push((place.clone(), Grant { office: place.office, password }));
        }
        let same: Vec<Grant> = sides.grants.iter().map(|(_, grant)| grant.clone()).collect();
        sides.floor.manage(move |m| m.grant_offices(&same)).await?;
        sides.floor.sql(floor::TABLE).await?;
        let homes: String = sides.grants.iter().map(|(p, _)| format!("{},{}\n", p.unit, p.office)).collect();
        fs::write(sides.homes(), homes)?;
        Ok(sides)
    }

    fn homes(&self) -> PathBuf {
        self.dir.join("homes.csv")
    }

    /// The first communes of the registry with an office of their own.
    fn places(&self, count: usize) -> Result<Vec<Place>> {
        let directory = Registry::load(&self.data)?.directory();
        let today = offset(7).to_datetime(Timestamp::now()).date();
        let mut places: Vec<Place> = directory
            .offices()
            .filter(|office| office.kind == OfficeKind::CommunePolice)
            .filter_map(|office| {
                let unit = directory.units_of(&office.id, today).into_iter().next()?;
                Some(Place { office: office.id, unit: unit.code.to_string() })
            })
            .collect();
        places.sort_by_key(|place| place.office);
        places.truncate(count);
        ensure!(places.len() == count && count > 1, "the registry has {} such offices", places.len());
        Ok(places)
    }

    fn xacminh(&self, args: &[&str]) -> Result<()> {
        xacminh(&self.env, args).map(drop)
    }

    /// Where the offices connect to on one of the sides.
    pub(crate) fn addresses(&self, world: &World) -> Result<Vec<(Place, Address)>> {
        let url = world.amqp_url();
        let (_, rest) = url.rsplit_once('@').context("no login in the address")?;
        let (host, vhost) = rest.split_once('/').context("no virtual host in the address")?;
        let (host, port) = host.rsplit_once(':').context("no port in the address")?;
        let port: u16 = port.parse()?;
        let address = |(place, grant): &(Place, Grant)| {
            let address = Address {
                host: host.to_owned(),
                port,
                vhost: vhost.to_owned(),
                office: place.office,
                password: grant.password.clone(),
            };
            (place.clone(), address)
        };
        Ok(self.grants.iter().map(address).collect())
    }

    /// Starts the product and waits until it is ready.
    pub(crate) async fn start_product(&self) -> Result<ChildProcess> {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let mut child = ChildProcess::spawn(beside("xacminh")?, ["run"], &env)?;
        let line = child.wait_for_line("admin port", PATIENCE).await?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let admin = line["listen"].as_str().context("no address of the admin port")?;
        child.wait_until_ready(admin, "/readyz", PATIENCE).await?;
        Ok(child)
    }

    /// Starts the floor, with messages of these sizes, and waits until it is ready.
    pub(crate) async fn start_floor(&self, sizes: [u64; KINDS.len()]) -> Result<ChildProcess> {
        self.start_relay(sizes, &[]).await
    }

    async fn start_relay(&self, sizes: [u64; KINDS.len()], more: &[&str]) -> Result<ChildProcess> {
        let (pg, amqp, homes) = (self.floor.pg_url(), self.floor.amqp_url(), self.homes().display().to_string());
        let sizes = sizes.map(|size| size.to_string());
        let args = ["floor", "--homes", &homes, "--sizes", &sizes[0], &sizes[1], &sizes[2]];
        let env = [("XACMINH_BENCH_PG_URL", pg.as_str()), ("XACMINH_BENCH_AMQP_URL", amqp.as_str())];
        let mut child = ChildProcess::spawn(beside("xacminh-bench")?, args.iter().chain(more), &env)?;
        child.wait_for_line(floor::READY, PATIENCE).await?;
        Ok(child)
    }

    /// Starts one of them. Relays need to know how long the product's messages are.
    pub(crate) async fn start(&self, side: Side, sizes: Option<[u64; KINDS.len()]>) -> Result<ChildProcess> {
        let sizes = sizes.context("the product is measured first: it tells how long messages are");
        match side {
            Side::Product => self.start_product().await,
            Side::Floor => self.start_floor(sizes?).await,
            Side::Plain => self.start_relay(sizes?, &["--plain"]).await,
        }
    }

    /// Where it works.
    pub(crate) fn world(&self, side: Side) -> &World {
        match side {
            Side::Product => &self.product,
            Side::Floor | Side::Plain => &self.floor,
        }
    }

    /// How many lives it has on record that came to their end.
    pub(crate) async fn over(&self, side: Side) -> Result<i64> {
        let question = match side {
            Side::Product => "select count(*) from requests where state = 'read'",
            Side::Floor => "select count(*) from lives where state = 5",
            Side::Plain => "select count(*) from lives where state = 4",
        };
        self.world(side).number(question).await
    }

    /// Takes both away.
    pub(crate) async fn close(self) -> Result<()> {
        self.floor.close().await?;
        self.product.close().await?;
        Ok(fs::remove_dir_all(&self.dir)?)
    }
}

/// Ends a process in order.
pub(crate) async fn end(child: ChildProcess) -> Result<()> {
    child.terminate(PATIENCE).await.map(drop)
}

/// Exchanges and work queues, as the product has them.
pub(crate) async fn declare(world: &World) -> Result<()> {
    let stop = CancellationToken::new();
    let bus = Bus::connect(&world.bus_settings(), &stop)?;
    bus.ready().await?;
    stop.cancel();
    Ok(())
}

/// The settings of a product that is measured, in the names of its environment.
pub(crate) fn settings(world: &World, data: &Path, master_key: String) -> Vec<(String, String)> {
    [
        ("XACMINH_DATA_DIR", data.display().to_string()),
        ("XACMINH_POSTGRESQL__URL", world.pg_url()),
        ("XACMINH_RABBITMQ__URL", world.amqp_url()),
        ("XACMINH_RABBITMQ__MANAGEMENT_URL", world.mgmt_url().to_owned()),
        ("XACMINH_KEYS__MASTER_FILE", master_key),
        ("XACMINH_ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("XACMINH_LOG__FORMAT", "json".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// One of its commands.
pub(crate) fn xacminh(env: &[(String, String)], args: &[&str]) -> Result<Output> {
    let out = Command::new(beside("xacminh")?).args(args).envs(env.iter().cloned()).output()?;
    ensure!(out.status.success(), "xacminh {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr));
    Ok(out)
}

/// A program that lies beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let program = here.parent().context("this program lies nowhere")?.join(name);
    ensure!(program.is_file(), "there is no {}: build it first (`make bench` does)", program.display());
    Ok(program)
}
