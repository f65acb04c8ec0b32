//! Does access end when an operator says so, and does an office that comes back find what it left?

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::timeout;
use xacminh_bus::Grant;
use xacminh_testkit::{HalfOpen, OfficeClient, OfficeLogin, PATIENCE, eventually};

use crate::doctor::manage;
use crate::office::{DELIVER, Seen, form, send, submit, take};
use crate::product::{Product, START};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";
/// From the operator's command to the end of open connections.
const SOON: Duration = Duration::from_secs(5);

/// Wants an open connection ended: nothing comes, nothing is taken.
async fn out(mut office: OfficeClient) -> Result<()> {
    // What was handed out before may still be read; then it ends.
    while office.next().await.is_ok() {}
    let message = submit(&office, jiff::Timestamp::now(), &form(1, THE_DAY, "28687"))?;
    ensure!(office.publish(message).await.is_err(), "RabbitMQ still takes what it sends");
    Ok(())
}

/// A connection of an office that has shown its password and is not open yet.
async fn half_open(product: &Product, office: &str) -> Result<HalfOpen> {
    let login = OfficeLogin { office: office.parse()?, password: product.password(office)?.to_owned() };
    HalfOpen::new(&product.world, &login).await
}

async fn access_of(product: &Product, office: &str) -> Result<Vec<String>> {
    let rows = "select concat_ws(' ', channel, case when revoked_at is null then 'open' else 'over' end,
        case when password_at is null then '' else 'rotated' end) from office_access";
    product.world.rows(format!("{rows} where office_id = '{office}' order by granted_at")).await
}

#[tokio::test]
async fn a_revoked_office_is_out_and_one_that_comes_back_finds_its_work() -> Result<()> {
    const WARD: &str = "vpzvgv4r";
    const HOME: (&str, &str) = ("vpzswz57", "16177");

    let mut product = Product::new("revoke", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let running = product.start(&[]).await?;
    let (mut ward, mut home) = (product.office(WARD).await?, product.office(HOME.0).await?);
    let mut sent = Vec::new();
    let mut ask = async |ward: &mut OfficeClient, number: u32| {
        let message = submit(ward, product.now(), &form(number, THE_DAY, HOME.1))?;
        send(ward, &message).await?;
        sent.push(message.message_id.clone());
        Seen::default().receipts(ward, 1).await
    };
    for number in 0..3 {
        ask(&mut ward, number).await?;
    }
    // One is in its hands when it happens, two wait.
    home.read_inbox(1).await?;
    home.next().await?;

    let office_show = product.run(&["office", "show", HOME.0]).await?;
    ensure!(office_show.contains("granted 19/11/2026 08:"), "{office_show}");
    let mut half = half_open(&product, HOME.0).await?;
    let both = async { tokio::try_join!(product.run(&["office", "revoke", HOME.1]), out(home)) };
    timeout(SOON, both).await.context("it is not out soon")??;
    assert_eq!(half.open(&product.world).await?, HalfOpen::CLOSE, "it had shown its password, and is let in");
    ensure!(product.office(HOME.0).await.is_err(), "its login still opens a connection");
    let office_show = product.run(&["office", "show", HOME.0]).await?;
    ensure!(office_show.contains("revoked 19/11/2026 08:"), "{office_show}");
    assert_eq!(access_of(&product, HOME.0).await?, ["amqp over "]);

    // Work for it is taken all the same, waits in its inbox, and its silence has its name.
    for number in 3..5 {
        ask(&mut ward, number).await?;
    }
    product.jump("2026-11-19T17:30:00+07:00")?;
    eventually("five clocks of an office that is not connected", START, async || {
        let found = product.world.number("select count(*) from requests where clock_cause = 'not_connected'").await;
        (found.ok()? == 5).then_some(())
    })
    .await;

    let out = product.file("again.csv");
    product.run(&["office", "grant", HOME.0, "--out", &out.display().to_string()]).await?;
    product.take_credentials(&out)?;
    assert_eq!(access_of(&product, HOME.0).await?, ["amqp over ", "amqp open "]);
    let mut home = product.office(HOME.0).await?;
    let mut came = Vec::new();
    while came.len() < sent.len() {
        let got = take(&mut home).await?;
        ensure!(got.message_type == DELIVER, "a {} among the work", got.message_type);
        came.push(got.body["request_id"].as_str().context("no request_id")?.to_owned());
    }
    assert_eq!(came, sent, "what it never acknowledged and what came since, once, in order");
    // Nothing was left between: the next is a new one.
    let last = submit(&ward, product.now(), &form(9, THE_DAY, HOME.1))?;
    send(&mut ward, &last).await?;
    assert_eq!(take(&mut home).await?.body["request_id"], last.message_id.as_str());

    let said = product.world.rows(
        "select convert_from(body, 'UTF8')::json ->> 'event' from system_events
         where stream = 'access' and convert_from(body, 'UTF8')::json ->> 'office' = 'vpzswz57' order by seq",
    );
    assert_eq!(said.await?, ["granted", "revoked", "granted"]);
    running.stop().await?;
    product.close().await
}

#[tokio::test]
async fn a_rotated_password_ends_what_was_opened_with_the_old_one() -> Result<()> {
    const OFFICE: &str = "vpzvfmrn";
    const OTHER: &str = "vpztivbu";

    let mut product = Product::new("rotate", None, &[OFFICE, OTHER]).await?;
    let mut office = product.office(OFFICE).await?;
    office.read_inbox(1).await?;
    let mut other = product.office(OTHER).await?;
    other.read_inbox(1).await?;
    let credentials = product.file("rotated.csv");
    let file = credentials.display().to_string();

    let args = ["office", "rotate", OFFICE, "--out", &file];
    let mut half = half_open(&product, OFFICE).await?;
    let rotating = product.run(&args);
    let seen_out = async {
        timeout(SOON, out(office)).await.context("it is not out soon")??;
        assert_eq!(half.open(&product.world).await?, HalfOpen::OPEN_OK, "RabbitMQ has become stricter");
        // It waits for connections that were just being opened: nobody else may begin meanwhile.
        let refused = product.run(&["office", "revoke", OTHER]).await.expect_err("two at once").to_string();
        ensure!(refused.contains("another command is changing access"), "{refused}");
        Ok(())
    };
    tokio::try_join!(rotating, seen_out)?;
    assert_eq!(half.read().await.context("what the old password opened late goes on")?, HalfOpen::CLOSE);

    assert_eq!(std::fs::metadata(&credentials)?.permissions().mode() & 0o777, 0o600);
    ensure!(product.office(OFFICE).await.is_err(), "the old password still opens a connection");
    product.take_credentials(&credentials)?;
    product.office(OFFICE).await?.close().await?;
    assert_eq!(access_of(&product, OFFICE).await?, ["amqp open rotated"]);
    let shown = product.run(&["office", "show", OFFICE]).await?;
    ensure!(shown.contains("password of"), "{shown}");

    // Nobody else felt it, and a file is never written over.
    let message = submit(&other, product.now(), &form(1, THE_DAY, "21609"))?;
    send(&mut other, &message).await?;
    let refused = product.run(&args).await.expect_err("over the file").to_string();
    ensure!(refused.contains("never overwritten"), "{refused}");
    product.office(OFFICE).await?.close().await?;
    product.close().await
}

#[tokio::test]
async fn a_command_killed_half_way_is_repaired_by_giving_it_again() -> Result<()> {
    const REVOKED: &str = "vpzvlist";
    const GRANTED: &str = "vpzxrc5t";

    let mut product = Product::new("access_halves", None, &[REVOKED]).await?;
    product.world.adopt(GRANTED.parse()?);
    // A revoke that died after RabbitMQ knew of it, a grant too.
    product.world.manage(|m| m.delete_user(REVOKED)).await?;
    let half = Grant { office: GRANTED.parse()?, password: "half".to_owned() };
    product.world.manage(move |m| m.grant_offices(&[half])).await?;
    assert_eq!(access_of(&product, REVOKED).await?, ["amqp open "]);

    let lost = OfficeClient::connect(&product.world.amqp_url(), GRANTED.parse()?, "half").await?;
    let said = product.run(&["office", "revoke", REVOKED, GRANTED]).await?;
    ensure!(said.contains("revoked 2 offices (1 had a grant)"), "{said}");
    timeout(PATIENCE, out(lost)).await??;
    assert_eq!(access_of(&product, REVOKED).await?, ["amqp over "]);
    assert_eq!(access_of(&product, GRANTED).await?, Vec::<String>::new());

    // And once more changes nothing; without a grant there is no password to change.
    let said = product.run(&["office", "revoke", REVOKED]).await?;
    ensure!(said.contains("(0 had a grant)"), "{said}");
    let refused = product.run(&["office", "rotate", REVOKED]).await.expect_err("no grant").to_string();
    ensure!(refused.contains("is not granted"), "{refused}");
    let shown = product.run(&["office", "show", GRANTED]).await?;
    ensure!(shown.contains("never granted"), "{shown}");
    product.close().await
}

/// What `office grant` of this office says; a new password is taken from the file if it wrote one.
async fn grant_again(product: &mut Product, office: &str, file: &str) -> Result<String> {
    let out = product.file(file);
    let said = product.run(&["office", "grant", office, "--out", &out.display().to_string()]).await?;
    if out.exists() {
        product.take_credentials(&out)?;
    }
    Ok(said)
}

#[tokio::test]
async fn a_grant_given_again_brings_back_what_rabbitmq_lost() -> Result<()> {
    const WARD: &str = "vpyepd3k";
    const HOME: (&str, &str) = ("vpyfmu4t", "05212");

    let mut product = Product::new("mended", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let running = product.start(&[]).await?;
    let given = product.password(HOME.0)?.to_owned();
    let said = grant_again(&mut product, HOME.0, "nothing.csv").await?;
    ensure!(said.contains("granted already") && !product.file("nothing.csv").exists(), "{said}");

    // An inbox that was deleted: the password stays, and letters come again.
    let inbox = format!("xacminh.office.{}", HOME.0);
    product.world.manage(move |m| m.delete_queue(&inbox)).await?;
    let said = grant_again(&mut product, HOME.0, "inbox.csv").await?;
    ensure!(said.contains("mended 1 offices: rights of 0 set again, inboxes of 1 made again"), "{said}");
    ensure!(said.contains("inbox.csv was not written") && !product.file("inbox.csv").exists(), "{said}");
    ensure!(product.password(HOME.0)? == given && access_of(&product, HOME.0).await? == ["amqp open "]);
    let (mut ward, mut home) = (product.office(WARD).await?, product.office(HOME.0).await?);
    let asked = submit(&ward, product.now(), &form(1, THE_DAY, HOME.1))?;
    send(&mut ward, &asked).await?;
    assert_eq!(take(&mut home).await?.body["request_id"], asked.message_id.as_str());
    home.close().await?;

    // Rights that were taken: the same password opens, and reads.
    let login = HOME.0;
    let nothing = json!({ "configure": "^$", "write": "^$", "read": "^$" });
    manage(&product, "PUT", &format!("/api/permissions/{{v}}/{login}"), nothing).await?;
    ensure!(product.office(HOME.0).await?.read_inbox(1).await.is_err(), "it still reads");
    let said = grant_again(&mut product, HOME.0, "rights.csv").await?;
    ensure!(said.contains("mended 1 offices: rights of 1 set again, inboxes of 0 made again"), "{said}");
    let own = login.parse()?;
    let rights = product.world.manage(|m| m.sight()).await?.rights;
    ensure!(rights.get(login).is_some_and(|rights| rights.are_of(own)), "{rights:?}");
    let mut home = product.office(HOME.0).await?;
    home.read_inbox(1).await?;
    home.close().await?;

    // A login that was deleted: another password, and what waits in the inbox is there.
    product.world.manage(move |m| m.delete_user(login)).await?;
    let waiting = submit(&ward, product.now(), &form(2, THE_DAY, HOME.1))?;
    send(&mut ward, &waiting).await?;
    let on_its_way =
        format!("select count(*) from deliveries where sent_at is not null and request_id = '{}'", waiting.message_id);
    eventually("a letter in the inbox", PATIENCE, async || {
        (product.world.number(&on_its_way).await.ok()? == 1).then_some(())
    })
    .await;
    let said = grant_again(&mut product, HOME.0, "login.csv").await?;
    ensure!(said.contains("mended 1 offices whose login was gone: a new password"), "{said}");
    ensure!(product.password(HOME.0)? != given, "the password that was lost with the login");
    assert_eq!(access_of(&product, HOME.0).await?, ["amqp open rotated"]);
    let mut home = product.office(HOME.0).await?;
    // The first one, which it never confirmed, may come again before it.
    while take(&mut home).await?.body["request_id"] != waiting.message_id.as_str() {}

    // All of it at once, as with a node that was lost, beside one that lacks nothing.
    let inbox = format!("xacminh.office.{}", HOME.0);
    product.world.manage(move |m| m.delete_user(login).and_then(|()| m.delete_queue(&inbox))).await?;
    let out = product.file("lost.csv");
    product.run(&["office", "grant", WARD, HOME.0, "--out", &out.display().to_string()]).await?;
    ensure!(!std::fs::read_to_string(&out)?.contains(WARD), "a password that nobody lacked");
    product.take_credentials(&out)?;
    product.office(HOME.0).await?.read_inbox(1).await?;
    ward.read_inbox(1).await?;
    let said = grant_again(&mut product, HOME.0, "nothing.csv").await?;
    ensure!(said.contains("granted already"), "{said}");
    running.stop().await?;
    product.close().await
}

#[tokio::test]
async fn a_grant_or_a_rotation_that_fails_says_what_the_file_is_worth() -> Result<()> {
    const THERE: &str = "vpygklar";
    const NEW: &str = "vpyieylg";

    let mut product = Product::new("access_fails", None, &[THERE]).await?;
    product.world.adopt(NEW.parse()?);
    let given = product.password(THERE)?.to_owned();
    let (_, at) = product.world.mgmt_url().rsplit_once('@').context("a login")?;
    let wrong = format!("http://somebody:else@{at}");
    let wrong = [("XACMINH_RABBITMQ__MANAGEMENT_URL", wrong.as_str())];
    let (never, file) = (product.file("never.csv"), |name: &str| product.file(name).display().to_string());
    for (what, office) in [("grant", NEW), ("grant", THERE), ("rotate", THERE)] {
        let args = ["office", what, office, "--out", &never.display().to_string()];
        let refused = product.run_with(&args, &wrong).await.expect_err("a wrong login").to_string();
        ensure!(refused.contains("no password was made and nothing changed: correct the login in"), "{refused}");
        ensure!(refused.contains("401") && !never.exists(), "{refused}");
    }

    // What comes after the file can still fail: PostgreSQL, here by a rule of the test's.
    let (half, rotated, relogin) = (file("half.csv"), file("half_rotated.csv"), file("half_login.csv"));
    let (again, rotated_again, relogin_again) = (file("again.csv"), file("rotated.csv"), file("login.csv"));
    let forbid = "create function forbid() returns trigger language plpgsql as
        $$ begin raise exception 'not today'; end $$;
        create trigger forbid before insert or update on office_access for each row execute function forbid()";
    product.world.sql(forbid).await?;
    let fails = async |what: &str, office: &str, out: &str| -> Result<()> {
        let failed = product.run(&["office", what, office, "--out", out]).await.expect_err("a failure").to_string();
        let worth = format!("no password in {out} can be relied on: destroy {out}");
        ensure!(failed.contains(&worth) && failed.contains("again with another file"), "{failed}");
        Ok(())
    };
    fails("grant", NEW, &half).await?;
    fails("rotate", THERE, &rotated).await?;
    product.world.manage(|m| m.delete_user(THERE)).await?;
    fails("grant", THERE, &relogin).await?;

    // And that is how it ends well.
    product.world.sql("drop trigger forbid on office_access").await?;
    product.run(&["office", "grant", NEW, "--out", &again]).await?;
    product.run(&["office", "grant", THERE, "--out", &relogin_again]).await?;
    for not_in_force in [&half, &rotated, &relogin] {
        product.take_credentials(Path::new(not_in_force))?;
        let office = if *not_in_force == half { NEW } else { THERE };
        ensure!(product.office(office).await.is_err(), "{not_in_force} opens a connection");
    }
    for in_force in [&again, &relogin_again] {
        product.take_credentials(Path::new(in_force))?;
    }
    for office in [NEW, THERE] {
        product.office(office).await?.close().await?;
    }
    ensure!(product.password(THERE)? != given);
    product.run(&["office", "rotate", THERE, "--out", &rotated_again]).await?;
    product.take_credentials(Path::new(&rotated_again))?;
    product.office(THERE).await?.close().await?;
    product.close().await
}
