//! `retention`: months whose requests have ended, and letting them leave for the archive.

use anyhow::{Result, bail};
use clap::Subcommand;
use jiff::ToSpan;
use xacminh_domain::calendar::{at_local, local_date};
use xacminh_domain::{Date, Timestamp};
use xacminh_store::retention::{self, Month};
use xacminh_store::view::installation;
use xacminh_store::{PgConnection, reference};

use crate::settings::Settings;
use crate::{show, wiring};

/// How often those at work are asked to let a month go, three seconds each time.
const TRIES: u32 = 5;

/// What stays how long.
#[derive(Debug, Subcommand)]
pub(crate) enum Retention {
    /// The months there are: how many of their requests are in life, how much room they take, and from
    /// which day on they may leave.
    List,
    /// Lets the months leave whose time is over, into the schema `archive`: `request show`, `trace` and
    /// `verify` find them there. What is in life, or ended less than the rule `retention` ago, stays.
    Leave,
}

/// `xacminh retention`.
pub(crate) async fn retention(settings: &Settings, command: &Retention) -> Result<()> {
    let mut conn = wiring::store(settings)?.at_leisure().await?;
    let now = wiring::clock(settings)?.now();
    // A repeat of what has left is not recognised, so a clock of ours that runs ahead must not let it go.
    let sure = now.min(installation::server(&mut conn).await?.now);
    let keep = Keep::of(reference::load(&mut conn).await?.rules.retention_months(local_date(sure))?, sure);
    let months = retention::months(&mut conn).await?;
    match command {
        Retention::List => list(&months, keep),
        Retention::Leave => leave(&mut conn, &months, keep, now).await,
    }
}

/// How long requests stay, as of a day.
#[derive(Debug, Clone, Copy)]
struct Keep {
    months: i64,
    /// What ended before this day may leave.
    ended_before: Date,
}

impl Keep {
    fn of(months: u32, now: Timestamp) -> Self {
        let months = i64::from(months);
        Self { months, ended_before: local_date(now).saturating_sub(months.months()) }
    }

    /// From which day on a month may leave.
    fn leaves_on(self, month: &Month) -> Date {
        month.ends_on.saturating_add(self.months.months())
    }

    fn is_over(self, month: &Month) -> bool {
        month.ends_on <= self.ended_before
    }
}

fn list(months: &[Month], keep: Keep) -> Result<()> {
    show::line(format!("requests stay {} months after they ended (rule `retention`)", keep.months));
    for month in months {
        let how = match (month.left, keep.is_over(month)) {
            (true, _) => "has left; what is here goes on".to_owned(),
            (false, true) => "may leave: `xacminh retention leave`".to_owned(),
            (false, false) => format!("may leave from {}", show::day(keep.leaves_on(month))),
        };
        show::line(format!(
            "{:<14}{:>10} in life{:>9} MB  {how}",
            named(month),
            month.in_life,
            month.bytes / 1_000_000
        ));
    }
    Ok(())
}

async fn leave(conn: &mut PgConnection, months: &[Month], keep: Keep, now: Timestamp) -> Result<()> {
    let ended_before = at_local(keep.ended_before, 0, 0);
    let over: Vec<&Month> = months.iter().filter(|month| keep.is_over(month)).collect();
    if over.is_empty() {
        let next =
            months.first().map_or_else(String::new, |m| format!("; the next from {}", show::day(keep.leaves_on(m))));
        show::line(format!("no month may leave yet{next}"));
    }
    for month in over {
        let mut tries = 1;
        let left = loop {
            match retention::leave(conn, month, ended_before, now).await {
                Ok(left) => break left,
                Err(error) if error.is_transient() && tries < TRIES => tries += 1,
                Err(error) if error.is_transient() => {
                    bail!("{}: those at work did not let it go ({error}); nothing changed, give it again", named(month))
                }
                Err(error) => return Err(error.into()),
            }
        };
        if left.left > 0 || !month.left {
            show::line(format!("{}: {} requests have left, {} go on here", named(month), left.left, left.carried));
        }
    }
    Ok(())
}

/// As people read it: `09/2025`.
fn named(month: &Month) -> String {
    match month.name.split_at_checked(4) {
        Some((year, of_year)) if year != "0000" => format!("{of_year}/{year}"),
        _ => format!("before {}", month.ends_on.strftime("%m/%Y")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn month(name: &str, ends_on: Date) -> Month {
        Month { name: name.to_owned(), ends_on, in_life: 0, bytes: 0, left: false }
    }

    #[test]
    fn a_month_is_over_so_many_months_after_its_end() {
        let of = month("202510", date(2025, 11, 1));
        let keep = |on: &str| Keep::of(13, format!("{on}T12:00:00+07:00").parse().unwrap());
        assert!(!keep("2026-11-30").is_over(&of));
        assert!(keep("2026-12-01").is_over(&of));
        assert_eq!(keep("2026-11-30").leaves_on(&of), date(2026, 12, 1));
    }

    #[test]
    fn what_was_there_before_there_were_months_has_a_name_too() {
        assert_eq!(named(&month("202509", date(2025, 10, 1))), "09/2025");
        assert_eq!(named(&month("000000", date(2026, 12, 1))), "before 12/2026");
    }
}
