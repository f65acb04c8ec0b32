//! `report`: how requests fare, from the views of the store, for a person, a spreadsheet or a program.
//!
//! ```text
//! views report_… ─▶ store::view ─▶ tables (which figures stand where) ─▶ public (what may be told)
//!                                                                     ─▶ text │ csv │ json │ xlsx
//! ```

mod columns;
mod files;
mod model;
mod offices;
mod public;
mod tables;
mod text;
mod words;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use xacminh_domain::Timestamp;
use xacminh_domain::calendar::{at_local, end_of_day};
use xacminh_store::reference::{self, Reference};
use xacminh_store::view::report::{Cut, Days, Of};
use xacminh_store::view::{by_office, looks, report as view};
use xacminh_store::{Store, outage, retention};

use crate::late::known_province;
use crate::settings::Settings;
use crate::{show, wiring};
use model::Report as Page;
use tables::Figures;

pub(crate) use text::{cut, wrapped};
pub(crate) use words::short_office;

/// Of which days, for whom, in what form.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The first day, such as 2026-11-01.
    #[arg(long, value_name = "DAY")]
    from: Date,
    /// The last day.
    #[arg(long, value_name = "DAY")]
    to: Date,
    /// How finely.
    #[arg(long, value_enum, default_value = "nation")]
    level: Level,
    /// Of one province alone (code of 2 digits): what its offices are asked and hold.
    #[arg(long, value_name = "CODE")]
    province: Option<String>,
    /// In what form.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// For publication: no count under 5, and none from which such a one could be worked out. Do not
    /// publish two levels of the same days side by side.
    #[arg(long)]
    public: bool,
    /// Into a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How finely figures are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// A line an office, by what it has to do next.
    Office,
    /// A line a province.
    Province,
    /// The nation, cut by province, unit type, purpose and kind.
    Nation,
}

/// In what form a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For a terminal.
    Text,
    /// A line a figure.
    Csv,
    /// A workbook, a sheet a table.
    Xlsx,
    /// Tables of rows.
    Json,
}

/// `xacminh report`.
pub(crate) async fn report(settings: &Settings, args: &Report) -> Result<()> {
    if args.to < args.from {
        bail!("--to lies before --from");
    }
    if args.province.is_some() && args.public {
        bail!(
            "one province is not for publication: the level province with --public is, it withholds small counts side by side"
        );
    }
    if args.format == Form::Xlsx && args.out.is_none() && std::io::stdout().is_terminal() {
        bail!("a workbook is no text: name a file with --out");
    }
    let page = make(settings, args).await?;
    let bytes = match args.format {
        Form::Text => text::page(&page).into_bytes(),
        Form::Csv => files::csv(&page)?,
        Form::Xlsx => files::xlsx(&page)?,
        Form::Json => files::json(&page)?,
    };
    match &args.out {
        Some(file) => std::fs::write(file, bytes).with_context(|| file.display().to_string()),
        None => {
            // A reader that went away (`| head`) has what it wanted.
            let _ = std::io::stdout().lock().write_all(&bytes);
            Ok(())
        }
    }
}

async fn make(settings: &Settings, args: &Report) -> Result<Page> {
    let store = wiring::store(settings)?;
    let now = wiring::clock(settings)?.now();
    let days = Days { from: args.from, to: args.to };
    let reference = reference::load(&mut *store.conn().await?).await?;
    if let Some(code) = &args.province {
        known_province(&reference, code, now)?;
    }
    let of = Of { days, province: args.province.clone() };
    let (figures, left) = ask(&store, reference, &of, now, args).await?;
    if left && args.out.is_some() {
        show::aside(words::LEFT);
    }
    let mut tables = match args.level {
        Level::Nation => figures.nation(),
        Level::Province => figures.provinces(),
        Level::Office => figures.by_office(),
    };
    let mut definitions = words::DEFINITIONS.to_vec();
    if args.public {
        public::withhold(&mut tables);
        definitions.push(words::WITHHELD);
    }
    let level = match args.level {
        Level::Nation => "nation",
        Level::Province => "province",
        Level::Office => "office",
    };
    Ok(Page { of, left, as_of: now, level, public: args.public, tables, definitions })
}

/// Asks the store for what the level tells, half of it on a second connection meanwhile; also whether requests of
/// these days have left it.
async fn ask(store: &Store, reference: Reference, of: &Of, now: Timestamp, args: &Report) -> Result<(Figures, bool)> {
    // A text has no details of the cuts, and they are dear.
    let (cuts, detailed): (&[Cut], &[Cut]) = match args.level {
        Level::Nation if args.format == Form::Text => (&Cut::ALL, &[Cut::Nation]),
        Level::Nation => (&Cut::ALL, &Cut::ALL),
        Level::Province => (&[Cut::Nation, Cut::Province], &[Cut::Nation, Cut::Province]),
        Level::Office => (&[], &[]),
    };
    let by_office = args.level == Level::Office;
    let [mut conn, mut other] = looks(store, now).await?;
    let one = async {
        let segments = view::segments(&mut conn, of, detailed).await?;
        let standing = view::standing(&mut conn, of, cuts).await?;
        let refused = view::refused(&mut conn, of).await?;
        let offices = if by_office { by_office::offices(&mut conn, of).await? } else { Vec::new() };
        anyhow::Ok((segments, standing, refused, offices))
    };
    let two = async {
        let held = view::held(&mut other, of, detailed).await?;
        let in_hand = view::in_hand(&mut other, of, cuts).await?;
        let late_for = view::late_for(&mut other, of, detailed).await?;
        let (from, to) = (at_local(of.days.from, 0, 0), end_of_day(of.days.to).min(now));
        let outages = outage::between(&mut other, from, to, None).await?;
        let left = retention::have_left(&mut other, of.days.from, of.days.to).await? > 0;
        anyhow::Ok((held, in_hand, late_for, outages, left))
    };
    let ((segments, standing, refused, offices), (held, in_hand, late_for, mut outages, left)) =
        tokio::try_join!(one, two)?;
    for look in [conn, other] {
        look.rollback().await.context("PostgreSQL")?;
    }
    if let Some(code) = &args.province {
        // Those of RabbitMQ and of the store are everybody's.
        let lies_there = |office: &String| of_province(&reference, office, code);
        outages.retain(|outage| outage.office.as_ref().is_none_or(lies_there));
    }
    let figures = Figures {
        now,
        reference,
        public: args.public,
        province: args.province.clone(),
        standing: standing.into_iter().collect(),
        segments,
        held,
        in_hand,
        late_for,
        refused,
        offices,
        outages,
    };
    Ok((figures, left))
}

/// Whether an office lies in a province.
fn of_province(reference: &Reference, office: &str, code: &str) -> bool {
    let office = office.parse().ok().and_then(|id| reference.directory.office(&id));
    office.and_then(|office| office.province).is_some_and(|province| province.to_string() == code)
}
