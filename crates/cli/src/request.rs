//! `request`: submit one, show it, trace its whole path, prove its ledger whole.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use xacminh_contract::ledger::Entry;
use xacminh_contract::trace::TraceId;
use xacminh_domain::id::RequestId;
use xacminh_domain::lag::{self, Holder, Hop};
use xacminh_domain::request::Request as Domain;
use xacminh_store::outage::{self, OnRecord, Outage};
use xacminh_store::{PgConnection, Store, ledger, reference, retention};

use crate::recounted::{Moved, moves};
use crate::settings::Settings;
use crate::{play, show, wiring, words};

/// Requests.
#[derive(Debug, Subcommand)]
pub(crate) enum Request {
    /// Submits one as a ward, over AMQP, and prints its receipt.
    Submit(Submit),
    /// How far a request is.
    Show(One),
    /// The whole path of a request, hop by hop: who held it, and for how long.
    Trace(One),
    /// Proves the ledger of a request whole, or says where it is damaged.
    Verify {
        /// The request's id.
        id: String,
    },
}

/// What is submitted.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// Office id of the ward, or the code of a unit it serves.
    #[arg(long = "as", value_name = "OFFICE")]
    office: String,
    /// The body, as `schemas/xacminh.request.submit.v1.json` has it; `-` for standard input.
    body: PathBuf,
    #[command(flatten)]
    credentials: play::Credentials,
}

/// One request.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The request's id.
    id: String,
    /// For a program.
    #[arg(long)]
    json: bool,
}

/// `xacminh request`.
pub(crate) async fn request(settings: &Settings, command: &Request) -> Result<()> {
    match command {
        Request::Submit(args) => {
            let body = if args.body.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())?
            } else {
                std::fs::read_to_string(&args.body).with_context(|| args.body.display().to_string())?
            };
            play::submit(settings, &args.office, &args.credentials, body.into_bytes()).await
        }
        Request::Show(one) => show_one(settings, one).await,
        Request::Trace(one) => trace(settings, one).await,
        Request::Verify { id } => {
            let id = read_id(id)?;
            let (mut conn, _) = where_it_is(&wiring::store(settings)?, id).await?;
            let count = ledger::verify(&mut conn, id).await?;
            show::line(format!("{id}: {count} events, every hash right, nothing missing"));
            Ok(())
        }
    }
}

pub(crate) fn read_id(text: &str) -> Result<RequestId> {
    text.parse().with_context(|| format!("{text} is no request id (a UUID of version 7)"))
}

struct Found {
    request: Domain,
    events: Vec<ledger::Kept>,
    outages: Vec<Outage>,
    /// All that are on record for its time, of its home's inbox too.
    on_record: Vec<OnRecord>,
    reference: reference::Reference,
    now: Timestamp,
    /// It is in the archive.
    has_left: bool,
}

/// A connection that finds a request, and whether that is in the archive.
async fn where_it_is(store: &Store, id: RequestId) -> Result<(PgConnection, bool)> {
    let mut here = store.conn().await?.detach();
    if retention::has_left(&mut here, id).await? { Ok((store.archive().await?, true)) } else { Ok((here, false)) }
}

async fn find(settings: &Settings, id: RequestId) -> Result<Found> {
    let (mut conn, has_left) = where_it_is(&wiring::store(settings)?, id).await?;
    let request =
        ledger::read(&mut conn, &[id]).await?.remove(&id).with_context(|| format!("there is no request {id}"))?.request;
    let now = wiring::clock(settings)?.now();
    let ended = request.at.read.or(request.at.withdrawn).unwrap_or(now);
    let home = request.opening.responder;
    Ok(Found {
        on_record: outage::between(&mut conn, request.at.submitted, ended, Some(home)).await?,
        events: ledger::events_of(&mut conn, id).await?,
        outages: outage::since(&mut conn, request.at.submitted).await?,
        reference: reference::load(&mut conn).await?,
        now,
        has_left,
        request,
    })
}

impl Found {
    fn office(&self, id: xacminh_domain::id::OfficeId) -> String {
        self.reference.directory.office(&id).map_or_else(|| id.to_string(), |o| format!("{} ({id})", o.name))
    }

    /// The trace of its submit: what to look for in logs, here and at the offices.
    fn trace(&self) -> TraceId {
        let sent = self.events.first().and_then(|event| event.body.trace);
        sent.unwrap_or(TraceId::begun_by(self.request.id.uuid()))
    }

    fn holder(&self, holder: Holder) -> String {
        match holder {
            Holder::Requester => self.office(self.request.opening.requester),
            Holder::Broker => words::BROKER.to_owned(),
            Holder::Transport => "đường truyền mất kết nối (line, outage on record)".to_owned(),
            Holder::ResponderSystem => {
                format!("máy (system) của {}", self.office(self.request.opening.responder))
            }
            Holder::Responder => self.office(self.request.opening.responder),
        }
    }
}

async fn show_one(settings: &Settings, one: &One) -> Result<()> {
    let found = find(settings, read_id(&one.id)?).await?;
    let (request, opening) = (&found.request, &found.request.opening);
    let clock = request.clock.as_ref();
    if one.json {
        return show::json(&json!({
            "request_id": request.id.to_string(), "case_code": opening.case_code, "state": request.state.as_str(),
            "kind": opening.kind.as_str(), "lane": opening.lane.as_str(), "requester": opening.requester.as_str(),
            "responder": opening.responder.as_str(), "home_unit": opening.home.as_str(),
            "received_on": opening.received_on.to_string(), "submitted_at": request.at.submitted.to_string(),
            "file_due_on": request.file_due.as_ref().map(|d| d.on.to_string()),
            "accept_due_on": clock.map(|(_, c)| c.accept.on.to_string()),
            "answer_due_on": clock.map(|(_, c)| c.answer.on.to_string()),
            "answer": request.answer.map(|(code, ..)| code.code()), "late": request.answer.map(|(_, late, _)| late),
            "archived": found.has_left,
            "rungs": request.fired.iter().map(|f| json!({ "trigger": f.trigger.as_str(), "rung": f.rung, "at": f.at.to_string() })).collect::<Vec<_>>(),
        }));
    }
    let line = |label: &str, what: String| show::line(format!("{label:<24}{what}"));
    line("Yêu cầu (request)", format!("{}  {}", request.id, words::of(request.state.as_str())));
    if found.has_left {
        line("Lưu trữ (archive)", "đã chuyển vào kho lưu trữ (has left for the archive)".to_owned());
    }
    let received = show::day(opening.received_on);
    line("Hồ sơ (file)", format!("{}, nhận ngày {received} (received)", opening.case_code));
    line("Loại việc (kind)", format!("{}, {}", words::kind(opening.kind), words::lane(opening.lane)));
    line("Nơi hỏi (asked by)", found.office(opening.requester));
    line("Nơi trả lời (asked)", format!("{}, đơn vị (unit) {}", found.office(opening.responder), opening.home));
    if let Some(due) = &request.file_due {
        line("Hẹn trả (file due)", show::day(due.on));
    }
    if let Some((cause, clock)) = clock {
        let (since, cause) = (show::instant(clock.started_at), words::clock_cause((*cause).into()));
        line("Tính hạn (clock)", format!("từ {since}, {cause}"));
        line("", format!("hạn tiếp nhận (accept due) {}", show::day(clock.accept.on)));
        line("", format!("hạn trả lời (answer due) {}", show::day(clock.answer.on)));
    }
    if let Some((code, late, _)) = request.answer {
        line("Trả lời (answer)", format!("{}{}", code.code(), if late { ", trễ hạn (late)" } else { "" }));
    }
    for fired in &request.fired {
        let (rung, trigger) = (words::rung(fired.rung), words::trigger(fired.trigger));
        line("Đôn đốc (rungs)", format!("{}  {rung}, {trigger}", show::instant(fired.at)));
    }
    Ok(())
}

async fn trace(settings: &Settings, one: &One) -> Result<()> {
    let found = find(settings, read_id(&one.id)?).await?;
    let hops = lag::path(&found.request, found.now, &found.outages);
    let calendar = found.reference.calendar_of(found.request.opening.responder);
    let minutes = |from, to| calendar.working_minutes_between(from, to);
    if one.json {
        let hops: Vec<_> = hops
            .iter()
            .map(|h| json!({
                "holder": h.holder.as_str(), "who": found.holder(h.holder), "from": h.from.to_string(), "to": h.to.to_string(),
                "until": h.until, "seconds": h.to.duration_since(h.from).as_secs_f64(), "working_minutes": minutes(h.from, h.to),
            }))
            .collect();
        let outages: Vec<_> = found
            .on_record
            .iter()
            .map(|o| json!({
                "what": o.what, "office": o.office, "from": o.span.0.to_string(), "to": o.span.1.map(|to| to.to_string()),
            }))
            .collect();
        return show::json(&json!({
            "request_id": found.request.id.to_string(), "trace_id": found.trace().to_string(),
            "state": found.request.state.as_str(), "hops": hops, "outages": outages,
            "recounted": moves(&found.events).iter().map(Moved::json).collect::<Vec<_>>(),
        }));
    }
    show::line(format!(
        "Yêu cầu (request) {}  hồ sơ (file) {}  {}",
        found.request.id,
        found.request.opening.case_code,
        words::of(found.request.state.as_str())
    ));
    show::line(format!("  mã vết (trace) {}", found.trace()));
    for Hop { holder, from, to, until } in &hops {
        show::line(format!(
            "  {}  {:>16}  ({:>5} phút làm việc)  {:<38}  {}",
            show::instant(*from),
            show::stretch(*from, *to),
            minutes(*from, *to),
            words::until(until),
            found.holder(*holder)
        ));
    }
    if let (Some(first), Some(last)) = (hops.first(), hops.last()) {
        show::line(format!(
            "  tất cả (in all), {} – {}: {} = tổng các chặng (the sum of the hops; {} phút làm việc, working min)",
            show::instant(first.from),
            show::instant(last.to),
            show::stretch(first.from, last.to),
            minutes(first.from, last.to)
        ));
    }
    for outage in &found.on_record {
        let (from, to) = outage.span;
        let what = match outage.what.as_str() {
            "rabbitmq" => {
                "RabbitMQ mất kết nối: thời gian của máy nơi trả lời tính cho đường truyền \
                 (RabbitMQ away: what was the home's system's time is the line's)"
            }
            "store" => {
                "PostgreSQL mất kết nối; không đổi thời gian của ai (PostgreSQL away; nobody's time changes by it)"
            }
            _ => {
                "không ai đọc hộp tin của nơi trả lời; không đổi thời gian của ai \
                 (nobody read the home's inbox; nobody's time changes by it)"
            }
        };
        show::line(format!(
            "  {}  {:>16}  {}  {what}",
            show::instant(from),
            show::stretch(from, to.unwrap_or(found.now)),
            if to.is_some() { "mất kết nối (outage)" } else { "còn mất kết nối (outage, still)" },
        ));
    }
    for moved in moves(&found.events) {
        moved.lines().iter().for_each(show::line);
    }
    for event in &found.events {
        if let Entry::RungFired { trigger, rung, target, .. } = &event.body.entry {
            let target = target.as_ref().map_or_else(|| "người vận hành (operator)".to_owned(), |t| found.office(t.0));
            let (rung, trigger) = (words::rung(rung), words::trigger((*trigger).into()));
            show::line(format!("  {}  {rung}, {trigger}: {target}", show::instant(event.at)));
        }
    }
    Ok(())
}
