//! Digests: what offices are told each half-day, one message an office; to PC06 and above one line
//! a silent office, never one a request.

use std::collections::BTreeMap;

use xacminh_contract::notice::{Item, Topic, Why};
use xacminh_contract::values::Handler;
use xacminh_domain::Date;
use xacminh_domain::id::{OfficeId, RequestId};
use xacminh_store::ledger;
use xacminh_store::notice::{self, Leaving};
use xacminh_store::outbox;
use xacminh_store::reference::Reference;

use crate::abort_point::AbortPoint;
use crate::composing;
use crate::core::Core;
use crate::error::Error;

/// How many offices' digests share a transaction.
const OFFICES: i64 = 100;

/// Sends the digests that may leave now, for some offices; gives how many lines were worked on.
pub(crate) async fn send(core: &Core) -> Result<usize, Error> {
    let now = core.clock.now();
    let reference = core.reference();
    let mut tx = core.store.begin().await?;
    let lines = notice::take(&mut tx, now, OFFICES).await?;
    let count = lines.len();
    if count == 0 {
        return Ok(0);
    }
    let mut by_office: BTreeMap<OfficeId, Vec<Leaving>> = BTreeMap::new();
    for line in lines {
        if still_holds(&line) {
            by_office.entry(line.office).or_default().push(line);
        }
    }
    // About one request alone, a digest goes on with its trace.
    let alone =
        |lines: &[Leaving]| lines.first().map(|l| l.request).filter(|id| lines.iter().all(|l| l.request == *id));
    let about: Vec<RequestId> = by_office.values().filter_map(|lines| alone(lines)).collect();
    let traces = ledger::traces(&mut tx, &about).await?;
    let mut letters = Vec::new();
    for (office, lines) in by_office {
        let trace = alone(&lines).and_then(|id| traces.get(&id));
        // One message holds as many lines as a body may: a few hundred bytes each.
        for chunk in items(&lines, &reference)?.chunks(60) {
            let notice = composing::notice(office, None, chunk.to_vec(), now);
            letters.push(match trace {
                Some(trace) => composing::traced(notice, (*trace).into()),
                None => notice,
            });
        }
    }
    outbox::put(&mut tx, &core.keys, &letters).await?;
    AbortPoint::BeforeDigest.reach();
    tx.commit().await.map_err(xacminh_store::Error::from)?;
    Ok(count)
}

/// Nobody is pressed for what was done meanwhile: answered, withdrawn, opened or read at last, or a
/// file that has ended.
fn still_holds(line: &Leaving) -> bool {
    match line.topic {
        Topic::AcceptOverdue => line.is_open && line.why != Why::NotAnswered,
        Topic::AnswerDueToday | Topic::OfficeSilent | Topic::Withdrawn => line.is_open,
        Topic::FileOverdue => line.is_open && !line.file_closed,
        Topic::AnswerUnread | Topic::FileOverdueAnswered => line.is_unread && !line.file_closed,
        // Never waits for a half-day.
        Topic::Restored => true,
    }
}

fn items(lines: &[Leaving], reference: &Reference) -> Result<Vec<Item>, Error> {
    let mut items: Vec<Item> = lines.iter().filter(|l| l.topic != Topic::OfficeSilent).map(about_request).collect();
    let mut silent: BTreeMap<OfficeId, Vec<&Leaving>> = BTreeMap::new();
    for line in lines.iter().filter(|l| l.topic == Topic::OfficeSilent) {
        silent.entry(line.responder).or_default().push(line);
    }
    for (office, lines) in silent {
        items.push(about_office(office, &lines, reference)?);
    }
    Ok(items)
}

fn day(on: Option<Date>) -> String {
    on.map_or_else(|| "?".to_owned(), |on| format!("{:02}/{:02}/{}", on.day(), on.month(), on.year()))
}

fn about_request(line: &Leaving) -> Item {
    let (case, due) = (&line.case_code, day(line.due_on));
    let (sentence, sentence_en) = match line.topic {
        Topic::AcceptOverdue => (
            format!(
                "Hồ sơ {case} đã quá hạn tiếp nhận (ngày {due}), {}: đề nghị phân công cán bộ mở và trả lời.",
                line.why.words()
            ),
            format!("File {case} should have been accepted by {due}: please assign somebody to open and answer it."),
        ),
        Topic::AnswerDueToday => (
            format!("Hôm nay ({due}) là hạn trả lời xác minh của hồ sơ {case}: đề nghị trả lời trước 24 giờ."),
            format!("The answer about file {case} is due today ({due}): please answer before midnight."),
        ),
        Topic::FileOverdue => (
            format!(
                "Hồ sơ {case} đã quá hẹn trả kết quả (ngày {due}) mà chưa có trả lời xác minh: đề nghị báo và hẹn lại với công dân."
            ),
            format!(
                "File {case} is past its appointment ({due}) without an answer: please tell the citizen a new day."
            ),
        ),
        Topic::AnswerUnread => (
            format!(
                "Hồ sơ {case} đã có trả lời xác minh từ ngày {due} mà chưa ai đọc: đề nghị đọc và giải quyết hồ sơ."
            ),
            format!(
                "The answer about file {case} has been there since {due}, unread: please read it and go on with the file."
            ),
        ),
        Topic::FileOverdueAnswered => (
            format!(
                "Hồ sơ {case} đã quá hẹn trả kết quả (ngày {due}) dù đã có trả lời xác minh: đề nghị phân công giải quyết ngay."
            ),
            format!(
                "File {case} is past its appointment ({due}) although its answer is there: please have it dealt with now."
            ),
        ),
        Topic::OfficeSilent | Topic::Withdrawn | Topic::Restored => (String::new(), String::new()),
    };
    Item {
        topic: line.topic,
        for_whom: line.for_whom,
        handler: line
            .handler
            .clone()
            .map(Handler)
            .filter(|_| line.for_whom == xacminh_contract::notice::For::Handler && line.office == line.responder),
        request_id: Some(line.request.into()),
        case_code: Some(case.clone()),
        due_on: line.due_on.map(Into::into),
        office: None,
        office_name: None,
        phone: None,
        count: None,
        oldest_due_on: None,
        why: vec![line.why],
        sentence,
        sentence_en,
    }
}

fn about_office(office: OfficeId, lines: &[&Leaving], reference: &Reference) -> Result<Item, Error> {
    let card = composing::card(reference, office)?;
    let mut count_by_why: BTreeMap<Why, usize> = BTreeMap::new();
    for line in lines {
        *count_by_why.entry(line.why).or_default() += 1;
    }
    let mut why: Vec<(Why, usize)> = count_by_why.into_iter().collect();
    why.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let why: Vec<Why> = why.into_iter().map(|(why, _)| why).collect();
    let oldest = lines.iter().filter_map(|l| l.due_on).min();
    let words = why.first().map_or("", |w| w.words());
    let (name, n) = (&card.name, lines.len());
    Ok(Item {
        topic: Topic::OfficeSilent,
        for_whom: xacminh_contract::notice::For::Head,
        handler: None,
        request_id: None,
        case_code: None,
        due_on: None,
        office: Some(card.office.clone()),
        office_name: Some(name.clone()),
        count: Some(u32::try_from(n).unwrap_or(u32::MAX)),
        oldest_due_on: oldest.map(Into::into),
        sentence: format!(
            "{name} còn {n} yêu cầu quá hạn trả lời (cũ nhất hạn ngày {}), {words}: đề nghị đôn đốc, số {}.",
            day(oldest),
            card.phone
        ),
        sentence_en: format!(
            "{name} has {n} requests beyond their due (oldest {}): please press, number {}.",
            day(oldest),
            card.phone
        ),
        phone: Some(card.phone),
        why,
    })
}
