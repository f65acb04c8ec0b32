//! What does `xacminh doctor` say of a sound installation, and of one that is not?
//!
//! Each fault is a real one on servers of the test's own. It is made, named with its remedy and
//! mended again, so that the next one is told alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use xacminh_testkit::{Ending, OwnServers, Server, eventually};

use crate::office::{form, message, send, submit, take};
use crate::product::{Product, START, root};

const THURSDAY: &str = "2026-11-19T08:00:00+07:00";
const THE_DAY: &str = "2026-11-19";
const WARD: &str = "vpyhkx4z";
const HOME: (&str, &str) = ("vpyjzoob", "24277");
/// Exit statuses.
const SOUND: i32 = 0;
const FAULT: i32 = 1;
const LOOK: i32 = 2;

/// What is not sound: part, level, what, remedy.
type Wrong = Vec<[String; 4]>;

/// What `doctor` finds under these settings over the others.
async fn doctor(product: &Product, settings: &[(&str, &str)]) -> Result<(i32, Wrong)> {
    let (status, said) = product.try_with(&["doctor", "--json"], settings).await?;
    let said: Value = serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))?;
    ensure!(said["status"] == status, "it ends with {status} and says {}", said["status"]);
    let findings = said["findings"].as_array().context("no findings")?;
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let wrong = findings.iter().filter(|found| found["level"] != "sound");
    Ok((status, wrong.map(|f| ["part", "level", "what", "remedy"].map(|key| text(f, key))).collect()))
}

/// Wants this one part to be told, alone, with these words in its remedy.
async fn names(product: &Product, settings: &[(&str, &str)], status: i32, part: &str, remedy: &str) -> Result<()> {
    let (ended, wrong) = doctor(product, settings).await?;
    ensure!(wrong.len() == 1, "not one thing wrong with {part}: {wrong:#?}");
    let [named, _, _, told] = &wrong[0];
    ensure!(named == part && told.contains(remedy), "{part} with {remedy:?}, and not {wrong:#?}");
    ensure!(ended == status, "it ends with {ended}: {wrong:#?}");
    Ok(())
}

/// Wants these parts to be told among others, each with words of its remedy.
async fn names_all(product: &Product, settings: &[(&str, &str)], wanted: &[(&str, &str)]) -> Result<()> {
    let (status, wrong) = doctor(product, settings).await?;
    ensure!(status == FAULT, "it ends with {status}: {wrong:#?}");
    for (part, remedy) in wanted {
        let named = wrong.iter().any(|[named, _, _, told]| named == part && told.contains(remedy));
        ensure!(named, "{part} with {remedy:?} is not among {wrong:#?}");
    }
    Ok(())
}

async fn is_sound(product: &Product) -> Result<()> {
    let (status, wrong) = doctor(product, &[]).await?;
    ensure!(status == SOUND && wrong.is_empty(), "it ends with {status}: {wrong:#?}");
    Ok(())
}

/// Until a relay holds its shards and consumers stand.
async fn until_sound(product: &Product) {
    eventually("a sound installation", START, async || {
        // Shown when it never comes to be.
        is_sound(product).await.inspect_err(|wrong| eprintln!("{wrong}")).ok()
    })
    .await;
}

/// Asks RabbitMQ's management API what the product has no function for; `{v}` is the virtual host.
pub(crate) async fn manage(product: &Product, method: &'static str, path: &str, body: Value) -> Result<()> {
    let path = path.replace("{v}", product.world.name());
    let (scheme, rest) = product.world.mgmt_url().split_once("://").context("an address")?;
    let (login, host) = rest.rsplit_once('@').context("a login")?;
    let (address, login) = (format!("{scheme}://{host}{path}"), BASE64.encode(login));
    spawn_blocking(move || {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(address)
            .header("authorization", format!("Basic {login}"))
            .header("content-type", "application/json")
            .body(if body.is_null() { String::new() } else { body.to_string() })?;
        ureq::Agent::config_builder().allow_non_standard_methods(true).build().new_agent().run(request)?;
        Ok(())
    })
    .await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_is_called_sound_and_each_fault_of_rabbitmq_is_named() -> Result<()> {
    let servers = OwnServers::start("doctor-rabbitmq").await?;
    let product = Product::on(&servers, "doctor_rabbitmq", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let running = product.start(&[]).await?;
    until_sound(&product).await;
    let (status, said) = product.try_with(&["doctor"], &[]).await?;
    ensure!(status == SOUND && said.lines().last().is_some_and(|l| l.starts_with("Sound: all ")), "{said}");
    ensure!(!said.contains("[-]") && !said.contains("do: "), "{said}");
    for (value, what) in [(product.password(WARD)?, "an office's password"), (product.world.mgmt_url(), "an address")] {
        ensure!(!said.contains(value), "it repeats {what}");
    }
    let away = [("XACMINH_RABBITMQ__MANAGEMENT_URL", "http://a:b@127.0.0.1:1")];
    names(&product, &away, FAULT, "rabbitmq management", "Start RabbitMQ with its management plugin").await?;
    let (_, at) = product.world.mgmt_url().rsplit_once('@').context("a login")?;
    let refused = format!("http://somebody:else@{at}");
    let refused = [("XACMINH_RABBITMQ__MANAGEMENT_URL", refused.as_str())];
    names(&product, &refused, FAULT, "rabbitmq management", "Correct login and password").await?;

    manage(&product, "PUT", "/api/users/odd", json!({ "password": "x", "tags": "impersonator" })).await?;
    names(&product, &[], FAULT, "rabbitmq impersonator", "rabbitmqctl set_user_tags odd").await?;
    manage(&product, "DELETE", "/api/users/odd", Value::Null).await?;

    let limit = json!({ "pattern": "^xacminh\\.", "definition": { "delivery-limit": 5 }, "apply-to": "queues", "priority": -1 });
    manage(&product, "PUT", "/api/policies/{v}/careless", limit).await?;
    names(&product, &[], FAULT, "delivery limit of work queues", "rabbitmqctl list_policies").await?;
    manage(&product, "DELETE", "/api/policies/{v}/careless", Value::Null).await?;

    for (policy, part) in [("xacminh.office", "inbox policy"), ("xacminh.work.length", "length of work queues")] {
        manage(&product, "DELETE", &format!("/api/policies/{{v}}/{policy}"), Value::Null).await?;
        // The remedy, taken at its word.
        names(&product, &[], FAULT, part, "`xacminh office grant OFFICE`").await?;
        product.run(&["office", "grant", WARD]).await?;
        is_sound(&product).await?;
    }

    let queue = json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } });
    manage(&product, "PUT", "/api/queues/{v}/xacminh.office.vpstranger", queue).await?;
    names(&product, &[], LOOK, "inboxes of nobody", "delete it").await?;
    manage(&product, "DELETE", "/api/queues/{v}/xacminh.office.vpstranger", Value::Null).await?;

    // The remedy of a missing inbox, of rights and of a missing login.
    manage(&product, "DELETE", &format!("/api/queues/{{v}}/xacminh.office.{WARD}"), Value::Null).await?;
    names(&product, &[], FAULT, "inboxes of offices", &format!("`xacminh office grant {WARD}`")).await?;
    product.run(&["office", "grant", WARD]).await?;
    is_sound(&product).await?;

    manage(&product, "DELETE", &format!("/api/permissions/{{v}}/{WARD}"), Value::Null).await?;
    names(&product, &[], FAULT, "logins of offices", &format!("`xacminh office grant {WARD}`: sets the rights"))
        .await?;
    product.run(&["office", "grant", WARD]).await?;
    is_sound(&product).await?;

    manage(&product, "DELETE", &format!("/api/users/{WARD}"), Value::Null).await?;
    names(&product, &[], FAULT, "logins of offices", &format!("`xacminh office grant {WARD} --out FILE`")).await?;
    product.run(&["office", "grant", WARD, "--out", &product.file("anew.csv").display().to_string()]).await?;
    is_sound(&product).await?;

    // A work queue goes while it runs, and nobody has to start anything.
    manage(&product, "DELETE", "/api/queues/{v}/xacminh.work.answering", Value::Null).await?;
    until_sound(&product).await;

    // The broker's own login: open channels keep what they were allowed for a while, new ones do not.
    let user = product.world.broker_user().to_owned();
    let rights = |all: &str| json!({ "configure": all, "write": ".*", "read": ".*" });
    manage(&product, "PUT", &format!("/api/permissions/{{v}}/{user}"), rights("^$")).await?;
    names(&product, &[], FAULT, "rabbitmq rights", &format!("rabbitmqctl set_permissions -p {user} {user}")).await?;
    manage(&product, "PUT", &format!("/api/permissions/{{v}}/{user}"), rights(".*")).await?;
    is_sound(&product).await?;

    running.stop().await?;
    names_all(&product, &[], &[("work queues", "role answering"), ("shards", "role relay")]).await?;
    manage(&product, "DELETE", "/api/queues/{v}/xacminh.work.bulk", Value::Null).await?;
    names_all(&product, &[], &[("work queues declared", "xacminh run"), ("exchanges and bindings", "xacminh run")])
        .await?;
    names_all(&product, &[], &[("work queues", "makes it again within seconds")]).await?;
    manage(&product, "PUT", "/api/queues/{v}/xacminh.work.bulk", json!({ "durable": true })).await?;
    names_all(&product, &[], &[("queue types", "delete it, then start `xacminh run`")]).await?;
    // The remedy.
    manage(&product, "DELETE", "/api/queues/{v}/xacminh.work.bulk", Value::Null).await?;
    let running = product.start(&[]).await?;
    until_sound(&product).await;
    running.stop().await?;

    let elsewhere = [("XACMINH_RABBITMQ__URL", "amqp://somebody:geheim@127.0.0.1:1/nowhere")];
    names_all(&product, &elsewhere, &[("rabbitmq publish", "Start RabbitMQ"), ("rabbitmq virtual host", "add_vhost")])
        .await?;
    product.close().await?;
    servers.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_few_files_that_takes_large_messages_is_named() -> Result<()> {
    let servers = OwnServers::start_with_limits("doctor-limits", 900, 16 * 1_048_576).await?;
    let product = Product::on(&servers, "doctor_limits", Some(THURSDAY), &[WARD]).await?;
    let running = product.start(&[]).await?;
    let two = [("rabbitmq open files", "LimitNOFILE=65536"), ("rabbitmq message size", "max_message_size = 1048576")];
    eventually("nothing wrong but the node", START, async || {
        let (_, wrong) = doctor(&product, &[]).await.ok()?;
        // Shown when it never comes to be.
        eprintln!("{wrong:?}");
        (wrong.len() == two.len()).then_some(())
    })
    .await;
    names_all(&product, &[], &two).await?;
    running.stop().await?;
    product.close().await?;
    servers.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_postgresql_the_keys_and_the_data_is_named() -> Result<()> {
    let servers = OwnServers::start("doctor-postgresql").await?;
    let product = Product::on(&servers, "doctor_postgresql", Some(THURSDAY), &[WARD, HOME.0]).await?;
    let running = product.start(&[]).await?;
    until_sound(&product).await;

    // Somebody without a name, and a request that stays silent.
    let (mut ward, mut home) = (product.office(WARD).await?, product.office(HOME.0).await?);
    let mut nameless = message(&ward, "request.submit", "submit.normal", product.now(), b"{}".to_vec())?;
    nameless.user_id = None;
    send(&mut ward, &nameless).await?;
    eventually("a parked message", START, async || {
        (product.world.number("select count(*) from parked").await.ok()? == 1).then_some(())
    })
    .await;
    names(&product, &[], LOOK, "parked messages", "xacminh parked list").await?;
    let parked = product.world.number("select parked_id from parked").await?.to_string();
    for said in ["closed", "closed before"] {
        let closed = product.run(&["parked", "close", &parked, "--reason", "its sender sent it anew"]).await?;
        ensure!(closed.contains(said), "{closed}");
    }
    let listed = product.run(&["parked", "list"]).await?;
    ensure!(listed.contains("no_sender") && listed.contains("  closed "), "{listed}");
    let asked = submit(&ward, product.now(), &form(1, THE_DAY, HOME.1))?;
    send(&mut ward, &asked).await?;
    take(&mut home).await?;
    until_sound(&product).await;

    let key = product.key();
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode));
    mode(0o644)?;
    names_all(&product, &[], &[("keys", &format!("chmod 600 {}", key.display()))]).await?;
    mode(0o600)?;
    let other = product.file("other.key").display().to_string();
    product.run(&["keys", "new", &other]).await?;
    names(&product, &[("XACMINH_KEYS__MASTER_FILE", &other)], FAULT, "keys open the store", "keys.older_files").await?;
    let both =
        [("XACMINH_KEYS__MASTER_FILE", other.as_str()), ("XACMINH_KEYS__OLDER_FILES", &key.display().to_string())];
    ensure!(doctor(&product, &both).await?.0 == SOUND, "a rotated key opens what is older");

    let data = product.file("data");
    copy(&root().join("data"), &data)?;
    fs::remove_file(data.join("calendar/vn-2027.csv"))?;
    let shortened = [("XACMINH_DATA_DIR", data.display().to_string())];
    let shortened = shortened.each_ref().map(|(name, value)| (*name, value.as_str()));
    names(&product, &shortened, LOOK, "reference data", "xacminh import").await?;
    product.try_with(&["import"], &shortened).await?;
    names(&product, &shortened, FAULT, "calendar", "next year's days").await?;
    product.run(&["import"]).await?;
    is_sound(&product).await?;

    let database = product.world.name().to_owned();
    let set = async |what: &str| product.world.sql(format!("alter database {database} {what}")).await;
    set("set synchronous_commit = off").await?;
    names(&product, &[], FAULT, "postgresql durable", "synchronous_commit = on").await?;
    set("reset synchronous_commit").await?;
    set("set default_transaction_read_only = on").await?;
    names(&product, &[], FAULT, "postgresql writes", "default_transaction_read_only").await?;
    product
        .world
        .sql(format!("begin read write; alter database {database} reset default_transaction_read_only; commit"))
        .await?;

    product
        .world
        .sql("create role onlooker login password 'x'; grant select on all tables in schema public to onlooker")
        .await?;
    let (_, place) = product.world.pg_url().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).context("@")?;
    let onlooker = format!("postgres://onlooker:x@{place}");
    let onlooker = [("XACMINH_POSTGRESQL__URL", onlooker.as_str())];
    names(&product, &onlooker, FAULT, "postgresql rights", "to onlooker").await?;
    names(&product, &[("XACMINH_POSTGRESQL__CONNECTIONS", "250")], FAULT, "postgresql connections", "max_connections")
        .await?;

    // The clock jumps over the weekend and nobody escalates.
    running.stop().await?;
    product.jump("2026-11-24T08:00:00+07:00")?;
    names_all(&product, &[], &[("timers", "role escalating")]).await?;

    // A database that `migrate` has not seen yet.
    product.world.sql("create database untouched").await?;
    let untouched = product.world.pg_url().replace(&database, "untouched");
    let untouched = [("XACMINH_POSTGRESQL__URL", untouched.as_str())];
    names_all(&product, &untouched, &[("schema", "xacminh migrate"), ("what PostgreSQL holds", "xacminh migrate")])
        .await?;
    product.try_with(&["migrate"], &untouched).await?;
    let (_, wrong) = doctor(&product, &untouched).await?;
    ensure!(!wrong.iter().any(|[part, ..]| part == "schema"), "{wrong:#?}");
    ensure!(wrong.iter().any(|[part, _, _, remedy]| part == "reference data" && remedy.contains("xacminh import")));

    servers.stop(Server::PostgreSql, Ending::InOrder).await?;
    names_all(&product, &[], &[("postgresql", "Start PostgreSQL"), ("what PostgreSQL holds", "Mend PostgreSQL")])
        .await?;
    // Its PostgreSQL is down; all of it goes with the servers.
    drop(product);
    servers.close().await
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let to = to.join(path.file_name().context("a name")?);
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            fs::copy(&path, to)?;
        }
    }
    Ok(())
}
