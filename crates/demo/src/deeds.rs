//! What people do, one command each.

use anyhow::Result;
use rand::Rng;
use serde_json::json;
use xacminh_contract::answer::{Code, Read};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::request::{Home, Opened, Received, Withdraw, WithdrawReason};
use xacminh_contract::values::Handler;
use xacminh_domain::id::{OfficeId, RequestId};

use crate::cast::{Stage, Step};
use crate::client::Draft;
use crate::forms;
use crate::ledger::Expect;
use crate::people;
use crate::plan::{Fate, KILL, Repeat, Written, Wrong};
use crate::table::{A_DAY, day};

/// How a command about a request may be answered that W takes back meanwhile.
const TAKEN_BACK: &[&str] = &["already_withdrawn"];
/// How a withdrawal may be answered that comes after the answer.
const ANSWERED: &[&str] = &["already_answered"];

/// A command about a request, of which there is one routing key.
pub(crate) fn about(
    of: CommandType,
    request: RequestId,
    body: &impl serde::Serialize,
    expect: Expect,
) -> Result<Draft> {
    Ok(Draft::new(of, of.routing_keys()[0], body, expect)?.about(request))
}

/// `request.received`.
pub(crate) fn received(request: RequestId) -> Result<Draft> {
    about(CommandType::RequestReceived, request, &Received { request_id: request.into() }, Expect::Silence(TAKEN_BACK))
}

/// `request.opened`.
pub(crate) fn opened(request: RequestId) -> Result<Draft> {
    let handler = Some(Handler("cb-017".parse()?));
    about(
        CommandType::RequestOpened,
        request,
        &Opened { request_id: request.into(), handler },
        Expect::Silence(TAKEN_BACK),
    )
}

/// `answer.read`.
pub(crate) fn read(request: RequestId) -> Result<Draft> {
    about(CommandType::AnswerRead, request, &Read { request_id: request.into() }, Expect::Silence(&[]))
}

impl Stage<'_> {
    /// How a ward writes the home of a request.
    pub(crate) fn written_home(&self, i: usize) -> Result<Home> {
        let planned = self.plan.requests[i];
        let home = &self.homes[planned.home];
        match (&home.old_words, planned.written) {
            (Some(words), Written::Words) => people::old_home(words, true),
            (Some(words), Written::Plain) => people::old_home(words, false),
            (None, Written::Words | Written::Plain) | (_, Written::Code) => {
                forms::home_by_code(&home.unit_code, day(self.crew.clock.now()))
            }
        }
    }

    /// Work came to a home: what its people mean to do about it.
    pub(crate) fn intends(&mut self, i: usize) {
        let (today, fate) = (self.session / A_DAY, self.plan.requests[i].fate);
        let answer_in = match fate {
            Fate::InTime | Fate::Crossing => Some(self.in_time(today)),
            Fate::Late => Some((today + 3) * A_DAY + self.rng.random_range(0..2)),
            Fate::Withdrawn => {
                self.later(self.session + 1, Step::Withdraw(i));
                Some((today + 1) * A_DAY)
            }
            Fate::Open => None,
            Fate::Silent | Fate::Unplugged | Fate::Bad(_) => return,
        };
        let next = if self.session.is_multiple_of(A_DAY) { self.session + 1 } else { (today + 1) * A_DAY };
        let waits = fate != Fate::Late && self.rng.random_bool(0.5);
        if waits && answer_in.is_none_or(|answer| next < answer) {
            self.later(next, Step::Open(i));
        } else {
            let seconds = self.rng.random_range(0.1..0.8);
            self.soon(seconds, Step::Open(i));
        }
        if let Some(session) = answer_in {
            self.later(session, Step::Answer(i));
        }
    }

    /// A half-day before the due: often an evening, when one officer answers all of the day.
    fn in_time(&mut self, today: usize) -> usize {
        let choice: u32 = self.rng.random_range(0..100);
        let (days, part) = match choice {
            0..25 => (0, 2),
            25..45 => (1, 0),
            45..55 => (1, 1),
            55..80 => (1, 2),
            80..92 => (2, 0),
            _ => (2, 1),
        };
        (today + days) * A_DAY + part
    }

    /// H's system stored it.
    pub(crate) fn confirm(&mut self, office: OfficeId, request: RequestId) -> Result<()> {
        self.client(office)?.send(received(request)?);
        Ok(())
    }

    /// Does one step.
    pub(crate) fn perform(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Submit(i) => self.submit(i),
            Step::Wrong(i) => self.wrong(i),
            Step::Cut(office) => {
                let client = self.client(office)?;
                client.ledger().disturb();
                client.cut();
                Ok(())
            }
            Step::Repeat(i) => self.with(i, |stage, id| {
                stage.client(stage.plan.requests[i].ward)?.repeat(&id.to_string());
                Ok(())
            }),
            Step::Withdraw(i) => self.with(i, |stage, id| stage.withdraw(i, id)),
            Step::Open(i) => self.with(i, |stage, id| {
                if !stage.was_told(id) {
                    stage.client(stage.homes[stage.plan.requests[i].home].office)?.send(opened(id)?);
                }
                Ok(())
            }),
            Step::Answer(i) => self.with(i, |stage, id| stage.answer(i, id)),
            Step::Read(i) => self.with(i, |stage, id| {
                stage.client(stage.plan.requests[i].ward)?.send(read(id)?);
                stage.is_read();
                Ok(())
            }),
        }
    }

    fn with(&mut self, i: usize, deed: impl FnOnce(&mut Self, RequestId) -> Result<()>) -> Result<()> {
        match self.ids[i] {
            Some(id) => deed(self, id),
            None => Ok(()),
        }
    }

    fn submit(&mut self, i: usize) -> Result<()> {
        let planned = self.plan.requests[i];
        let today = day(self.crew.clock.now());
        let home = self.written_home(i)?;
        let submit = forms::submit(&home, &format!("TT-2026-{i:06}"), today, &mut self.rng)?;
        let mut draft = match planned.fate {
            Fate::Bad(bad) => {
                let own = self.homes.iter().find(|h| h.office == planned.ward).map_or("", |h| &h.unit_code);
                bad.spoil(submit, &forms::home_by_code(own, today)?, &self.ambiguous)?
            }
            Fate::InTime
            | Fate::Late
            | Fate::Open
            | Fate::Silent
            | Fate::Unplugged
            | Fate::Withdrawn
            | Fate::Crossing => forms::submit_draft(&submit, Expect::Accepted)?,
        };
        if !matches!(planned.fate, Fate::Bad(_)) {
            draft.asks = Some(self.homes[planned.home].office);
        }
        let key = self.client(planned.ward)?.send(draft);
        self.is_request(i, &key);
        if planned.repeat == Some(Repeat::Soon) {
            self.soon(1.0, Step::Repeat(i));
        }
        Ok(())
    }

    fn withdraw(&mut self, i: usize, id: RequestId) -> Result<()> {
        let body = Withdraw { request_id: id.into(), reason: WithdrawReason::NoLongerNeeded };
        let draft = Draft::new(CommandType::RequestWithdraw, "withdraw.normal", &body, Expect::AcceptedOr(ANSWERED))?;
        self.client(self.plan.requests[i].ward)?.send(draft.about(id));
        Ok(())
    }

    fn answer(&mut self, i: usize, id: RequestId) -> Result<()> {
        if self.was_told(id) {
            return Ok(());
        }
        let planned = self.plan.requests[i];
        let crossing = planned.fate == Fate::Crossing;
        let ward_first = self.rng.random_bool(0.5);
        if crossing && ward_first {
            self.withdraw(i, id)?;
        }
        let expect = match planned.fate {
            Fate::Withdrawn | Fate::Crossing => Expect::AcceptedOr(TAKEN_BACK),
            Fate::InTime | Fate::Late | Fate::Open | Fate::Silent | Fate::Unplugged | Fate::Bad(_) => Expect::Accepted,
        };
        let again = self.is_second_try(id);
        let code = if again { Code::NotRegisteredHere } else { forms::any_code(&mut self.rng) };
        let evening = self.session % A_DAY == 2;
        let give = forms::give(id, code, evening)?;
        let home = self.homes[planned.home].office;
        if code == Code::NotRegisteredHere && planned.fate == Fate::InTime && self.session != KILL && !again {
            // First without the head of the office, as people do; then as it must be.
            let mut hasty = give;
            hasty.approved_by = None;
            let draft = about(CommandType::AnswerGive, id, &hasty, Expect::Refused("approval_required"))?;
            self.client(home)?.send(draft);
            self.tries_again(id);
            self.soon(0.7, Step::Answer(i));
            return Ok(());
        }
        let key = self.client(home)?.send(about(CommandType::AnswerGive, id, &give, expect)?);
        self.is_answer(id, key);
        if crossing && !ward_first {
            self.withdraw(i, id)?;
        }
        Ok(())
    }

    fn wrong(&mut self, i: usize) -> Result<()> {
        let (ward, _, wrong) = self.plan.wrong[i];
        let today = day(self.crew.clock.now());
        let other = self.homes.iter().find(|h| h.is_home() && h.office != ward).map_or("", |h| &h.unit_code);
        let submit = forms::submit(&forms::home_by_code(other, today)?, &format!("SAI-{i:04}"), today, &mut self.rng)?;
        let mut draft = forms::submit_draft(&submit, Expect::Parked)?;
        match wrong {
            Wrong::Type => {
                "xacminh.request.entreat.v1".clone_into(&mut draft.message_type);
                draft.expect = Expect::Refused("type_unknown");
            }
            Wrong::Version => {
                "xacminh.request.submit.v9".clone_into(&mut draft.message_type);
                draft.expect = Expect::Refused("version_unknown");
            }
            Wrong::Id => {
                draft.message_id = Some(format!("so-{i}"));
                draft.expect = Expect::Refused("message_id_malformed");
            }
            Wrong::Unsigned => draft.signed = false,
            Wrong::Request => {
                let nobody: RequestId = "019a9a3c-5800-7abc-8def-0123456789ab".parse()?;
                let body = json!({ "request_id": nobody.to_string() });
                draft = about(CommandType::RequestOpened, nobody, &body, Expect::Refused("request_unknown"))?;
            }
            Wrong::Reused => {
                // Some good submit of this ward's, if it has sent one that was accepted.
                let ledger = self.client(ward)?.ledger();
                let used = ledger.order.iter().find(|key| {
                    ledger.sent.get(*key).is_some_and(|s| s.command() == "request.submit" && s.is_accepted())
                });
                let used =
                    used.filter(|key| !ledger.sent.contains_key(&crate::ledger::Ledger::reuse_key(key))).cloned();
                drop(ledger);
                let Some(used) = used else { return Ok(()) };
                draft.message_id = Some(used);
                draft.expect = Expect::Refused("id_reused");
            }
        }
        self.client(ward)?.send(draft);
        Ok(())
    }
}
