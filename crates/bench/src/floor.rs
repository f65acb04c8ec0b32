//! The floor: a bare relay that moves the same messages over the same queues with a row a life.
//!
//! ```text
//! queue ─▶ batch ─▶ one statement ─▶ publish all, await confirms ─▶ ack the batch
//!                        └─ the next batch is stored meanwhile
//! ```
//!
//! What it leaves out is what the product is for; what it does, it does as well as it can be done.
//!
//! Plain, it is the same relay with four messages a life: submit, deliver, answer, answer.deliver.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use jiff::Timestamp;
use lapin::message::Delivery;
use lapin::types::ShortString;
use serde::Deserialize;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row};
use tokio::sync::mpsc;
use uuid::Uuid;
use xacminh_contract::envelope::{ANSWER_DELIVER, RECEIPT, REQUEST_DELIVER};
use xacminh_contract::names::{INBOX_PREFIX, QUEUE_ANSWERING, QUEUE_INTAKE};

use crate::offices::RECEIPT_OF_NOTHING;
use crate::pipe::{Acks, Inlet, Out, Outlet, connect};

/// How many batches of a queue wait for their confirms at once.
const UNCONFIRMED: usize = 3;

/// What it says on standard output when it takes messages.
pub(crate) const READY: &str = "floor: ready";

/// Its table, the least that knows where an answer goes.
pub(crate) const TABLE: &str = "create table lives (
    request_id uuid primary key, requester text not null, responder text not null, state smallint not null
) with (fillfactor = 70)";

/// `xacminh-bench floor`: one relay, until it is ended.
#[derive(Debug, Args)]
pub(crate) struct Floor {
    /// PostgreSQL.
    #[arg(long, env = "XACMINH_BENCH_PG_URL", hide_env_values = true)]
    pg_url: String,
    /// RabbitMQ, with the virtual host.
    #[arg(long, env = "XACMINH_BENCH_AMQP_URL", hide_env_values = true)]
    amqp_url: String,
    /// A file of lines `unit,office`.
    #[arg(long)]
    homes: PathBuf,
    /// How long receipts for one command, delivered requests and delivered answers shall be, in bytes.
    #[arg(long, num_args = 3)]
    sizes: Vec<usize>,
    /// Give no receipts.
    #[arg(long)]
    plain: bool,
}

struct Relay {
    pool: PgPool,
    homes: HashMap<String, String>,
    sizes: [usize; 3],
    plain: bool,
}

/// A batch that is stored: what follows from it, and up to where it goes.
struct Stored {
    out: Vec<Out>,
    tag: u64,
}

pub(crate) async fn run(args: &Floor) -> Result<()> {
    let homes = std::fs::read_to_string(&args.homes)?;
    let homes = homes.lines().filter_map(|l| l.split_once(',')).map(|(u, o)| (u.to_owned(), o.to_owned())).collect();
    let &[receipt, deliver, answer] = args.sizes.as_slice() else { bail!("three sizes") };
    let pool = PgPoolOptions::new().max_connections(4).test_before_acquire(false).connect(&args.pg_url).await?;
    let relay = Relay { pool, homes, sizes: [receipt, deliver, answer], plain: args.plain };
    let consuming = connect(&args.amqp_url, "floor consume").await?;
    let publishing = connect(&args.amqp_url, "floor publish").await?;
    let (intake, answering) =
        (Inlet::open(&consuming, QUEUE_INTAKE).await?, Inlet::open(&consuming, QUEUE_ANSWERING).await?);
    let (out1, out2) = (Outlet::open(&publishing).await?, Outlet::open(&publishing).await?);
    writeln!(std::io::stdout(), "{READY}")?;
    tokio::try_join!(move_all(&relay, intake, out1, true), move_all(&relay, answering, out2, false))?;
    Ok(())
}

/// Stores batch after batch; what follows leaves while the next ones are stored.
async fn move_all(relay: &Relay, mut inlet: Inlet, outlet: Outlet, intake: bool) -> Result<()> {
    let acks = inlet.acks();
    let (stored, waiting) = mpsc::channel(1);
    let storing = async {
        loop {
            let batch = inlet.batch().await?;
            let tag = batch.last().map_or(0, |d| d.delivery_tag);
            let out = if intake { relay.submits(&batch).await? } else { relay.others(&batch).await? };
            if stored.send(Stored { out, tag }).await.is_err() {
                bail!("nobody sends any more");
            }
        }
    };
    tokio::try_join!(storing, leave(&outlet, &acks, waiting)).map(|((), ())| ())
}

/// Some batches at once; acknowledged in order, because an ack covers what came before.
async fn leave(outlet: &Outlet, acks: &Acks, mut waiting: mpsc::Receiver<Stored>) -> Result<()> {
    let mut leaving = FuturesOrdered::new();
    loop {
        tokio::select! {
            Some(done) = leaving.next() => acks.up_to(done?).await?,
            next = waiting.recv(), if leaving.len() < UNCONFIRMED => {
                let Stored { out, tag } = next.context("nobody stores any more")?;
                leaving.push_back(async move { outlet.publish(out).await.map(|()| tag) });
            }
        }
    }
}

#[derive(Deserialize)]
struct Submit<'a> {
    #[serde(borrow)]
    home: Home<'a>,
}

#[derive(Deserialize)]
struct Home<'a> {
    code: &'a str,
}

#[derive(Deserialize)]
struct About<'a> {
    request_id: &'a str,
}

impl Relay {
    /// A row each; the request for H, and a receipt for W.
    async fn submits(&self, batch: &[Delivery]) -> Result<Vec<Out>> {
        let (mut ids, mut wards, mut homes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut out, mut receipts) = (Vec::with_capacity(2 * batch.len()), Receipts::default());
        let now = Timestamp::now().to_string();
        for delivery in batch {
            let id: Uuid = word(delivery.properties.message_id())?.parse()?;
            let ward = word(delivery.properties.user_id())?;
            let submit: Submit<'_> = serde_json::from_slice(&delivery.data)?;
            let home = self.homes.get(submit.home.code).context("a home that is none")?;
            let head = format!("{{\"request_id\":\"{id}\",\"submitted_at\":\"{now}\",\"submit\":");
            let mut body = head.into_bytes();
            body.extend_from_slice(&delivery.data);
            body.push(b'}');
            out.push(Out {
                inbox: format!("{INBOX_PREFIX}{home}"),
                kind: REQUEST_DELIVER,
                about: id.to_string(),
                time: now.clone(),
                body: filled(body, self.sizes[1]),
            });
            if !self.plain {
                receipts.add(ward, id, id, &now, self.sizes[0]);
            }
            ids.push(id);
            wards.push(ward);
            homes.push(home.as_str());
        }
        sqlx::query(
            "insert into lives (request_id, requester, responder, state)
             select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), 1",
        )
        .bind(ids)
        .bind(wards)
        .bind(homes)
        .execute(&self.pool)
        .await?;
        out.extend(receipts.out(&now));
        Ok(out)
    }

    /// The row's state; of an answer the answer for W, and a receipt for H.
    async fn others(&self, batch: &[Delivery]) -> Result<Vec<Out>> {
        let now = Timestamp::now().to_string();
        let mut states: HashMap<Uuid, i16> = HashMap::with_capacity(batch.len());
        let (mut answered, mut receipts) = (Vec::new(), Receipts::default());
        for delivery in batch {
            let About { request_id } = serde_json::from_slice(&delivery.data)?;
            let request_id: Uuid = request_id.parse()?;
            let state = match word(delivery.properties.kind())? {
                "xacminh.request.received.v1" => 2,
                "xacminh.request.opened.v1" => 3,
                "xacminh.answer.give.v1" => {
                    if !self.plain {
                        let command: Uuid = word(delivery.properties.message_id())?.parse()?;
                        receipts.add(word(delivery.properties.user_id())?, command, request_id, &now, self.sizes[0]);
                    }
                    answered.push((request_id, &delivery.data));
                    4
                }
                "xacminh.answer.read.v1" => 5,
                other => bail!("{other} is no message of a life"),
            };
            let known = states.entry(request_id).or_default();
            *known = state.max(*known);
        }
        let (ids, states): (Vec<Uuid>, Vec<i16>) = states.into_iter().unzip();
        let rows = sqlx::query(
            // The limit has PostgreSQL look for each by its key, as the product does in its `request::update`.
            "update lives l set state = greatest(l.state, n.s)
             from (select * from unnest($1::uuid[], $2::smallint[]) as n (i, s) limit $3) n
             where l.request_id = n.i returning l.request_id, l.requester",
        )
        .bind(&ids)
        .bind(states)
        .bind(i64::try_from(ids.len())?)
        .fetch_all(&self.pool)
        .await?;
        let wards: HashMap<Uuid, &str> =
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?;
        let mut out = Vec::with_capacity(2 * answered.len());
        for (id, data) in answered {
            let head = format!("{{\"request_id\":\"{id}\",\"answered_at\":\"{now}\",\"answer\":");
            let mut body = head.into_bytes();
            body.extend_from_slice(data);
            body.push(b'}');
            out.push(Out {
                inbox: format!("{INBOX_PREFIX}{}", wards.get(&id).context("an answer to nothing")?),
                kind: ANSWER_DELIVER,
                about: id.to_string(),
                time: now.clone(),
                body: filled(body, self.sizes[2]),
            });
        }
        out.extend(receipts.out(&now));
        Ok(out)
    }
}

/// The receipts of a batch: one message an office, as the product has it.
#[derive(Default)]
struct Receipts<'d>(HashMap<&'d str, (Uuid, Vec<u8>)>);

impl<'d> Receipts<'d> {
    fn add(&mut self, office: &'d str, command: Uuid, about: Uuid, now: &str, size: usize) {
        let item = format!(
            "{{\"message_id\":\"{command}\",\"request_id\":\"{about}\",\"outcome\":\"accepted\",\"at\":\"{now}\"}}"
        );
        let item = filled(item.into_bytes(), size.saturating_sub(RECEIPT_OF_NOTHING.len()));
        let (_, items) = self.0.entry(office).or_insert_with(|| (about, Vec::new()));
        if !items.is_empty() {
            items.push(b',');
        }
        items.extend_from_slice(&item);
    }

    fn out(self, now: &str) -> impl Iterator<Item = Out> {
        self.0.into_iter().map(move |(office, (about, items))| Out {
            inbox: format!("{INBOX_PREFIX}{office}"),
            kind: RECEIPT,
            about: about.to_string(),
            time: now.to_owned(),
            body: [&br#"{"items":["#[..], &items, b"]}"].concat(),
        })
    }
}

/// As long as the product's, which JSON's readers do not mind.
fn filled(mut body: Vec<u8>, size: usize) -> Vec<u8> {
    body.resize(size.max(body.len()), b' ');
    body
}

fn word(text: &Option<ShortString>) -> Result<&str> {
    text.as_ref().map(ShortString::as_str).context("a property is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_of_an_office_share_a_message_of_the_wanted_size() {
        let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
        let mut receipts = Receipts::default();
        receipts.add("vpa2b3c4", a, a, "2026-11-26T00:00:00Z", 400);
        receipts.add("vpa2b3c4", b, b, "2026-11-26T00:00:00Z", 400);
        let out: Vec<Out> = receipts.out("2026-11-26T00:00:00Z").collect();
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].body.len(), 2 * (400 - 12) + 12 + 1);
        let read: serde_json::Value = serde_json::from_slice(&out[0].body).unwrap();
        assert_eq!(read["items"][1]["message_id"], b.to_string());
    }

    #[test]
    fn nothing_is_cut_to_fit() {
        assert_eq!(filled(b"{}".to_vec(), 1), b"{}");
    }
}
