//! `scale`: a nation's requests in the store, and whether the product feels them.
//!
//! Two sizes one after the other in one run, each in a database and a virtual host of its own: small,
//! then large. The figures of the large one are set beside those of the small one. Trials follow: some on
//! the large store, some on stores that are made for them.

mod bare;
mod calendar;
mod copy;
mod fill;
mod herd;
mod life;
mod lives;
mod measure;
mod nation;
mod overload;
mod reader;
mod report;
mod rows;
mod silent;
mod stage;
mod target;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use fill::Size;
use lives::Load;
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
    /// Requests that wait for the silent office.
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u32).range(500..=1_000_000))]
    silent: u32,
    /// For how many seconds a reader holds its snapshot.
    #[arg(long, default_value = "600", value_parser = clap::value_parser!(u16).range(1..=3_600))]
    reader_seconds: u16,
    /// For how many seconds too many lives begin.
    #[arg(long, default_value = "300", value_parser = clap::value_parser!(u16).range(1..=3_600))]
    overload_seconds: u16,
    /// Only these parts, with commas between.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Offices with a connection while lives are measured.
    #[arg(long, default_value = "600", value_parser = clap::value_parser!(u16).range(2..=3_000))]
    connected: u16,
    /// Lives under way at once.
    #[arg(long, default_value = "1200", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    window: u16,
    /// Measured seconds of lives at each size.
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u16).range(1..=600))]
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

/// What can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Small against large.
    Sizes,
    /// Many deadlines due at one instant.
    Herd,
    /// A calendar that changes.
    Calendar,
    /// An office that says nothing.
    Silent,
    /// A snapshot that is held for long; on the large store.
    Reader,
    /// More lives than go through; on the large store.
    Overload,
}

impl Scale {
    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn load(&self) -> Load {
        Load {
            window: self.window.into(),
            warm_up: Duration::from_secs(self.warm_up.into()),
            measured: Duration::from_secs(self.seconds.into()),
        }
    }

    /// Open and closed requests of the small size, and of the stores that trials have to themselves.
    fn few(&self) -> Size {
        let open = u64::from(self.small.max(1_000));
        Size { open, closed: open * 10, ..Size::default() }
    }
}

/// Runs it; the report is written after each part, so that nothing measured is lost.
pub(crate) async fn run(args: &Scale) -> Result<()> {
    let data = std::fs::canonicalize(&args.data_dir).with_context(|| args.data_dir.display().to_string())?;
    let mut run = Run { args, data, began: Instant::now(), report: Report::default() };
    if args.fill_only {
        let stage = run.stage("large", run.large()).await?;
        say(&format!("left: {}", stage.world.name()))?;
        std::mem::forget(stage);
        return Ok(());
    }
    run.sizes().await?;
    run.trials().await?;
    let file = run.written()?;
    say(&format!("\n{}\nreport: {}", run.report.words(), file.display()))
}

/// A run with what came out so far.
struct Run<'a> {
    args: &'a Scale,
    data: PathBuf,
    began: Instant,
    report: Report,
}

impl Run<'_> {
    fn large(&self) -> Size {
        Size { open: self.args.open.into(), closed: self.args.closed.into(), ..Size::default() }
    }

    async fn sizes(&mut self) -> Result<()> {
        let (args, load) = (self.args, self.args.load());
        if args.small > 0 && args.has(Part::Sizes) {
            let stage = self.stage("small", args.few()).await?;
            let measured = measure::measure(&stage, load).await;
            self.took("small", stage, measured).await?;
        }
        let (reader, overload) = (args.has(Part::Reader), args.has(Part::Overload));
        if !args.has(Part::Sizes) && !reader && !overload {
            return Ok(());
        }
        let stage = self.stage("large", self.large()).await?;
        let on_it = async {
            if args.has(Part::Sizes) {
                let measured = measure::measure(&stage, load).await?;
                say(&report::words_of("large", &measured))?;
                self.report.measured.insert("large", measured);
                self.written()?;
            }
            if reader {
                let time = Duration::from_secs(args.reader_seconds.into());
                self.report.reader = Some(reader::hold(&stage, load, time).await?);
                self.written()?;
            }
            if overload {
                let time = Duration::from_secs(args.overload_seconds.into());
                self.report.overload = Some(overload::bear(&stage, load, time).await?);
                self.written()?;
            }
            Ok(())
        };
        // What was set up goes, whether it was measured or not.
        let done: Result<()> = on_it.await;
        let closed = stage.close().await;
        done?;
        closed
    }

    /// Those that have a store of their own.
    async fn trials(&mut self) -> Result<()> {
        let (args, load, few) = (self.args, self.args.load(), self.args.few());
        if args.herd > 0 && args.has(Part::Herd) {
            // Beside those that come beside lives, as many again as come alone before.
            let herd = u64::from(args.herd) + u64::from(args.herd) / herd::FIRST_SHARE;
            let stage = self.stage("herd", Size { herd, ..few }).await?;
            let met = herd::meet(&stage, load).await;
            let closed = stage.close().await;
            self.report.herd = Some(met?);
            closed?;
            self.written()?;
        }
        if args.has(Part::Calendar) {
            let stage = self.stage("calendar", Size { fresh: args.open.into(), ..few }).await?;
            let met = calendar::change(&stage, &self.data, args.open.into(), load).await;
            let closed = stage.close().await;
            self.report.calendar = Some(met?);
            closed?;
            self.written()?;
        }
        if args.has(Part::Silent) {
            let stage = self.stage("silent", Size { silent: args.silent.into(), ..few }).await?;
            // Beyond its inbox, and no more than there is.
            let take = usize::try_from(args.silent)?.min(5_000);
            let met = silent::bear(&stage, load, take).await;
            let closed = stage.close().await;
            self.report.silent = Some(met?);
            closed?;
            self.written()?;
        }
        Ok(())
    }

    async fn took(&mut self, name: &'static str, stage: Stage, measured: Result<measure::Measured>) -> Result<()> {
        let closed = stage.close().await;
        let measured = measured?;
        closed?;
        say(&report::words_of(name, &measured))?;
        self.report.measured.insert(name, measured);
        self.written().map(drop)
    }

    fn written(&mut self) -> Result<PathBuf> {
        self.report.seconds = self.began.elapsed().as_secs_f64();
        let file = self.args.run_dir.join("report.json");
        self.report.write(&file)?;
        Ok(file)
    }

    async fn stage(&mut self, name: &'static str, size: Size) -> Result<Stage> {
        let dir = self.args.run_dir.join(name);
        let began = Instant::now();
        let connected = usize::from(self.args.connected);
        let (stage, filled) = Stage::make(&dir, &self.data, &format!("scale_{name}"), size, connected).await?;
        let seconds = began.elapsed().as_secs_f64();
        say(&report::words_of_fill(name, &filled, seconds))?;
        self.report.filled.insert(name, At { filled, seconds });
        Ok(stage)
    }
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
