#![doc = include_str!("../README.md")]

mod cost;
mod counts;
mod floor;
mod latency;
mod load;
mod offices;
mod pairs;
mod pipe;
mod proc;
mod report;
mod run;
mod scale;
mod side;
mod words;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use pairs::Plan;
use report::{Count, How, Report};
use run::Times;
use side::Sides;
use tikv_jemallocator::Jemalloc;

/// The product's: the floor is tuned as well.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The figures may not be believed.
const VOID: u8 = 3;
/// A life took more messages than it may.
const TOO_MANY_MESSAGES: u8 = 4;

/// Measures how many lives a second the product carries, beside a bare relay.
#[derive(Debug, Parser)]
struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// Offices with a login, a connection and an inbox: one number after the other, the first for the figures
    /// at the top of the report.
    #[arg(long, default_value = "600,32", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(2..=3_000))]
    offices: Vec<u16>,
    /// Lives under way at once, shared out over the offices.
    #[arg(long, default_value = "1200", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    window: u16,
    /// How many times each is measured.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=20))]
    pairs: u16,
    /// Measured seconds a run.
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Seconds before them, not measured: each inbox gets its first messages.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u16).range(0..=120))]
    warm_up: u16,
    /// Reference data.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Where its files go while it runs.
    #[arg(long, default_value = ".run/bench")]
    run_dir: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "bench/report.json")]
    report: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The bare relay, as this program starts it for itself.
    #[command(hide = true)]
    Floor(floor::Floor),
    /// Fills the store with a nation's requests and measures small against large.
    Scale(scale::Scale),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Bench::parse();
    match &args.part {
        // Ended by a signal, as any relay.
        Some(Part::Floor(args)) => floor::run(args).await.map(|()| ExitCode::SUCCESS),
        Some(Part::Scale(args)) => scale::run(args).await.map(|()| ExitCode::SUCCESS),
        None => whole(&args).await,
    }
}

/// All numbers of offices; the report is written after each, so that nothing measured is lost.
async fn whole(args: &Bench) -> Result<ExitCode> {
    let data = std::fs::canonicalize(&args.data_dir).with_context(|| args.data_dir.display().to_string())?;
    let how = How {
        window: usize::from(args.window),
        pairs: args.pairs,
        seconds: u64::from(args.seconds),
        warm_up: u64::from(args.warm_up),
    };
    let (mut counts, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for offices in &args.offices {
        counts.push(with_offices(args, &data, usize::from(*offices)).await?);
        let report = Report::new(how.clone(), counts.clone()).context("no number of offices")?;
        report.write(&args.report)?;
        if counts.len() == args.offices.len() {
            say(&format!("\n{}\nreport: {}", report.words(), args.report.display()))?;
            if report.too_many_messages.is_some() {
                code = ExitCode::from(TOO_MANY_MESSAGES);
            } else if report.void.is_some() {
                code = ExitCode::from(VOID);
            }
        }
    }
    Ok(code)
}

async fn with_offices(args: &Bench, data: &std::path::Path, offices: usize) -> Result<Count> {
    let sides = Sides::make(&args.run_dir.join("work"), data, offices).await?;
    let seconds = |n: u16| Duration::from_secs(u64::from(n));
    let times = Times { warm_up: seconds(args.warm_up), measured: seconds(args.seconds) };
    let plan = Plan { offices, window: usize::from(args.window), pairs: args.pairs, times };
    let measured = pairs::measure(&plan, &sides).await;
    // What was set up goes, whether it was measured or not.
    let closed = sides.close().await;
    let count = measured?;
    closed?;
    Ok(count)
}

/// To whoever looks on.
fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
