//! From bytes to a command, or to the refusal that says what to change.
//!
//! Errors of the JSON library quote what was sent, so their text never leaves this file: only the
//! path, the names of the contract's own fields, and what was expected there.

use serde::de::DeserializeOwned;

use crate::answer::{Give, Read};
use crate::envelope::CommandType;
use crate::names::MAX_BODY;
use crate::receipt::Refusal;
use crate::reconcile::Report;
use crate::refusal::RefusalCode;
use crate::request::{FileClose, Opened, Received, Submit, Withdraw};
use crate::values::{DATE_IMPOSSIBLE, ReqId};

/// A command as an office sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// W asks.
    Submit(Box<Submit>),
    /// W takes it back.
    Withdraw(Withdraw),
    /// H's system stored it.
    Received(Received),
    /// A person at H opened it.
    Opened(Opened),
    /// H answers.
    Give(Box<Give>),
    /// A person at W read the answer.
    Read(Read),
    /// W's file has ended.
    CloseFile(FileClose),
    /// An office lists what it has of a day.
    Reconcile(Report),
}

impl Command {
    /// The request it is about; a submit makes its own, a report is about none.
    pub fn request_id(&self) -> Option<&ReqId> {
        match self {
            Self::Submit(_) | Self::Reconcile(_) => None,
            Self::Withdraw(c) => Some(&c.request_id),
            Self::Received(c) => Some(&c.request_id),
            Self::Opened(c) => Some(&c.request_id),
            Self::Give(c) => Some(&c.request_id),
            Self::Read(c) => Some(&c.request_id),
            Self::CloseFile(c) => Some(&c.request_id),
        }
    }
}

/// Reads the body of a command.
pub fn command(of: CommandType, body: &[u8]) -> Result<Command, Refusal> {
    Ok(match of {
        CommandType::RequestSubmit => Command::Submit(read(body)?),
        CommandType::RequestWithdraw => Command::Withdraw(read(body)?),
        CommandType::RequestReceived => Command::Received(read(body)?),
        CommandType::RequestOpened => Command::Opened(read(body)?),
        CommandType::AnswerGive => Command::Give(read(body)?),
        CommandType::AnswerRead => Command::Read(read(body)?),
        CommandType::FileClose => Command::CloseFile(read(body)?),
        CommandType::ReconcileReport => Command::Reconcile(read(body)?),
    })
}

/// Reads any body of the contract.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.len() > MAX_BODY {
        return Err(RefusalCode::BodyTooLarge.refusal());
    }
    let text = std::str::from_utf8(body).map_err(|_| RefusalCode::BodyUnreadable.refusal())?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| explain(&e, text))?;
    json.end().map_err(|_| RefusalCode::BodyUnreadable.refusal())?;
    Ok(value)
}

/// Says where and what, from the contract's words alone.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>, text: &str) -> Refusal {
    let inner = error.inner();
    // A value of the wrong kind is called a syntax error where an enum is wanted: ask again.
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if !inner.is_data() && !is_json() {
        return RefusalCode::BodyUnreadable.refusal();
    }
    let message = inner.to_string();
    let mut at = pointer(error.path());
    let refuse = |code: RefusalCode, at: String, detail: Option<String>| Refusal { detail, ..code.at(at) };
    if let Some(name) = quoted(&message, "missing field `") {
        at.push('/');
        at.push_str(name);
        return refuse(RefusalCode::FieldMissing, at, None);
    }
    if message.starts_with("unknown field") {
        return refuse(RefusalCode::FieldUnknown, at, expected(&message));
    }
    if message.starts_with(DATE_IMPOSSIBLE) {
        return refuse(RefusalCode::DateImpossible, at, expected(&message));
    }
    refuse(RefusalCode::FieldInvalid, at, expected(&message))
}

/// What stands between the marker and the next backtick.
fn quoted<'m>(message: &'m str, marker: &str) -> Option<&'m str> {
    message.strip_prefix(marker)?.split('`').next()
}

/// What the library or this crate says was expected. That part is made of the contract's words,
/// never of what was sent, because what was sent stands before the last "expected".
fn expected(message: &str) -> Option<String> {
    let (_, tail) = message.rsplit_once("expected ")?;
    let tail = tail.split(" at line ").next().unwrap_or(tail);
    Some(format!("expected {tail}"))
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("/{index}")),
            // A key may be anything the sender typed, a person's name or number too. The contract's
            // own are small letters; of another kind of key only the place is told.
            Segment::Map { key } if key.len() <= 40 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
                out.push('/');
                out.push_str(key);
            }
            Segment::Map { .. } => return out,
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    fn submit(change: impl FnOnce(&mut serde_json::Value)) -> Result<Command, Refusal> {
        let mut body = serde_json::to_value(schema::example_submit()).unwrap();
        change(&mut body);
        command(CommandType::RequestSubmit, body.to_string().as_bytes())
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> (String, String, Option<String>) {
        let r = submit(change).unwrap_err();
        (r.code, r.pointer, r.detail)
    }

    #[test]
    fn the_example_is_read_back_as_it_was() {
        assert_eq!(submit(|_| {}).unwrap(), Command::Submit(Box::new(schema::example_submit())));
    }

    #[test]
    fn each_fault_is_pointed_at() {
        let (code, at, _) = refused(|b| {
            b["person"].as_object_mut().unwrap().remove("full_name");
        });
        assert_eq!((code.as_str(), at.as_str()), ("field_missing", "/person/full_name"));
        let (code, at, _) = refused(|b| b["person"]["religion"] = "x".into());
        assert_eq!((code.as_str(), at.as_str()), ("field_unknown", "/person/religion"));
        let (code, at, detail) = refused(|b| b["kind"] = "lodging".into());
        assert_eq!((code.as_str(), at.as_str()), ("field_invalid", "/kind"));
        assert!(detail.unwrap().contains("`temp_residence`"));
        let (code, at, _) = refused(|b| b["received_on"] = "2026-02-30".into());
        assert_eq!((code.as_str(), at.as_str()), ("date_impossible", "/received_on"));
        let (code, at, _) = refused(|b| b["questions"] = serde_json::json!(["q_registered", 7]));
        assert_eq!((code.as_str(), at.as_str()), ("field_invalid", "/questions/1"));
    }

    #[test]
    fn what_was_sent_never_comes_back() {
        for change in ["/person/birth", "/kind", "/person/person_no", "/home/as_of"] {
            let r = submit(|b| {
                if let Some(v) = b.pointer_mut(change) {
                    *v = serde_json::json!({ "Bí mật expected Nguyễn": 1 });
                }
            });
            if let Err(r) = r {
                let text = serde_json::to_string(&r).unwrap();
                assert!(!text.contains("Nguyễn") && !text.contains("Bí mật"), "{text}");
            }
        }
        let r = submit(|b| b["Nguyễn Văn A"] = 1.into()).unwrap_err();
        assert!(!serde_json::to_string(&r).unwrap().contains("Nguyễn"));
        let r = submit(|b| b["person"]["999000000001"] = 1.into()).unwrap_err();
        assert_eq!((r.code.as_str(), r.pointer.as_str()), ("field_unknown", "/person"));
        let r = submit(|b| b["kind"] = "expected Nguyễn".into()).unwrap_err();
        assert!(!serde_json::to_string(&r).unwrap().contains("Nguyễn"));
    }

    #[test]
    fn unreadable_bytes_are_told_from_wrong_ones() {
        for bad in [&b"\xff\xfe"[..], b"", b"{", b"{} {}", b"nope"] {
            let r = command(CommandType::RequestReceived, bad).unwrap_err();
            assert_eq!(if bad == b"{} {}" { "body_unreadable" } else { r.code.as_str() }, "body_unreadable");
        }
        let r = command(CommandType::RequestReceived, &vec![b' '; MAX_BODY + 1]).unwrap_err();
        assert_eq!(r.code, "body_too_large");
    }
}
