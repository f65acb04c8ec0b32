//! `due` and `unit`: answers from the reference data alone, without a server.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use xacminh_contract::receipt::Warning;
use xacminh_domain::calendar::{Calendar, SaturdayMode, end_of_day, local_date};
use xacminh_domain::deadline::{Deadline, TimeLimit};
use xacminh_domain::directory::{Directory, HomeRef, HomeWords, Resolution};
use xacminh_domain::unit::UnitRef;

use crate::settings::Settings;
use crate::{show, wiring};

/// When something is due.
#[derive(Debug, Args)]
pub(crate) struct Due {
    /// When it was received: an instant with its offset, or a day.
    #[arg(long, value_name = "INSTANT|DAY")]
    received: String,
    /// The n-th working day after the day of receipt.
    #[arg(long, value_name = "N", conflicts_with = "calendar_days")]
    working_days: Option<u32>,
    /// That many days after it; a rest day at the end rolls forward.
    #[arg(long, value_name = "N")]
    calendar_days: Option<u32>,
    /// Whose calendar: an office's id, or the code of a unit it serves. The nation's without it.
    #[arg(long, value_name = "OFFICE")]
    office: Option<String>,
    /// What if all Saturdays were so: `off`, `receive_only`, `counts`.
    #[arg(long, value_name = "MODE", conflicts_with = "office", value_parser = saturday_mode)]
    saturday_mode: Option<SaturdayMode>,
    /// For a program.
    #[arg(long)]
    json: bool,
}

fn saturday_mode(word: &str) -> Result<SaturdayMode, String> {
    SaturdayMode::from_word(word).ok_or_else(|| "one of off, receive_only, counts".to_owned())
}

/// `xacminh due`.
pub(crate) fn due(settings: &Settings, args: &Due) -> Result<()> {
    let (received_on, received_at) = match args.received.parse::<Timestamp>() {
        Ok(at) => (local_date(at), Some(at)),
        Err(_) => {
            let day = args.received.parse::<Date>().ok().filter(|day| day.to_string() == args.received);
            let wants = "--received wants an instant with its offset (2026-11-20T10:00:00+07:00) or a day (2026-11-20)";
            (day.context(wants)?, None)
        }
    };
    let limit = match (args.working_days, args.calendar_days) {
        (Some(n), None) => TimeLimit::WorkingDays(n),
        (None, Some(n)) => TimeLimit::CalendarDays(n),
        _ => bail!("say --working-days N or --calendar-days N"),
    };
    let registry = wiring::registry(settings)?;
    let calendar = match (&args.office, args.saturday_mode) {
        (Some(office), _) => {
            let directory = registry.directory();
            let id = crate::office::find(&directory, office, received_on)?;
            registry.calendars().of(&id, directory.province_of(&id)).clone()
        }
        (None, Some(mode)) => registry.calendar_with(mode),
        (None, None) => registry.calendar(),
    };
    let due = Deadline::count(&calendar, received_on, limit);
    let note = at_the_counter(&calendar, received_on, received_at);
    let provisional = calendar.is_provisional(due.on);
    if args.json {
        return show::json(&json!({
            "due_on": due.on.to_string(), "received_on": received_on.to_string(),
            "calendar": due.calendar.as_str(), "provisional": provisional, "note": note,
        }));
    }
    show::line(format!(
        "{}  last day ({}), received {received_on}{}, calendar {}{}",
        due.on,
        due.on.strftime("%A"),
        note.map(|note| format!(" ({note})")).unwrap_or_default(),
        due.calendar,
        if provisional { ", provisional" } else { "" }
    ));
    Ok(())
}

/// What is unusual about a receipt. It changes nothing: the day on the receipt slip (CT04) is day 0,
/// whatever the hour, and whether or not it is a working day.
fn at_the_counter(calendar: &Calendar, on: Date, at: Option<Timestamp>) -> Option<&'static str> {
    let minutes = |from, to| calendar.working_minutes_between(from, to);
    let begin = calendar.opening_of(on);
    if !calendar.receives_on(on) {
        Some("a rest day, the counter closed; it is day 0 all the same")
    } else if !calendar.is_working_day(on) {
        Some("a Saturday, the counter open; it is day 0 and does not count")
    } else if at.is_some_and(|at| at > begin && minutes(at, end_of_day(on)) == 0) {
        Some("after office hours; it is day 0 all the same")
    } else {
        None
    }
}

/// Units.
#[derive(Debug, Subcommand)]
pub(crate) enum Unit {
    /// Today's unit and office for a code and a day, or for words.
    Resolve(Resolve),
}

/// What is looked for.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// A code of 5 digits (with --as-of), or the name of a commune.
    unit: String,
    /// The day on which the code or the words were right.
    #[arg(long, value_name = "DAY")]
    as_of: Option<Date>,
    /// The district, for old addresses.
    #[arg(long)]
    district: Option<String>,
    /// The province or city.
    #[arg(long)]
    province: Option<String>,
    /// Today, for trying.
    #[arg(long, value_name = "DAY")]
    today: Option<Date>,
    /// For a program.
    #[arg(long)]
    json: bool,
}

/// `xacminh unit resolve`.
pub(crate) fn unit(settings: &Settings, Unit::Resolve(args): &Unit) -> Result<()> {
    let directory = wiring::registry(settings)?.directory();
    let today = match args.today {
        Some(today) => today,
        None => local_date(crate::wiring::clock(settings)?.now()),
    };
    let home = match (args.unit.parse(), args.as_of) {
        (Ok(code), Some(as_of)) => HomeRef::Code(UnitRef { code, as_of }),
        (Ok(_), None) => bail!("a code needs --as-of: codes changed their meaning"),
        (Err(_), as_of) => HomeRef::Words(HomeWords {
            name: args.unit.clone(),
            district: args.district.clone(),
            province: args.province.clone(),
            as_of,
        }),
    };
    let found = directory.resolve(&home, today);
    if args.json {
        return show::json(&as_json(&found, &directory));
    }
    match found {
        Resolution::Unique(home) => {
            let office = directory.office(&home.office).map(|o| o.name.clone()).unwrap_or_default();
            let warnings: Vec<String> = home.warnings.iter().map(|w| Warning::from(*w).as_str().to_owned()).collect();
            let note = if warnings.is_empty() { String::new() } else { format!("  [{}]", warnings.join(", ")) };
            show::line(format!("{}  {}  {} ({office}){note}", home.unit, home.name, home.office));
            Ok(())
        }
        Resolution::Ambiguous(candidates) => {
            // Not among the lines that a program reads: those begin with the unit.
            show::aside(format!(
                "ambiguous: {} units of today come into question, one a line; ask for the hamlet or the street and \
                 pick one (a request that names it so is refused home_ambiguous with these candidates)",
                candidates.len()
            ));
            for c in candidates {
                let share = c.share.map_or("", |s| s.as_str());
                show::line(format!(
                    "{}  {}, {}  {} ({})  {share}",
                    c.unit, c.name, c.province, c.office, c.office_name
                ));
            }
            Ok(())
        }
        Resolution::Unknown => bail!("no such unit, then or now: check name, district, province, or code and day"),
        Resolution::AsOfInFuture => bail!("--as-of lies after {today}"),
    }
}

fn as_json(found: &Resolution, directory: &Directory) -> serde_json::Value {
    let one = |unit: String, name: &str, office: xacminh_domain::id::OfficeId| {
        json!({ "unit": unit, "name": name, "office": office.as_str(),
            "office_name": directory.office(&office).map(|o| o.name.clone()) })
    };
    match found {
        Resolution::Unique(h) => {
            json!({ "outcome": "unique", "candidates": [one(h.unit.to_string(), &h.name, h.office)] })
        }
        Resolution::Ambiguous(c) => json!({ "outcome": "ambiguous",
            "candidates": c.iter().map(|c| one(c.unit.to_string(), &c.name, c.office)).collect::<Vec<_>>() }),
        Resolution::Unknown => json!({ "outcome": "unknown", "candidates": [] }),
        Resolution::AsOfInFuture => json!({ "outcome": "as_of_in_future", "candidates": [] }),
    }
}
