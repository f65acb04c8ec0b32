//! Reads a delivery: everything about it that needs no store.

use std::str::FromStr;

use xacminh_bus::Delivery;
use xacminh_contract::decode::{self, Command};
use xacminh_contract::envelope::{CommandType, TypeError};
use xacminh_contract::receipt::Refusal;
use xacminh_contract::refusal::RefusalCode;
use xacminh_contract::request::Lane;
use xacminh_contract::resubmit::Changes;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};
use xacminh_store::inbox::Key;
use xacminh_trust::key::KeyRing;

/// The label of digests over commands.
pub(crate) const DIGEST: &str = "command";

/// What a delivery asks for.
pub(crate) enum Asked {
    /// A command as it stands.
    Command(Command),
    /// A submit that changes a refused one.
    Changes(Changes),
}

/// A delivery, as far as its form could be read.
pub(crate) struct Read<'d> {
    pub(crate) delivery: &'d Delivery,
    pub(crate) sender: OfficeId,
    pub(crate) message_id: Option<MessageId>,
    pub(crate) of: Option<CommandType>,
    pub(crate) digest: [u8; 32],
    pub(crate) asked: Result<Asked, Refusal>,
}

impl Read<'_> {
    /// The key it is taken by, once; none without an id.
    pub(crate) fn key(&self) -> Option<Key> {
        self.message_id.map(|id| (self.sender, id))
    }
}

pub(crate) fn sender(delivery: &Delivery) -> Option<OfficeId> {
    delivery.properties.user_id.as_deref().and_then(|login| OfficeId::from_str(login).ok())
}

/// Reads everything about a delivery that needs no store.
pub(crate) fn read<'d>(keys: &KeyRing, delivery: &'d Delivery, sender: OfficeId) -> Read<'d> {
    let p = &delivery.properties;
    let message_id = p.message_id.as_deref().and_then(|id| id.parse().ok());
    let kind = p.message_type.as_deref().unwrap_or_default();
    let parsed = CommandType::parse(kind);
    let asked = match parsed {
        Err(TypeError::Unknown) => {
            Err(RefusalCode::TypeUnknown.detail(CommandType::ALL.map(CommandType::wire).join(" | ")))
        }
        Err(TypeError::Version) => Err(RefusalCode::VersionUnknown.refusal()),
        Ok(of) if !of.routing_keys().contains(&p.routing_key.as_str()) => {
            Err(RefusalCode::RoutingKeyWrong.detail(of.routing_keys().join(" | ")))
        }
        Ok(of) => asked(of, delivery),
    };
    Read {
        delivery,
        sender,
        message_id,
        of: parsed.ok(),
        digest: *keys.digest(DIGEST, &signed(delivery)).as_bytes(),
        asked,
    }
}

fn asked(of: CommandType, delivery: &Delivery) -> Result<Asked, Refusal> {
    if of == CommandType::RequestSubmit
        && let Some(changes) = Changes::read(&delivery.bytes)?
    {
        return Ok(Asked::Changes(changes));
    }
    let command = decode::command(of, &delivery.bytes)?;
    lane_fits(command, &delivery.properties.routing_key).map(Asked::Command)
}

/// What a repeat must repeat: type and body.
pub(crate) fn signed(delivery: &Delivery) -> Vec<u8> {
    let mut signed = delivery.properties.message_type.clone().unwrap_or_default().into_bytes();
    signed.push(0);
    signed.extend_from_slice(&delivery.bytes);
    signed
}

/// A submit's lane and its routing key must say the same: the queue was chosen by the key.
pub(crate) fn lane_fits(command: Command, routing_key: &str) -> Result<Command, Refusal> {
    match &command {
        Command::Submit(submit) if routing_key.rsplit('.').next().and_then(Lane::from_word) != Some(submit.lane) => {
            Err(Refusal {
                pointer: "/lane".to_owned(),
                ..RefusalCode::RoutingKeyWrong.detail(format!("submit.{}", submit.lane.as_str()))
            })
        }
        Command::Submit(_)
        | Command::Withdraw(_)
        | Command::Received(_)
        | Command::Opened(_)
        | Command::Give(_)
        | Command::Read(_)
        | Command::CloseFile(_)
        | Command::Reconcile(_) => Ok(command),
    }
}

/// The request a command is about, or would make.
pub(crate) fn wanted(read: &Read<'_>) -> Option<RequestId> {
    match &read.asked {
        Ok(Asked::Command(Command::Submit(_)) | Asked::Changes(_)) => read.message_id.map(RequestId::of),
        Ok(Asked::Command(command)) => command.request_id().map(|id| id.0),
        Err(_) => None,
    }
}

pub(crate) fn out_of_range(id: MessageId, now: Timestamp) -> Refusal {
    let thirteen_months = jiff::SignedDuration::from_hours(24 * 396);
    if id.at() < now - thirteen_months {
        RefusalCode::IdTooOld.refusal()
    } else {
        let day = |at: Timestamp| local_date(at).to_string();
        let hours = jiff::SignedDuration::from_hours;
        RefusalCode::IdTimeOutOfRange.detail(format!("{} to {}", day(now - hours(90 * 24)), day(now + hours(24))))
    }
}

pub(crate) fn whole_microseconds(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_microsecond(at.as_microsecond()).ok()
}
