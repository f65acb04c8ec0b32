//! Rows in PostgreSQL's binary COPY format, and whoever streams them into a table each.
//!
//! A table that was emptied in the same transaction takes rows as frozen: nothing has to be vacuumed
//! after a fill, and no measurement is disturbed by it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::offset;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The head of a binary COPY: signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Its end.
const TAIL: [u8; 2] = (-1_i16).to_be_bytes();
/// From 1970 to 2000, where PostgreSQL counts from.
const EPOCH_US: i64 = 946_684_800_000_000;
const EPOCH: Date = Date::constant(2000, 1, 1);
/// How many chunks may wait for a table.
const AHEAD: usize = 4;

/// A table that is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Requests,
    Events,
    Inbox,
    Timers,
    Persons,
    Answers,
    Rungs,
    Deliveries,
    SentLetters,
}

impl Table {
    const ALL: [Self; 9] = [
        Self::Requests,
        Self::Events,
        Self::Inbox,
        Self::Timers,
        Self::Persons,
        Self::Answers,
        Self::Rungs,
        Self::Deliveries,
        Self::SentLetters,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Events => "events",
            Self::Inbox => "inbox",
            Self::Timers => "timers",
            Self::Persons => "persons",
            Self::Answers => "answers",
            Self::Rungs => "rungs",
            Self::Deliveries => "deliveries",
            Self::SentLetters => "sent_letters",
        }
    }

    /// What `rows.rs` writes, in its order.
    fn columns(self) -> &'static str {
        match self {
            Self::Requests => {
                "request_id, requester, responder, requester_province, responder_province, home_unit, kind, lane, \
                 lookup_pending, case_code, received_on, state, seq, head_hash, submitted_at, sent_at, delivered_at, \
                 opened_at, answered_at, answer_sent_at, read_at, withdrawn_at, file_due_on, clock_cause, clock_start, \
                 accept_due_on, answer_due_on, answer_due_at, calendar_version, answer_code, answer_late, handler, \
                 rung, received_at, purpose"
            }
            Self::Events => "request_id, seq, at, hash, body",
            Self::Inbox => "message_id, sender, body_digest, at, command, request_id, receipt, refused",
            Self::Timers => {
                "request_id, due_at, requester, responder, requester_province, responder_province, submitted_at,
                 lookup_pending, state, clock_cause, answer_due_at"
            }
            Self::Persons => "request_id, wrapped_key, sealed",
            Self::Answers => "request_id, sealed",
            Self::Rungs => "request_id, trigger, rung, clock_start, due_at, fired_at, target",
            Self::Deliveries => {
                "request_id, shard, office, message_id, rank, due_on, created_at, traceparent, sealed, sent_at, again_at"
            }
            Self::SentLetters => {
                "office, message_id, message_type, request_id, created_at, traceparent, sealed, sent_at"
            }
        }
    }

    fn by_month(self) -> bool {
        match self {
            Self::Events | Self::Inbox | Self::Requests | Self::Persons | Self::Answers | Self::Rungs => true,
            Self::Timers | Self::Deliveries | Self::SentLetters => false,
        }
    }
}

/// Where a row goes: a table, or its partition of a month (`YYYYMM`).
pub(crate) type Leaf = (Table, Option<i32>);

/// The partition for an id of this instant, by the rule of `ensure_partitions`.
pub(crate) fn month(at: Timestamp) -> i32 {
    let day = offset(0).to_datetime(at).date();
    i32::from(day.year()) * 100 + i32::from(day.month())
}

/// Rows for some leaves.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    by_leaf: BTreeMap<Leaf, Vec<u8>>,
    /// How many there are.
    pub(crate) count: u64,
}

impl Rows {
    /// Begins a row; as many fields have to follow as the table's columns are.
    pub(crate) fn row(&mut self, table: Table, id_at: Timestamp) -> Row<'_> {
        self.count += 1;
        let bytes = self.by_leaf.entry((table, table.by_month().then(|| month(id_at)))).or_default();
        let fields = i16::try_from(table.columns().split(',').count()).unwrap_or(0);
        bytes.extend_from_slice(&fields.to_be_bytes());
        Row(bytes)
    }
}

/// A row being written.
pub(crate) struct Row<'a>(&'a mut Vec<u8>);

impl Row<'_> {
    fn field(self, bytes: &[u8]) -> Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn null(self) -> Self {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    pub(crate) fn uuid(self, of: Uuid) -> Self {
        self.field(of.as_bytes())
    }

    pub(crate) fn text(self, of: &str) -> Self {
        self.field(of.as_bytes())
    }

    pub(crate) fn bytes(self, of: &[u8]) -> Self {
        self.field(of)
    }

    pub(crate) fn flag(self, of: bool) -> Self {
        self.field(&[u8::from(of)])
    }

    pub(crate) fn small(self, of: i16) -> Self {
        self.field(&of.to_be_bytes())
    }

    pub(crate) fn int(self, of: u32) -> Self {
        self.field(&of.to_be_bytes())
    }

    /// `Timestamp::MAX` is `infinity`, as the store has it.
    pub(crate) fn at(self, of: Timestamp) -> Self {
        let us = if of == Timestamp::MAX { i64::MAX } else { of.as_microsecond() - EPOCH_US };
        self.field(&us.to_be_bytes())
    }

    /// A day; none is `infinity`.
    pub(crate) fn day_or_never(self, of: Option<Date>) -> Self {
        let days = of.and_then(|on| EPOCH.until(on).ok()).map_or(i32::MAX, |span| span.get_days());
        self.field(&days.to_be_bytes())
    }

    pub(crate) fn on(self, of: Date) -> Self {
        self.day_or_never(Some(of))
    }

    /// NULL, or what `write` makes of it.
    pub(crate) fn opt<T>(self, of: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match of {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }
}

/// A stream into each leaf, all open at once.
pub(crate) struct Streams {
    senders: BTreeMap<Leaf, mpsc::Sender<Vec<u8>>>,
    tasks: JoinSet<Result<u64>>,
}

/// The ends that rows are put in.
#[derive(Clone)]
pub(crate) struct Ends(BTreeMap<Leaf, mpsc::Sender<Vec<u8>>>);

impl Streams {
    /// Opens them; what is in these tables goes. `months` are those of the ids.
    pub(crate) fn open(url: &str, months: &[i32]) -> Self {
        let mut streams = Self { senders: BTreeMap::new(), tasks: JoinSet::new() };
        for table in Table::ALL {
            let parts: Vec<Option<i32>> =
                if table.by_month() { months.iter().copied().map(Some).collect() } else { vec![None] };
            for part in parts {
                let (sender, rows) = mpsc::channel(AHEAD);
                let name = part.map_or_else(|| table.name().to_owned(), |month| format!("{}_{month}", table.name()));
                streams.senders.insert((table, part), sender);
                streams.tasks.spawn(stream(url.to_owned(), name, table.columns(), rows));
            }
        }
        streams
    }

    pub(crate) fn ends(&self) -> Ends {
        Ends(self.senders.clone())
    }

    /// Commits all, once every end is dropped; gives the number of rows.
    pub(crate) async fn close(mut self) -> Result<u64> {
        drop(std::mem::take(&mut self.senders));
        let mut rows = 0;
        while let Some(done) = self.tasks.join_next().await {
            rows += done??;
        }
        Ok(rows)
    }
}

impl Ends {
    /// Puts rows into their streams, waiting for room. Blocks: for threads that make rows.
    pub(crate) fn put(&self, rows: Rows) -> Result<()> {
        for (leaf, bytes) in rows.by_leaf {
            let sender = self.0.get(&leaf).with_context(|| format!("no stream for {leaf:?}"))?;
            ensure!(sender.blocking_send(bytes).is_ok(), "the stream into {leaf:?} has ended");
        }
        Ok(())
    }
}

async fn stream(url: String, table: String, columns: &'static str, mut rows: mpsc::Receiver<Vec<u8>>) -> Result<u64> {
    let mut conn = PgConnection::connect(&url).await?;
    // Read committed, one statement after the other; nothing else works on the database yet.
    raw_sql(AssertSqlSafe(format!("begin; truncate {table}"))).execute(&mut conn).await?;
    let mut copy =
        conn.copy_in_raw(&format!("copy {table} ({columns}) from stdin with (format binary, freeze)")).await?;
    copy.send(HEAD).await.context("the head")?;
    while let Some(bytes) = rows.recv().await {
        copy.send(bytes).await.with_context(|| table.clone())?;
    }
    copy.send(TAIL.as_slice()).await?;
    let count = copy.finish().await.with_context(|| table.clone())?;
    raw_sql("commit").execute(&mut conn).await?;
    conn.close().await?;
    Ok(count)
}
