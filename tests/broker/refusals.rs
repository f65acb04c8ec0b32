//! The table of refusals, row by row: what an office must send to get each, and what comes back.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use xacminh_contract::envelope::CommandType as T;
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_contract::refusal::{ANY_FIELD, RefusalCode, WHICH_DISTRICT};
use xacminh_domain::Timestamp;
use xacminh_domain::id::MessageId;
use xacminh_testkit::OfficeMessage;

use crate::desk::{Desk, about, closing, form, give, message_id, withdrawal};
use crate::stage::{Stage, at};

/// What `type_unknown` lists.
const TYPES: &str = "xacminh.request.submit.v1 | xacminh.request.withdraw.v1 | xacminh.request.received.v1 | \
    xacminh.request.opened.v1 | xacminh.answer.give.v1 | xacminh.answer.read.v1 | xacminh.file.close.v1 | \
    xacminh.reconcile.report.v1";

/// Who sends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ward,
    Home,
}

/// A message that must be refused, and where exactly the refusal must point.
struct Bad {
    by: Who,
    message: OfficeMessage,
    pointer: &'static str,
    /// What the detail must say; it may say anything where there is none.
    detail: Option<&'static str>,
}

impl Bad {
    fn says(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

/// Requests that stand where cases need them.
struct Standing {
    open: MessageId,
    answered: MessageId,
    withdrawn: MessageId,
    closed: MessageId,
    /// Refused, and no JSON object.
    unreadable: MessageId,
}

/// Two offices, and what they have asked.
struct Table<'a> {
    ward: &'a Desk,
    home: &'a Desk,
    standing: &'a Standing,
    now: Timestamp,
}

impl Table<'_> {
    fn good(&self) -> Value {
        form(&self.home.office, 500, self.now)
    }

    fn right(&self) -> OfficeMessage {
        self.ward.message(T::RequestSubmit, &self.good())
    }

    /// A right submit with one property changed.
    fn property(&self, change: impl FnOnce(&mut OfficeMessage)) -> Vec<Bad> {
        let mut message = self.right();
        change(&mut message);
        vec![Bad { by: Who::Ward, message, pointer: "", detail: None }]
    }

    /// A submit with a field changed; `null` takes it out.
    fn changed(&self, at: &str, value: Value, pointer: &'static str) -> Bad {
        let mut body = self.good();
        let (parent, name) = at.rsplit_once('/').expect("a pointer");
        let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
        if value.is_null() {
            parent.remove(name);
        } else {
            parent.insert(name.to_owned(), value);
        }
        Bad { by: Who::Ward, message: self.ward.message(T::RequestSubmit, &body), pointer, detail: None }
    }

    /// The same, pointed at where it was changed.
    fn wrong(&self, at: &'static str, value: Value) -> Bad {
        self.changed(at, value, at)
    }

    /// A submit whose person has a key of that name.
    fn unknown_key(&self, key: &str, pointer: &'static str) -> Bad {
        let mut body = self.good();
        body["person"][key] = json!(1);
        self.by_ward(T::RequestSubmit, &body, pointer)
    }

    fn by_ward(&self, of: T, body: &Value, pointer: &'static str) -> Bad {
        Bad { by: Who::Ward, message: self.ward.message(of, body), pointer, detail: None }
    }

    fn by_home(&self, of: T, body: &Value, pointer: &'static str) -> Bad {
        Bad { by: Who::Home, message: self.home.message(of, body), pointer, detail: None }
    }

    /// An answer with some of its fields changed; `null` takes one out.
    fn answer(&self, of: MessageId, code: &str, changes: Value, pointer: &'static str) -> Bad {
        let mut body = give(of, code);
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => _ = body.as_object_mut().expect("an object").remove(name),
                value => body[name] = value.clone(),
            }
        }
        self.by_home(T::AnswerGive, &body, pointer)
    }

    /// The cases of a code. A code without any does not compile.
    fn cases(&self, code: RefusalCode) -> Vec<Bad> {
        let s = self.standing;
        match code {
            RefusalCode::BodyUnreadable => {
                let twice = format!("{} {{}}", self.good()).into_bytes();
                [b"\xff\xfe{\"kind\":".to_vec(), b"[]".to_vec(), b"{\"kind\":".to_vec(), twice, vec![]]
                    .into_iter()
                    .flat_map(|body| self.property(|m| m.body = body))
                    .collect()
            }
            RefusalCode::BodyTooLarge => vec![self.changed("/note", json!("x".repeat(64 * 1024)), "")],
            RefusalCode::TypeUnknown => ["xacminh.request.forward.v1", "request.submit", ""]
                .into_iter()
                .flat_map(|of| self.property(|m| m.message_type = of.into()))
                .map(|bad| bad.says(TYPES))
                .collect(),
            RefusalCode::VersionUnknown => self.property(|m| m.message_type = "xacminh.request.submit.v2".into()),
            RefusalCode::RoutingKeyWrong => {
                let mut cases = self.property(|m| m.routing_key = "withdraw.normal".into());
                cases.extend(self.property(|m| m.routing_key = "submit.bulk".into()));
                cases[1].pointer = "/lane";
                cases
            }
            RefusalCode::MessageIdMalformed => {
                ["TT-2026-000500", "", "6f0e0c32-8a5a-4a0e-9c1e-0123456789ab"] // of version 4
                    .into_iter()
                    .flat_map(|id| self.property(|m| m.message_id = id.into()))
                    .collect()
            }
            RefusalCode::IdTimeOutOfRange => ["2026-08-20T08:00", "2026-11-20T08:01"]
                .into_iter()
                .flat_map(|when| self.property(|m| m.message_id = message_id(at(when)).to_string()))
                .collect(),
            RefusalCode::IdTooOld => self.property(|m| m.message_id = message_id(at("2025-09-19T08:00")).to_string()),
            RefusalCode::IdReused => {
                let mut cases = self.property(|m| m.message_id = s.open.to_string());
                // Another office's submit under the id of a request that is there.
                let mut other = self.by_home(T::RequestSubmit, &form(&self.ward.office, 502, self.now), "");
                other.message.message_id = s.open.to_string();
                cases.push(other);
                cases
            }
            RefusalCode::FieldMissing => vec![
                self.wrong("/person/full_name", Value::Null),
                self.wrong("/home", Value::Null),
                self.answer(s.open, "A01", json!({ "answered_by": null }), "/answered_by"),
                self.answer(s.open, "A03", json!({ "fields": [{ "field": "birth" }] }), "/fields/0/result"),
                self.by_ward(T::RequestWithdraw, &json!({ "reason": "mistake" }), "/request_id"),
            ],
            RefusalCode::FieldUnknown => vec![
                self.wrong("/person/religion", json!("không")),
                self.unknown_key("full/~name", "/person/full~1~0name"),
                self.unknown_key("fullName", "/person/fullName"),
                // It might be a person's: only the place is told.
                self.unknown_key("Nguyễn Thị Thử", "/person"),
                self.by_home(T::RequestReceived, &json!({ "request_id": s.open.to_string(), "at": 1 }), "/at"),
            ],
            RefusalCode::FieldInvalid => vec![
                self.wrong("/kind", json!("marriage")),
                self.wrong("/lane", json!("soon")).says("expected one of `urgent`, `normal`, `bulk`"),
                self.wrong("/lane", json!(5)).says("expected one of `urgent`, `normal`, `bulk`"),
                self.wrong("/note", json!("x".repeat(501))),
                self.wrong("/person/origin/country", json!("Lào")),
                self.wrong("/person/full_name", json!(" ")),
                self.changed("/questions", json!(["q_registered", "q_why"]), "/questions/1"),
                self.wrong("/home/code", json!("1")),
                self.wrong("/resubmits", json!("TT-2026-000500")),
                self.answer(s.open, "A10", json!({}), "/code"),
                self.answer(s.open, "A01", json!({ "answered_by": "Nguyễn Thị Thử" }), "/answered_by"),
                self.by_ward(T::AnswerRead, &json!({ "request_id": "TT-2026-000500" }), "/request_id"),
            ],
            RefusalCode::DateImpossible => {
                let period = |period| self.answer(s.open, "A01", json!({ "period": period }), "/period/from");
                vec![
                    self.wrong("/received_on", json!("2026-02-30")),
                    self.wrong("/received_on", json!("2026-11-20")).says("expected not after today, 2026-11-19"),
                    self.wrong("/received_at", json!("2026-11-19 08:00")),
                    self.wrong("/promised_on", json!("2026-11-18")).says("expected not before received_on, 2026-11-19"),
                    self.wrong("/home/as_of", json!("2026-11-20")).says("expected not after today, 2026-11-19"),
                    // The last day it can be is told, never the day of birth.
                    self.wrong("/person/birth", json!("2026-12")).says("expected not after received_on, 2026-11-19"),
                    self.by_ward(T::FileClose, &closing(s.open, "ct08", "2026-11-20"), "/closed_on")
                        .says("expected not after today, 2026-11-19"),
                    self.by_ward(T::FileClose, &closing(s.open, "ct08", "2026-11-18"), "/closed_on")
                        .says("expected not before received_on, 2026-11-19"),
                    period(json!({ "from": "2020-02-30" })),
                    Bad { pointer: "/period/to", ..period(json!({ "from": "2020-02-29", "to": "2021-02-29" })) },
                ]
            }
            RefusalCode::IdMalformed => ["99919000123", "999 190 001 23x", "0"]
                .into_iter()
                .map(|number| self.wrong("/person/person_no", json!(number)))
                .collect(),
            RefusalCode::AddressRequired => {
                let person = json!({ "full_name": "Nguyễn Thị Thử", "birth": "1990-02-03" });
                vec![self.changed("/person", person, "/person/address")]
            }
            RefusalCode::ResubmitUnknown => {
                let of = |id: MessageId| json!({ "resubmits": id.to_string(), "note": "x" });
                vec![
                    self.by_ward(T::RequestSubmit, &of(message_id(self.now)), "/resubmits"),
                    self.by_ward(T::RequestSubmit, &of(s.open), "/resubmits"),
                    // The first is the ward's.
                    self.by_home(T::RequestSubmit, &of(s.unreadable), "/resubmits"),
                ]
            }
            RefusalCode::ResubmitUnreadable => {
                let of = json!({ "resubmits": s.unreadable.to_string(), "note": "x" });
                vec![self.by_ward(T::RequestSubmit, &of, "/resubmits")]
            }
            RefusalCode::HomeIncomplete => vec![
                self.changed("/home", json!({}), "/home"),
                self.wrong("/home/as_of", Value::Null),
                self.wrong("/home/name", json!("Phường Phúc Xá")),
            ],
            RefusalCode::HomeAmbiguous => {
                // Divided in 2025, among others to today's ward of the same name.
                let words = json!({ "name": "Phường Ngọc Hà", "district": "Quận Ba Đình", "province": "Hà Nội" });
                // Of which there are many in the country, and two in one province of today.
                let name = |more: &str| {
                    let mut home = json!({ "name": "Tân Lập" });
                    if !more.is_empty() {
                        home["province"] = json!(more);
                    }
                    self.wrong("/home", home)
                };
                vec![
                    self.wrong("/home", words),
                    self.wrong("/home", json!({ "code": "00007", "as_of": "2025-03-01" })),
                    name("")
                        .says("24 units in 17 of today's provinces: add home.district and home.province, or pick one"),
                    name("Thái Nguyên").says("2 units in 1 of today's provinces: add home.district, or pick one"),
                ]
            }
            RefusalCode::HomeUnknown => vec![
                self.wrong("/home", json!({ "name": "Xã Không Có Thật" })),
                self.wrong("/home/code", json!("99999")),
            ],
            RefusalCode::HomeIsOwn => {
                vec![self.by_ward(T::RequestSubmit, &form(&self.ward.office, 501, self.now), "/home")]
            }
            RefusalCode::LaneReasonRequired => vec![self.changed("/lane", json!("urgent"), "/lane_reason")],
            RefusalCode::ExemptUnder6 => vec![self.wrong("/person/birth", json!("2020-11-20"))],
            RefusalCode::RequestUnknown => {
                let none = about(message_id(self.now));
                let of_home = [T::RequestReceived, T::RequestOpened];
                let mut cases = vec![
                    self.by_ward(T::RequestWithdraw, &withdrawal(message_id(self.now)), "/request_id"),
                    self.by_ward(T::FileClose, &closing(message_id(self.now), "ct08", "2026-11-19"), "/request_id"),
                    self.by_ward(T::AnswerRead, &none, "/request_id"),
                    self.answer(message_id(self.now), "A01", json!({}), "/request_id"),
                ];
                cases.extend(of_home.map(|of| self.by_home(of, &none, "/request_id")));
                cases
            }
            RefusalCode::NotYourRequest => {
                let of_ward = |of, body: &Value| self.by_ward(of, body, "/request_id");
                vec![
                    self.by_home(T::RequestWithdraw, &withdrawal(s.open), "/request_id"),
                    self.by_home(T::FileClose, &closing(s.open, "ct08", "2026-11-19"), "/request_id"),
                    self.by_home(T::AnswerRead, &about(s.answered), "/request_id"),
                    of_ward(T::RequestReceived, &about(s.open)),
                    of_ward(T::RequestOpened, &about(s.open)),
                    of_ward(T::AnswerGive, &give(s.open, "A01")),
                ]
            }
            RefusalCode::AlreadyAnswered => vec![
                self.answer(s.answered, "A08", json!({}), "/request_id"),
                self.by_ward(T::RequestWithdraw, &withdrawal(s.answered), "/request_id"),
            ],
            RefusalCode::AlreadyWithdrawn => vec![
                self.answer(s.withdrawn, "A01", json!({}), "/request_id"),
                self.by_home(T::RequestOpened, &about(s.withdrawn), "/request_id"),
                self.by_ward(T::AnswerRead, &about(s.withdrawn), "/request_id"),
            ],
            RefusalCode::AlreadyClosed => {
                vec![self.by_ward(T::FileClose, &closing(s.closed, "ct06", "2026-11-19"), "/request_id")]
            }
            RefusalCode::NotYetAnswered => vec![self.by_ward(T::AnswerRead, &about(s.open), "/request_id")],
            RefusalCode::ApprovalRequired => {
                let deputy = json!({ "approved_by": { "role": "deputy", "handler": "ph-001" } });
                let mut cases: Vec<Bad> = ["A04", "A06", "A09"]
                    .map(|code| self.answer(s.open, code, json!({ "approved_by": null }), "/approved_by"))
                    .into();
                cases.push(self.answer(s.open, "A06", deputy, "/approved_by/role"));
                cases
            }
            RefusalCode::CauseRequired => vec![self.answer(s.open, "A09", json!({ "cause": null }), "/cause")],
            RefusalCode::BasisRequired => vec![self.answer(s.open, "A02", json!({ "basis": null }), "/basis")],
            RefusalCode::FieldsRequired => {
                let fine = json!({ "fields": [{ "field": "birth", "result": "ok" }] });
                let mut cases: Vec<Bad> = ["A02", "A03", "A09"]
                    .map(|code| self.answer(s.open, code, json!({ "fields": null }), "/fields"))
                    .into();
                cases.push(self.answer(s.open, "A03", fine, "/fields"));
                cases
            }
            RefusalCode::FieldTwice => {
                let line = |field: &str| json!({ "field": field, "result": "differs" });
                let fields = json!({ "fields": [line("address"), line("birth"), line("birth")] });
                vec![self.answer(s.open, "A03", fields, "/fields/2/field")]
            }
            RefusalCode::BulkOnlyA01 => vec![self.answer(s.open, "A08", json!({ "bulk": true }), "/bulk")],
        }
    }
}

/// Whether a pointer is one that the table allows.
fn fits(allowed: &str, pointer: &str) -> bool {
    if allowed == ANY_FIELD {
        return pointer.starts_with('/');
    }
    let (a, p): (Vec<&str>, Vec<&str>) = (allowed.split('/').collect(), pointer.split('/').collect());
    a.len() == p.len() && a.iter().zip(p).all(|(a, p)| *a == p || (*a == "*" && p.parse::<usize>().is_ok()))
}

/// The receipt of a message that was just sent.
async fn receipt_of(desk: &mut Desk, message: &OfficeMessage) -> Result<Item> {
    match message.message_id.parse() {
        Ok(id) => desk.receipt(id).await,
        Err(_) => desk.receipt_without_id().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_comes_back_as_it_says_is_kept_and_stops_nobody() -> Result<()> {
    let mut stage = Stage::new("refusals", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let unreadable = OfficeMessage { body: b"[]".to_vec(), ..ward.message(T::RequestSubmit, &json!({})) };
    ward.publish(&unreadable).await?;
    let standing = Standing {
        open: ward.submit(&home.office, 100).await?,
        answered: ward.submit(&home.office, 101).await?,
        withdrawn: ward.submit(&home.office, 102).await?,
        closed: ward.submit(&home.office, 103).await?,
        unreadable: unreadable.message_id.parse()?,
    };
    ward.receipt(standing.unreadable).await?;
    ward.ask(T::FileClose, &closing(standing.closed, "ct08", "2026-11-19")).await?;
    home.ask(T::AnswerGive, &give(standing.answered, "A01")).await?;
    ward.ask(T::RequestWithdraw, &withdrawal(standing.withdrawn)).await?;

    let mut refused = 1;
    for (number, code) in (200..).zip(RefusalCode::ALL) {
        let word = code.as_str();
        let table = Table { ward: &ward, home: &home, standing: &standing, now: stage.clock.now() };
        let cases = table.cases(*code);
        for allowed in code.pointers() {
            ensure!(cases.iter().any(|bad| fits(allowed, bad.pointer)), "no case of {word} points at {allowed:?}");
        }
        let mut last = None;
        for bad in cases {
            let what = format!("{word} at {:?}", bad.pointer);
            ensure!(code.pointers().iter().any(|allowed| fits(allowed, bad.pointer)), "not in the table: {what}");
            let sender = if bad.by == Who::Ward { &mut ward } else { &mut home };
            sender.publish(&bad.message).await?;
            let item = receipt_of(sender, &bad.message).await.with_context(|| what.clone())?;
            assert_eq!(item.outcome, Outcome::Refused, "{what}");
            let refusal = item.refusal.with_context(|| what.clone())?;
            assert_eq!((refusal.code.as_str(), refusal.pointer.as_str()), (word, bad.pointer));
            if let Some(detail) = bad.detail {
                assert_eq!(refusal.detail.as_deref(), Some(detail), "{what}");
            }
            if [RefusalCode::FieldInvalid, RefusalCode::DateImpossible].contains(code) {
                assert!(refusal.detail.is_some(), "what can be there is not told: {what}");
            }
            // A commune's name alone is asked after in another way than a place that was divided.
            let by_name = *code == RefusalCode::HomeAmbiguous && refusal.detail.is_some();
            let sentences = if by_name { WHICH_DISTRICT } else { (code.sentence(), code.sentence_en()) };
            assert_eq!((refusal.sentence.as_str(), refusal.sentence_en.as_str()), sentences, "{what}");
            assert_eq!(!refusal.candidates.is_empty(), *code == RefusalCode::HomeAmbiguous, "{what}");
            refused += 1;
            let newest = "select concat_ws(' ', sender, code, pointer) from refused order by refused_id desc limit 1";
            let kept = stage.world.rows(newest).await?;
            assert_eq!(kept, [format!("{} {word} {}", sender.office.id, bad.pointer)], "the kept row");
            assert_eq!(stage.world.number("select count(*) from refused").await?, refused, "{what}");

            last = Some(bad.message.routing_key);
        }
        // The next one on the same queue gets through.
        if last.is_some_and(|key| ["submit", "withdraw", "close"].iter().any(|kind| key.starts_with(kind))) {
            ward.submit(&home.office, number).await.with_context(|| format!("after {word}"))?;
        } else {
            let repeat = home.ask(T::AnswerGive, &give(standing.answered, "A01")).await?;
            assert_eq!(repeat.outcome, Outcome::Accepted, "after {word}");
        }
    }
    assert_eq!(stage.world.number("select count(*) from parked").await?, 0);
    assert_eq!(stage.verify(standing.open).await?, 2, "submitted and sent: the refusals left no trace on it");
    stage.close().await
}
