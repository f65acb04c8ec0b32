//! The JSON Schemas of all messages, each with a valid example, and the tables of the protocol
//! page. The files in `schemas/` and the tables are written by `examples/schemas.rs` and compared
//! by a test, so that page, schemas and code cannot drift apart.

use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use crate::answer::{self, Give, Read};
use crate::envelope::CommandType;
use crate::notice::Notice;
use crate::receipt::Receipt;
use crate::reconcile::{Reconciled, Report};
use crate::refusal::{ANY_FIELD, RefusalCode};
use crate::request::{self, FileClose, Opened, Received, Submit, Withdraw};
use crate::resubmit;

/// One message: its name, its schema, a valid example.
pub struct Message {
    /// The short name, as in `xacminh.<name>.v1`.
    pub name: &'static str,
    /// The schema.
    pub schema: Schema,
    /// A valid example.
    pub example: Value,
}

impl Message {
    /// All its examples, the plain one first.
    pub fn examples(&self) -> Vec<Value> {
        let mut examples = vec![self.example.clone()];
        if self.name == CommandType::RequestSubmit.short() {
            examples.push(resubmit_json());
        }
        examples
    }
}

const W: &str = "vpa2b3c4";
const H: &str = "vpd5e6f7";
const REQUEST: &str = "019a9a3c-5800-7abc-8def-0123456789ab";

/// A submit that is right; examples and tests start from it.
pub fn example_submit() -> Submit {
    // The literal below is checked by a test of this file.
    serde_json::from_value(submit_json()).unwrap_or_else(|e| unreachable!("the example submit is right: {e}"))
}

fn submit_json() -> Value {
    json!({
        "kind": "temp_residence", "case_code": "TT-2026-000123", "received_on": "2026-11-19",
        "received_at": "2026-11-19T08:05:00+07:00", "promised_on": "2026-11-25",
        "purpose": "registration", "lane": "normal", "lookup": "done",
        "home": { "name": "Phường Phúc Xá", "district": "Quận Ba Đình", "province": "Hà Nội" },
        "person": {
            "full_name": "Nguyễn Thị Thử", "birth": "1990-02-03", "person_no": "999190001234",
            "address": "Số 1, ngõ Thử", "origin": { "country": "VN", "text": "Thái Bình" }
        },
        "questions": ["q_registered", "q_identity_match", "q_dwelling_status"]
    })
}

/// A refused submit made whole by its home alone.
fn resubmit_json() -> Value {
    json!({
        "resubmits": REQUEST,
        "home": { "code": "00008", "as_of": "2026-11-19", "name": null, "district": null, "province": null }
    })
}

fn submit_schema() -> Schema {
    // An object, so it is a schema.
    Schema::try_from(resubmit::schema_of_both(schema_for!(Submit).as_value())).unwrap_or_default()
}

/// All messages of version 1, in the order of the protocol page.
pub fn messages() -> Vec<Message> {
    let card = |office: &str, name: &str| json!({ "office": office, "name": name, "phone": "024 0000 0123" });
    vec![
        Message { name: "request.submit", schema: submit_schema(), example: submit_json() },
        Message {
            name: "request.withdraw",
            schema: schema_for!(Withdraw),
            example: json!({ "request_id": REQUEST, "reason": "no_longer_needed" }),
        },
        Message { name: "request.received", schema: schema_for!(Received), example: json!({ "request_id": REQUEST }) },
        Message {
            name: "request.opened",
            schema: schema_for!(Opened),
            example: json!({ "request_id": REQUEST, "handler": "cb-017" }),
        },
        Message {
            name: "answer.give",
            schema: schema_for!(Give),
            example: json!({
                "request_id": REQUEST, "code": "A03", "answered_by": "cb-017",
                "fields": [{ "field": "full_name", "result": "ok" }, { "field": "birth", "result": "differs" }],
                "basis": "residence_db", "dwelling_status": { "status": "determined" }
            }),
        },
        Message {
            name: "file.close",
            schema: schema_for!(FileClose),
            example: json!({ "request_id": REQUEST, "form": "ct08", "closed_on": "2026-11-20" }),
        },
        Message { name: "answer.read", schema: schema_for!(Read), example: json!({ "request_id": REQUEST }) },
        Message {
            name: "reconcile.report",
            schema: schema_for!(Report),
            example: json!({
                "day": "2026-11-19", "made_at": "2026-11-20T00:30:00+07:00",
                "sent": [REQUEST, "019a9a3c-5801-7abc-8def-0123456789ab"], "received": ["019a9b10-0000-7abc-8def-0123456789ab"]
            }),
        },
        Message {
            name: "receipt",
            schema: schema_for!(Receipt),
            example: json!({ "items": [
                {
                    "message_id": REQUEST, "command": "xacminh.request.submit.v1", "request_id": REQUEST, "outcome": "accepted",
                    "at": "2026-11-19T08:05:02.120394+07:00", "warnings": ["origin_abroad"], "state": "submitted",
                    "responder": card(H, "Công an phường Hồng Hà"), "file_due_on": "2026-11-25"
                },
                {
                    "message_id": "019a9a3c-5801-7abc-8def-0123456789ab", "command": "xacminh.request.submit.v1", "outcome": "refused",
                    "at": "2026-11-19T08:05:02.120394+07:00",
                    "refusal": RefusalCode::IdMalformed.refusal()
                }
            ] }),
        },
        Message {
            name: "request.deliver",
            schema: schema_for!(request::Deliver),
            example: json!({
                "request_id": REQUEST, "case_code": "TT-2026-000123", "kind": "temp_residence", "lane": "normal",
                "purpose": "registration", "requester": card(W, "Công an phường Tân Định"),
                "home": { "unit": "00097", "words": "phường Phúc Xá, quận Ba Đình, thành phố Hà Nội (nay là phường Hồng Hà, thành phố Hà Nội)" },
                "received_on": "2026-11-19", "submitted_at": "2026-11-19T08:05:02.120394+07:00",
                "file_due_on": "2026-11-25", "lookup": "done",
                "questions": ["q_registered", "q_identity_match", "q_dwelling_status"],
                "person": submit_json()["person"], "warnings": []
            }),
        },
        Message {
            name: "answer.deliver",
            schema: schema_for!(answer::Deliver),
            example: json!({
                "request_id": REQUEST, "case_code": "TT-2026-000123", "code": "A01",
                "dwelling_status": { "status": "determined" }, "responder": card(H, "Công an phường Hồng Hà"),
                "answered_at": "2026-11-20T09:30:00+07:00", "late": false,
                "sentence": {
                    "text": "Công an phường Hồng Hà đã xác nhận thông tin cư trú ông/bà kê khai. Ngày hẹn trả kết quả: 25/11/2026. Nếu cần hỏi thêm, xin gọi Công an phường Tân Định, số 024 0000 0123.",
                    "text_version": "2026-11.1", "office": "Công an phường Tân Định", "phone": "024 0000 0123"
                }
            }),
        },
        Message {
            name: "notice",
            schema: schema_for!(Notice),
            example: json!({ "items": [{
                "topic": "office_silent", "for": "head", "office": H, "office_name": "Công an phường Hồng Hà",
                "phone": "024 0000 0123", "count": 3, "oldest_due_on": "2026-11-23", "why": ["not_connected"],
                "sentence": "Công an phường Hồng Hà còn 3 yêu cầu quá hạn trả lời (cũ nhất hạn ngày 23/11/2026), máy của đơn vị chưa kết nối: đề nghị đôn đốc.",
                "sentence_en": "Công an phường Hồng Hà has 3 requests beyond their due (oldest 2026-11-23), not connected: please press."
            }] }),
        },
        Message {
            name: "reconcile.result",
            schema: schema_for!(Reconciled),
            example: json!({
                "day": "2026-11-19", "made_at": "2026-11-20T00:30:00+07:00", "at": "2026-11-20T00:30:02.120394+07:00",
                "page": 1, "pages": 1, "sent": { "yours": 2, "ours": 1, "agreed": 1 },
                "received": { "yours": 1, "ours": 2, "agreed": 1 },
                "differences": [
                    { "message_id": "019a9a3c-5801-7abc-8def-0123456789ab", "difference": "not_taken", "healing": "send_again" },
                    {
                        "message_id": "019a9b11-0000-7abc-8def-0123456789ab", "difference": "not_received", "healing": "sent_again",
                        "type": "xacminh.answer.deliver.v1", "request_id": REQUEST, "state": "answered", "answered": "A01"
                    }
                ]
            }),
        },
    ]
}

/// The file in `schemas/` of a message.
pub fn file_name(message: &Message) -> String {
    format!("xacminh.{}.v1.json", message.name)
}

/// The text of that file.
pub fn file_text(message: &Message) -> String {
    let mut schema = message.schema.clone();
    schema.insert("$id".to_owned(), json!(format!("urn:xacminh:{}:v1", message.name)));
    schema.insert("examples".to_owned(), Value::Array(message.examples()));
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The table of refusals of the protocol page.
pub fn refusal_table() -> String {
    let mut out = String::from(
        "| code | when | pointer | sentence | in English | what your system does |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for code in RefusalCode::ALL {
        let pointers: Vec<String> = code
            .pointers()
            .iter()
            .map(|pointer| match *pointer {
                "" => "the message".to_owned(),
                ANY_FIELD => "the field".to_owned(),
                pointer => format!("`{pointer}`"),
            })
            .collect();
        let (at, when, todo) = (pointers.join(", "), code.when(), code.what_to_do());
        let (vi, en) = (code.sentence(), code.sentence_en());
        out.push_str(&format!("| `{}` | {when} | {at} | {vi} | {en} | {todo} |\n", code.as_str()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_valid_under_its_schema() {
        for message in messages() {
            let validator = jsonschema::validator_for(message.schema.as_value()).unwrap();
            for example in message.examples() {
                let errors: Vec<_> = validator.iter_errors(&example).map(|e| e.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:?}", message.name);
            }
        }
        let _ = example_submit();
    }

    #[test]
    fn a_submit_is_whole_or_changes_a_refused_one() {
        let schema = submit_schema();
        let validator = jsonschema::validator_for(schema.as_value()).unwrap();
        let part = |changes: Value| {
            let mut body = json!({ "resubmits": REQUEST });
            body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            body
        };
        let mut alone = submit_json();
        alone["resubmits"] = Value::Null;
        let mut too_much = submit_json();
        too_much["resubmits"] = REQUEST.into();
        for right in [
            part(json!({})),
            part(json!({ "person": { "person_no": "999190001234", "origin": null } })),
            part(json!({ "person": { "origin": { "country": "LA" } }, "note": null, "kind": "temp_renewal" })),
            alone,
            too_much,
        ] {
            assert!(validator.is_valid(&right), "{right}");
        }
        for wrong in [
            json!({}),
            json!({ "home": { "name": "Ngọc Hà" } }),
            part(json!({ "persn": {} })),
            part(json!({ "person": { "religion": "x" } })),
            part(json!({ "kind": "marriage" })),
            json!({ "resubmits": "TT-2026-1" }),
        ] {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }

    #[test]
    fn every_example_is_read_by_its_type() {
        let read = |name: &str| messages().into_iter().find(|m| m.name == name).unwrap().example;
        serde_json::from_value::<Receipt>(read("receipt")).unwrap();
        serde_json::from_value::<Notice>(read("notice")).unwrap();
        serde_json::from_value::<request::Deliver>(read("request.deliver")).unwrap();
        serde_json::from_value::<answer::Deliver>(read("answer.deliver")).unwrap();
        serde_json::from_value::<Give>(read("answer.give")).unwrap();
        serde_json::from_value::<Report>(read("reconcile.report")).unwrap();
        serde_json::from_value::<Reconciled>(read("reconcile.result")).unwrap();
    }
}
