//! What an office remembers: everything it sent and everything that came.
//!
//! It is all that the checker gets to see. A message is in here before it is acknowledged, so what
//! is missing here never arrived.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use xacminh_contract::answer;
use xacminh_contract::envelope::{ANSWER_DELIVER, NOTICE, RECEIPT, REQUEST_DELIVER};
use xacminh_contract::notice::{self, Notice};
use xacminh_contract::receipt::{Item, Outcome, Receipt};
use xacminh_contract::request;
use xacminh_domain::id::{MessageId, OfficeId, RequestId};

use crate::line::Sheet;

/// What an office expects to come back for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A receipt that says accepted.
    Accepted,
    /// A receipt that says accepted, or refused with one of these codes.
    AcceptedOr(&'static [&'static str]),
    /// A receipt that says refused with this code.
    Refused(&'static str),
    /// Nothing, or a refusal with one of these codes.
    Silence(&'static [&'static str]),
    /// Nothing at all: nobody can be told.
    Parked,
}

impl Expect {
    /// A receipt is owed whatever becomes of the command.
    pub(crate) fn owes_receipt(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedOr(_) | Self::Refused(_))
    }

    /// Whether a receipt is one of those expected.
    pub(crate) fn allows(self, item: &Item) -> bool {
        let code = item.refusal.as_ref().map(|r| r.code.as_str());
        match (self, item.outcome) {
            (Self::Accepted | Self::AcceptedOr(_), Outcome::Accepted) => true,
            (Self::AcceptedOr(codes) | Self::Silence(codes), Outcome::Refused) => {
                code.is_some_and(|code| codes.contains(&code))
            }
            (Self::Refused(expected), Outcome::Refused) => code == Some(expected),
            (Self::Accepted | Self::Parked, _) | (Self::Refused(_) | Self::Silence(_), Outcome::Accepted) => false,
        }
    }
}

/// A command that an office sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// As it went out, byte by byte.
    pub(crate) sheet: Sheet,
    /// The request it is about.
    pub(crate) request: Option<RequestId>,
    /// The office that W means, for a submit.
    pub(crate) asks: Option<OfficeId>,
    /// What should come back.
    pub(crate) expect: Expect,
    /// When it was first handed to the line, by the stepped clock.
    pub(crate) at: Timestamp,
    /// The same in real time.
    pub(crate) handed_at: Instant,
    /// RabbitMQ confirmed it.
    pub(crate) confirmed: bool,
    /// How many receipts are still awaited.
    pub(crate) awaited: u32,
    /// The first receipt.
    pub(crate) receipt: Option<Item>,
    /// How long the first receipt took, in milliseconds.
    pub(crate) receipt_ms: Option<u64>,
    /// How many later receipts said something else.
    pub(crate) differing: u32,
    /// The line was lost, or the product killed, while it was under way.
    pub(crate) disturbed: bool,
}

impl Sent {
    /// The command's name without version, as in `request.submit`; empty for an unknown one.
    pub(crate) fn command(&self) -> &str {
        self.sheet.message_type.strip_prefix("xacminh.").and_then(|t| t.strip_suffix(".v1")).unwrap_or_default()
    }

    /// Whether the broker can know whose it is and which.
    pub(crate) fn is_provable(&self) -> bool {
        self.sheet.signed && self.sheet.message_id.parse::<MessageId>().is_ok()
    }

    /// It was accepted.
    pub(crate) fn is_accepted(&self) -> bool {
        self.receipt.as_ref().is_some_and(|item| item.outcome == Outcome::Accepted)
    }
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Came {
    /// Its bytes.
    pub(crate) body: Vec<u8>,
    /// How often it came; at least once is what was promised.
    pub(crate) times: u32,
    /// It came again under the same id with other bytes.
    pub(crate) altered: bool,
    /// When it came first, in real time.
    pub(crate) came_at: Instant,
}

/// What came, read.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// Receipts.
    Receipt(Vec<Item>),
    /// Work.
    Request(Box<request::Deliver>),
    /// A result.
    Answer(Box<answer::Deliver>),
    /// Reminders and the like.
    Notice(Vec<notice::Item>),
    /// Nothing the contract knows.
    Strange(String),
}

impl Arrived {
    fn read(message_type: &str, body: &[u8]) -> Self {
        let read = match message_type {
            RECEIPT => serde_json::from_slice::<Receipt>(body).map(|r| Self::Receipt(r.items)),
            REQUEST_DELIVER => serde_json::from_slice(body).map(|d| Self::Request(Box::new(d))),
            ANSWER_DELIVER => serde_json::from_slice(body).map(|d| Self::Answer(Box::new(d))),
            NOTICE => serde_json::from_slice::<Notice>(body).map(|n| Self::Notice(n.items)),
            other => Ok(Self::Strange(format!("a message of type {other:?}"))),
        };
        // The library's words quote the body, which may name a person.
        read.unwrap_or_else(|e| Self::Strange(format!("an unreadable {message_type} ({:?})", e.classify())))
    }
}

/// What all clients together have under way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Handed to a line and not confirmed.
    pub(crate) unconfirmed: AtomicI64,
    /// Receipts awaited.
    pub(crate) awaited: AtomicI64,
    /// Distinct commands that the product must have on record.
    pub(crate) on_record: AtomicU64,
    /// Everything that was sent, confirmed or came.
    pub(crate) activity: AtomicU64,
}

impl Tally {
    /// Something moved.
    pub(crate) fn moved(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}

/// One office's ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Commands by message id. A second command under a used id goes by the id and `#`.
    pub(crate) sent: HashMap<String, Sent>,
    /// The keys of `sent` in the order of sending.
    pub(crate) order: Vec<String>,
    /// What came, by message id.
    pub(crate) came: HashMap<String, Came>,
    /// Requests: the message ids under which each came.
    pub(crate) requests: HashMap<RequestId, Vec<String>>,
    /// Answers: the message ids under which each came, with its code.
    pub(crate) answers: HashMap<RequestId, Vec<(String, answer::Code)>>,
    /// Lines of notices.
    pub(crate) notices: Vec<notice::Item>,
    /// What should not have come: receipts for nothing, unreadable bytes, returned commands.
    pub(crate) strange: Vec<String>,
}

impl Ledger {
    /// The key of a second command under a used message id.
    pub(crate) fn reuse_key(message_id: &str) -> String {
        format!("{message_id}#")
    }

    /// Notes a command that is about to be sent.
    pub(crate) fn send(&mut self, key: String, sent: Sent, tally: &Tally) {
        tally.unconfirmed.fetch_add(1, Ordering::Relaxed);
        tally.awaited.fetch_add(i64::from(sent.awaited), Ordering::Relaxed);
        if sent.is_provable() && !key.ends_with('#') {
            tally.on_record.fetch_add(1, Ordering::Relaxed);
        }
        tally.moved();
        self.order.push(key.clone());
        self.sent.insert(key, sent);
    }

    /// Notes that a command goes out once more.
    pub(crate) fn repeat(&mut self, key: &str, tally: &Tally) -> bool {
        let Some(sent) = self.sent.get_mut(key) else {
            return false;
        };
        if sent.confirmed {
            sent.confirmed = false;
            tally.unconfirmed.fetch_add(1, Ordering::Relaxed);
        }
        if sent.expect.owes_receipt() {
            sent.awaited += 1;
            tally.awaited.fetch_add(1, Ordering::Relaxed);
        }
        tally.moved();
        true
    }

    /// Notes RabbitMQ's confirm.
    pub(crate) fn confirmed(&mut self, key: &str, tally: &Tally) {
        if let Some(sent) = self.sent.get_mut(key).filter(|sent| !sent.confirmed) {
            sent.confirmed = true;
            tally.unconfirmed.fetch_sub(1, Ordering::Relaxed);
            tally.moved();
        }
    }

    /// What is to be sent again on a new line, in the old order.
    pub(crate) fn unconfirmed(&mut self) -> Vec<String> {
        let open = self.order.iter().filter(|key| self.sent.get(*key).is_some_and(|sent| !sent.confirmed));
        let open: Vec<String> = open.cloned().collect();
        for key in &open {
            if let Some(sent) = self.sent.get_mut(key) {
                sent.disturbed = true;
            }
        }
        open
    }

    /// Marks what is under way: its receipts took longer for a reason.
    pub(crate) fn disturb(&mut self) {
        for sent in self.sent.values_mut().filter(|sent| sent.receipt.is_none()) {
            sent.disturbed = true;
        }
    }

    /// Takes a message in. None when it was here before.
    pub(crate) fn take(
        &mut self,
        message_id: &str,
        message_type: &str,
        body: Vec<u8>,
        tally: &Tally,
    ) -> Option<Arrived> {
        tally.moved();
        let arrived = Arrived::read(message_type, &body);
        if let Arrived::Receipt(items) = &arrived {
            for item in items {
                self.receipt(item, tally);
            }
        }
        if let Some(before) = self.came.get_mut(message_id) {
            before.times += 1;
            before.altered |= before.body != body;
            return None;
        }
        let came = Came { body, times: 1, altered: false, came_at: Instant::now() };
        self.came.insert(message_id.to_owned(), came);
        match &arrived {
            Arrived::Request(d) => self.requests.entry(d.request_id.0).or_default().push(message_id.to_owned()),
            Arrived::Answer(d) => {
                self.answers.entry(d.request_id.0).or_default().push((message_id.to_owned(), d.code));
            }
            Arrived::Notice(items) => self.notices.extend(items.iter().cloned()),
            Arrived::Strange(what) => self.strange.push(what.clone()),
            Arrived::Receipt(_) => {}
        }
        Some(arrived)
    }

    fn receipt(&mut self, item: &Item, tally: &Tally) {
        let Some(sent) = self.receipt_for(item) else {
            let code = item.refusal.as_ref().map_or("accepted", |r| r.code.as_str());
            self.strange.push(format!("a receipt ({code}) for a command never sent"));
            return;
        };
        if sent.awaited > 0 {
            sent.awaited -= 1;
            tally.awaited.fetch_sub(1, Ordering::Relaxed);
        }
        match &sent.receipt {
            // Without an id the broker cannot know that it refused the same before.
            Some(first) if item.message_id.is_some() && first != item => sent.differing += 1,
            Some(_) => {}
            None => {
                sent.receipt = Some(item.clone());
                let ms = sent.handed_at.elapsed().as_millis();
                sent.receipt_ms = Some(u64::try_from(ms).unwrap_or(u64::MAX));
            }
        }
    }

    fn receipt_for(&mut self, item: &Item) -> Option<&mut Sent> {
        let refusal = item.refusal.as_ref().map(|r| r.code.as_str());
        let key = match &item.message_id {
            Some(id) if refusal == Some("id_reused") => Self::reuse_key(&id.to_string()),
            Some(id) => id.to_string(),
            // The broker could not read the id: it is one of those that are none, the first that has no
            // receipt. If all have one, a kill or a lost line made the broker refuse one of them again.
            None => {
                let is_nameless = |s: &Sent| s.sheet.message_id.parse::<MessageId>().is_err();
                let keys = self.order.iter().filter(|key| self.sent.get(*key).is_some_and(is_nameless));
                let nameless: Vec<&String> = keys.collect();
                let unanswered = nameless.iter().find(|key| self.sent[**key].receipt.is_none());
                (*unanswered.or(nameless.first())?).clone()
            }
        };
        self.sent.get_mut(&key)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
