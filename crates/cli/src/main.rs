//! The one binary: roles, and the commands of operators, supervisors and whoever tries it out.

mod access;
mod admin;
mod call_list;
mod config;
mod credentials;
mod demo;
mod doctor;
mod epoch;
mod in_place;
mod late;
mod logging;
mod office;
mod offline;
mod parked;
mod play;
mod progress;
mod readiness;
mod reconcile;
mod recounted;
mod report;
mod request;
mod retention;
mod settings;
mod show;
mod systemd;
mod wiring;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use settings::Settings;
use tikv_jemallocator::Jemalloc;
use wiring::Role;

/// Buffers of whole batches come and go; see docs/PERFORMANCE.md for what it is against the system's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Carries residence verification requests between ward police offices: makes them arrive, be
/// answered, and be measured.
#[derive(Debug, Parser)]
#[command(name = "xacminh", version)]
struct Cli {
    /// Settings file (TOML); `XACMINH_…` of the environment goes over it.
    #[arg(long, global = true, env = "XACMINH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings the schema of the store up to date.
    Migrate,
    /// Checks the reference data and puts them in force, all or nothing.
    Import,
    /// Runs the services until a signal.
    Run {
        /// Only these; all without it. May be given several times.
        #[arg(long, value_enum)]
        role: Vec<Role>,
    },
    /// Plays ward systems and home offices on servers of its own; see `make demo`.
    Demo(demo::Demo),
    /// When something is due, from the calendar alone.
    Due(offline::Due),
    /// Administrative units.
    #[command(subcommand)]
    Unit(offline::Unit),
    /// Offices and their access.
    #[command(subcommand)]
    Office(office::Office),
    /// The settings: are they right, and which are in effect.
    #[command(subcommand)]
    Config(config::Config),
    /// Looks at the installation: settings, keys, PostgreSQL, RabbitMQ, reference data, what waits.
    /// Names for each fault what to do. Changes nothing. Ends with 0 if all is sound, 1 if there is a
    /// fault, 2 if something wants a look or could not be looked at.
    Doctor(doctor::Doctor),
    /// Which life of the store this is; beginning another after a restore from a backup.
    #[command(subcommand)]
    Epoch(epoch::Epoch),
    /// Master keys.
    #[command(subcommand)]
    Keys(admin::Keys),
    /// Requests.
    #[command(subcommand)]
    Request(request::Request),
    /// What is late: who holds it, since when, why, and what happens next.
    Late(late::Late),
    /// What an office and the broker have of a day, by the office's last report: each difference, and
    /// what became of it.
    Reconcile(reconcile::Reconcile),
    /// How requests fare: volumes, on time by both clocks, lag, who held them, what is late and why.
    Report(report::Report),
    /// Whom to phone in a province: office, number, how many, the oldest, why, the last contact.
    CallList(call_list::CallList),
    /// Reads an office's inbox as that office, over AMQP.
    Inbox(play::Inbox),
    /// Answers a request as the office asked, over AMQP: says `request.opened` first, which implies
    /// `request.received`, and then gives the answer.
    Answer(play::Answer),
    /// Messages that could not be taken.
    #[command(subcommand)]
    Parked(parked::Parked),
    /// Months whose requests have ended, and letting them leave for the archive.
    #[command(subcommand)]
    Retention(retention::Retention),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Settings::load(cli.config.as_deref()).and_then(|settings| {
        logging::start(&settings.log)?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(dispatch(&settings, cli.command))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nothing is left to do when even this cannot be said.
            let _ = writeln!(std::io::stderr(), "xacminh: {}", said_once(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, each cause once: some libraries' words hold those of their cause.
fn said_once(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.contains(&cause) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(&cause);
    }
    if error.chain().any(|c| c.downcast_ref::<xacminh_store::Error>().is_some_and(xacminh_store::Error::is_transient)) {
        said.push_str(
            " (does PostgreSQL run there, and is postgresql.url right? A demo runs after `make demo KEEP=1`)",
        );
    }
    said
}

async fn dispatch(settings: &Settings, command: Command) -> Result<()> {
    match command {
        Command::Migrate => admin::migrate(settings).await,
        Command::Import => admin::import(settings).await,
        Command::Run { role } => {
            let roles = if role.is_empty() { Role::value_variants().to_vec() } else { role };
            wiring::run(settings, &roles).await
        }
        Command::Demo(args) => demo::demo(settings, &args).await,
        Command::Due(args) => offline::due(settings, &args),
        Command::Unit(command) => offline::unit(settings, &command),
        Command::Office(command) => office::office(settings, &command).await,
        Command::Config(command) => config::config(settings, &command).await,
        Command::Doctor(args) => std::process::exit(doctor::doctor(settings, &args).await?),
        Command::Epoch(command) => epoch::epoch(settings, &command).await,
        Command::Keys(command) => admin::keys(&command),
        Command::Request(command) => request::request(settings, &command).await,
        Command::Late(args) => late::late(settings, &args).await,
        Command::Reconcile(args) => reconcile::reconcile(settings, &args).await,
        Command::Report(args) => report::report(settings, &args).await,
        Command::CallList(args) => call_list::call_list(settings, &args).await,
        Command::Inbox(args) => play::inbox(settings, &args).await,
        Command::Answer(args) => play::answer(settings, &args).await,
        Command::Parked(command) => parked::parked(settings, &command).await,
        Command::Retention(command) => retention::retention(settings, &command).await,
    }
}
