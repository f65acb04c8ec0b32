//! `inbox`, `answer`, `request submit`: a person plays an office, over AMQP and by its login alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use xacminh_contract::answer::{ApprovedBy, ApproverRole, Basis, Cause, Code, Field, FieldLine, FieldResult, Give};
use xacminh_contract::envelope::{self, CommandType};
use xacminh_contract::receipt::{Outcome, Receipt};
use xacminh_contract::request::{Lane, Opened, Received, Submit};
use xacminh_contract::values::{Handler, Instant};
use xacminh_demo::line::{Address, Line, Sheet, Word};
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::OfficeId;

use crate::settings::Settings;
use crate::{office, request, show, wiring, words};

/// How long a confirm or a receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an inbox may be quiet before it counts as read to its end.
const QUIET: Duration = Duration::from_millis(700);

/// Where an office's password comes from.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// What `office grant --out` wrote.
    #[arg(long, env = "XACMINH_DEMO_CREDENTIALS", value_name = "FILE")]
    credentials: PathBuf,
}

/// Whose inbox.
#[derive(Debug, Args)]
pub(crate) struct Inbox {
    /// Office id, or the code of a unit it serves.
    office: String,
    /// Say `request.received` for each request, and take the messages out of the inbox.
    #[arg(long)]
    receive: bool,
    /// Show the whole of each message, with the persons in it.
    #[arg(long)]
    body: bool,
    #[command(flatten)]
    credentials: Credentials,
}

/// An answer.
#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The request's id.
    id: String,
    /// A01 to A09.
    code: String,
    /// Office id of the answering office; found from the request without it.
    #[arg(long = "as", value_name = "OFFICE")]
    office: Option<String>,
    /// The field in question, such as birth (A02, A03, A09).
    #[arg(long)]
    field: Option<String>,
    /// On what it rests, such as `residence_db` (A02).
    #[arg(long)]
    basis: Option<String>,
    /// Why the record is wrong, such as `data_entry` (A09).
    #[arg(long)]
    cause: Option<String>,
    /// The head of the office approved (A04, A06, A09).
    #[arg(long)]
    approved: bool,
    #[command(flatten)]
    credentials: Credentials,
}

struct Desk {
    office: OfficeId,
    line: Line,
    now: Timestamp,
}

impl Desk {
    async fn open(settings: &Settings, office: &str, credentials: &Credentials) -> Result<Self> {
        let now = wiring::clock(settings)?.now();
        let office = match office.parse() {
            Ok(id) => id,
            Err(_) => office::find(&wiring::registry(settings)?.directory(), office, local_date(now))?,
        };
        let text = std::fs::read_to_string(&credentials.credentials)
            .with_context(|| format!("credentials {}", credentials.credentials.display()))?;
        let password = text
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>())
            .find_map(|cells| (cells.len() == 4 && cells[0] == office.as_str()).then(|| cells[2].to_owned()))
            .with_context(|| format!("{office} is not in {}", credentials.credentials.display()))?;
        let (host, port) = host_and_port(&settings.rabbitmq.url()?)?;
        let address = Address { host, port, vhost: settings.rabbitmq.vhost()?, office, password };
        let line = Line::open(&address).await.with_context(|| {
            format!(
                "connecting as {office} to RabbitMQ at {}:{} (if RabbitMQ runs there, the login was refused: \
                     `office show` tells whether access was revoked, or since when another password holds)",
                address.host, address.port
            )
        })?;
        Ok(Self { office, line, now })
    }

    /// Publishes a command, waits for RabbitMQ's confirm, and gives its message-id.
    async fn say(&mut self, of: CommandType, lane: Lane, body: Vec<u8>) -> Result<String> {
        let message_id = message_id(self.now);
        let sheet = Sheet {
            message_type: of.wire(),
            routing_key: of.routing_key(lane.into()).to_owned(),
            message_id: message_id.clone(),
            correlation_id: None,
            time: Instant(self.now).to_string(),
            signed: true,
            body,
        };
        self.line.publish(&sheet).await?;
        // A message that no queue takes is returned before it is confirmed.
        let confirmed = async {
            match self.line.words.recv().await {
                Some(Word::Confirm { taken: true, .. }) => Ok(()),
                Some(Word::Confirm { taken: false, .. }) => bail!("RabbitMQ could not keep it; try again"),
                Some(Word::Returned(_)) => bail!("RabbitMQ has no queue for it"),
                Some(Word::Closed(why)) => bail!("RabbitMQ closed the line: {why}"),
                None => bail!("the line was lost"),
            }
        };
        tokio::time::timeout(PATIENCE, confirmed).await.context("no confirm in time")??;
        Ok(message_id)
    }

    /// Waits for the receipt of a command. Other messages stay in the inbox: they come again to
    /// whoever reads it next, because they are not acknowledged.
    async fn receipt(&mut self, message_id: &str) -> Result<()> {
        let found = async {
            while let Some(message) = self.line.inbox.recv().await {
                let (kind, body, tag) = parts(&message);
                if kind != envelope::RECEIPT {
                    continue;
                }
                let receipt: Receipt = serde_json::from_slice(body)?;
                let Some(item) =
                    receipt.items.iter().find(|i| i.message_id.as_ref().is_some_and(|id| id.to_string() == message_id))
                else {
                    continue;
                };
                show::json(item)?;
                self.line.ack(tag).await?;
                if item.outcome == Outcome::Refused {
                    bail!("refused; the receipt says what to change");
                }
                return Ok(());
            }
            bail!("the line was lost")
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .context("no receipt in time: are the services running, and does nobody else read this inbox?")?
    }
}

fn parts(message: &xacminh_demo::line::Message) -> (&str, &[u8], u64) {
    let kind = message.basic_properties.as_ref().and_then(|p| p.message_type()).map_or("", |t| t.as_str());
    let tag = message.deliver.as_ref().map_or(0, xacminh_demo::line::Deliver::delivery_tag);
    (kind, message.content.as_deref().unwrap_or_default(), tag)
}

fn id_of(message: &xacminh_demo::line::Message) -> &str {
    message.basic_properties.as_ref().and_then(|p| p.message_id()).map_or("-", |id| id.as_str())
}

/// What a message is about, without anything of a person: a line, or one for each of its items.
fn told(kind: &str, body: &Value) -> Vec<String> {
    let text = |of: &Value, name: &str| of[name].as_str().map(str::to_owned);
    let day = |of: &Value, name: &str| text(of, name)?.parse().ok().map(show::day);
    let file = |of: &Value| Some(format!("hồ sơ (file) {}", text(of, "case_code")?));
    let line = |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let items = || body["items"].as_array().map_or(&[][..], Vec::as_slice);
    match kind {
        envelope::REQUEST_DELIVER => vec![line(vec![
            text(body, "request_id"),
            file(body),
            text(body, "kind").map(|word| format!("{} ({word})", words::of(&word))),
            day(body, "file_due_on").map(|on| format!("hẹn trả (file due) {on}")),
        ])],
        envelope::ANSWER_DELIVER => vec![line(vec![
            text(body, "request_id"),
            file(body),
            text(body, "code").map(|code| format!("trả lời (answer) {code}")),
        ])],
        envelope::RECEIPT => {
            let one = |item: &Value| {
                let refusal = text(&item["refusal"], "code");
                line(vec![text(item, "command"), text(item, "request_id"), text(item, "outcome"), refusal])
            };
            items().iter().map(one).collect()
        }
        envelope::NOTICE => {
            let one = |item: &Value| {
                let due = day(item, "due_on").map(|on| format!("hạn (due) {on}"));
                line(vec![text(item, "topic"), text(item, "request_id"), file(item), due])
            };
            items().iter().map(one).collect()
        }
        _ => Vec::new(),
    }
}

/// `xacminh request submit`.
pub(crate) async fn submit(settings: &Settings, office: &str, credentials: &Credentials, body: Vec<u8>) -> Result<()> {
    // The lane is part of the routing key; a body that cannot be read goes as it is and is refused.
    let lane = serde_json::from_slice::<Submit>(&body).map_or(Lane::Normal, |s| s.lane);
    let mut desk = Desk::open(settings, office, credentials).await?;
    let id = desk.say(CommandType::RequestSubmit, lane, body).await?;
    let outcome = desk.receipt(&id).await;
    desk.line.close().await;
    outcome
}

/// `xacminh inbox`.
pub(crate) async fn inbox(settings: &Settings, args: &Inbox) -> Result<()> {
    let mut desk = Desk::open(settings, &args.office, &args.credentials).await?;
    let mut count = 0;
    while let Ok(Some(message)) = tokio::time::timeout(QUIET, desk.line.inbox.recv()).await {
        let (kind, body, tag) = parts(&message);
        let value: Value = serde_json::from_slice(body)?;
        show::line(format!("{kind}  {}", id_of(&message)));
        if args.body {
            show::json(&value)?;
        } else {
            told(kind, &value).iter().for_each(|line| show::line(format!("    {line}")));
        }
        count += 1;
        if args.receive {
            if let (true, Some(id)) = (kind == envelope::REQUEST_DELIVER, value["request_id"].as_str()) {
                let body = Received { request_id: request::read_id(id)?.into() };
                desk.say(CommandType::RequestReceived, Lane::Normal, serde_json::to_vec(&body)?).await?;
            }
            desk.line.ack(tag).await?;
        }
    }
    let left = if args.receive { "received and taken out" } else { "left where they are; --receive takes them" };
    show::line(format!("{count} messages in the inbox of {}, {left}", desk.office));
    desk.line.close().await;
    Ok(())
}

/// `xacminh answer`.
pub(crate) async fn answer(settings: &Settings, args: &Answer) -> Result<()> {
    let id = request::read_id(&args.id)?;
    let office = match &args.office {
        Some(office) => office.clone(),
        None => {
            let store = wiring::store(settings)?;
            let found = xacminh_store::ledger::read(&mut *store.conn().await?, &[id]).await?;
            found.get(&id).with_context(|| format!("there is no request {id}"))?.request.opening.responder.to_string()
        }
    };
    let handler = |who: &str| -> Result<Handler> { Ok(Handler(who.parse()?)) };
    let code = Code::from_word(&args.code.to_uppercase()).context("the code is A01 to A09")?;
    let field = args
        .field
        .as_deref()
        .map(|f| Field::from_word(f).context("no such field; see docs/PROTOCOL.md"))
        .transpose()?;
    let result = if code == Code::FieldMismatch { FieldResult::Differs } else { FieldResult::Ok };
    let give = Give {
        request_id: id.into(),
        code,
        fields: field.into_iter().map(|field| FieldLine { field, result }).collect(),
        basis: args.basis.as_deref().map(|b| Basis::from_word(b).context("no such basis")).transpose()?,
        cause: args.cause.as_deref().map(|c| Cause::from_word(c).context("no such cause")).transpose()?,
        dwelling_status: None,
        period: None,
        moved_to: None,
        answered_by: handler("at-the-terminal")?,
        approved_by: if args.approved {
            Some(ApprovedBy { role: ApproverRole::OfficeHead, handler: handler("head-at-the-terminal")? })
        } else {
            None
        },
        bulk: false,
        note: None,
    };
    let mut desk = Desk::open(settings, &office, &args.credentials).await?;
    let opened = Opened { request_id: id.into(), handler: Some(handler("at-the-terminal")?) };
    desk.say(CommandType::RequestOpened, Lane::Normal, serde_json::to_vec(&opened)?).await?;
    let message = desk.say(CommandType::AnswerGive, Lane::Normal, serde_json::to_vec(&give)?).await?;
    let outcome = desk.receipt(&message).await;
    desk.line.close().await;
    outcome
}

fn message_id(now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
}

pub(crate) fn host_and_port(url: &str) -> Result<(String, u16)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host_port.rsplit_once(':') {
        Some((host, port)) => Ok((host.to_owned(), port.parse().context("the port of rabbitmq.url")?)),
        None => Ok((host_port.to_owned(), 5672)),
    }
}
