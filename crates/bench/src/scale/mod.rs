//! `scale`: a nation's requests in the store, and whether the product feels them.
//!
//! Two sizes one after the other in one run, each in a database and a virtual host of its own: small,
//! then large. The figures of the large one are set beside those of the small one.

mod copy;
mod fill;
mod herd;
mod life;
mod measure;
mod nation;
mod report;
mod rows;
mod stage;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use fill::Size;
use measure::Load;
use report::{At, Report};
use stage::Stage;

/// How much, and how it is measured.
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// Open requests of the large size.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u32).range(1_000..=5_000_000))]
    open: u32,
    /// Closed requests of the large size.
    #[arg(long, default_value = "10000000", value_parser = clap::value_parser!(u32).range(1_000..=50_000_000))]
    closed: u32,
    /// Open requests of the small size; ten times as many closed ones. Zero leaves it out.
    #[arg(long, default_value = "10000", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    small: u32,
    /// Deadlines due at one instant. Zero leaves the herd out.
    #[arg(long, default_value = "200000", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    herd: u32,
    /// Leaves the large size out.
    #[arg(long)]
    herd_alone: bool,
    /// Offices with a connection while lives are measured.
    #[arg(long, default_value = "600", value_parser = clap::value_parser!(u16).range(2..=3_000))]
    connected: u16,
    /// Lives under way at once.
    #[arg(long, default_value = "1200", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    window: u16,
    /// Measured seconds of lives at each size.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Seconds before them, not measured.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u16).range(0..=120))]
    warm_up: u16,
    /// Only fills, and leaves the store as it is, for whoever wants to look.
    #[arg(long)]
    fill_only: bool,
    /// Reference data.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Where its files go, the report among them.
    #[arg(long, default_value = ".run/bench-scale")]
    run_dir: PathBuf,
}

/// Runs it.
pub(crate) async fn run(args: &Scale) -> Result<()> {
    let data = std::fs::canonicalize(&args.data_dir).with_context(|| args.data_dir.display().to_string())?;
    let load = Load {
        window: args.window.into(),
        warm_up: Duration::from_secs(args.warm_up.into()),
        measured: Duration::from_secs(args.seconds.into()),
    };
    let (small, open) = (u64::from(args.small), u64::from(args.open));
    let mut sizes = Vec::new();
    if small > 0 && !args.fill_only {
        sizes.push(("small", Size { open: small, closed: small * 10, herd: 0 }));
    }
    if !args.herd_alone {
        sizes.push(("large", Size { open, closed: args.closed.into(), herd: 0 }));
    }
    let mut report = Report::default();
    for (name, size) in sizes {
        let stage = make(args, &data, name, size, &mut report).await?;
        if args.fill_only {
            say(&format!("left: {}", stage.world.name()))?;
            std::mem::forget(stage);
            continue;
        }
        let measured = measure::measure(&stage, load).await;
        // What was set up goes, whether it was measured or not.
        let closed = stage.close().await;
        let measured = measured?;
        closed?;
        say(&report::words_of(name, &measured))?;
        report.measured.insert(name, measured);
        report.write(&args.run_dir.join("report.json"))?;
    }
    if args.herd > 0 && !args.fill_only {
        // Among as many others that are not due.
        let size = Size { open: small.max(1_000), closed: small.max(1_000) * 10, herd: args.herd.into() };
        let stage = make(args, &data, "herd", size, &mut report).await?;
        let met = herd::meet(&stage).await;
        let closed = stage.close().await;
        report.herd = Some(met?);
        closed?;
    }
    let file = args.run_dir.join("report.json");
    report.write(&file)?;
    say(&format!("\n{}\nreport: {}", report.words(), file.display()))
}

async fn make(
    args: &Scale,
    data: &std::path::Path,
    name: &'static str,
    size: Size,
    report: &mut Report,
) -> Result<Stage> {
    let dir = args.run_dir.join(name);
    let began = std::time::Instant::now();
    let (stage, filled) = Stage::make(&dir, data, &format!("scale_{name}"), size, usize::from(args.connected)).await?;
    let seconds = began.elapsed().as_secs_f64();
    say(&report::words_of_fill(name, &filled, seconds))?;
    report.filled.insert(name, At { filled, seconds });
    Ok(stage)
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
