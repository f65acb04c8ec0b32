//! `demo`: fresh worlds on given servers, the stories, the nation, and what to try afterwards.

mod homes;
mod process;
mod world;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use xacminh_demo::{Settings as Scale, nation, stories};

use crate::settings::Settings;
use crate::{play, show, wiring};
use world::{Servers, World};

/// How the demo plays.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where its files go.
    #[arg(long, default_value = ".run/demo")]
    run_dir: PathBuf,
    /// Leave the nation's services running.
    #[arg(long)]
    keep: bool,
    /// How many requests the wards send.
    #[arg(long, default_value = "10000")]
    requests: u32,
    /// How many wards send.
    #[arg(long, default_value = "300")]
    wards: u32,
    /// The same seed gives the same nation.
    #[arg(long, default_value = "20261119")]
    seed: u64,
    /// So many `kill -9` in the nation, at random over its services, which then run as a process a
    /// role, each with at least 500 messages in hand. 0: one, of all services at once.
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u32).range(0..=100))]
    chaos: u32,
    /// Only the stories.
    #[arg(long, conflicts_with = "keep")]
    only_stories: bool,
    /// Only the nation.
    #[arg(long, conflicts_with = "only_stories")]
    only_nation: bool,
    /// Take away virtual hosts and databases at the end, for servers that stay.
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
    /// PostgreSQL, with the right to make databases.
    #[arg(long, env = "XACMINH_TEST_PG_URL", hide_env_values = true)]
    pg_url: String,
    /// RabbitMQ, as an administrator.
    #[arg(long, env = "XACMINH_TEST_AMQP_URL", hide_env_values = true)]
    amqp_url: String,
    /// RabbitMQ's management, as an administrator.
    #[arg(long, env = "XACMINH_TEST_MGMT_URL", hide_env_values = true)]
    mgmt_url: String,
}

/// `xacminh demo`.
pub(crate) async fn demo(settings: &Settings, args: &Demo) -> Result<()> {
    // The clients' library panics in a task of its own when a connection goes in the middle of its
    // orderly end. What such a client lost, if anything, its ledger tells.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|at| at.file().contains("amqprs")) {
            usual(panic);
        }
    }));
    std::fs::create_dir_all(&args.run_dir).with_context(|| args.run_dir.display().to_string())?;
    let run_dir = std::fs::canonicalize(&args.run_dir)?;
    let registry = wiring::registry(settings)?;
    let servers = Servers {
        pg_url: args.pg_url.clone(),
        amqp_url: args.amqp_url.clone(),
        mgmt_url: args.mgmt_url.clone(),
        data_dir: std::fs::canonicalize(&settings.data_dir)?,
    };
    let (amqp_host, amqp_port) = play::host_and_port(&args.amqp_url)?;
    let scale = Scale {
        amqp_host,
        amqp_port,
        run_dir: run_dir.clone(),
        keep: args.keep,
        requests: args.requests,
        wards: args.wards,
        seed: args.seed,
        chaos: args.chaos,
    };
    if !args.only_nation {
        let world = World::begin("stories", &run_dir, &servers, &registry, homes::cast(&registry), false).await?;
        let told = stories(&world, &scale).await;
        world.end(args.clean).await?;
        told?;
    }
    if args.only_stories {
        return Ok(());
    }
    show::line("");
    show::line("The nation: every office gets a login, rights and an inbox (about 20 s).");
    let world = World::begin("nation", &run_dir, &servers, &registry, Vec::new(), args.chaos > 0).await?;
    let played = nation(&world, &scale).await;
    if args.keep {
        show::line("");
        show::line(format!(
            "The services go on; the clock stands at its last step and runs on from there. Logs: {}",
            world.log().display()
        ));
        world.suggest().await?;
        show::line("`make down` ends them.");
        world.leave();
    } else {
        world.end(args.clean).await?;
    }
    played.map(drop)
}
