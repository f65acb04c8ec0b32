//! From bytes to a command, or to the refusal that says what to change.
//!
//! Errors of the JSON library quote what was sent, so their text never leaves this file: only the
//! path, the names of the contract's own fields, and what was expected there.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

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
    // A list would be read as the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(RefusalCode::BodyUnreadable.detail("expected one JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| explain(&e, text))?;
    json.end().map_err(|_| RefusalCode::BodyUnreadable.refusal())?;
    Ok(value)
}

/// Says where and what, from the contract's words alone.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>, text: &str) -> Refusal {
    let inner = error.inner();
    // A number beyond all bounds is called a syntax error: ask again.
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
    if let Some(name) = quoted(&message, "duplicate field `") {
        at.push('/');
        at.push_str(name);
        return refuse(RefusalCode::FieldInvalid, at, Some("expected once".to_owned()));
    }
    // `null` counts as left out, of what is needed too; a place of a list cannot be left out.
    if message.starts_with("invalid type: null") && matches!(error.path().iter().next_back(), Some(Segment::Map { .. }))
    {
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
    // Names of types are of no use to a sender.
    let tail = if tail.starts_with("struct ") { "an object" } else { tail };
    Some(format!("expected {tail}"))
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("/{index}")),
            // A key may be anything the sender typed, a person's name or number too. The contract's
            // own are small letters, and misspelt ones not far from it; of another kind of key only
            // the place is told.
            Segment::Map { key } if is_like_ours(key) => {
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Map { .. } => return out,
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

/// `fullName`, `full-name`, `person.full_name`, `person/full_name`: how a system misspells a field.
fn is_like_ours(key: &str) -> bool {
    key.len() <= 40
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'~'))
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
        for wrong in [serde_json::json!(5), true.into(), serde_json::json!({}), "soon".into()] {
            let (code, at, detail) = refused(|b| b["lane"] = wrong);
            assert_eq!((code.as_str(), at.as_str()), ("field_invalid", "/lane"));
            assert_eq!(detail.as_deref(), Some("expected one of `urgent`, `normal`, `bulk`"));
        }
        let (code, at, _) = refused(|b| b["received_on"] = "2026-02-30".into());
        assert_eq!((code.as_str(), at.as_str()), ("date_impossible", "/received_on"));
        let (code, at, _) = refused(|b| b["questions"] = serde_json::json!(["q_registered", 7]));
        assert_eq!((code.as_str(), at.as_str()), ("field_invalid", "/questions/1"));
        let (code, at, _) = refused(|b| b["questions"] = serde_json::json!(["q_registered", null]));
        assert_eq!((code.as_str(), at.as_str()), ("field_invalid", "/questions/1"));
        let (code, at, _) = refused(|b| b["person"]["full_name"] = serde_json::Value::Null);
        assert_eq!((code.as_str(), at.as_str()), ("field_missing", "/person/full_name"));
        let (code, at, detail) = refused(|b| b["person"]["origin"] = "Thái Bình".into());
        assert_eq!((code.as_str(), at.as_str()), ("field_invalid", "/person/origin"));
        assert_eq!(detail.as_deref(), Some("expected an object"));
    }

    #[test]
    fn pointers_are_escaped() {
        for (key, pointer) in
            [("home/name", "/person/home~1name"), ("a~b", "/person/a~0b"), ("fullName", "/person/fullName")]
        {
            let (code, at, _) = refused(|b| b["person"][key] = 1.into());
            assert_eq!((code.as_str(), at.as_str()), ("field_unknown", pointer));
        }
    }

    /// Every place of every message, with every kind of wrong value: each refusal is of the table and
    /// points at that very place, or at what is wrong within the value.
    #[test]
    fn whatever_is_wrong_has_a_code_and_its_place() {
        let of = |name: &str| CommandType::ALL.into_iter().find(|of| of.short() == name);
        let messages = schema::messages().into_iter().filter_map(|m| Some((of(m.name)?, m.example)));
        let mut refused = 0;
        for (of, example) in messages {
            let mut places = Vec::new();
            list(&example, String::new(), &mut places);
            for place in &places {
                for wrong in [
                    serde_json::json!(7),
                    "\u{1f4a3}".into(),
                    true.into(),
                    serde_json::json!([[]]),
                    serde_json::json!({}),
                ] {
                    let mut body = example.clone();
                    *body.pointer_mut(place).unwrap() = wrong;
                    let Err(r) = command(of, body.to_string().as_bytes()) else { continue };
                    assert!(["field_missing", "field_invalid", "date_impossible"].contains(&r.code.as_str()), "{r:?}");
                    let within = r.pointer.strip_prefix(place.as_str());
                    assert!(within.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{place}: {r:?}");
                    assert!(r.detail.is_some() || r.code == "field_missing", "{r:?}");
                    refused += 1;
                }
                let mut body = example.clone();
                if let Some(object) = body.pointer_mut(place).and_then(serde_json::Value::as_object_mut) {
                    object.insert("no_such_field".to_owned(), 1.into());
                    let r = command(of, body.to_string().as_bytes()).unwrap_err();
                    assert_eq!((r.code.as_str(), r.pointer), ("field_unknown", format!("{place}/no_such_field")));
                    refused += 1;
                }
            }
        }
        assert!(refused > 100, "{refused} looked at");
    }

    fn list(value: &serde_json::Value, at: String, places: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(k, v)| list(v, format!("{at}/{k}"), places)),
            serde_json::Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, v)| list(v, format!("{at}/{i}"), places));
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
        if !at.is_empty() {
            places.push(at);
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_named() {
        let id = "019a9a3c-5800-7abc-8def-0123456789ab";
        let body = format!(r#"{{"request_id": "{id}", "request_id": "{id}"}}"#);
        let r = command(CommandType::RequestReceived, body.as_bytes()).unwrap_err();
        assert_eq!((r.code.as_str(), r.pointer.as_str()), ("field_invalid", "/request_id"));
        assert_eq!(r.detail.as_deref(), Some("expected once"));
    }

    #[test]
    fn null_is_left_out() {
        let plain = submit(|b| {
            b.as_object_mut().unwrap().remove("questions");
        });
        assert_eq!(submit(|b| b["questions"] = serde_json::Value::Null), plain);
        let give = |more: &str| {
            let id = "019a9a3c-5800-7abc-8def-0123456789ab";
            let body = format!(r#"{{"request_id": "{id}", "code": "A01", "answered_by": "cb-1"{more}}}"#);
            command(CommandType::AnswerGive, body.as_bytes()).unwrap()
        };
        assert_eq!(give(r#", "fields": null, "bulk": null, "note": null"#), give(""));
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
        let whole = br#"{"request_id": "019a9a3c-5800-7abc-8def-0123456789ab"}"#;
        command(CommandType::RequestReceived, whole).unwrap();
        let twice = [&whole[..], b" {}"].concat();
        let listed = br#"["019a9a3c-5800-7abc-8def-0123456789ab"]"#;
        for bad in [&b"\xff\xfe"[..], b"", b"{", &twice, b"nope", listed, b"null"] {
            let r = command(CommandType::RequestReceived, bad).unwrap_err();
            assert_eq!((r.code.as_str(), r.pointer.as_str()), ("body_unreadable", ""));
        }
        let r = command(CommandType::RequestReceived, &vec![b' '; MAX_BODY + 1]).unwrap_err();
        assert_eq!(r.code, "body_too_large");
    }
}
