//! The whole demo against a product of a few hundred lines, on a real RabbitMQ: a product that keeps
//! its promises passes, one that does not is found out.
#![allow(
    clippy::result_large_err,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]
#![allow(missing_docs, unreachable_pub, reason = "nothing here is anybody's interface")]

mod product;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use product::{AMBIGUOUS, Fault, Product};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use xacminh_bus::{Bus, InboxProbe, InboxSight};
use xacminh_clock::SteppedClock;
use xacminh_contract::names;
use xacminh_demo::{HomeOffice, InHand, OperatorView, RungRow, Settings, Standing, World, nation, stories};
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::{Date, Timestamp};
use xacminh_testkit::World as Servers;

struct Small {
    servers: Servers,
    passwords: HashMap<OfficeId, String>,
    homes: Vec<HomeOffice>,
    clock: SteppedClock,
    product: Arc<Product>,
    probe: InboxProbe,
    dir: PathBuf,
}

impl Small {
    async fn new(name: &str, communes: usize, fault: Fault) -> Result<Self> {
        let mut servers = Servers::new(name).await?;
        let bus = Bus::connect(&servers.bus_settings(), &CancellationToken::new())?;
        bus.ready().await?;
        let logins = servers.offices(communes + 5).await?;
        let ids: Vec<OfficeId> = logins.iter().map(|l| l.office).collect();
        let passwords = logins.into_iter().map(|l| (l.office, l.password)).collect();
        let homes = product::offices(&ids);
        let dir = std::env::temp_dir().join(servers.name());
        std::fs::create_dir_all(&dir)?;
        let clock = SteppedClock::create(&dir.join("clock"), xacminh_demo::start())?;
        let product = Product::new(servers.bus_settings(), clock.clone(), homes.clone(), fault);
        product.start().await?;
        Ok(Self { servers, passwords, homes, clock, product, probe: bus.inbox_probe(), dir })
    }

    fn settings(&self, requests: u32, wards: u32) -> Settings {
        let url = self.servers.amqp_url();
        let host = url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let (amqp_host, port) = host.split_once(':').unwrap();
        let amqp_host = amqp_host.to_owned();
        Settings {
            amqp_host,
            amqp_port: port.parse().unwrap(),
            run_dir: self.dir.clone(),
            keep: false,
            requests,
            wards,
            seed: 11,
            chaos: 0,
        }
    }

    async fn end(self) -> Result<()> {
        self.product.kill();
        std::fs::remove_dir_all(&self.dir)?;
        self.servers.close().await
    }

    /// Blocks, which a test of two threads can bear.
    fn waiting(&self, queues: Vec<String>) -> Result<u64> {
        let sights = block_in_place(|| Handle::current().block_on(self.probe.look(&queues)))?;
        let waiting = |sight: &InboxSight| match sight {
            InboxSight::There { waiting, .. } => u64::from(*waiting),
            InboxSight::Missing => 0,
        };
        Ok(sights.iter().map(waiting).sum())
    }
}

impl World for Small {
    fn vhost(&self) -> &str {
        self.servers.name()
    }
    fn credentials(&self) -> &HashMap<OfficeId, String> {
        &self.passwords
    }
    fn homes(&self) -> &[HomeOffice] {
        &self.homes
    }
    fn ambiguous_home(&self) -> (String, Date) {
        (AMBIGUOUS.to_owned(), "2025-06-01".parse().unwrap())
    }
    fn prefix(&self) -> &str {
        "xacminh"
    }
    fn clock(&self) -> &SteppedClock {
        &self.clock
    }
    async fn standing(&self, now: Timestamp, readers: &[OfficeId]) -> Result<Standing> {
        let work = [names::QUEUE_INTAKE, names::QUEUE_BULK, names::QUEUE_ANSWERING, names::QUEUE_UNROUTED];
        let work_queues = self.waiting(work.map(str::to_owned).to_vec())?;
        let inboxes = self.waiting(readers.iter().map(|o| names::inbox(*o)).collect())?;
        Ok(Standing { work_queues, inboxes, ..self.product.standing(now) })
    }
    async fn in_hand(&self) -> Result<InHand> {
        Ok(InHand::default())
    }
    fn processes(&self) -> Vec<String> {
        vec!["product".to_owned()]
    }
    async fn kill_9(&self, _process: usize) -> Result<()> {
        self.product.kill();
        Ok(())
    }
    async fn restart(&self, _process: usize) -> Result<()> {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        self.product.start().await
    }
    async fn trace(&self, id: RequestId) -> Result<String> {
        Ok(format!("{id}: held by nobody for long"))
    }
    async fn rungs(&self) -> Result<Vec<RungRow>> {
        Ok(self.product.rungs())
    }
    async fn operator_view(&self) -> Result<OperatorView> {
        Ok(OperatorView::default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_stories_come_out_as_told() -> Result<()> {
    let world = Small::new("stories", 6, Fault::None).await?;
    stories(&world, &world.settings(0, 0)).await?;
    world.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_keeps_its_promises_passes() -> Result<()> {
    let world = Small::new("nation", 100, Fault::None).await?;
    let report = nation(&world, &world.settings(1_000, 30)).await?;
    assert_eq!(report.sum.submitted, 1_000);
    assert!(report.sum.is_exact() && report.sum.refused == 10 && report.sum.open_silent > 0);
    assert!(matches!(&report.kills[..], [kill] if kill.under_way > 0 && kill.process == "product"));
    assert!(report.sum.answered_late >= 25, "{:?}", report.sum);
    world.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_loses_requests_is_found_out() -> Result<()> {
    let world = Small::new("loses", 60, Fault::LosesRequests).await?;
    let said = nation(&world, &world.settings(400, 20)).await.unwrap_err().to_string();
    assert!(said.contains("lost = ") && !said.contains("duplicate"), "{said}");
    world.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_forgets_its_receipts_is_found_out() -> Result<()> {
    let world = Small::new("forgets", 60, Fault::NewReceipts).await?;
    let said = nation(&world, &world.settings(400, 20)).await.unwrap_err().to_string();
    assert!(said.contains("duplicate_effects = "), "{said}");
    world.end().await
}
