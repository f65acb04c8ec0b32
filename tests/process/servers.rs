//! RabbitMQ and PostgreSQL go away under steady traffic, in order and with a SIGKILL, for a moment
//! and for longer, one and both, and come back: the process never ends, everything is once in effect,
//! nothing is left lying.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use xacminh_testkit::{Ending, OwnServers, Server, eventually};

use crate::product::{Product, Running, START};
use crate::traffic::{Balance, Habit, Home, Traffic};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const WARDS: [&str; 3] = ["vpy3356l", "vpy5exzu", "vpy6cdfl"];
const HOMES: [Home; 4] = [
    ("vpy45bs3", "15199", Habit::Answers),
    ("vpy5j2zd", "18364", Habit::Answers),
    ("vpy6zzvm", "15499", Habit::Answers),
    ("vpy7audu", "05605", Habit::Answers),
];
/// How long a ward waits between two submits: steady, and the machine has room for other tests.
const PACE: Duration = Duration::from_millis(100);
/// How many lives come to their end, or begin, before the next thing happens.
const SOME: usize = 50;
/// By when the offices and the product have found a server again: their waits grow to some seconds.
const RECOVERY: Duration = Duration::from_secs(120);

/// Which of RabbitMQ's confirms must be in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirms {
    /// All were seen, and are in the ledger.
    AllSeen,
    /// RabbitMQ was away and some may have been lost with it, or the process ended while PostgreSQL
    /// could not note them: the request leaves again under its id, and when its home has said by then
    /// that it is there, nobody notes a sending any more.
    SomeLost,
}

/// The product and its offices at work, on servers of the test's own. What stands on something
/// else comes first, since that is the order in which they are dropped.
struct Scene {
    traffic: Traffic,
    running: Running,
    product: Product,
    servers: OwnServers,
}

impl Scene {
    async fn of(name: &str, wards: &[&str], homes: &[Home], each: u32, pace: Duration) -> Result<Self> {
        let servers = OwnServers::start(name).await?;
        let offices: Vec<&str> = wards.iter().copied().chain(homes.iter().map(|(office, ..)| *office)).collect();
        let product = Product::on(&servers, name, Some(THURSDAY), &offices).await?;
        let running = product.start(&[]).await?;
        let traffic = Traffic::begin(&product, wards, homes, each, pace)?;
        Ok(Self { traffic, running, product, servers })
    }

    /// In the thick of it: some lives have come to their end, others are at every point.
    async fn in_the_thick(name: &str) -> Result<Self> {
        let scene = Self::of(name, &WARDS, &HOMES, 90_000, PACE).await?;
        scene.traffic.until_answered(SOME, RECOVERY).await;
        Ok(scene)
    }

    /// Waits until the process says that it is not ready, and for which parts.
    async fn until_not_ready(&self, bad: &[&str], good: &[&str]) {
        let marks = |words: &str| {
            bad.iter().all(|part| words.contains(&format!("[-] {part}: ")))
                && good.iter().all(|part| words.contains(&format!("[+] {part}: ")))
        };
        eventually(&format!("503, for {bad:?} and not for {good:?}"), START, async || {
            let (status, _) = self.running.page("/readyz").await.ok()?;
            let (long, words) = self.running.page("/readyz?verbose").await.ok()?;
            (status == 503 && long == 503 && marks(&words)).then_some(())
        })
        .await;
    }

    async fn until_ready(&self) {
        eventually("200 again, of the same process", RECOVERY, async || {
            let (status, _) = self.running.page("/readyz").await.ok()?;
            (status == 200).then_some(())
        })
        .await;
    }

    /// The one outage of RabbitMQ on record that was not over at an instant.
    async fn outage_since(&self, at: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let rows = eventually("the outage on record", START, async || {
            let question = format!(
                "select (extract(epoch from from_at) * 1000000)::bigint || ' ' || (extract(epoch from to_at) * 1000000)::bigint
                 from outages where what = 'rabbitmq' and to_at > '{at}'"
            );
            self.product.world.rows(question).await.ok().filter(|rows| !rows.is_empty())
        })
        .await;
        ensure!(rows.len() == 1, "one outage, not {rows:?}");
        let (from, to) = rows[0].split_once(' ').context("two instants")?;
        Ok((Timestamp::from_microsecond(from.parse()?)?, Timestamp::from_microsecond(to.parse()?)?))
    }

    async fn until_count(&self, question: &str, wanted: i64) {
        eventually(&format!("{wanted} from: {question}"), START, async || {
            (self.product.world.number(question).await.ok()? == wanted).then_some(())
        })
        .await;
    }

    /// How many messages lie in queues, waiting or in somebody's hands, of those whose names begin so.
    async fn in_queues(&self, prefix: &'static str) -> Option<u64> {
        let totals = self.product.world.manage(|m| m.queue_totals()).await.ok()?;
        Some(totals.iter().filter(|t| t.name.starts_with(prefix)).map(|t| t.waiting + t.in_hand).sum())
    }

    /// Draws the balance: every life came to its end, once in effect, and nothing is left.
    async fn end(self, confirms: Confirms) -> Result<()> {
        let balance = self.traffic.balance(RECOVERY).await;
        let Balance { asked, resent, repeated } = balance;
        eprintln!("{asked} requests; {resent} commands sent again by offices, {repeated} messages came again to them");
        let asked = i64::try_from(asked)?;
        self.until_count("select count(*) from requests where state = 'read'", asked).await;
        self.until_count("select count(*) from requests", asked).await;
        for left in ["outbox", "deliveries", "timers", "notice_lines", "rungs", "parked", "refused"] {
            self.until_count(&format!("select count(*) from {left}"), 0).await;
        }
        self.events_are_once(asked, confirms).await?;
        eventually("empty queues", START, async || (self.in_queues("").await? == 0).then_some(())).await;
        for id in
            self.product.world.rows("select request_id from requests order by md5(request_id::text) limit 3").await?
        {
            self.product.run(&["request", "verify", &id]).await?;
        }
        self.traffic.end().await;
        // It has been the same process all the time: another one would not answer on its port.
        self.running.stop().await?;
        self.product.close().await?;
        self.servers.close().await
    }

    /// Each request has each event of a whole life once. Only `sent` may be missing, and only if
    /// RabbitMQ took its confirm away: where the home's `received` comes before the relay has sent it
    /// again, there is nothing left to send.
    async fn events_are_once(&self, asked: i64, confirms: Confirms) -> Result<()> {
        const WHOLE: &str = "answer_sent,answered,clock_started,delivered,opened,read,sent,submitted";
        let lives = self
            .product
            .world
            .rows(
                "select events || ' ' || count(*) from (
                     select string_agg(event, ',' order by event) as events from (
                         select request_id, convert_from(body, 'UTF8')::jsonb ->> 'event' as event from events) e
                     group by request_id) l
                 group by events order by 1",
            )
            .await?;
        let unseen = WHOLE.replace("sent,submitted", "submitted");
        let mut whole = 0;
        for life in &lives {
            let (events, count) = life.split_once(' ').context("two words")?;
            let unseen = confirms == Confirms::SomeLost && events == unseen;
            ensure!(events == WHOLE || unseen, "not a whole life, or not once: {lives:#?}");
            whole += count.parse::<i64>()?;
        }
        ensure!(whole == asked, "{asked} requests, but {lives:#?}");
        eprintln!("{lives:#?}");
        Ok(())
    }
}

async fn rabbitmq_goes_and_comes(name: &str, how: Ending) -> Result<()> {
    let scene = Scene::in_the_thick(name).await?;
    let before = scene.product.now();
    scene.servers.stop(Server::RabbitMq, how).await?;
    scene.until_not_ready(&["rabbitmq publish", "rabbitmq consume"], &["postgresql"]).await;
    let noticed = scene.product.now();
    scene.traffic.until_asked(SOME).await;
    scene.servers.start_again().await?;
    scene.until_ready().await;
    let (from, to) = scene.outage_since(before).await?;
    assert!(from >= before && from <= noticed, "lost between {before} and {noticed}, not at {from}");
    assert!(to >= noticed && to <= scene.product.now(), "back after {noticed}, not at {to}");
    scene.traffic.until_answered(SOME, RECOVERY).await;
    scene.end(Confirms::SomeLost).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_is_restarted_in_order() -> Result<()> {
    rabbitmq_goes_and_comes("rabbitmq-in-order", Ending::InOrder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_is_killed() -> Result<()> {
    rabbitmq_goes_and_comes("rabbitmq-killed", Ending::Killed).await
}

async fn postgresql_goes_and_comes(name: &str, how: Ending) -> Result<()> {
    let scene = Scene::in_the_thick(name).await?;
    let before = scene.product.now();
    scene.servers.stop(Server::PostgreSql, how).await?;
    scene.until_not_ready(&["postgresql"], &["rabbitmq publish", "rabbitmq consume"]).await;
    let noticed = scene.product.now();
    // Offices go on, and RabbitMQ takes what they say; nobody acknowledges it.
    scene.traffic.until_asked(SOME).await;
    let some = u64::try_from(SOME)?;
    eventually("commands unacknowledged in the work queues", START, async || {
        (scene.in_queues("xacminh.work.").await? >= some).then_some(())
    })
    .await;
    scene.servers.start_again().await?;
    scene.until_ready().await;
    // On record once it is back, and no outage of RabbitMQ's.
    let on_record = format!(
        "select count(*) from noted_outages
         where what = 'store' and from_at between '{before}' and '{noticed}' and to_at >= '{noticed}'"
    );
    scene.until_count(&on_record, 1).await;
    scene.until_count("select count(*) from outages", 0).await;
    scene.traffic.until_answered(SOME, RECOVERY).await;
    // And in a blink, before anybody might notice.
    scene.servers.restart(Server::PostgreSql, how).await?;
    scene.traffic.until_answered(SOME, RECOVERY).await;
    scene.end(Confirms::AllSeen).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_restarted_in_order() -> Result<()> {
    postgresql_goes_and_comes("postgresql-in-order", Ending::InOrder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_killed() -> Result<()> {
    postgresql_goes_and_comes("postgresql-killed", Ending::Killed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_killed_at_once() -> Result<()> {
    let scene = Scene::in_the_thick("both").await?;
    let before = scene.product.now();
    scene.servers.stop(Server::RabbitMq, Ending::Killed).await?;
    scene.servers.stop(Server::PostgreSql, Ending::Killed).await?;
    scene.until_not_ready(&["postgresql", "rabbitmq publish", "rabbitmq consume"], &[]).await;
    let noticed = scene.product.now();
    scene.traffic.until_asked(SOME).await;
    scene.servers.start_again().await?;
    scene.until_ready().await;
    // On record from its beginning, though there was nothing to write it down in.
    let (from, _) = scene.outage_since(before).await?;
    assert!(from >= before && from <= noticed, "lost between {before} and {noticed}, not at {from}");
    scene.traffic.until_answered(SOME, RECOVERY).await;
    scene.end(Confirms::SomeLost).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rungs_fire_without_rabbitmq_and_nobody_pays_for_the_outage() -> Result<()> {
    const EACH: i64 = 20;
    const HEARD: Home = ("vpy45bs3", "15199", Habit::Receives);
    const UNHEARD: Home = ("vpy5j2zd", "18364", Habit::Silent);
    let scene = Scene::of("away-for-days", &WARDS[..1], &[HEARD, UNHEARD], 40, Duration::from_millis(5)).await?;
    let of = |what: &str, home: Home| {
        format!("select count(*) from {what} join requests r using (request_id) where r.responder = '{}'", home.0)
    };
    scene.until_count("select count(*) from requests where state = 'delivered'", EACH).await;
    scene.until_count("select count(*) from requests where state = 'sent'", EACH).await;
    scene.until_count("select count(*) from outbox", 0).await;

    let before = scene.product.now();
    scene.servers.stop(Server::RabbitMq, Ending::Killed).await?;
    scene.until_not_ready(&["rabbitmq publish", "rabbitmq consume"], &["postgresql"]).await;
    // Thursday 08:00 to Monday 09:00: to accept by Friday, to answer by Monday, which begins at 08:00.
    scene.product.jump("2026-11-23T09:00:00+07:00")?;
    scene.until_count(&of("rungs", HEARD), 2 * EACH).await;
    scene.until_count("select count(*) from notice_lines", 0).await;
    assert_eq!(scene.product.world.number("select count(*) from outbox").await?, 1, "the digest waits");
    assert_eq!(scene.product.world.number(of("rungs", UNHEARD)).await?, 0, "it could not have confirmed");

    scene.servers.start_again().await?;
    scene.until_ready().await;
    let lines = usize::try_from(2 * EACH)?;
    scene.traffic.until("the digest", START, || scene.traffic.notices(HEARD.0).len() >= lines).await;
    let mut told = scene.traffic.notices(HEARD.0);
    assert_eq!(told.len(), lines);
    told.dedup();
    assert_eq!(told.len(), lines, "each line once: {told:?}");
    scene.until_count("select count(*) from outbox", 0).await;

    // The wait for a confirm begins anew at the end of the outage: four working hours, 12 to 13 is none.
    let (from, to) = scene.outage_since(before).await?;
    assert!(from < "2026-11-20T00:00:00+07:00".parse()? && to >= "2026-11-23T09:00:00+07:00".parse()?, "{from} {to}");
    let anew = format!("{} and due_at between '2026-11-23T14:00+07' and '2026-11-23T14:10+07'", of("timers", UNHEARD));
    scene.until_count(&anew, EACH).await;
    assert_eq!(scene.product.world.number(of("rungs", UNHEARD)).await?, 0, "charged for the outage");
    scene.product.jump("2026-11-23T14:30:00+07:00")?;
    scene.until_count(&of("rungs", UNHEARD), EACH).await;
    scene.until_count(&format!("{} and r.clock_cause = 'not_confirmed'", of("timers", UNHEARD)), EACH).await;

    scene.traffic.balance(START).await;
    // Submitted, sent, delivered, the clock and two rungs; submitted, sent, one rung and the clock.
    assert_eq!(scene.product.world.number(of("events", HEARD)).await?, 6 * EACH);
    assert_eq!(scene.product.world.number(of("events", UNHEARD)).await?, 4 * EACH);
    scene.traffic.end().await;
    scene.running.stop().await?;
    scene.product.close().await?;
    scene.servers.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_keeps_silent_does_not_hold_up_a_stop() -> Result<()> {
    let mut scene = Scene::in_the_thick("silent").await?;
    scene.servers.hold(Server::PostgreSql)?;
    scene.until_not_ready(&["postgresql"], &["rabbitmq publish", "rabbitmq consume"]).await;
    scene.running.stop().await?;
    scene.servers.let_go(Server::PostgreSql)?;
    scene.running = scene.product.start(&[]).await?;
    scene.traffic.until_answered(SOME, RECOVERY).await;
    scene.end(Confirms::SomeLost).await
}
