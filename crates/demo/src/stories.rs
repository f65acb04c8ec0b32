//! Three stories that can be read: one request that works, one office that is silent, one form that
//! cannot be right. Each asserts what it shows.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::offset;
use rand::SeedableRng;
use rand::rngs::StdRng;
use xacminh_contract::answer::Code;
use xacminh_contract::envelope::CommandType;
use xacminh_contract::notice::Topic;
use xacminh_contract::receipt::{Item, Outcome};
use xacminh_contract::request::{Home, Kind, Lane, Submit};
use xacminh_domain::id::{OfficeId, RequestId};

use crate::check::Ended;
use crate::deeds::{about, opened, read};
use crate::forms::{self, home_by_code};
use crate::ledger::Expect;
use crate::nation::above;
use crate::people;
use crate::plan::superiors;
use crate::rungs;
use crate::scene::Telling;
use crate::table::{day, start, stops};
use crate::world::{HomeOffice, Settings, World};

/// The first day of the stories.
const FIRST: Date = date(2026, 11, 19);

/// Who plays in the stories.
struct Roles<'w> {
    ward: &'w HomeOffice,
    home: &'w HomeOffice,
    silent: &'w HomeOffice,
    province: &'w HomeOffice,
    ministry: &'w HomeOffice,
}

/// Tells the three stories in a world of their own; fails if one does not come out as told.
pub async fn stories<W: World>(world: &W, settings: &Settings) -> Result<()> {
    let roles = Roles::choose(world)?;
    let offices = [roles.ward, roles.home, roles.silent, roles.province, roles.ministry];
    let mut telling = Telling::begin(world, settings, &offices, start()).await?;
    let mut rng = StdRng::seed_from_u64(settings.seed);
    works(world, &mut telling, &roles, &mut rng).await.context("story 1, a request that works")?;
    silence(world, &mut telling, &roles, &mut rng).await.context("story 2, a silent office")?;
    cannot_be(world, &mut telling, &roles, &mut rng).await.context("story 3, a form that cannot be right")?;
    telling.end();
    Ok(())
}

impl<'w> Roles<'w> {
    fn choose<W: World>(world: &'w W) -> Result<Self> {
        let granted = |h: &&HomeOffice| world.credentials().contains_key(&h.office);
        let homes: Vec<&HomeOffice> = world.homes().iter().filter(granted).collect();
        let first = |wanted: &dyn Fn(&HomeOffice) -> bool| homes.iter().copied().find(|h| wanted(h));
        let either = |best: &dyn Fn(&HomeOffice) -> bool, good: &dyn Fn(&HomeOffice) -> bool| {
            first(best).or_else(|| first(good))
        };
        let home = either(&|h| h.is_home() && h.old_words.is_some() && h.province == "01", &|h| {
            h.is_home() && h.old_words.is_some()
        });
        let home = home.context("no granted home has words of an old document")?;
        let ward = either(&|h| h.is_home() && h.province == "79" && h.office != home.office, &|h| {
            h.is_home() && h.office != home.office
        });
        let ward = ward.context("no second granted home")?;
        let (provinces, ministry) = superiors(world.homes());
        let other = |h: &HomeOffice| {
            h.is_home() && h.office != home.office && h.office != ward.office && provinces.contains_key(&h.province)
        };
        let silent = either(&|h| other(h) && h.province == "01", &other).context("no third granted home")?;
        let province = provinces.get(&silent.province).copied();
        let province = first(&|h| Some(h.office) == province).context("no granted PC06 above the silent office")?;
        let ministry = first(&|h| Some(h.office) == ministry).context("no granted C06")?;
        Ok(Self { ward, home, silent, province, ministry })
    }
}

/// One request that works.
async fn works<W: World>(world: &W, telling: &mut Telling<'_, W>, roles: &Roles<'_>, rng: &mut StdRng) -> Result<()> {
    telling.show.line(format_args!("\nStory 1. One request that works\n"));
    telling.until(time(FIRST, 8, 5)).await?;
    let words = roles.home.old_words.as_ref().context("the home has old words")?;
    telling.say(&format!(
        "{} asks about a home as an old document has it: {}, {}, {}",
        roles.ward.name, words.0, words.1, words.2
    ));
    let form = plain(forms::submit(&people::old_home(words, true)?, "TT-2026-000001", FIRST, rng)?);
    let (id, item, ms) = ask(telling, roles.ward.office, &form, 1).await?;
    let responder = item.responder.as_ref().context("the receipt names whom the broker asks")?;
    telling.say(&format!("accepted in {ms} ms: the broker asks {}, {}", responder.name, responder.phone));
    ensure!(
        responder.office.0 == roles.home.office,
        "the old words lead to {}, not to {}",
        responder.office,
        roles.home.office
    );
    ensure!(
        telling.scene.stored.get(&id) == Some(&roles.home.office),
        "the request never came to {}",
        roles.home.office
    );
    telling.say(&format!("{}: its system has stored the request and said so", roles.home.name));
    telling.until(time(FIRST, 8, 40)).await?;
    telling.send(roles.home.office, opened(id)?, 0).await?;
    telling.say("an officer there opens it");
    telling.until(time(FIRST, 10, 15)).await?;
    let give = about(CommandType::AnswerGive, id, &forms::give(id, Code::Confirmed, false)?, Expect::Accepted)?;
    let (_, receipt) = telling.send(roles.home.office, give, 1).await?;
    let (item, _) = receipt.context("an answer gets a receipt")?;
    ensure!(item.outcome == Outcome::Accepted && !item.late, "the answer was not accepted in time");
    telling.say("and answers A01, in time");
    let answer = telling.scene.answers.get(&id).cloned().context("the answer never came to W")?;
    ensure!(
        answer.code == Code::Confirmed && answer.sentence.text.contains(&answer.sentence.phone),
        "the sentence is not whole"
    );
    telling.say("the counter reads out:");
    telling.show.block(&format!("“{}”", answer.sentence.text));
    telling.until(time(FIRST, 10, 20)).await?;
    telling.send(roles.ward.office, read(id)?, 0).await?;
    telling.say("and W has read it. Who held it, and for how long:");
    let trace = world.trace(id).await?;
    ensure!(!trace.trim().is_empty(), "the trace is empty");
    telling.show.block(&trace);
    Ok(())
}

/// One silent office climbs the ladder.
async fn silence<W: World>(world: &W, telling: &mut Telling<'_, W>, roles: &Roles<'_>, rng: &mut StdRng) -> Result<()> {
    telling.show.line(format_args!("\nStory 2. One silent office\n"));
    telling.until(time(FIRST, 14, 0)).await?;
    let home = home_by_code(&roles.silent.unit_code, FIRST)?;
    let form = plain(forms::submit(&home, "TT-2026-000002", FIRST, rng)?);
    let (id, ..) = ask(telling, roles.ward.office, &form, 1).await?;
    ensure!(
        telling.scene.stored.get(&id) == Some(&roles.silent.office),
        "the request never came to {}",
        roles.silent.office
    );
    telling.say(&format!(
        "{} has it, says so, and then nothing: due Fri 20 to open, Mon 23 to answer (Tue 24 is a holiday)",
        roles.silent.name
    ));
    let last = time(date(2026, 11, 26), 13, 0);
    let now = telling.now();
    for stop in stops().into_iter().filter(|stop| stop.at > now && stop.at <= last) {
        telling.until(stop.at).await?;
    }
    let rows: Vec<_> = world.rungs().await?.into_iter().filter(|row| row.request == id).collect();
    let twice = rungs::twice(&rows);
    ensure!(twice.is_empty(), "{twice:?}");
    let silent =
        Ended { request: id, home: roles.silent.office, start_on: Some(FIRST), opened_at: None, closed_at: None };
    let wrong = rungs::mismatches(&[silent], &rows, &above(world.homes()), telling.now());
    ensure!(wrong.is_empty(), "not as the table written by hand: {wrong:?}");
    for (office, topic) in [
        (roles.silent, Topic::AcceptOverdue),
        (roles.silent, Topic::AnswerDueToday),
        (roles.province, Topic::OfficeSilent),
        (roles.ministry, Topic::OfficeSilent),
        (roles.ward, Topic::FileOverdue),
    ] {
        let told = telling.scene.notices.iter().any(|(to, item)| *to == office.office && item.topic == topic);
        ensure!(told, "{} was not told: {}", office.name, topic.as_str());
    }
    telling.say("each rung once, on the days of the table written by hand");
    Ok(())
}

/// One form that cannot be right.
async fn cannot_be<W: World>(
    world: &W,
    telling: &mut Telling<'_, W>,
    roles: &Roles<'_>,
    rng: &mut StdRng,
) -> Result<()> {
    telling.show.line(format_args!("\nStory 3. One form that cannot be right\n"));
    telling.until(time(date(2026, 11, 26), 13, 5)).await?;
    let (code, as_of) = world.ambiguous_home();
    let today = day(telling.now());
    let form = plain(forms::submit(&home_by_code(&code, as_of)?, "TT-2026-000003", today, rng)?);
    telling.say(&format!("{} asks about unit {code} as of {as_of}: that commune was split", roles.ward.name));
    let (_, receipt) =
        telling.send(roles.ward.office, forms::submit_draft(&form, Expect::Refused("home_ambiguous"))?, 0).await?;
    let (item, ms) = receipt.context("a refusal is a receipt")?;
    let refusal = item.refusal.context("it was not refused")?;
    ensure!(refusal.code == "home_ambiguous", "refused with {}", refusal.code);
    ensure!(refusal.candidates.len() > 1, "{} candidates", refusal.candidates.len());
    ensure!(ms <= 1_000, "the refusal took {ms} ms");
    telling.say(&format!("refused in {ms} ms ({}, {}):", refusal.code, refusal.pointer));
    telling.show.block(&refusal.sentence);
    for candidate in &refusal.candidates {
        telling.show.block(&format!(
            "{}  {}, {}  ({})",
            candidate.unit, candidate.name, candidate.province, candidate.office_name
        ));
    }
    let picked = refusal.candidates.iter().find(|c| c.office.0 != roles.ward.office).context("no candidate to pick")?;
    let home: Home = home_by_code(&picked.unit.to_string(), today)?;
    let hopes = usize::from([roles.home.office, roles.silent.office].contains(&picked.office.0));
    let (_, item, ms) = ask(telling, roles.ward.office, &Submit { home, ..form }, hopes).await?;
    let responder = item.responder.map(|card| card.name).unwrap_or_default();
    telling.say(&format!("the clerk picks {}; accepted in {ms} ms: the broker asks {responder}", picked.name));
    Ok(())
}

/// A submit of the plainest kind.
fn plain(form: Submit) -> Submit {
    Submit { kind: Kind::TempResidence, lane: Lane::Normal, lane_reason: None, promised_on: None, ..form }
}

/// Sends a submit that must be accepted.
async fn ask<W: World>(
    telling: &mut Telling<'_, W>,
    ward: OfficeId,
    form: &Submit,
    hopes: usize,
) -> Result<(RequestId, Item, u64)> {
    let (key, receipt) = telling.send(ward, forms::submit_draft(form, Expect::Accepted)?, hopes).await?;
    let (item, ms) = receipt.context("a submit gets a receipt")?;
    let refused = item.refusal.as_ref().map(|r| format!("{} at {}", r.code, r.pointer));
    ensure!(item.outcome == Outcome::Accepted, "it was refused: {}", refused.unwrap_or_default());
    Ok((key.parse()?, item, ms))
}

fn time(on: Date, hour: i8, minute: i8) -> Timestamp {
    offset(7).to_timestamp(on.at(hour, minute, 0, 0)).unwrap_or(Timestamp::MAX)
}
