//! A rest day of one province moves what its offices owe, and nothing of anybody else's.

use anyhow::{Context, Result};
use xacminh_domain::calendar::{CalendarDay, DayKind, SaturdayMode, SaturdayRule, Scope, ScopedDay, ScopedSaturday};
use xacminh_domain::id::OfficeId;

use crate::stage::{Stage, directory};

fn flood(scope: Scope) -> ScopedDay {
    let on = "2026-11-23".parse().expect("a day");
    ScopedDay { scope, day: CalendarDay { on, kind: DayKind::LocalRest, name: "Lũ".into(), provisional: false } }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_at_home_moves_the_home_offices_due_and_not_the_wards() -> Result<()> {
    let mut stage = Stage::new("flood", "2026-11-19T08:00").await?;
    let (ward, home) = stage.grant_apart().await?;
    let province = |id: OfficeId| directory().province_of(&id).context("no province");

    // Monday the 23rd is a day of rest there, and Saturday's mornings count at that one office.
    let saturdays = SaturdayRule { mode: SaturdayMode::Counts, valid_from: None, valid_to: None };
    let scope = Scope::Province(province(home.id)?);
    stage.import(|registry| registry.local_days.push(flood(scope))).await?;
    let (mut ward, mut home) = (stage.desk(&ward).await?, stage.desk(&home).await?);
    let request = ward.submit(&home.office, 1).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    let dues = "select concat_ws(' ', file_due_on, accept_due_on, answer_due_on) from requests order by submitted_at";
    // The ward's file: Fri, Mon, (Tue), Wed. The home's: Fri, (Mon), (Tue), Wed.
    assert_eq!(stage.world.rows(dues).await?, ["2026-11-25 2026-11-20 2026-11-25"]);
    let versions = stage.world.rows("select calendar_version from requests").await?;
    assert!(versions[0].ends_with(&format!("/{scope}")), "{versions:?}");

    let own = Scope::Office(home.office.id);
    stage
        .import(|registry| {
            registry.local_days.push(flood(scope));
            registry.saturdays.push(ScopedSaturday { scope: own, rule: saturdays });
        })
        .await?;
    let request = ward.submit(&home.office, 2).await?;
    home.receive(request).await?;
    stage.until_state(request, "delivered").await;
    // Fri, and Saturday the 21st.
    assert_eq!(stage.world.rows(dues).await?[1], "2026-11-25 2026-11-20 2026-11-21");
    stage.close().await
}
