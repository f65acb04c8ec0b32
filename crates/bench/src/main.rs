#![doc = include_str!("../README.md")]

mod floor;
mod offices;
mod pipe;
mod report;
mod scale;
mod side;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use offices::{KINDS, live};
use report::{How, Pair, Report, Run};
use side::{Sides, end};

/// Measures how many lives a second the product carries, beside a bare relay.
#[derive(Debug, Parser)]
struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// Offices with a login, a connection and an inbox.
    #[arg(long, default_value = "600", value_parser = clap::value_parser!(u16).range(2..=3_000))]
    offices: u16,
    /// Lives under way at once, shared out over the offices.
    #[arg(long, default_value = "1200", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    window: u16,
    /// How many times each of the two is measured.
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u16).range(1..=20))]
    pairs: u16,
    /// Measured seconds a run.
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Seconds before them, not measured: each inbox gets its first messages.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u16).range(0..=120))]
    warm_up: u16,
    /// Reference data.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Where its files go, the report among them.
    #[arg(long, default_value = ".run/bench")]
    run_dir: PathBuf,
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
    if let Some(Part::Scale(args)) = &args.part {
        scale::run(args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Part::Floor(args)) = &args.part {
        // Ended by a signal, as any relay.
        floor::run(args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let data = std::fs::canonicalize(&args.data_dir).with_context(|| args.data_dir.display().to_string())?;
    let sides = Sides::make(&args.run_dir.join("work"), &data, usize::from(args.offices)).await?;
    let measured = measure(&args, &sides).await;
    // What was set up goes, whether it was measured or not.
    let closed = sides.close().await;
    let report = measured?;
    closed?;
    let file = args.run_dir.join("report.json");
    report.write(&file)?;
    say(&format!("\n{}\nreport: {}", report.words(), file.display()))?;
    Ok(if report.is_void() { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

async fn measure(args: &Bench, sides: &Sides) -> Result<Report> {
    let mut sizes = None;
    let mut pairs = Vec::new();
    for number in 1..=args.pairs {
        // Whoever goes first finds the servers otherwise than whoever follows, so they take turns. The
        // very first is the product: the floor's messages are to be as long as its.
        let product_first = number % 2 == 1;
        let mut before = None;
        if !product_first {
            before = Some(floor(args, sides, sizes.context("no sizes yet")?).await?);
        }
        let (product, seen) = product(args, sides).await?;
        let sizes = *sizes.get_or_insert(seen);
        let floor = match before {
            Some(floor) => floor,
            None => floor(args, sides, sizes).await?,
        };
        say(&format!(
            "pair {number} of {}: product {:.0}, floor {:.0} lives a second, ratio {:.3}",
            args.pairs,
            product.lives_per_second,
            floor.lives_per_second,
            product.lives_per_second / floor.lives_per_second
        ))?;
        pairs.push(Pair { first: if product_first { "product" } else { "floor" }, product, floor });
    }
    let how = How {
        offices: usize::from(args.offices),
        window: usize::from(args.window),
        seconds: u64::from(args.seconds),
        warm_up: u64::from(args.warm_up),
    };
    Ok(Report::new(how, pairs))
}

async fn product(args: &Bench, sides: &Sides) -> Result<(Run, [u64; KINDS.len()])> {
    let process = sides.start_product().await?;
    let before = sides.read().await?;
    let (run, sizes) = lives(args, sides.addresses(&sides.product)?).await?;
    end(process).await?;
    let on_record = sides.read().await? - before;
    ensure!(on_record >= i64::try_from(run.lives)?, "{} lives were counted, {on_record} are on record", run.lives);
    Ok((run, sizes))
}

async fn floor(args: &Bench, sides: &Sides, sizes: [u64; KINDS.len()]) -> Result<Run> {
    let process = sides.start_floor(sizes).await?;
    let (run, _) = lives(args, sides.addresses(&sides.floor)?).await?;
    end(process).await?;
    Ok(run)
}

async fn lives(
    args: &Bench,
    addresses: Vec<(offices::Place, xacminh_demo::line::Address)>,
) -> Result<(Run, [u64; KINDS.len()])> {
    let seconds = |n: u16| Duration::from_secs(u64::from(n));
    live(addresses, usize::from(args.window), seconds(args.warm_up), seconds(args.seconds)).await
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
