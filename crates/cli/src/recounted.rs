//! How due dates moved when the calendar changed, as the ledger of a request tells it.

use jiff::Timestamp;
use serde_json::{Value, json};
use xacminh_contract::ledger::{Due, Entry, Undue};
use xacminh_domain::Date;
use xacminh_store::ledger::Kept;

use crate::{show, words};

/// A due date that moved: which, from which day, to what.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    what: &'static str,
    from: Option<Date>,
    to: Due,
}

/// Due dates that were counted anew together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    at: Timestamp,
    dues: Vec<Move>,
    undue: Vec<Undue>,
}

/// All recounts of a request, each with the dates of before.
pub(crate) fn moves(events: &[Kept]) -> Vec<Moved> {
    // The last days as they stand, by name: of the file, to accept, to answer.
    let mut days: [(&'static str, Option<Date>); 3] = [("file_due", None), ("accept_due", None), ("answer_due", None)];
    let mut found = Vec::new();
    for event in events {
        let (said, undue) = match &event.body.entry {
            Entry::Submitted { file_due, .. } => ([file_due.clone(), None, None], None),
            Entry::ClockStarted { accept, answer, .. } => ([None, Some(accept.clone()), Some(answer.clone())], None),
            Entry::Recounted { file_due, accept, answer, undue } => {
                ([file_due.clone(), accept.clone(), answer.clone()], Some(undue))
            }
            Entry::Sent
            | Entry::Delivered { .. }
            | Entry::Opened { .. }
            | Entry::RungFired { .. }
            | Entry::Answered { .. }
            | Entry::AnswerSent
            | Entry::Read
            | Entry::Withdrawn { .. }
            | Entry::FileClosed { .. } => continue,
        };
        let mut dues = Vec::new();
        for ((what, day), due) in days.iter_mut().zip(said) {
            let Some(to) = due else { continue };
            let from = day.replace(to.on.0);
            // The two of H's clock come together, though one may stand where it stood.
            if from != Some(to.on.0) {
                dues.push(Move { what, from, to });
            }
        }
        if let Some(undue) = undue {
            found.push(Moved { at: event.at, dues, undue: undue.clone() });
        }
    }
    found
}

impl Moved {
    /// For a program.
    pub(crate) fn json(&self) -> Value {
        json!({
            "at": self.at.to_string(),
            "dues": self.dues.iter().map(|m| json!({
                "due": m.what, "from": m.from.map(|on| on.to_string()), "to": m.to.on.0.to_string(),
                "calendar": m.to.calendar,
            })).collect::<Vec<_>>(),
            "fired_before": self.undue,
        })
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let at = show::instant(self.at);
        let dues = self.dues.iter().map(|Move { what, from, to }| {
            let what = match *what {
                "file_due" => "hẹn trả kết quả (file due)",
                "accept_due" => "hạn tiếp nhận (accept due)",
                _ => "hạn trả lời (answer due)",
            };
            let from = from.map_or_else(|| "–".to_owned(), show::day);
            format!(
                "  {at}  tính lại hạn theo lịch mới (counted anew, calendar {}): {what} {from} → {}",
                to.calendar,
                show::day(to.on.0)
            )
        });
        let undue = self.undue.iter().map(|Undue { trigger, rung, cancelled }| {
            let (rung, trigger) = (words::rung(rung), words::trigger((*trigger).into()));
            let what = if *cancelled {
                "chưa báo, đã hủy (its notice was cancelled)"
            } else {
                "đã đôn đốc trước hạn mới (fired before the date that holds now)"
            };
            format!("  {at}  {rung}, {trigger}: {what}")
        });
        dues.chain(undue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(seq: u32, entry: &str) -> Kept {
        let body = xacminh_contract::ledger::Body::from_bytes(format!("{{\"v\":1,{entry}}}").as_bytes()).unwrap();
        Kept { seq, at: "2026-11-20T08:00:00Z".parse().unwrap(), body }
    }

    #[test]
    fn the_dates_of_before_stand_beside_those_of_now() {
        let due = |day: &str, calendar: &str| {
            format!("{{\"on\":\"2026-11-{day}\",\"at\":\"2026-11-{day}T17:00:00Z\",\"calendar\":\"{calendar}\"}}")
        };
        let events = [
            kept(
                1,
                &format!(
                    "\"event\":\"clock_started\",\"cause\":\"delivered\",\"started_at\":\"2026-11-19T01:00:00Z\",\
                     \"accept\":{},\"answer\":{}",
                    due("20", "1"),
                    due("23", "1")
                ),
            ),
            kept(
                2,
                &format!(
                    "\"event\":\"recounted\",\"accept\":{},\"answer\":{},\
                     \"undue\":[{{\"trigger\":\"answer_due\",\"rung\":1,\"cancelled\":true}}]",
                    due("20", "2"),
                    due("25", "2")
                ),
            ),
        ];
        let moved = moves(&events);
        assert_eq!(moved.len(), 1);
        let lines = moved[0].lines();
        assert_eq!(lines.len(), 2, "the accept due stands where it stood: {lines:?}");
        assert!(lines[0].contains("23/11/2026 → 25/11/2026") && lines[0].contains("calendar 2"), "{}", lines[0]);
        assert!(lines[1].contains("đã hủy"), "{}", lines[1]);
        assert_eq!(moved[0].json()["dues"][0]["from"], "2026-11-23");
    }
}
