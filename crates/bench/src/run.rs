//! One run of one side: a process is started, offices live on it, what they saw and what it cost is read.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cost::Costs;
use crate::counts::{self, Messages};
use crate::load::{Load, Stretch};
use crate::offices::{KINDS, Pace};
use crate::report::{HalfLoad, Run};
use crate::side::{Side, Sides, end};

/// The mean sizes of messages to offices, by [`KINDS`]; of receipts, for one command.
pub(crate) type Sizes = [u64; KINDS.len()];

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Not measured: each inbox gets its first messages.
    pub(crate) warm_up: Duration,
    /// Measured.
    pub(crate) measured: Duration,
}

/// How fast it is with so many lives under way; and how long its messages are.
pub(crate) async fn full(
    sides: &Sides,
    side: Side,
    sizes: Option<Sizes>,
    window: usize,
    times: Times,
) -> Result<(Run, Sizes)> {
    let Ran { stretch, run, sizes } = ran(sides, side, sizes, Pace::Window(window), times).await?;
    let lives_per_second = stretch.per_second();
    let (life_p50_ms, life_p99_ms) = (stretch.life.p50_ms, stretch.life.p99_ms);
    Ok((Run { lives_per_second, lives: stretch.lives, life_p50_ms, life_p99_ms, ..run }, sizes))
}

/// How long its messages take when so many lives begin a second.
pub(crate) async fn paced(
    sides: &Sides,
    side: Side,
    sizes: Option<Sizes>,
    lives_per_second: f64,
    times: Times,
) -> Result<HalfLoad> {
    let Ran { stretch, .. } = ran(sides, side, sizes, Pace::Clock { lives_per_second }, times).await?;
    Ok(HalfLoad::of(lives_per_second, &stretch))
}

struct Ran {
    stretch: Stretch,
    /// Without what only the stretch tells.
    run: Run,
    sizes: Sizes,
}

async fn ran(sides: &Sides, side: Side, sizes: Option<Sizes>, pace: Pace, times: Times) -> Result<Ran> {
    let world = sides.world(side);
    let (counted, on_record) = (counts::now(world).await?, sides.over(side).await?);
    let process = sides.start(side, sizes).await?;
    let costs = Costs::new(world, process.id().context("it ended at once")?)?;
    let mut load = Load::start(sides.addresses(world)?, side.life(), pace).await?;
    load.go_on(times.warm_up).await?;
    let before = costs.read(load.figures().lives()).await?;
    let stretch = load.measure(times.measured).await?;
    let after = costs.read(load.figures().lives()).await?;
    load.last_lives().await?;
    // Offices are still there: their last receipts may be on the way.
    let figures = load.shared();
    let counted = load.alongside(counts::at_rest(world, &counted, || figures.messages())).await?;
    let peak_memory_bytes = costs.peak_memory()?;
    load.end().await?;
    end(process).await?;
    let lives = figures.lives();
    let on_record = sides.over(side).await? - on_record;
    ensure!(on_record == i64::try_from(lives)?, "{}: {lives} lives, {on_record} on record", side.name());
    let run = Run {
        messages_per_life: Messages::of(&counted, lives),
        cost: after.since(&before),
        peak_memory_bytes,
        ..Run::default()
    };
    Ok(Ran { stretch, run, sizes: figures.sizes() })
}
