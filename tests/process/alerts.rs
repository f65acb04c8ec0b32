//! Each alert is fired by its real fault and goes with its remedy, on Debian's Prometheus, with the
//! rules that operators get (thirty times quicker, see `OwnPrometheus`), and no other alert fires
//! beside it: whoever is woken reads the cause.
//!
//! Two scenes, each on servers of its own: processes and servers that fail under the product, and
//! work and offices that stand though all is there. Each prints its list: alert, fault, seconds until
//! it fired, seconds from the remedy until it went.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use xacminh_bus::Grant;
use xacminh_testkit::{Alert, Ending, OfficeClient, OwnPrometheus, OwnServers, Server, eventually};

use crate::office::{DELIVER, form, message, message_id, send, submit, take};
use crate::product::{Product, Running, START, root};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
/// The rules wait so many times shorter than for an operator.
const QUICKER: u32 = 30;
/// How long a fault or a remedy may take to be seen: a quarter of an hour in the rules, and a server
/// that starts.
const SEEN: Duration = Duration::from_secs(120);

/// Of one province; the first asks.
const WARD: &str = "vp2252zr";

/// A line of the list.
struct Shown {
    alert: &'static str,
    fault: &'static str,
    fired: Duration,
    cleared: Duration,
}

/// A Prometheus and what it was seen to do.
struct Watch {
    prometheus: OwnPrometheus,
    shown: Vec<Shown>,
}

/// A fault that was just made.
struct Fault {
    alert: &'static str,
    words: &'static str,
    began: Instant,
}

/// A fault whose alert fires.
struct Fired {
    fault: Fault,
    fired: Duration,
}

/// A fault whose remedy was just begun.
struct Mended {
    fired: Fired,
    began: Instant,
}

impl Fault {
    /// Said before the fault is made.
    fn now(alert: &'static str, words: &'static str) -> Self {
        Self { alert, words, began: Instant::now() }
    }
}

impl Fired {
    /// Said before the remedy begins.
    fn mend(self) -> Mended {
        Mended { fired: self, began: Instant::now() }
    }
}

impl Watch {
    async fn start(name: &str) -> Result<Self> {
        Ok(Self { prometheus: OwnPrometheus::start(name, QUICKER).await?, shown: Vec::new() })
    }

    /// Until all processes are asked and nothing is wrong.
    async fn until_well(&self, processes: usize) {
        let wanted = processes.to_string();
        let mut seen = String::new();
        eventually("all processes seen, no alert", SEEN, async || {
            let up =
                self.prometheus.query("sum(up{job=\"xacminh\"}) + 0 * sum(xacminh_measurings_total > 0)").await.ok()?;
            let up = up.first().map_or("0", |row| row["value"][1].as_str().unwrap_or("?")).to_owned();
            let alerts = self.prometheus.alerts().await.ok()?;
            let now = format!(
                "{up} processes; {}",
                alerts.iter().map(|a| a.labels.to_string()).collect::<Vec<_>>().join(" ")
            );
            if now != seen {
                eprintln!("not well yet: {now}");
                seen = now;
            }
            (up == wanted && alerts.is_empty()).then_some(())
        })
        .await;
    }

    /// Waits until the alert fires; it says something, and where its section is.
    async fn fires(&self, fault: Fault, labels: &[(&str, &str)]) -> Result<Fired> {
        let alert: Alert = eventually(&format!("{} fires: {}", fault.alert, fault.words), SEEN, async || {
            let alerts = self.prometheus.alerts().await.ok()?;
            alerts.into_iter().find(|alert| alert.firing && alert.name == fault.alert)
        })
        .await;
        for (label, value) in labels {
            ensure!(alert.labels[*label] == *value, "{label} is not {value} in {alert:?}");
        }
        ensure!(!alert.summary.is_empty() && !alert.summary.contains("no value"), "{alert:?}");
        let fired = fault.began.elapsed();
        eprintln!("{:>6.1} s  {}", fired.as_secs_f64(), alert.summary);
        Ok(Fired { fault, fired })
    }

    /// Waits until the alert is gone. Between fault and now none but it fired, and these beside it.
    async fn clears(&mut self, mended: Mended, beside: &[&str]) -> Result<()> {
        let Mended { fired: Fired { fault, fired }, began } = mended;
        eventually(&format!("{} goes: {}", fault.alert, fault.words), SEEN, async || {
            let alerts = self.prometheus.alerts().await.ok()?;
            alerts.iter().all(|alert| alert.name != fault.alert).then_some(())
        })
        .await;
        // It may have gone while something else was waited for: Prometheus knows when it fired last.
        let cleared = began.elapsed().saturating_sub(self.prometheus.last_fired(fault.alert, began.elapsed()).await?);
        let others: Vec<String> = self.prometheus.fired_in(fault.began.elapsed()).await?;
        let others: Vec<_> = others.iter().filter(|n| *n != fault.alert && !beside.contains(&n.as_str())).collect();
        ensure!(others.is_empty(), "{} is not alone: {others:?}", fault.alert);
        self.shown.push(Shown { alert: fault.alert, fault: fault.words, fired, cleared });
        Ok(())
    }

    /// Prints the list.
    async fn tell(&self) -> Result<()> {
        eprintln!("| alert | fault | fired after | gone after the remedy |\n| --- | --- | --- | --- |");
        for Shown { alert, fault, fired, cleared } in &self.shown {
            eprintln!("| {alert} | {fault} | {:.1} s | {:.1} s |", fired.as_secs_f64(), cleared.as_secs_f64());
        }
        let slowest = "max by (job) (max_over_time(scrape_duration_seconds[1h]))";
        for row in self.prometheus.query(slowest).await? {
            eprintln!("the slowest page of {}: {} s", row["metric"]["job"], row["value"][1]);
        }
        Ok(())
    }
}

/// Processes by name, each with its roles; one that is started again has the address that it had.
struct Processes {
    roles: BTreeMap<&'static str, &'static [&'static str]>,
    running: BTreeMap<&'static str, Running>,
    at: BTreeMap<&'static str, String>,
}

impl Processes {
    async fn start(product: &Product, roles: &[(&'static str, &'static [&'static str])]) -> Result<Self> {
        let mut all = Self { roles: roles.iter().copied().collect(), running: BTreeMap::new(), at: BTreeMap::new() };
        for (name, _) in roles {
            all.spawn(product, name).await?;
        }
        Ok(all)
    }

    /// Returns when its admin port is there.
    async fn spawn(&mut self, product: &Product, name: &'static str) -> Result<()> {
        let mut settings = vec![("XACMINH_MEASURING__EVERY_MS", "250")];
        if let Some(at) = self.at.get(name) {
            settings.push(("XACMINH_ADMIN__LISTEN", at));
        }
        let running = product.spawn(self.roles[name], &settings).await?;
        self.at.insert(name, running.admin.clone());
        self.running.insert(name, running);
        Ok(())
    }

    async fn kill(&mut self, name: &str) -> Result<()> {
        self.running.remove(name).context("it does not run")?.kill_9().await
    }

    fn addresses(&self) -> Vec<&str> {
        self.at.values().map(String::as_str).collect()
    }

    async fn stop(self) -> Result<()> {
        for running in self.running.into_values() {
            running.stop().await?;
        }
        Ok(())
    }
}

/// A session of somebody else's in the product's database, which holds what it took until dropped.
async fn session(product: &Product, statement: &str) -> Result<PgConnection> {
    let mut session = PgConnection::connect(&product.world.pg_url()).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut session).await?;
    Ok(session)
}

/// Has a ward submit so many requests to a unit.
async fn ask(ward: &mut OfficeClient, product: &Product, numbers: std::ops::Range<u32>, unit: &str) -> Result<()> {
    let now = product.now();
    let messages = numbers.map(|number| submit(ward, now, &form(number, "2026-11-19", unit)));
    let messages: Vec<_> = messages.collect::<Result<_>>()?;
    ward.publish_all(&messages).await
}

/// The requests that come to a home, each confirmed by its system, until there are so many.
async fn receive(home: &mut OfficeClient, product: &Product, count: usize) -> Result<Vec<String>> {
    let mut requests = Vec::new();
    while requests.len() < count {
        let got = take(home).await.with_context(|| format!("after {} of {count}", requests.len()))?;
        if got.message_type == DELIVER {
            let request = got.body["request_id"].as_str().context("no request_id")?.to_owned();
            let body = serde_json::to_vec(&serde_json::json!({ "request_id": request }))?;
            let received = message(home, "request.received", "request.received", product.now(), body)?;
            home.publish_all(&[received]).await?;
            requests.push(request);
        }
    }
    Ok(requests)
}

async fn until_number(product: &Product, question: &str, wanted: i64) {
    eventually(&format!("{wanted} from: {question}"), START, async || {
        (product.world.number(question).await.ok()? == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_processes_and_servers_fires_its_alert_and_no_other() -> Result<()> {
    const HOME: (&str, &str) = ("vpy45bs3", "15199");
    let servers = OwnServers::start("alerts-servers").await?;
    let product = Product::on(&servers, "alerts-servers", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let mut processes = Processes::start(
        &product,
        &[
            ("one", &["intake", "answering"]),
            ("two", &["intake", "answering"]),
            ("relay", &["relay"]),
            ("clockwork", &["escalating", "measuring"]),
        ],
    )
    .await?;
    let mut watch = Watch::start("servers").await?;
    watch.prometheus.targets("xacminh", &processes.addresses())?;
    watch.prometheus.targets("xacminh-offices", &[&processes.at["one"]])?;
    watch.until_well(4).await;
    let mut ward = product.office(WARD).await?;

    let fault = Fault::now("XacminhProcessDown", "kill -9 of one of two processes with intake and answering");
    let address = processes.at["two"].clone();
    processes.kill("two").await?;
    let mended = watch.fires(fault, &[("instance", &address), ("severity", "warning")]).await?.mend();
    processes.spawn(&product, "two").await?;
    watch.clears(mended, &[]).await?;

    // The keys by which relays hold the shards; a session of a host that vanished may still hold them.
    let shards = product
        .world
        .rows(
            "select string_agg(format('select pg_advisory_lock(%s, %s);', classid, objid), ' ') from pg_locks
             where locktype = 'advisory' and objsubid = 2
             and database = (select oid from pg_database where datname = current_database())",
        )
        .await?
        .remove(0);
    let fault = Fault::now("XacminhRoleNowhere", "kill -9 of the only process with the relay");
    processes.kill("relay").await?;
    let mended = watch.fires(fault, &[("role", "relay"), ("severity", "critical")]).await?.mend();
    let vanished = session(&product, &shards).await?;
    processes.spawn(&product, "relay").await?;
    watch.clears(mended, &[]).await?;

    let fault = Fault::now("XacminhOutboxStuck", "a session of a vanished host holds the relay's shards");
    ask(&mut ward, &product, 0..1, HOME.1).await?;
    until_number(&product, "select count(*) from outbox", 1).await;
    product.jump("2026-11-19T08:30:00+07:00")?;
    let mended = watch.fires(fault, &[]).await?.mend();
    vanished.close().await?;
    watch.clears(mended, &[]).await?;

    let fault = Fault::now("XacminhRabbitmqAway", "RabbitMQ killed");
    servers.stop(Server::RabbitMq, Ending::Killed).await?;
    let mended = watch.fires(fault, &[("severity", "critical")]).await?.mend();
    servers.start_again().await?;
    watch.clears(mended, &[]).await?;

    let fault = Fault::now("XacminhPostgresqlAway", "PostgreSQL killed");
    servers.stop(Server::PostgreSql, Ending::Killed).await?;
    // What stands in its wake is beyond its limits before it is back, and for longer than any `for:`.
    product.jump("2026-11-19T09:30:00+07:00")?;
    let fired = watch.fires(fault, &[("severity", "critical")]).await?;
    eventually("the page by office is missed, too", SEEN, async || {
        let rows = watch.prometheus.query("sum_over_time((up{job=\"xacminh-offices\"} == bool 0)[14s:1s]) >= 12").await;
        (!rows.ok()?.is_empty()).then_some(())
    })
    .await;
    let mended = fired.mend();
    servers.start_again().await?;
    watch.clears(mended, &[]).await?;

    // Nobody confirmed the request: its clock starts by itself, four working hours after the outage.
    until_number(&product, "select count(*) from requests where state = 'sent'", 1).await;
    let fault = Fault::now("XacminhTimersOverdue", "a forgotten session holds the timers");
    let forgotten = session(&product, "begin; select * from timers for update").await?;
    product.jump("2026-11-19T14:30:00+07:00")?;
    let mended = watch.fires(fault, &[]).await?.mend();
    forgotten.close().await?;
    watch.clears(mended, &[]).await?;

    // Rungs fire at midnight and on the answer due day; their digest leaves, or would.
    let fault = Fault::now("XacminhRabbitmqBlocked", "RabbitMQ's disk is as good as full");
    servers.disk_limit("1000000GB").await?;
    product.jump("2026-11-23T08:00:30+07:00")?;
    let mended = watch.fires(fault, &[("severity", "critical")]).await?.mend();
    servers.disk_limit("50MB").await?;
    watch.clears(mended, &[]).await?;
    until_number(&product, "select count(*) from outbox", 0).await;

    let fault = Fault::now("XacminhFiguresStandStill", "a forgotten session locks a table that only measuring reads");
    let forgotten = session(&product, "begin; lock table parked in access exclusive mode").await?;
    let mended = watch.fires(fault, &[]).await?.mend();
    forgotten.close().await?;
    watch.clears(mended, &[]).await?;

    let fault = Fault::now("XacminhOfficesPageMissing", "the job's list names an address where nobody is");
    watch.prometheus.targets("xacminh-offices", &["127.0.0.1:1"])?;
    let mended = watch.fires(fault, &[("instance", "127.0.0.1:1")]).await?.mend();
    watch.prometheus.targets("xacminh-offices", &[&processes.at["one"]])?;
    watch.clears(mended, &[]).await?;

    let fault = Fault::now("XacminhNoProcess", "kill -9 of all processes");
    for name in ["one", "two", "relay", "clockwork"] {
        processes.kill(name).await?;
    }
    let fired = watch.fires(fault, &[("severity", "critical")]).await?;
    ensure!(watch.prometheus.fired_in(fired.fault.began.elapsed()).await? == ["XacminhNoProcess"], "it is not alone");
    let mended = fired.mend();
    for name in ["clockwork", "relay", "one", "two"] {
        processes.spawn(&product, name).await?;
    }
    // While they come up one by one, those that are missing are named.
    watch.clears(mended, &["XacminhRoleNowhere", "XacminhProcessDown"]).await?;
    watch.until_well(4).await;

    watch.tell().await?;
    drop(watch);
    processes.stop().await?;
    product.close().await?;
    servers.close().await
}

/// Of the ward's province: one whose inbox fills, one whose inbox is gone, six that nobody connects.
const FULL: (&str, &str) = ("vp2a2b5o", "00127");
const GONE: (&str, &str) = ("vp2bjwip", "09661");
const UNHEARD: [(&str, &str); 6] = [
    ("vp2cikfg", "10081"),
    ("vp2qxtrr", "09022"),
    ("vp2slj3t", "00619"),
    ("vp33p7q4", "00466"),
    ("vp357u5k", "10369"),
    ("vp3sy37w", "09910"),
];
/// Those above them, who are told of silence.
const ABOVE: [&str; 2] = ["vpuum7oh", "vpn5rlel"];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_work_and_offices_fires_its_alert_and_no_other() -> Result<()> {
    let servers = OwnServers::start("alerts-work").await?;
    let mut offices = vec![WARD, FULL.0, GONE.0];
    offices.extend(UNHEARD.map(|(office, _)| office));
    offices.extend(ABOVE);
    let product = Product::on(&servers, "alerts-work", Some(THURSDAY), &offices).await?;
    let processes =
        Processes::start(&product, &[("all", &["intake", "answering", "relay", "escalating", "measuring"])]).await?;
    let mut watch = Watch::start("work").await?;
    watch.prometheus.targets("xacminh", &processes.addresses())?;
    watch.prometheus.targets("xacminh-offices", &processes.addresses())?;
    watch.until_well(1).await;
    let mut ward = product.office(WARD).await?;

    let fault = Fault::now("XacminhNoInbox", "an office's inbox was deleted in RabbitMQ");
    let inbox = format!("xacminh.office.{}", GONE.0);
    product.world.manage(move |m| m.delete_queue(&inbox)).await?;
    ask(&mut ward, &product, 0..1, GONE.1).await?;
    let no_inbox = watch.fires(fault, &[("severity", "warning")]).await?.mend();
    let again = Grant { office: GONE.0.parse()?, password: product.password(GONE.0)?.to_owned() };
    product.world.manage(move |m| m.grant_offices(&[again])).await?;

    let fault = Fault::now("XacminhParkedGrows", "a message without a user-id");
    let mut nobody = submit(&ward, product.now(), &form(1, "2026-11-19", FULL.1))?;
    nobody.user_id = None;
    ward.publish_all(&[nobody]).await?;
    let parked = watch.fires(fault, &[("reason", "no_sender")]).await?.mend();

    // As many as an inbox holds and some more; nobody reads it. Meanwhile a quarter of an hour passes
    // without another letter for no inbox, and without another message of nobody.
    let full = Fault::now("XacminhInboxFull", "205 requests to an office whose system takes none");
    ask(&mut ward, &product, 100..305, FULL.1).await?;
    let in_flight = format!("select count(sent_at) from deliveries where office = '{}'", FULL.0);
    until_number(&product, &in_flight, 200).await;
    let full = watch.fires(full, &[("office", FULL.0)]).await?;
    let three = ["XacminhNoInbox", "XacminhParkedGrows", "XacminhInboxFull"];
    watch.clears(no_inbox, &three).await?;
    watch.clears(parked, &three).await?;
    let mended = full.mend();
    let mut home = product.office(FULL.0).await?;
    let mut open = receive(&mut home, &product, 205).await?;
    watch.clears(mended, &three).await?;

    let fault = Fault::now("XacminhReconcileUnhealed", "an office reports a request that the broker never sent");
    let stray = message_id(product.now())?;
    report(&mut home, &product, &[stray]).await?;
    let mended = watch.fires(fault, &[("severity", "warning")]).await?.mend();
    report(&mut home, &product, &[]).await?;
    watch.clears(mended, &three).await?;

    // More than a process takes into its hands; none of them can be accepted.
    let piles =
        Fault::now("XacminhWorkPilesUp", "a forgotten session locks the table that every command is claimed in");
    let forgotten = session(&product, "begin; lock table inbox in share mode").await?;
    ask(&mut ward, &product, 1_000..3_500, "99999").await?;
    let piles = watch.fires(piles, &[("queue", "xacminh.work.intake")]).await?;
    let jump = Fault::now("XacminhRefusalsJump", "2,500 submits for a home that does not exist");
    let piles = piles.mend();
    forgotten.close().await?;
    watch.clears(piles, &["XacminhRefusalsJump"]).await?;
    let mended = watch.fires(jump, &[("code", "home_unknown")]).await?.mend();
    watch.clears(mended, &["XacminhWorkPilesUp"]).await?;

    // Past four working hours without a word from their systems.
    for (number, (_, unit)) in (10_u32..).zip(UNHEARD) {
        ask(&mut ward, &product, number..number + 1, unit).await?;
    }
    until_number(&product, "select count(*) from requests where state = 'sent'", 7).await;
    let fault =
        Fault::now("XacminhProvinceUnheard", "seven offices of a province read no inbox for four working hours");
    product.jump("2026-11-19T14:30:00+07:00")?;
    let mended = watch.fires(fault, &[("cause", "not_connected"), ("province", "01")]).await?.mend();
    let mut homes = vec![home];
    for (office, _) in UNHEARD.into_iter().chain([GONE]) {
        let mut home = product.office(office).await?;
        open.extend(receive(&mut home, &product, 1).await?);
        homes.push(home);
    }
    watch.clears(mended, &[]).await?;

    // Two months on, in a database that lets nobody make tables: three faults, three alerts.
    let days = ["XacminhOldestOpen", "XacminhCalendarEnds", "XacminhPartitionsEnd"];
    product
        .world
        .sql(
            "create function no_more() returns event_trigger language plpgsql as
                 $$ begin raise exception 'tables are made by somebody else here'; end $$;
             create event trigger no_more on ddl_command_start when tag in ('CREATE TABLE') execute function no_more()",
        )
        .await?;
    let oldest = Fault::now(days[0], "212 requests wait for an answer for two months");
    let calendar = Fault::now(days[1], "the next year's days off are not decided");
    let partitions = Fault::now(days[2], "a database that lets nobody make tables");
    product.jump("2027-01-20T09:00:00+07:00")?;
    let partitions = watch.fires(partitions, &[("severity", "critical")]).await?.mend();
    product.world.sql("drop event trigger no_more").await?;
    let calendar = watch.fires(calendar, &[("severity", "warning")]).await?.mend();
    decide_the_year(&product).await?;
    let oldest = watch.fires(oldest, &[("audience", "supervisor"), ("province", "01")]).await?.mend();
    for home in &mut homes {
        answer(home, &product, &open).await?;
    }
    watch.clears(partitions, &days).await?;
    watch.clears(calendar, &days).await?;
    watch.clears(oldest, &days).await?;
    until_number(&product, "select count(*) from requests where state = 'answered'", 212).await;

    watch.tell().await?;
    drop(watch);
    processes.stop().await?;
    product.close().await?;
    servers.close().await
}

/// Imports the reference data with the days off of 2027 decided, as an operator would.
async fn decide_the_year(product: &Product) -> Result<()> {
    let data = product.file("data");
    let copied = Command::new("cp").arg("-r").arg(root().join("data")).arg(&data).status().await?;
    ensure!(copied.success(), "copying the data");
    let year = data.join("calendar/vn-2027.csv");
    fs::write(&year, fs::read_to_string(&year)?.replace(",provisional", ",official"))?;
    fs::write(data.join("VERSION"), "2027-01-15.1\n")?;
    product.run_with(&["import"], &[("XACMINH_DATA_DIR", &data.display().to_string())]).await?;
    Ok(())
}

/// An office says what it has of today, in a report without what is under way.
async fn report(office: &mut OfficeClient, product: &Product, received: &[String]) -> Result<()> {
    let now = product.now();
    let report = serde_json::json!({
        "day": "2026-11-19", "made_at": now.to_string(), "sent": [], "received": received,
    });
    let message = message(office, "reconcile.report", "reconcile.report", now, serde_json::to_vec(&report)?)?;
    send(office, &message).await
}

/// A home answers all requests that it was asked.
async fn answer(home: &mut OfficeClient, product: &Product, requests: &[String]) -> Result<()> {
    let asked = product
        .world
        .rows(format!("select request_id from requests where responder = '{}' and state <> 'answered'", home.login()))
        .await?;
    let answers = requests.iter().filter(|request| asked.contains(request)).map(|request| {
        let answer = serde_json::json!({ "request_id": request, "code": "A01", "answered_by": "cb-1" });
        message(home, "answer.give", "answer.give", product.now(), serde_json::to_vec(&answer)?)
    });
    let answers: Vec<_> = answers.collect::<Result<_>>()?;
    home.publish_all(&answers).await
}
