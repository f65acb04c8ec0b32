//! `late`: who holds what, since when, why, and what happens next.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;
use xacminh_domain::calendar::local_date;
use xacminh_domain::unit::{UnitCode, UnitLevel};
use xacminh_store::reference;
use xacminh_store::view::late::{self, Late as Row};

use crate::settings::Settings;
use crate::{show, wiring};

/// Which ones.
#[derive(Debug, Args)]
pub(crate) struct Late {
    /// Only what is held in this province (code of 2 digits).
    #[arg(long, value_name = "CODE")]
    province: Option<String>,
    /// At most so many, oldest due first.
    #[arg(long, default_value = "50")]
    limit: u32,
    /// For a program.
    #[arg(long)]
    json: bool,
}

/// `xacminh late`.
pub(crate) async fn late(settings: &Settings, args: &Late) -> Result<()> {
    let store = wiring::store(settings)?;
    let mut conn = store.conn().await?;
    let reference = reference::load(&mut conn).await?;
    let now = wiring::clock(settings)?.now();
    let today = local_date(now);
    if let Some(code) = &args.province {
        let known = code.parse::<UnitCode>().ok().filter(|c| c.level() == UnitLevel::Province);
        if known.and_then(|c| reference.directory.unit_at(&c, today)).is_none() {
            bail!("there is no province {code}: say its code of two digits, such as 01");
        }
    }
    // Unread for a working day counts as late (handbook §5).
    let day_before = (1..=31)
        .map(|n| today.saturating_sub(jiff::SignedDuration::from_hours(24 * n)))
        .find(|day| reference.calendars.nation().is_working_day(*day))
        .unwrap_or(today);
    let unread_since = reference.calendars.nation().opening_of(day_before);
    let rows = late::list(&mut conn, now, today, unread_since, args.province.as_deref(), i64::from(u32::MAX)).await?;
    let shown = usize::try_from(args.limit).unwrap_or(usize::MAX);
    if args.json {
        return show::json(&rows.iter().take(shown).collect::<Vec<_>>());
    }
    let name = |id: &str| {
        id.parse()
            .ok()
            .and_then(|id| reference.directory.office(&id))
            .map_or_else(|| id.to_owned(), |o| format!("{} ({id})", o.name))
    };
    show::line(format!("late on {}: {}", show::instant(now), summary(&rows)));
    for row in rows.iter().take(shown) {
        let due = row.answer_due_on.map_or_else(|| "-".to_owned(), show::day);
        let next =
            row.next_at.map_or_else(|| "no further rung".to_owned(), |at| format!("next rung {}", show::instant(at)));
        show::line(format!(
            "{}  file {}  {}: {} since {}  answer due {due}  rung {}, {next}",
            row.request_id,
            row.case_code,
            name(&row.holder),
            row.why.as_str(),
            show::instant(row.since),
            row.rung
        ));
    }
    if rows.len() > shown {
        show::line(format!("and {} more (--limit)", rows.len() - shown));
    }
    Ok(())
}

fn summary(rows: &[Row]) -> String {
    let mut by_why: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *by_why.entry(row.why.as_str()).or_default() += 1;
    }
    if by_why.is_empty() {
        return "nothing".to_owned();
    }
    let parts: Vec<String> = by_why.into_iter().map(|(why, n)| format!("{n} {why}")).collect();
    format!("{} ({})", rows.len(), parts.join(", "))
}
