//! The nation: thousands of requests over a week of the stepped clock, a kill and lost lines.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use xacminh_domain::id::OfficeId;

use crate::cast::Stage;
use crate::check::{self, Findings};
use crate::client::{Client, Crew};
use crate::driver::Driver;
use crate::forms::home_by_code;
use crate::killing::Killing;
use crate::ledger::Ledger;
use crate::line::Address;
use crate::plan::{CUTS, Plan, superiors};
use crate::report::Report;
use crate::rungs::{self, Above};
use crate::table::{end, start, stops};
use crate::world::{HomeOffice, Settings, World};

/// How many offices connect at a time.
const AT_A_TIME: usize = 64;

/// Lets the nation live through the week, checks the ledgers, writes `report.json`, prints the last
/// page, and fails if a promise was broken.
pub async fn nation<W: World>(world: &W, settings: &Settings) -> Result<Report> {
    let began = Instant::now();
    let homes = world.homes();
    let plan = Plan::draw(homes, settings)?;
    if world.clock().now() < start() {
        world.clock().jump(start())?;
    }
    let (crew, arrivals) = Crew::new(world.clock().clone());
    let (code, as_of) = world.ambiguous_home();
    let clients = connect(world, settings, &plan, &crew).await?;
    let readers: Vec<OfficeId> = clients.keys().copied().collect();
    let mut rng = StdRng::seed_from_u64(settings.seed.wrapping_add(1));
    let killing = Killing::new(&world.processes(), settings.chaos, &mut rng);
    let mut stage = Stage::new(homes, plan, clients, crew.clone(), rng, home_by_code(&code, as_of)?, killing);
    stage.show.line(format_args!(
        "The nation: {} requests from {} wards to {} homes; {} homes silent, {} not even connected. {} offices connected in {:.1} s.",
        stage.plan.requests.len(),
        stage.plan.wards.len(),
        homes.iter().filter(|h| h.is_home()).count(),
        stage.plan.silent.len(),
        stage.plan.unplugged.len(),
        readers.len(),
        began.elapsed().as_secs_f64()
    ));
    let mut driver = Driver::new(world, crew.clone(), arrivals, readers);
    live(&mut driver, &mut stage).await?;
    let rows = world.rungs().await?;
    let seen = world.operator_view().await?;
    let offices = u64::try_from(stage.clients.len())?;
    let mut books = HashMap::new();
    for (office, client) in &stage.clients {
        client.close();
        books.insert(*office, std::mem::take(&mut *client.ledger()));
    }
    let findings = check::check(&books, end());
    let (kills, too_few_kills) = stage.killing.end();
    let mut report = Report {
        sum: findings.sum,
        sum_is_exact: findings.sum.is_exact(),
        refusal_p99_ms: check::p99(check::refusal_ms(&books, true)),
        refusal_p99_ms_with_kill: check::p99(check::refusal_ms(&books, false)),
        submit_deliver_p99_ms: check::p99(check::submit_to_home_ms(&books)),
        refusals: findings.refusals,
        chaos: settings.chaos,
        kills,
        lines_cut: u64::try_from(stage.plan.cuttable.len() * CUTS.len())?,
        clients: offices,
        messages: messages(&books),
        seen,
        ..Report::default()
    };
    report.notices_by_rung.fired = rungs::by_rung(&rows);
    notices(&books, homes, &mut report);
    let above = above(homes);
    blame(&mut report, findings, &rows, &above, too_few_kills);
    report.wall_seconds = began.elapsed().as_secs_f64();
    report.write(&settings.run_dir)?;
    report.print(&mut stage.show, settings.keep.then(|| world.prefix()));
    report.judge()?;
    Ok(report)
}

/// From stop to stop.
async fn live<W: World>(driver: &mut Driver<'_, W>, stage: &mut Stage<'_>) -> Result<()> {
    for stop in stops() {
        if stop.at > driver.now() {
            driver.jump(stop.at)?;
        }
        // What fell due in the jump fires before people begin.
        driver.live(stage, false).await?;
        if let Some(session) = stop.session {
            stage.begin(session);
            driver.live(stage, true).await?;
            after_a_rush(stage);
        }
    }
    driver.live(stage, true).await
}

/// What was sent in a rush waited behind what was piled up for the kill, and what the kill left.
fn after_a_rush(stage: &Stage<'_>) {
    let Some(since) = stage.killing.disturbed_since() else {
        return;
    };
    for client in stage.clients.values() {
        for sent in client.ledger().sent.values_mut().filter(|sent| sent.handed_at >= since) {
            sent.disturbed = true;
        }
    }
}

/// Connects everybody but the unplugged, some at a time.
async fn connect<W: World>(
    world: &W,
    settings: &Settings,
    plan: &Plan,
    crew: &Crew,
) -> Result<HashMap<OfficeId, Client>> {
    let gate = Arc::new(Semaphore::new(AT_A_TIME));
    let mut opening = JoinSet::new();
    for office in world.homes().iter().map(|home| home.office).filter(|office| !plan.unplugged.contains(office)) {
        let address = address(world, settings, office)?;
        let (gate, crew, cuttable) = (gate.clone(), crew.clone(), plan.cuttable.contains(&office));
        opening.spawn(async move {
            let _one = gate.acquire().await?;
            Client::connect(address, &crew, cuttable).await.with_context(|| format!("{office} does not get through"))
        });
    }
    let mut clients = HashMap::new();
    while let Some(client) = opening.join_next().await {
        let client = client??;
        clients.insert(client.office, client);
    }
    Ok(clients)
}

/// Where an office connects to.
pub(crate) fn address<W: World>(world: &W, settings: &Settings, office: OfficeId) -> Result<Address> {
    let password = world.credentials().get(&office).with_context(|| format!("{office} has no password"))?;
    Ok(Address {
        host: settings.amqp_host.clone(),
        port: settings.amqp_port,
        vhost: world.vhost().to_owned(),
        office,
        password: password.clone(),
    })
}

/// Who stands above each home.
pub(crate) fn above(homes: &[HomeOffice]) -> Above {
    let (provinces, ministry) = superiors(homes);
    let province =
        homes.iter().filter(|h| h.is_home()).filter_map(|h| Some((h.office, *provinces.get(&h.province)?))).collect();
    Above { province, ministry }
}

fn blame(
    report: &mut Report,
    findings: Findings,
    rows: &[crate::world::RungRow],
    above: &Above,
    too_few_kills: Option<String>,
) {
    let mut surprises = findings.surprises;
    surprises.extend(too_few_kills);
    report.lost = report.note("lost", &findings.lost);
    report.duplicate_effects = report.note("duplicate_effects", &findings.twice);
    report.surprises = report.note("surprises", &surprises);
    report.rungs_twice = report.note("rungs_twice", &rungs::twice(rows));
    report.rung_mismatches = report.note("rung_mismatches", &rungs::mismatches(&findings.requests, rows, above, end()));
}

fn notices(books: &HashMap<OfficeId, Ledger>, homes: &[HomeOffice], report: &mut Report) {
    let kinds: HashMap<OfficeId, &str> = homes.iter().map(|h| (h.office, h.kind.as_str())).collect();
    for (office, ledger) in books {
        let kind = kinds.get(office).copied().unwrap_or("unknown");
        for item in &ledger.notices {
            let by_kind = report.notices_by_rung.received.entry(item.topic.as_str().to_owned()).or_default();
            *by_kind.entry(kind.to_owned()).or_default() += 1;
        }
    }
}

fn messages(books: &HashMap<OfficeId, Ledger>) -> u64 {
    let count = |book: &Ledger| {
        book.sent.len() + book.came.values().map(|came| usize::try_from(came.times).unwrap_or(1)).sum::<usize>()
    };
    books.values().map(count).sum::<usize>().try_into().unwrap_or(u64::MAX)
}
