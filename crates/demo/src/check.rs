//! What came of it all, from the clients' ledgers alone.
//!
//! Wards and homes keep what they sent and what came; laid side by side, these ledgers say of each
//! request how it ended, which promise was broken, and what happened twice. The product's own word
//! is only compared: its rungs with the table written by hand.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use xacminh_domain::id::{OfficeId, RequestId};

use crate::ledger::{Ledger, Sent};
use crate::table::{day, day_after_four_hours, midnight_after, row_of};

/// How many requests ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Sum {
    /// Distinct well-formed ids of submits with a provable sender.
    pub submitted: u64,
    /// Refused.
    pub refused: u64,
    /// Taken back.
    pub withdrawn: u64,
    /// Answered before the due.
    pub answered_on_time: u64,
    /// Answered at or after the due.
    pub answered_late: u64,
    /// Open, the due still to come.
    pub open_in_time: u64,
    /// Open, the due passed.
    pub open_silent: u64,
}

impl Sum {
    /// Nothing is missing and nothing counts twice.
    pub fn is_exact(&self) -> bool {
        self.submitted
            == self.refused
                + self.withdrawn
                + self.answered_on_time
                + self.answered_late
                + self.open_in_time
                + self.open_silent
    }
}

/// How one accepted request stands, as its two ends know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) request: RequestId,
    /// H, as W meant it.
    pub(crate) home: OfficeId,
    /// The day on which H's clock started.
    pub(crate) start_on: Option<Date>,
    /// When H opened it.
    pub(crate) opened_at: Option<Timestamp>,
    /// When it was answered or taken back.
    pub(crate) closed_at: Option<Timestamp>,
}

/// What the ledgers say.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The sum.
    pub(crate) sum: Sum,
    /// Accepted and never arrived, or owed and never given.
    pub(crate) lost: Vec<String>,
    /// Happened twice.
    pub(crate) twice: Vec<String>,
    /// What else was not as promised.
    pub(crate) surprises: Vec<String>,
    /// Accepted requests, for the rungs.
    pub(crate) requests: Vec<Ended>,
    /// How many receipts refused, whatever was sent.
    pub(crate) refusals: u64,
}

/// What H's side of a request shows.
#[derive(Default)]
struct HomeSide<'l> {
    received_at: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    gives: Vec<&'l Sent>,
    came_to: Vec<OfficeId>,
}

/// Lays the ledgers side by side.
pub(crate) fn check(books: &HashMap<OfficeId, Ledger>, end: Timestamp) -> Findings {
    let mut findings = Findings::default();
    let mut homes: HashMap<RequestId, HomeSide<'_>> = HashMap::new();
    let mut withdraws: HashMap<RequestId, &Sent> = HashMap::new();
    for (office, ledger) in books {
        for (id, under) in &ledger.requests {
            homes.entry(*id).or_default().came_to.push(*office);
            if under.len() > 1 {
                findings.twice.push(format!("{id}: delivered under {} message ids", under.len()));
            }
        }
        for sent in ledger.sent.values() {
            findings.command(*office, sent);
            let Some(request) = sent.request else {
                continue;
            };
            match sent.command() {
                "request.received" => {
                    homes.entry(request).or_default().received_at.get_or_insert(sent.at);
                }
                "request.opened" => {
                    homes.entry(request).or_default().opened_at.get_or_insert(sent.at);
                }
                "answer.give" => homes.entry(request).or_default().gives.push(sent),
                "request.withdraw" if sent.is_accepted() => {
                    withdraws.insert(request, sent);
                }
                _ => {}
            }
        }
        let altered = ledger.came.iter().filter(|(_, came)| came.altered);
        findings.twice.extend(altered.map(|(id, _)| format!("{id} at {office}: again with other bytes")));
        findings.surprises.extend(ledger.strange.iter().map(|what| format!("{office}: {what}")));
    }
    for ledger in books.values() {
        for (key, sent) in &ledger.sent {
            if sent.command() == "request.submit" && sent.is_provable() && !key.ends_with('#') {
                let request = sent.request.and_then(|id| homes.get(&id));
                let withdrawn = sent.request.and_then(|id| withdraws.get(&id).copied());
                findings.request(books, ledger, sent, request, withdrawn, end);
            }
        }
    }
    findings
}

impl Findings {
    /// What holds for every command.
    fn command(&mut self, office: OfficeId, sent: &Sent) {
        let id = &sent.sheet.message_id;
        let what = &sent.sheet.message_type;
        if !sent.confirmed {
            self.surprises.push(format!("{id} of {office}: RabbitMQ never confirmed {what}"));
        } else if sent.awaited > 0 {
            self.lost.push(format!("{id} of {office}: no receipt for {what}"));
        }
        if sent.differing > 0 {
            self.twice.push(format!("{id} of {office}: a repeat of {what} got another receipt"));
        }
        if let Some(item) = &sent.receipt {
            let code = item.refusal.as_ref().map(|r| r.code.as_str());
            self.refusals += u64::from(code.is_some());
            if !sent.expect.allows(item) {
                self.surprises.push(format!("{id} of {office}: {what} got {}", code.unwrap_or("accepted")));
            }
        }
    }

    /// What became of a submit.
    fn request(
        &mut self,
        books: &HashMap<OfficeId, Ledger>,
        ward: &Ledger,
        submit: &Sent,
        home_side: Option<&HomeSide<'_>>,
        withdraw: Option<&Sent>,
        end: Timestamp,
    ) {
        self.sum.submitted += 1;
        // Without a receipt it is lost, and the sum shows it.
        let (Some(id), Some(receipt)) = (submit.request, &submit.receipt) else {
            return;
        };
        if !submit.is_accepted() {
            self.sum.refused += 1;
            return;
        }
        let nothing = HomeSide::default();
        let side = home_side.unwrap_or(&nothing);
        let asked = receipt.responder.as_ref().map(|card| card.office.0);
        let Some(home) = submit.asks.or(asked) else {
            return;
        };
        if asked != Some(home) {
            self.surprises.push(format!("{id}: W meant {home}, the receipt names another"));
        }
        if side.came_to.iter().any(|office| *office != home) {
            self.surprises.push(format!("{id}: came to an office that was not asked"));
        }
        let book = books.get(&home);
        match book.map(|book| book.requests.contains_key(&id)) {
            Some(false) => self.lost.push(format!("{id}: accepted, and never came to {home}")),
            Some(true) => self.same_person(id, submit, book),
            None => {}
        }
        let started = match side.received_at {
            Some(at) => Some(day(at)),
            None if book.is_none() => day_after_four_hours(receipt.at.0),
            None => None,
        };
        let given: Vec<&Sent> = side.gives.iter().copied().filter(|give| give.is_accepted()).collect();
        if given.len() > 1 {
            self.twice.push(format!("{id}: {} answers were accepted", given.len()));
        }
        let due_at = started.and_then(row_of).map(|row| midnight_after(row.answer_on));
        let mut closed_at = withdraw.and_then(|sent| sent.receipt.as_ref()).map(|item| item.at.0);
        match (withdraw, given.first().and_then(|give| give.receipt.as_ref())) {
            (Some(_), Some(_)) => self.twice.push(format!("{id}: taken back and answered")),
            (Some(_), None) => self.sum.withdrawn += 1,
            (None, Some(answer)) => {
                closed_at = Some(answer.at.0);
                if answer.late {
                    self.sum.answered_late += 1;
                } else {
                    self.sum.answered_on_time += 1;
                }
                if due_at.is_some_and(|due| (answer.at.0 >= due) != answer.late) {
                    self.surprises.push(format!("{id}: late by one side's count only"));
                }
            }
            (None, None) if due_at.is_some_and(|due| end >= due) => self.sum.open_silent += 1,
            (None, None) => self.sum.open_in_time += 1,
        }
        self.answer(id, ward, given.first().copied());
        self.requests.push(Ended { request: id, home, start_on: started, opened_at: side.opened_at, closed_at });
    }

    /// The person must arrive as W wrote it.
    fn same_person(&mut self, id: RequestId, submit: &Sent, home: Option<&Ledger>) {
        let message =
            home.and_then(|book| book.requests.get(&id).and_then(|under| under.first()).and_then(|m| book.came.get(m)));
        let person = |body: &[u8]| {
            serde_json::from_slice::<Value>(body).ok().and_then(|mut v| v.get_mut("person").map(Value::take))
        };
        if message.is_some_and(|came| person(&came.body) != person(&submit.sheet.body)) {
            self.surprises.push(format!("{id}: the person did not arrive as W wrote it"));
        }
    }

    /// The answer in W's ledger.
    fn answer(&mut self, id: RequestId, ward: &Ledger, given: Option<&Sent>) {
        let came = ward.answers.get(&id);
        let code = given
            .and_then(|give| serde_json::from_slice::<Value>(&give.sheet.body).ok())
            .and_then(|body| body["code"].as_str().map(str::to_owned));
        match (given, came) {
            (Some(_), None) => self.lost.push(format!("{id}: answered, and the answer never came to W")),
            (None, Some(_)) => self.surprises.push(format!("{id}: an answer came that nobody had given")),
            (Some(_), Some(came)) => {
                if came.len() > 1 {
                    self.twice.push(format!("{id}: {} answers came to W", came.len()));
                }
                if came.iter().any(|(_, c)| Some(c.as_str()) != code.as_deref()) {
                    self.surprises.push(format!("{id}: W got another code than H gave"));
                }
            }
            (None, None) => {}
        }
    }
}

/// The 99th percentile, by nearest rank; none of nothing.
pub(crate) fn p99(mut of: Vec<u64>) -> Option<u64> {
    of.sort_unstable();
    let rank = (of.len() * 99).div_ceil(100);
    rank.checked_sub(1).and_then(|i| of.get(i)).copied()
}

/// From W's hand to H's ledger, in milliseconds of real time, where nothing was in the way.
pub(crate) fn submit_to_home_ms(books: &HashMap<OfficeId, Ledger>) -> Vec<u64> {
    let submits = books.values().flat_map(|book| book.sent.values());
    let submits = submits.filter(|sent| sent.command() == "request.submit" && sent.is_accepted() && !sent.disturbed);
    let took = submits.filter_map(|sent| {
        let home = books.get(&sent.asks?)?;
        let came = home.came.get(home.requests.get(&sent.request?)?.first()?)?;
        u64::try_from(came.came_at.checked_duration_since(sent.handed_at)?.as_millis()).ok()
    });
    took.collect()
}

/// How long refusals took; `undisturbed` leaves out those that a kill or a lost line held up.
pub(crate) fn refusal_ms(books: &HashMap<OfficeId, Ledger>, undisturbed: bool) -> Vec<u64> {
    let sent = books.values().flat_map(|book| book.sent.values());
    let refused =
        sent.filter(|s| s.receipt.as_ref().is_some_and(|item| item.refusal.is_some()) && !(undisturbed && s.disturbed));
    refused.filter_map(|s| s.receipt_ms).collect()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
