//! `reconcile`: what an office and the broker have of a day, and what became of each difference.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use jiff::civil::Date;
use serde_json::json;
use xacminh_domain::calendar::local_date;
use xacminh_domain::id::OfficeId;
use xacminh_store::view::reconcile::{self as view, Counts, Difference, Report};
use xacminh_store::{PgConnection, reconcile, reference};

use crate::settings::Settings;
use crate::{office, show, wiring};

/// Which day, and whose.
#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    /// The day (in Vietnam) in the ids, YYYY-MM-DD.
    #[arg(long)]
    day: Date,
    /// An office's id, or the code of a unit it serves; all that reported without it.
    #[arg(long)]
    office: Option<String>,
    /// For a program.
    #[arg(long)]
    json: bool,
}

/// What the broker has of an office's day, by kind.
#[derive(serde::Serialize)]
struct Ours {
    /// Commands that were taken, by name.
    taken: BTreeMap<String, usize>,
    /// Work and answers in its inbox, or taken out of it.
    sent: BTreeMap<String, usize>,
    /// Work and answers that have not left, or nobody saw leave.
    waiting: BTreeMap<String, usize>,
}

/// `xacminh reconcile`.
pub(crate) async fn reconcile(settings: &Settings, args: &Reconcile) -> Result<()> {
    let store = wiring::store(settings)?;
    let mut conn = store.conn().await?;
    let reference = reference::load(&mut conn).await?;
    let name = |id: &str| {
        let found = id.parse().ok().and_then(|id| reference.directory.office(&id));
        found.map_or_else(|| id.to_owned(), |o| format!("{} ({id})", o.name))
    };
    match &args.office {
        None => {
            let reports = view::reports(&mut conn, args.day, None).await?;
            if args.json {
                return show::json(&json!({ "day": args.day.to_string(), "reports": reports }));
            }
            show::line(format!("{}: {} offices reported", show::day(args.day), reports.len()));
            for report in reports {
                show::line(format!("{}: {}", name(&report.office), summary(&report)));
            }
            Ok(())
        }
        Some(text) => {
            let today = local_date(wiring::clock(settings)?.now());
            let office = office::find(&reference.directory, text, today)?;
            let ours = ours(&mut conn, office, args.day).await?;
            let report = view::reports(&mut conn, args.day, Some(office)).await?.pop();
            let differences = view::differences(&mut conn, args.day, office).await?;
            if args.json {
                return show::json(&json!({
                    "day": args.day.to_string(), "office": office.as_str(), "broker": ours, "report": report,
                    "differences": differences,
                }));
            }
            show::line(format!("{}, {}", name(office.as_str()), show::day(args.day)));
            tell(&ours, report.as_ref(), &differences);
            Ok(())
        }
    }
}

async fn ours(conn: &mut PgConnection, office: OfficeId, day: Date) -> Result<Ours> {
    let mut ours = Ours { taken: BTreeMap::new(), sent: BTreeMap::new(), waiting: BTreeMap::new() };
    let short = |name: &str| name.trim_start_matches("xacminh.").trim_end_matches(".v1").to_owned();
    for (_, kind) in reconcile::taken(conn, office, day).await? {
        *ours.taken.entry(kind.as_deref().map_or_else(|| "unknown".to_owned(), short)).or_default() += 1;
    }
    for (letter, kind, _) in reconcile::letters(conn, office, day).await? {
        let side = if letter.left_at.is_some() { &mut ours.sent } else { &mut ours.waiting };
        *side.entry(short(&kind)).or_default() += 1;
    }
    Ok(ours)
}

fn tell(ours: &Ours, report: Option<&Report>, differences: &[Difference]) {
    let kinds = |side: &BTreeMap<String, usize>| match side.is_empty() {
        true => "nothing".to_owned(),
        false => side.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", "),
    };
    show::line(format!("  taken from it      {}", kinds(&ours.taken)));
    show::line(format!("  sent to it         {}", kinds(&ours.sent)));
    if !ours.waiting.is_empty() {
        show::line(format!("  not seen to leave  {}", kinds(&ours.waiting)));
    }
    let Some(report) = report else {
        show::line("  it has not reported that day: this is the broker's side alone");
        return;
    };
    let side = |c: Counts| format!("{} in its list, {} here, {} at both ends", c.theirs, c.ours, c.agreed);
    show::line(format!(
        "its report of {}, compared {}",
        show::minute(report.made_at),
        show::minute(report.compared_at)
    ));
    show::line(format!("  its commands       {}", side(report.sent)));
    show::line(format!("  sent to it         {}", side(report.received)));
    if differences.is_empty() {
        show::line("  no differences");
    }
    for d in differences {
        let kind = d.message_type.as_deref().unwrap_or("of unknown type");
        let about = d.request_id.map(|id| format!(", request {id} ({})", d.state.as_deref().unwrap_or("unknown")));
        let times = if d.times > 1 { format!(", in {} reports", d.times) } else { String::new() };
        show::line(format!(
            "  {} {}: {kind} {}{}{times}",
            d.difference,
            d.healing,
            d.message_id,
            about.unwrap_or_default()
        ));
    }
}

fn summary(report: &Report) -> String {
    format!(
        "{} of {} commands, {} of {} messages agree; {} differences, {} unhealed",
        report.sent.agreed,
        report.sent.ours.max(report.sent.theirs),
        report.received.agreed,
        report.received.ours.max(report.received.theirs),
        report.differences,
        report.unhealed
    )
}
