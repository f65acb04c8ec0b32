//! The figures by office: do they equal what the store holds, and is it asked only now and then?

use std::time::Duration;

use anyhow::Result;
use xacminh_clock::Clock;
use xacminh_contract::envelope::CommandType;
use xacminh_services::OfficePage;

use crate::desk::{about, form, give};
use crate::stage::Stage;

/// The figure of an office on a page.
fn figure(page: &str, name: &str, office: &str) -> Option<i64> {
    let start = format!("{name}{{office=\"{office}\",");
    page.lines().find(|line| line.starts_with(&start))?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_by_office_equal_the_store_and_cost_it_one_question_in_a_while() -> Result<()> {
    let mut stage = Stage::new("offices", "2026-11-19T08:00").await?;
    let (mut ward, mut home) = stage.ward_and_home().await?;
    let mut requests = Vec::new();
    for number in 1..=4 {
        let item = ward.ask(CommandType::RequestSubmit, &form(&home.office, number, stage.clock.now())).await?;
        let request = item.message_id.unwrap().0;
        home.request(request).await?;
        stage.until_state(request, "sent").await;
        requests.push(request);
    }
    // One stays in flight, one is received, one is answered and unread, one is read.
    for request in &requests[1..] {
        home.send(CommandType::RequestReceived, &about(*request)).await?;
        stage.until_state(*request, "delivered").await;
    }
    for request in &requests[2..] {
        home.ask(CommandType::AnswerGive, &give(*request, "A01")).await?;
        ward.answer(*request).await?;
    }
    ward.send(CommandType::AnswerRead, &about(requests[3])).await?;
    stage.until_state(requests[3], "read").await;
    // Past the answer due of what was received, and of what was not, whose clock starts by itself.
    stage.set("2026-11-25T08:00");
    stage.until("select count(*) from requests where clock_start is not null", 4).await;

    let clock = || Clock::Manual(stage.clock.clone());
    let at_once = OfficePage::new(stage.store.clone(), clock(), Duration::ZERO);
    let page = at_once.text().await.unwrap();
    let (w, h) = (ward.office.id.to_string(), home.office.id.to_string());
    for (name, question) in [
        ("xacminh_office_requests_open", "state in ('submitted', 'sent', 'delivered', 'opened')"),
        ("xacminh_office_requests_overdue", "state <> 'answered' and answer_due_at <= '2026-11-25T08:00+07:00'"),
        ("xacminh_office_requests_in_flight", "state = 'sent'"),
    ] {
        let sql = format!("select count(*) from requests where responder = '{h}' and state <> 'read' and {question}");
        assert_eq!(figure(&page, name, &h), Some(stage.world.number(sql).await?), "{name} in {page}");
    }
    assert_eq!(figure(&page, "xacminh_office_requests_open", &h), Some(2));
    assert_eq!(figure(&page, "xacminh_office_requests_overdue", &h), Some(2));
    assert_eq!(figure(&page, "xacminh_office_requests_in_flight", &h), Some(1));
    assert_eq!(figure(&page, "xacminh_office_requests_oldest_age_seconds", &h), Some(6 * 86_400));
    assert_eq!(figure(&page, "xacminh_office_requests_oldest_age_seconds", &w), None, "nobody asks W anything");
    let offices = page.lines().filter(|line| line.starts_with("xacminh_office_requests_open{")).count();
    assert_eq!(offices, 1, "only who is asked something: {page}");

    // A page that is fresh is given out again though the store has changed; one that is not, is not.
    let kept = OfficePage::new(stage.store.clone(), clock(), Duration::from_secs(3_600));
    assert_eq!(kept.text().await, Some(page.clone()));
    home.send(CommandType::RequestReceived, &about(requests[0])).await?;
    stage.until_state(requests[0], "delivered").await;
    assert_eq!(kept.text().await, Some(page));
    assert_eq!(figure(&at_once.text().await.unwrap(), "xacminh_office_requests_in_flight", &h), Some(0));
    stage.close().await
}
