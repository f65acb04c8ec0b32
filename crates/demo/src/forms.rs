//! What offices write: submits that are right, submits that cannot be, and answers of every code.

use anyhow::Result;
use jiff::civil::Date;
use rand::Rng;
use serde_json::{Value, json};
use xacminh_contract::answer::{Code, Give};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::refusal::RefusalCode;
use xacminh_contract::request::{Home, Kind, Lane, LaneReason, Lookup, Purpose, Submit};
use xacminh_contract::values::Text;
use xacminh_domain::id::RequestId;

use crate::client::Draft;
use crate::ledger::Expect;
use crate::people;
use crate::table::{number_of, worked};

/// Kinds and how many of a hundred requests are of them.
const KINDS: [(Kind, u32); 8] = [
    (Kind::TempResidence, 55),
    (Kind::TempRenewal, 12),
    (Kind::PermTransfer, 18),
    (Kind::DwellingStatus, 4),
    (Kind::ResidenceHistory, 4),
    (Kind::NoResidence, 3),
    (Kind::DataCorrection, 3),
    (Kind::IdentityConflict, 1),
];

/// A home by today's code.
pub(crate) fn home_by_code(code: &str, as_of: Date) -> Result<Home> {
    Ok(serde_json::from_value(json!({ "code": code, "as_of": as_of.to_string() }))?)
}

/// A submit about somebody who does not exist.
pub(crate) fn submit(home: &Home, case_code: &str, received_on: Date, rng: &mut impl Rng) -> Result<Submit> {
    let kind = weighted(&KINDS, rng);
    let (lane, lane_reason) = match rng.random_range(0..100) {
        0..3 => (Lane::Urgent, Some(LaneReason::AppointmentNear)),
        3..13 => (Lane::Bulk, None),
        _ => (Lane::Normal, None),
    };
    let purpose = match kind {
        Kind::DataCorrection | Kind::IdentityConflict => Purpose::Correction,
        Kind::DwellingStatus => Purpose::DataUpdate,
        Kind::TempResidence | Kind::TempRenewal | Kind::PermTransfer | Kind::ResidenceHistory | Kind::NoResidence => {
            Purpose::Registration
        }
    };
    let lookup = if rng.random_ratio(1, 50) { Lookup::Pending } else { Lookup::Done };
    let mut form = json!({
        "kind": kind, "case_code": case_code, "received_on": received_on.to_string(), "purpose": purpose, "lane": lane,
        "lookup": lookup, "home": home, "person": people::person(rng)?,
    });
    if let Some(reason) = lane_reason {
        form["lane_reason"] = json!(reason);
    }
    if let Some(n) = number_of(received_on).filter(|_| matches!(kind, Kind::TempResidence | Kind::TempRenewal)) {
        form["promised_on"] = json!(worked(n + 3).to_string());
    }
    Ok(serde_json::from_value(form)?)
}

/// A submit, ready to send.
pub(crate) fn submit_draft(submit: &Submit, expect: Expect) -> Result<Draft> {
    let key = CommandType::RequestSubmit.routing_key(submit.lane.into());
    Draft::new(CommandType::RequestSubmit, key, submit, expect)
}

/// A submit that cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// A number of five digits.
    Number,
    /// A code that no unit ever had.
    HomeUnknown,
    /// A commune that was split.
    HomeAmbiguous,
    /// The thirtieth of February.
    Date,
    /// No JSON.
    Unreadable,
    /// A key of another message.
    WrongKey,
    /// A key that nothing is bound to.
    UnboundKey,
    /// Without a name.
    FieldMissing,
    /// With what nobody may ask.
    FieldUnknown,
    /// Longer than 64 KiB.
    TooLarge,
    /// Urgent without a reason.
    NoReason,
    /// A home of the ward's own.
    OwnOffice,
}

impl Bad {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Number,
        Self::HomeUnknown,
        Self::HomeAmbiguous,
        Self::Date,
        Self::Unreadable,
        Self::WrongKey,
        Self::UnboundKey,
        Self::FieldMissing,
        Self::FieldUnknown,
        Self::TooLarge,
        Self::NoReason,
        Self::OwnOffice,
    ];

    /// What the refusal must say.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Number => RefusalCode::IdMalformed,
            Self::HomeUnknown => RefusalCode::HomeUnknown,
            Self::HomeAmbiguous => RefusalCode::HomeAmbiguous,
            Self::Date => RefusalCode::DateImpossible,
            Self::Unreadable => RefusalCode::BodyUnreadable,
            Self::WrongKey | Self::UnboundKey => RefusalCode::RoutingKeyWrong,
            Self::FieldMissing => RefusalCode::FieldMissing,
            Self::FieldUnknown => RefusalCode::FieldUnknown,
            Self::TooLarge => RefusalCode::BodyTooLarge,
            Self::NoReason => RefusalCode::LaneReasonRequired,
            Self::OwnOffice => RefusalCode::HomeIsOwn,
        }
        .as_str()
    }

    /// Spoils a submit that was right. `own` is the ward's own unit, `ambiguous` leads to several.
    pub(crate) fn spoil(self, mut submit: Submit, own: &Home, ambiguous: &Home) -> Result<Draft> {
        submit.lane = Lane::Normal;
        submit.lane_reason = None;
        match self {
            Self::Number => submit.person.person_no = Some(Text("99919".to_owned())),
            Self::HomeUnknown => {
                submit.home = serde_json::from_value(json!({ "name": "Xã Không Có Thật" }))?;
            }
            Self::HomeAmbiguous => submit.home = ambiguous.clone(),
            Self::OwnOffice => submit.home = own.clone(),
            Self::NoReason => submit.lane = Lane::Urgent,
            Self::Date
            | Self::Unreadable
            | Self::WrongKey
            | Self::UnboundKey
            | Self::FieldMissing
            | Self::FieldUnknown
            | Self::TooLarge => {}
        }
        let mut draft = submit_draft(&submit, Expect::Refused(self.code()))?;
        let mut body = serde_json::to_value(&submit)?;
        match self {
            Self::Date => body["received_on"] = json!("2026-02-30"),
            Self::FieldMissing => {
                if let Some(person) = body["person"].as_object_mut() {
                    person.remove("full_name");
                }
            }
            Self::FieldUnknown => body["person"]["religion"] = json!("–"),
            Self::TooLarge => body["note"] = Value::String("x".repeat(70 * 1024)),
            Self::WrongKey => "answer.give".clone_into(&mut draft.routing_key),
            Self::UnboundKey => "submit.express".clone_into(&mut draft.routing_key),
            Self::Number
            | Self::HomeUnknown
            | Self::HomeAmbiguous
            | Self::Unreadable
            | Self::NoReason
            | Self::OwnOffice => {}
        }
        draft.body = if self == Self::Unreadable { b"\xff\xfe{\"kind\":".to_vec() } else { serde_json::to_vec(&body)? };
        Ok(draft)
    }
}

/// Answer codes and how many of a hundred answers are of them.
const CODES: [(Code, u32); 9] = [
    (Code::Confirmed, 76),
    (Code::ConfirmedCorrected, 5),
    (Code::FieldMismatch, 6),
    (Code::NotRegisteredHere, 3),
    (Code::MovedPermanent, 3),
    (Code::Deregistered, 2),
    (Code::DwellingUndetermined, 3),
    (Code::IdentityConflict, 1),
    (Code::RecordError, 1),
];

/// A code, mostly A01.
pub(crate) fn any_code(rng: &mut impl Rng) -> Code {
    weighted(&CODES, rng)
}

/// An answer with what its code demands.
pub(crate) fn give(request: RequestId, code: Code, evening: bool) -> Result<Give> {
    let mut form = json!({
        "request_id": request.to_string(), "code": code, "basis": "residence_db", "answered_by": "cb-017",
        "dwelling_status": { "status": if code == Code::DwellingUndetermined { "undetermined" } else { "determined" } },
    });
    if evening && code == Code::Confirmed {
        form["bulk"] = json!(true);
    }
    match code {
        Code::Confirmed | Code::MovedPermanent | Code::IdentityConflict | Code::DwellingUndetermined => {}
        Code::ConfirmedCorrected => form["fields"] = json!([{ "field": "address", "result": "differs" }]),
        Code::FieldMismatch => {
            form["fields"] =
                json!([{ "field": "full_name", "result": "ok" }, { "field": "birth", "result": "differs" }]);
        }
        Code::NotRegisteredHere | Code::Deregistered => {}
        Code::RecordError => {
            form["fields"] = json!([{ "field": "civil_status", "result": "differs" }]);
            form["cause"] = json!("data_entry");
        }
    }
    if matches!(code, Code::NotRegisteredHere | Code::Deregistered | Code::RecordError) {
        form["approved_by"] = json!({ "role": "office_head", "handler": "tr-001" });
    }
    Ok(serde_json::from_value(form)?)
}

fn weighted<T: Copy>(from: &[(T, u32)], rng: &mut impl Rng) -> T {
    let sum: u32 = from.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random_range(0..sum.max(1));
    for (value, weight) in from {
        if at < *weight {
            return *value;
        }
        at -= weight;
    }
    from[0].0
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use xacminh_contract::decode;

    fn right(rng: &mut StdRng) -> Submit {
        submit(&home_by_code("00004", date(2026, 11, 19)).unwrap(), "TT-1", date(2026, 11, 19), rng).unwrap()
    }

    #[test]
    fn what_is_right_is_read_as_it_was_written() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..500 {
            let submit = right(&mut rng);
            let draft = submit_draft(&submit, Expect::Accepted).unwrap();
            let read = decode::command(CommandType::RequestSubmit, &draft.body).unwrap();
            assert_eq!(read, decode::Command::Submit(Box::new(submit)));
        }
    }

    #[test]
    fn what_the_bytes_alone_show_is_refused_as_expected() {
        let mut rng = StdRng::seed_from_u64(2);
        let home = home_by_code("00008", date(2026, 11, 19)).unwrap();
        for bad in Bad::ALL {
            let draft = bad.spoil(right(&mut rng), &home, &home).unwrap();
            match decode::command(CommandType::RequestSubmit, &draft.body) {
                Err(refusal) => assert_eq!(refusal.code, bad.code(), "{bad:?}"),
                Ok(_) => assert!(
                    matches!(
                        bad,
                        Bad::Number
                            | Bad::HomeUnknown
                            | Bad::HomeAmbiguous
                            | Bad::WrongKey
                            | Bad::UnboundKey
                            | Bad::NoReason
                            | Bad::OwnOffice
                    ),
                    "{bad:?}"
                ),
            }
        }
    }

    #[test]
    fn every_answer_carries_what_its_code_demands() {
        let id: RequestId = "019a9a3c-5800-7abc-8def-0123456789ab".parse().unwrap();
        for (code, _) in CODES {
            for evening in [false, true] {
                let give = give(id, code, evening).unwrap();
                assert_eq!(xacminh_domain::answer::check(&give.to_domain()), Ok(()), "{code:?}");
            }
        }
    }
}
