//! An office that is silent, with very many requests waiting for it: what the others feel of it, what is in
//! its inbox, and what it gets when it is back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xacminh_bus::{Bus, InboxProbe, InboxSight};
use xacminh_contract::envelope::{CommandType, REQUEST_DELIVER};
use xacminh_contract::names;
use xacminh_demo::line::{Address, Line, Sheet};
use xacminh_domain::id::OfficeId;

use super::lives::{self, Load};
use super::stage::{SETTLE, Stage};
use super::target::{Target, at_most, real};
use crate::offices::Pace;
use crate::report::HalfLoad;

/// How long the next message to an office that is back may take.
const NEXT: Duration = Duration::from_secs(60);
/// How often its inbox is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How a silent office was borne.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Silent {
    /// Requests that wait for it, in its inbox or not.
    pub(crate) waiting: i64,
    /// The others' messages, at half of what goes through: without those that wait, with them, and while
    /// the office is back and takes them.
    pub(crate) without: HalfLoad,
    pub(crate) with: HalfLoad,
    pub(crate) on_return: HalfLoad,
    /// The most that it had in flight, and the most messages in its inbox, its notices among them.
    pub(crate) in_flight_most: i64,
    pub(crate) inbox_most: i64,
    /// Requests that it took when it was back, those of its inbox first; a second.
    pub(crate) taken: usize,
    pub(crate) taken_per_second: f64,
    /// Of those that were not in its inbox: how many came after one whose file is due later.
    pub(crate) out_of_order: usize,
    pub(crate) logged: Vec<String>,
}

impl Silent {
    pub(crate) fn targets(&self) -> Vec<Target> {
        let share = self.with.submit_to_deliver.p99_ms / self.without.submit_to_deliver.p99_ms;
        vec![
            at_most("silent office: the others' p99, with ÷ without", share, 1.5),
            at_most("silent office: most in flight", real(self.in_flight_most), 200.0),
            at_most("silent office: out of the order of due dates", count(self.out_of_order), 0.0),
        ]
    }

    pub(crate) fn words(&self) -> String {
        let ms = |paced: &HalfLoad| (paced.submit_to_deliver.p50_ms, paced.submit_to_deliver.p99_ms);
        let ((p50, p99), (with50, with99), (back50, back99)) = (ms(&self.without), ms(&self.with), ms(&self.on_return));
        format!(
            "silent office, {} waiting: the others' submit→deliver p50 {p50:.0} p99 {p99:.0} ms without, {with50:.0} and \
             {with99:.0} with, {back50:.0} and {back99:.0} on its return\n  \
             {} in flight at most, {} messages in its inbox at most; back, it took {} at {:.0} a second, {} out of order\n",
            self.waiting, self.in_flight_most, self.inbox_most, self.taken, self.taken_per_second, self.out_of_order,
        )
    }
}

/// Lets offices live without and with what waits, then lets the silent one come back for some thousands.
pub(crate) async fn bear(stage: &Stage, load: Load, take: usize) -> Result<Silent> {
    let (place, address) = stage.silent_one()?;
    let mut conn = PgConnection::connect(&stage.world.pg_url()).await?;
    let aside = format!(
        "create schema bench;
         create table bench.aside as select * from deliveries where office = '{0}';
         delete from deliveries where office = '{0}'",
        place.office
    );
    raw_sql(AssertSqlSafe(aside)).execute(&mut conn).await?;
    raw_sql("vacuum analyze deliveries").execute(&mut conn).await?;
    let mut silent = Silent {
        waiting: query_scalar("select count(*) from bench.aside").fetch_one(&mut conn).await?,
        ..Silent::default()
    };
    ensure!(silent.waiting > 0, "nothing waits for {}", place.office);

    let running = stage.start().await?;
    stage.settled(SETTLE).await?;
    let rate = lives::at_once(stage, load).await?.lives_per_second / 2.0;
    silent.without = lives::paced(stage, load, rate).await?;
    silent.logged = running.end().await?;

    raw_sql("insert into deliveries select * from bench.aside").execute(&mut conn).await?;
    raw_sql("vacuum analyze deliveries").execute(&mut conn).await?;
    let running = stage.start().await?;
    stage.settled(SETTLE).await?;
    let eyes = Eyes::open(stage, place.office).await?;
    let mut offices = lives::begin(stage, load, Pace::Clock { lives_per_second: rate }).await?;
    let (stretch, most) = offices.measure_while(eyes.watch(&mut conn, load.measured)).await?;
    silent.with = HalfLoad::of(rate, &stretch);
    (silent.in_flight_most, silent.inbox_most) = most;
    let in_inbox = usize::try_from(eyes.in_flight(&mut conn).await?)?;
    let (stretch, back) = offices.measure_while(come_back(&address, take)).await?;
    silent.on_return = HalfLoad::of(rate, &stretch);
    lives::end(offices).await?;
    silent.taken = back.due.len();
    silent.taken_per_second = count(back.due.len()) / back.seconds;
    silent.out_of_order = out_of_order(back.due.get(in_inbox..).context("it took no more than its inbox held")?);
    silent.logged.extend(running.end().await?);
    conn.close().await?;
    eyes.close();
    Ok(silent)
}

/// Whoever looks at an inbox.
struct Eyes {
    office: OfficeId,
    probe: InboxProbe,
    stop: CancellationToken,
}

impl Eyes {
    async fn open(stage: &Stage, office: OfficeId) -> Result<Self> {
        let stop = CancellationToken::new();
        let bus = Bus::connect(&stage.world.bus_settings(), &stop)?;
        bus.ready().await?;
        Ok(Self { office, probe: bus.inbox_probe(), stop })
    }

    async fn in_flight(&self, conn: &mut PgConnection) -> Result<i64> {
        let question = "select count(*) from deliveries where office = $1 and sent_at is not null";
        Ok(query_scalar(question).bind(self.office.as_str()).fetch_one(conn).await?)
    }

    /// For so long; gives the most that was in flight and the most in the inbox.
    async fn watch(&self, conn: &mut PgConnection, time: Duration) -> Result<(i64, i64)> {
        let (began, inbox) = (Instant::now(), names::inbox(self.office));
        let mut most = (0, 0);
        while began.elapsed() < time {
            most.0 = most.0.max(self.in_flight(conn).await?);
            if let Some(InboxSight::There { waiting, .. }) =
                self.probe.look(std::slice::from_ref(&inbox)).await?.first()
            {
                most.1 = most.1.max(i64::from(*waiting));
            }
            tokio::time::sleep(LOOK.min(time.saturating_sub(began.elapsed()))).await;
        }
        Ok(most)
    }

    fn close(self) {
        self.stop.cancel();
    }
}

/// What an office that is back was given.
struct Back {
    /// The due day of each file, in the order in which they came.
    due: Vec<String>,
    seconds: f64,
}

/// Connects, and takes and confirms so many requests.
async fn come_back(address: &Address, take: usize) -> Result<Back> {
    let mut line = Line::open(address).await?;
    let began = Instant::now();
    let mut due = Vec::with_capacity(take);
    while due.len() < take {
        let message =
            timeout(NEXT, line.inbox.recv()).await.context("nothing comes any more")?.context("the inbox is gone")?;
        let (Some(deliver), Some(properties)) = (message.deliver, message.basic_properties) else { continue };
        if properties.message_type().is_some_and(|of| of == REQUEST_DELIVER) {
            let body: serde_json::Value = serde_json::from_slice(&message.content.unwrap_or_default())?;
            due.push(body["file_due_on"].as_str().unwrap_or("never").to_owned());
            let about = properties.correlation_id().cloned().context("a request without its id")?;
            line.publish(&received(&about)).await?;
        }
        line.ack(deliver.delivery_tag()).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    line.close().await;
    Ok(Back { due, seconds })
}

fn received(about: &str) -> Sheet {
    Sheet {
        message_type: CommandType::RequestReceived.wire(),
        routing_key: "request.received".to_owned(),
        message_id: Uuid::now_v7().to_string(),
        correlation_id: Some(about.to_owned()),
        time: Timestamp::now().to_string(),
        signed: true,
        body: format!("{{\"request_id\":\"{about}\"}}").into_bytes(),
    }
}

/// How many came after one that is due later. Days are written so that they sort as they follow.
fn out_of_order(due: &[String]) -> usize {
    let mut latest = "";
    let mut count = 0;
    for day in due {
        if day.as_str() < latest {
            count += 1;
        } else {
            latest = day;
        }
    }
    count
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_behind_a_later_one_is_out_of_order() {
        let days = |days: &[&str]| days.iter().map(|day| (*day).to_owned()).collect::<Vec<_>>();
        assert_eq!(out_of_order(&days(&["2026-11-25", "2026-11-25", "2026-12-01", "never"])), 0);
        assert_eq!(out_of_order(&days(&["2026-11-25", "2026-12-01", "2026-11-30", "2026-11-26", "2026-12-01"])), 2);
    }
}
