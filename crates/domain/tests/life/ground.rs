//! What every life stands on: five offices, a calendar, rules and ladder as the registry has them,
//! small enough to be read.

use jiff::civil::{Date, date};
use xacminh_domain::Timestamp;
use xacminh_domain::answer::{Answer, AnswerCode};
use xacminh_domain::calendar::{Calendar, CalendarDay, DayKind, at_local};
use xacminh_domain::directory::{Directory, DirectoryParts};
use xacminh_domain::escalation::Climb;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_domain::office::{Office, OfficeKind, OfficeServes, Served};
use xacminh_domain::person::{PartialDate, Person};
use xacminh_domain::request::{
    self, Counting, Event, Lane, Lookup, OpenContext, Opening, Purpose, Request, RequestKind,
};
use xacminh_domain::rules::{Ladder, LadderRow, LegalRule, LegalRules, RuleValue, RungTarget, Trigger};
use xacminh_domain::unit::{Unit, UnitType};

/// The broker's outages, as (from, to).
pub(crate) type Outages = [(Timestamp, Option<Timestamp>)];

pub(crate) struct Ground {
    pub(crate) requester: OfficeId,
    pub(crate) responder: OfficeId,
    pub(crate) province: OfficeId,
    pub(crate) ministry: OfficeId,
    /// Has no part in the request.
    pub(crate) stranger: OfficeId,
    pub(crate) calendar: Calendar,
    rules: LegalRules,
    ladder: Ladder,
    directory: Directory,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let id = |text: &str| text.parse::<OfficeId>().unwrap();
        let [requester, responder, stranger] = ["vpwaaaaa", "vphaaaaa", "vpsaaaaa"].map(id);
        let [province, ministry] = ["vppaaaaa", "vpmaaaaa"].map(id);
        Self {
            requester,
            responder,
            province,
            ministry,
            stranger,
            calendar: calendar(),
            rules: rules(),
            ladder: ladder(),
            directory: directory([requester, responder, stranger], province, ministry),
        }
    }

    /// The same on another calendar.
    pub(crate) fn on(calendar: Calendar) -> Self {
        Self { calendar, ..Self::new() }
    }

    pub(crate) fn counting(&self) -> Counting<'_> {
        Counting { calendar: &self.calendar, rules: &self.rules }
    }

    pub(crate) fn climb<'a>(&'a self, outages: &'a Outages) -> Climb<'a> {
        Climb {
            ladder: &self.ladder,
            counting: self.counting(),
            ward_calendar: &self.calendar,
            directory: &self.directory,
            outages,
        }
    }

    /// A file for temporary residence, received on the day it is asked about.
    pub(crate) fn submit(&self, now: Timestamp, received_at: Option<Timestamp>) -> (Request, Event) {
        let opening = Opening {
            requester: self.requester,
            responder: self.responder,
            home: "00002".parse().unwrap(),
            kind: RequestKind::TempResidence,
            lane: Lane::Normal,
            lane_reason: None,
            purpose: Purpose::Registration,
            lookup: Lookup::Done,
            case_code: "G01.000-261119-0001".into(),
            received_on: xacminh_domain::calendar::local_date(now),
            received_at,
            promised_on: None,
            questions: vec![],
            person_digest: [7; 32],
        };
        let person = Person {
            full_name: "Trần Thị Thử".into(),
            birth: PartialDate::Year(1990),
            person_no: None,
            address: Some("thôn Thử".into()),
            origin: None,
        };
        let context = OpenContext { calendar: &self.calendar, rules: &self.rules, known_prefix: &|_| true };
        let opened = request::open(opening, &person, now, context).unwrap();
        let id: RequestId = "019a9a00-0000-7000-8000-000000000001".parse().unwrap();
        (Request::from_first(id, now, &opened.event).unwrap(), opened.event)
    }
}

/// An hour and minute in Vietnam on a day of November 2026.
pub(crate) fn november(day: i8, hour: i8, minute: i8) -> Timestamp {
    at_local(date(2026, 11, day), hour, minute)
}

pub(crate) fn answer(code: AnswerCode) -> Answer {
    Answer {
        code,
        fields: vec![],
        basis: None,
        cause: None,
        dwelling_status: None,
        answered_by: "cb-1".parse().unwrap(),
        approved_by: None,
        bulk: false,
    }
}

/// 2026 with the one holiday that stands in the weeks these lives are lived in: Tuesday the 24th.
fn calendar() -> Calendar {
    calendar_with(vec![], "test.1")
}

/// The same with further days, of another import.
pub(crate) fn calendar_with(mut days: Vec<CalendarDay>, version: &str) -> Calendar {
    days.push(CalendarDay {
        on: date(2026, 11, 24),
        kind: DayKind::Holiday,
        name: "Ngày Văn hóa Việt Nam".into(),
        provisional: false,
    });
    Calendar::new(days, version.into(), "08:00-12:00;13:00-17:00".parse().unwrap())
}

fn rules() -> LegalRules {
    let rule = |key: &str, value: &str, unit: &str| LegalRule {
        key: key.into(),
        value: RuleValue::parse(value, unit).unwrap(),
        valid_from: None,
        valid_to: None,
    };
    LegalRules::new([
        rule(LegalRules::ACCEPT, "1", "working_days"),
        rule(LegalRules::ANSWER, "2", "working_days"),
        rule(LegalRules::NOT_RECEIVED, "240", "working_minutes"),
        rule(LegalRules::EXEMPT_UNDER_AGE, "6", "years"),
        rule("file_clock.temp_residence", "3", "working_days"),
    ])
}

/// With the rungs of the time of districts, which must stay silent.
fn ladder() -> Ladder {
    let (last, first) = (Some(date(2025, 2, 28)), Some(date(2025, 3, 1)));
    let row = |trigger, rung, target, after_wd, valid_from: Option<Date>, valid_to| LadderRow {
        trigger,
        rung,
        target,
        after_wd,
        valid_from,
        valid_to,
    };
    Ladder::new([
        row(Trigger::NotReceived, 0, RungTarget::Operator, 0, None, None),
        row(Trigger::AcceptDue, 0, RungTarget::OfficeHead, 0, None, None),
        row(Trigger::AnswerDueDay, 0, RungTarget::Responder, 0, None, None),
        row(Trigger::AnswerDue, 1, RungTarget::DistrictPolice, 0, None, last),
        row(Trigger::AnswerDue, 1, RungTarget::ProvinceUnit, 0, first, None),
        row(Trigger::AnswerDue, 2, RungTarget::ProvinceUnit, 1, None, last),
        row(Trigger::AnswerDue, 2, RungTarget::MinistryUnit, 1, first, None),
        row(Trigger::AnswerDue, 3, RungTarget::MinistryUnit, 2, None, last),
        row(Trigger::FileDue, 0, RungTarget::Requester, 0, None, None),
        row(Trigger::AnswerUnread, 0, RungTarget::Requester, 1, None, None),
        row(Trigger::AnswerUnread, 1, RungTarget::RequesterHead, 2, None, None),
        row(Trigger::FileDueAnswered, 0, RungTarget::RequesterHead, 0, None, None),
    ])
}

fn directory(communes: [OfficeId; 3], province: OfficeId, ministry: OfficeId) -> Directory {
    let code = |text: &str| text.parse().unwrap();
    let unit = |c: &str, name: &str, unit_type, parent: Option<&str>| Unit {
        code: code(c),
        name: name.into(),
        unit_type,
        parent: parent.map(code),
        province: code("01"),
        valid_from: None,
        valid_to: None,
    };
    let office = |id, kind, province: Option<&str>| Office {
        id,
        name: format!("Văn phòng {id}"),
        kind,
        province: province.map(code),
        phone: Some("0000000000".into()),
        fallback_phone: None,
        opening_hours: "08:00-12:00;13:00-17:00".parse().unwrap(),
    };
    let serves = |office, served| OfficeServes { office, served, valid_from: None, valid_to: None };
    let codes = ["00001", "00002", "00003"];
    let mut units = vec![unit("01", "Thành phố Thử", UnitType::ThanhPho, None)];
    units.extend(codes.map(|c| unit(c, "Phường Thử", UnitType::Phuong, Some("01"))));
    let mut offices =
        vec![office(province, OfficeKind::ProvinceUnit, Some("01")), office(ministry, OfficeKind::MinistryUnit, None)];
    offices.extend(communes.map(|id| office(id, OfficeKind::CommunePolice, Some("01"))));
    let mut rows = vec![serves(province, Served::Province(code("01"))), serves(ministry, Served::Nation)];
    rows.extend(communes.into_iter().zip(codes).map(|(id, c)| serves(id, Served::Commune(code(c)))));
    Directory::new(DirectoryParts {
        units,
        successions: vec![],
        variants: vec![],
        offices,
        serves: rows,
        record_begins: date(2024, 1, 1),
    })
}
