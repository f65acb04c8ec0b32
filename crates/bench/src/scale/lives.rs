//! Lives on a stage: as many as go through, or so many a second.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::stage::Stage;
use crate::load::Load as Offices;
use crate::offices::{Life, Pace};
use crate::report::HalfLoad;

/// How lives are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) window: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What offices with a connection saw while they lived on it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Lives {
    pub(crate) lives_per_second: f64,
    pub(crate) life_p50_ms: f64,
    pub(crate) life_p99_ms: f64,
}

/// Connects the stage's offices and has them live so long that each inbox has had its first messages.
pub(crate) async fn begin(stage: &Stage, load: Load, pace: Pace) -> Result<Offices> {
    let mut offices = Offices::start(stage.addresses()?, Life::Whole, pace).await?;
    offices.go_on(load.warm_up).await?;
    Ok(offices)
}

/// Lets what is under way come to its end, and the offices go.
pub(crate) async fn end(mut offices: Offices) -> Result<()> {
    offices.last_lives().await?;
    offices.end().await
}

/// As many as go through with a window.
pub(crate) async fn at_once(stage: &Stage, load: Load) -> Result<Lives> {
    let mut offices = begin(stage, load, Pace::Window(load.window)).await?;
    let stretch = offices.measure(load.measured).await?;
    end(offices).await?;
    Ok(Lives {
        lives_per_second: stretch.per_second(),
        life_p50_ms: stretch.life.p50_ms,
        life_p99_ms: stretch.life.p99_ms,
    })
}

/// So many a second, by the clock.
pub(crate) async fn paced(stage: &Stage, load: Load, lives_per_second: f64) -> Result<HalfLoad> {
    let mut offices = begin(stage, load, Pace::Clock { lives_per_second }).await?;
    let stretch = offices.measure(load.measured).await?;
    end(offices).await?;
    Ok(HalfLoad::of(lives_per_second, &stretch))
}
