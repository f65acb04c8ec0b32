//! Does anything that was sent for a person appear where it has no business?
//!
//! Values that occur nowhere else travel in good messages, in refused ones and in parked ones. Then
//! everything that the program writes, shows or keeps is searched for them. RabbitMQ's own files are
//! left out: bodies travel there.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use xacminh_testkit::{OfficeClient, PATIENCE, Sent, eventually};

use crate::office::{DELIVER, Got, RECEIPT, form, message, message_id, receipt_of, send, submit, take};
use crate::product::{Product, START};

const WARD: &str = "vpyhkx4z";
const HOME: &str = "vpyjzoob";
const HOME_UNIT: &str = "24277";
const THE_DAY: &str = "2026-11-19";

/// Looks for values in any of the forms in which a program may come to write them.
struct Searcher {
    /// What the value is, the form, and the bytes.
    needles: Vec<(&'static str, &'static str, Vec<u8>)>,
    /// Which needles begin with these two bytes.
    by_beginning: Vec<Vec<usize>>,
}

impl Searcher {
    fn new(values: &[(&'static str, String)]) -> Self {
        let mut needles = Vec::new();
        for (what, value) in values {
            let mut hex = String::new();
            let mut escaped = String::new();
            for byte in value.bytes() {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
            }
            for unit in value.encode_utf16() {
                match u8::try_from(unit).ok().filter(u8::is_ascii) {
                    Some(byte) => escaped.push(char::from(byte)),
                    None => _ = write!(escaped, "\\u{unit:04x}"),
                }
            }
            let listed: Vec<String> = value.bytes().map(|byte| byte.to_string()).collect();
            let octal: String = value
                .bytes()
                .map(|b| if b.is_ascii() { char::from(b).to_string() } else { format!("\\{b:03o}") })
                .collect();
            let [base64, base64_1, base64_2] = [0, 1, 2].map(|before| base64_within(before, value.as_bytes()));
            for (how, text) in [
                ("in base64", base64),
                ("in base64", base64_1),
                ("in base64", base64_2),
                ("as it is", value.clone()),
                ("in small letters", value.to_lowercase()),
                ("in capital letters", value.to_uppercase()),
                ("in JSON escapes", escaped),
                ("in hexadecimal", hex),
                ("as a list of bytes", listed.join(", ")),
                ("in octal escapes", octal),
            ] {
                if !needles.iter().any(|(_, _, known)| known == text.as_bytes()) {
                    needles.push((*what, how, text.into_bytes()));
                }
            }
        }
        let mut by_beginning = vec![Vec::new(); 1 << 16];
        for (number, (_, _, bytes)) in needles.iter().enumerate() {
            by_beginning[usize::from(bytes[0]) << 8 | usize::from(bytes[1])].push(number);
        }
        Self { needles, by_beginning }
    }

    /// An error that names the place and what was found, but does not repeat it.
    fn search(&self, place: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let text = text.as_ref();
        let Some(mut beginning) = text.first().copied().map(usize::from) else { return Ok(()) };
        for (at, byte) in text.iter().enumerate().skip(1) {
            beginning = (beginning << 8 | usize::from(*byte)) & 0xffff;
            for number in &self.by_beginning[beginning] {
                let (what, how, needle) = &self.needles[*number];
                ensure!(!text[at - 1..].starts_with(needle), "the {what}, {how}, stands in {place}, byte {}", at - 1);
            }
        }
        Ok(())
    }
}

/// How bytes look in the base64 of something that they are a part of, with so many bytes before
/// them beyond a multiple of three: the characters that depend on them alone.
fn base64_within(before: usize, bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    // The first character that begins within these bytes: 8 bits are 6 and 2, 16 are 12 and 4.
    let skipped = [0, 4, 2][before];
    let sextets = bits[skipped..].chunks_exact(6).map(|six| six.iter().fold(0, |n, bit| n << 1 | usize::from(*bit)));
    sextets.map(|sextet| char::from(LETTERS[sextet])).collect()
}

/// What is sent for somebody who does not exist; new in each run, so that no old file answers.
struct Secrets {
    name: String,
    digits: String,
    values: Vec<(&'static str, String)>,
    birth: &'static str,
    address: String,
    origin: String,
    note: String,
    answer_note: String,
}

impl Secrets {
    fn new(random: &str) -> Self {
        // The people of the other tests have small numbers.
        let number = 100_000_000 + random.bytes().fold(7, |n, b| (n * 131 + u64::from(b)) % 900_000_000);
        let digits = format!("999{number}");
        let secrets = Self {
            name: format!("Đỗ Thị Kín {random}"),
            // Nobody else in the tests is born before 1940.
            birth: "1907-10-23",
            address: format!("hẻm Giấu {random}"),
            origin: format!("bản Ẩn {random}"),
            note: format!("lời riêng {random}"),
            answer_note: format!("trả lời riêng {random}"),
            values: Vec::new(),
            digits,
        };
        let d = &secrets.digits;
        let values = vec![
            // The part that all these have in common finds each of them, and what is cut or changed.
            ("random part", random.to_owned()),
            ("name", secrets.name.clone()),
            ("address", secrets.address.clone()),
            ("origin", secrets.origin.clone()),
            ("note", secrets.note.clone()),
            ("note of an answer", secrets.answer_note.clone()),
            ("number", d.clone()),
            ("number", format!("{} {} {} {}", &d[..3], &d[3..6], &d[6..9], &d[9..])),
            ("number", format!("{}.{}.{}.{}", &d[..3], &d[3..6], &d[6..9], &d[9..])),
            ("birth date", secrets.birth.to_owned()),
            ("birth date", "23/10/1907".to_owned()),
        ];
        Self { values, ..secrets }
    }

    /// The number as people write it.
    fn spaced(&self) -> String {
        let d = &self.digits;
        format!("{} {} {} {}", &d[..3], &d[3..6], &d[6..9], &d[9..])
    }

    fn form(&self, number: u32) -> Value {
        let mut form = form(number, THE_DAY, HOME_UNIT);
        form["person"] = json!({
            "full_name": self.name, "person_no": self.spaced(), "birth": self.birth, "address": self.address,
            "origin": { "country": "VN", "text": self.origin },
        });
        form["note"] = json!(self.note);
        form
    }

    /// Bodies that are refused, each with a value where the complaint about it is tempting.
    fn bad(&self) -> Vec<(&'static str, Vec<u8>)> {
        let changed = |what: &'static str, change: &dyn Fn(&mut Value)| {
            let mut form = self.form(900);
            change(&mut form);
            (what, form.to_string().into_bytes())
        };
        let name = &self.name;
        let whole = self.form(900).to_string().into_bytes();
        let mut cut = whole.clone();
        cut.truncate(whole.len() - 2);
        let mut not_utf8 = whole.clone();
        not_utf8.push(0xff);
        vec![
            changed("too many digits", &|f| f["person"]["person_no"] = json!(format!("{}0", self.digits))),
            changed("letters in the number", &|f| f["person"]["person_no"] = json!(format!("{}x", self.digits))),
            changed("the number as a number", &|f| {
                f["person"]["person_no"] = json!(self.digits.parse::<u64>().unwrap_or(0))
            }),
            changed("a birth date the other way round", &|f| f["person"]["birth"] = json!("23/10/1907")),
            changed("a birth date with a name", &|f| f["person"]["birth"] = json!(name)),
            changed("a name too long", &|f| f["person"]["full_name"] = json!(name.repeat(40))),
            changed("a name in a list", &|f| f["person"]["full_name"] = json!([name])),
            changed("a name as the kind", &|f| f["kind"] = json!(name)),
            changed("a name as the lane reason", &|f| f["lane_reason"] = json!(name)),
            changed("a name as a question", &|f| f["questions"] = json!([name])),
            changed("a name as a country", &|f| f["person"]["origin"]["country"] = json!(name)),
            changed("a name as the home's code", &|f| f["home"]["code"] = json!(name)),
            changed("a name as the day", &|f| f["received_on"] = json!(name)),
            changed("an address as the home", &|f| f["home"] = json!({ "name": self.address, "province": name })),
            changed("a name instead of a person", &|f| f["person"] = json!(name)),
            changed("a name as a field", &|f| f[name.as_str()] = json!("x")),
            changed("a name as a field of the person", &|f| f["person"][name.as_str()] = json!(self.digits)),
            changed("a number as a field", &|f| f["person"][self.digits.as_str()] = json!(name)),
            changed("a note too long", &|f| f["note"] = json!(self.note.repeat(100))),
            changed("a body too large", &|f| f["note"] = json!(self.note.repeat(4_000))),
            ("JSON that ends too soon", cut),
            ("bytes that are no UTF-8", not_utf8),
            ("a name and nothing else", format!("\"{name}\"").into_bytes()),
            ("words", format!("{name} {}", self.digits).into_bytes()),
        ]
    }
}

/// Searches a receipt or notice that came; what is meant to carry a person is passed over.
fn search_message(searcher: &Searcher, of: &str, got: &Got) -> Result<()> {
    if [DELIVER, "xacminh.answer.deliver.v1"].contains(&got.message_type.as_str()) {
        return Ok(());
    }
    searcher.search(&format!("a {} to the {of}", got.message_type), &got.bytes)
}

/// The one receipt of a command: searched, and of this outcome.
async fn want(of: &mut OfficeClient, id: &str, searcher: &Searcher, outcome: &str, what: &str) -> Result<()> {
    let got = receipt_of(of, id).await.with_context(|| format!("waiting for the receipt of: {what}"))?;
    search_message(searcher, what, &got)?;
    ensure!(got.message_type == RECEIPT && got.body["items"][0]["outcome"] == outcome, "{what}: {}", got.body);
    Ok(())
}

/// Every column of every table, as text and, where they are bytes, as these.
async fn search_tables(database: &mut PgConnection, searcher: &Searcher) -> Result<usize> {
    let columns = sqlx::query(
        "select quote_ident(table_schema) || '.' || quote_ident(table_name) as of, quote_ident(column_name) as name, data_type
         from information_schema.columns join information_schema.tables using (table_schema, table_name)
         where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut *database)
    .await?;
    for column in &columns {
        let (of, name): (String, String) = (column.try_get("of")?, column.try_get("name")?);
        let place = format!("{of}, column {name}");
        let statement = format!("select {name}::text from {of} where {name} is not null");
        let texts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut *database).await?;
        searcher.search(&place, texts.join("\n"))?;
        if column.try_get::<String, _>("data_type")? == "bytea" {
            let statement = format!("select {name} from {of} where {name} is not null");
            let values: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut *database).await?;
            for value in values {
                searcher.search(&place, value)?;
            }
        }
    }
    Ok(columns.len())
}

/// The files of this database, and the log of all. False when they cannot be read from here.
async fn search_files(database: &mut PgConnection, searcher: &Searcher) -> Result<bool> {
    sqlx::raw_sql("checkpoint").execute(&mut *database).await?;
    let directory: String = sqlx::query_scalar("show data_directory").fetch_one(&mut *database).await?;
    let of_this: String =
        sqlx::query_scalar("select 'base/' || oid from pg_database where datname = current_database()")
            .fetch_one(database)
            .await?;
    let directory = Path::new(&directory);
    if fs::read_dir(directory.join(&of_this)).is_err() {
        return Ok(false);
    }
    for part in ["pg_wal", of_this.as_str(), "."] {
        for file in fs::read_dir(directory.join(part))? {
            let path = file?.path();
            // A file may be gone by now: PostgreSQL is at work for other tests too.
            if let (true, Ok(bytes)) = (path.is_file(), fs::read(&path)) {
                searcher.search(&path.display().to_string(), bytes)?;
            }
        }
    }
    Ok(true)
}

#[tokio::test]
async fn no_value_sent_for_a_person_appears_anywhere() -> Result<()> {
    let product = Product::new("leak", Some("2026-11-19T08:00:00+07:00"), &[WARD, HOME]).await?;
    // The name of the test's database ends in eight random letters, but stands in many places.
    let random: String = product.world.name().chars().rev().take(8).collect();
    let secrets = Secrets::new(&format!("qx{random}zj"));
    let searcher = Searcher::new(&secrets.values);
    let mut running = product.spawn(&[], &[("XACMINH_LOG__FILTER", "debug,xacminh_services=trace")]).await?;
    running.child.wait_until_ready(&running.admin, "/readyz", START).await?;
    let (mut ward, mut home) = (product.office(WARD).await?, product.office(HOME).await?);
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;

    // A good one, answered with words; one that stays silent; one taken twice.
    let good = submit(&ward, product.now(), &secrets.form(1))?;
    let silent = submit(&ward, product.now(), &secrets.form(2))?;
    for message in [&good, &silent, &good] {
        send(&mut ward, message).await?;
        want(&mut ward, &message.message_id, &searcher, "accepted", "good form").await?;
    }
    for _ in 0..2 {
        let got = take(&mut home).await?;
        ensure!(got.message_type == DELIVER && got.body["person"]["full_name"] == secrets.name.as_str(), "it travels");
    }
    let reused = {
        let mut other = good.clone();
        other.body = secrets.form(3).to_string().into_bytes();
        other
    };
    send(&mut ward, &reused).await?;
    want(&mut ward, &reused.message_id, &searcher, "refused", "an id used again").await?;
    for (what, body) in secrets.bad() {
        let bad = message(&ward, "request.submit", "submit.normal", product.now(), body)?;
        send(&mut ward, &bad).await?;
        want(&mut ward, &bad.message_id, &searcher, "refused", what).await?;
    }

    // Answers, bad and good, with words for the officer.
    let answer = |change: Value| {
        let mut body =
            json!({ "request_id": good.message_id, "code": "A01", "answered_by": "cb-1", "note": secrets.answer_note });
        for (name, value) in change.as_object().into_iter().flatten() {
            body[name.as_str()] = value.clone();
        }
        body.to_string().into_bytes()
    };
    for (outcome, change) in [
        ("refused", json!({ "code": secrets.name })),
        ("refused", json!({ "fields": [{ "field": secrets.name, "result": "ok" }] })),
        ("refused", json!({ "answered_by": secrets.name })),
        ("refused", json!({ secrets.name.as_str(): secrets.digits })),
        ("refused", json!({ "code": "A04" })),
        ("accepted", json!({ "dwelling_status": { "status": "other", "text": secrets.answer_note } })),
        ("refused", json!({ "code": "A05", "note": secrets.note })),
    ] {
        let give = message(&home, "answer.give", "answer.give", product.now(), answer(change))?;
        send(&mut home, &give).await?;
        want(&mut home, &give.message_id, &searcher, outcome, "an answer").await?;
    }

    // Where the protocol wants no person, a careless client may put one all the same.
    for part in ["type", "message-id", "correlation-id", "traceparent", "another header"] {
        let mut careless = submit(&ward, product.now(), &secrets.form(5))?;
        match part {
            "type" => careless.message_type = format!("xacminh.{}.v1", secrets.name),
            "message-id" => careless.message_id.clone_from(&secrets.name),
            "correlation-id" => careless.correlation_id = Some(secrets.name.clone()),
            "traceparent" => careless.headers = vec![("traceparent".to_owned(), secrets.name.clone())],
            _ => {
                careless.headers =
                    vec![("xm-time".to_owned(), secrets.name.clone()), (secrets.name.clone(), secrets.digits.clone())]
            }
        }
        send(&mut ward, &careless).await?;
        loop {
            let got = take(&mut ward).await?;
            search_message(&searcher, part, &got)?;
            if got.message_type == RECEIPT {
                break;
            }
        }
    }

    // Without a sender nothing can be answered: it is parked.
    let mut nobody = submit(&ward, product.now(), &secrets.form(4))?;
    nobody.user_id = None;
    nobody.message_id = message_id(product.now())?;
    ensure!(ward.publish(nobody).await? == Sent::Confirmed, "RabbitMQ did not take it");
    let parked = eventually("a parked message", PATIENCE, async || {
        let listed = product.run(&["parked", "list"]).await.ok()?;
        listed.contains("no_sender").then_some(listed)
    })
    .await;
    let parked_id = parked.split_whitespace().next().context("no number")?.to_owned();

    // The silent one is late, pressed, and named to the ward and the home.
    product.jump("2026-11-27T09:00:00+07:00")?;
    let late = eventually("a late request", PATIENCE, async || {
        let late = product.run(&["late"]).await.ok()?;
        (late.contains(silent.message_id.as_str()) && late.contains("rung 2")).then_some(late)
    })
    .await;
    for (office, client) in [("ward", &mut ward), ("home", &mut home)] {
        loop {
            let got = take(client).await?;
            search_message(&searcher, office, &got)?;
            if got.message_type == "xacminh.notice.v1" {
                break;
            }
        }
    }

    // Now everything that it writes, shows and keeps.
    searcher.search("the output of late", late)?;
    searcher.search("the output of parked list", parked)?;
    for args in [
        &["late", "--json"][..],
        &["parked", "list", "--json"],
        &["parked", "show", &parked_id],
        &["request", "show", &good.message_id],
        &["request", "show", &good.message_id, "--json"],
        &["request", "show", &silent.message_id],
        &["request", "trace", &good.message_id],
        &["request", "trace", &good.message_id, "--json"],
        &["request", "trace", &silent.message_id],
        &["request", "verify", &good.message_id],
    ] {
        searcher.search(&format!("the output of {}", args.join(" ")), product.run(args).await?)?;
    }
    for path in ["/metrics", "/readyz", "/livez"] {
        searcher.search(path, running.page(path).await?.1)?;
    }
    let process = Path::new("/proc").join(running.child.id().context("it has ended")?.to_string());
    for file in ["cmdline", "environ"] {
        searcher.search(&format!("its {file}"), fs::read(process.join(file))?)?;
    }
    let tables = search_tables(&mut database, &searcher).await?;
    ensure!(tables > 50, "only {tables} columns were looked at");
    if !search_files(&mut database, &searcher).await? {
        println!("the files of PostgreSQL cannot be read from here, so they were not searched");
    }
    let log = running.child.said().join("\n");
    ensure!(log.contains("\"level\":\"DEBUG\""), "the log is not that of debugging");
    searcher.search("the log", log)?;

    running.stop().await?;
    database.close().await?;
    product.close().await
}

#[test]
fn the_searcher_finds_what_is_planted() {
    let secrets = Secrets::new("qxabcdzj");
    let searcher = Searcher::new(&secrets.values);
    assert!(searcher.search("nothing", "số 1 đường Nguyễn Trãi, 999000000001").is_ok());
    assert!(searcher.search("nothing", "").is_ok());
    for (what, _, needle) in &searcher.needles {
        for planted in [needle.clone(), [b"\x00\xffx", needle.as_slice(), b"y"].concat()] {
            assert!(searcher.search("a file", planted).is_err(), "{what} was not found");
        }
    }
    // `x`, `xx` and `xxx` before "Kín qx", by another program.
    for encoded in ["eEvDrW4gcXg=", "eHhLw61uIHF4", "eHh4S8OtbiBxeA=="] {
        let searcher = Searcher::new(&[("name", "Kín qx".to_owned())]);
        assert!(searcher.search("a file", encoded).is_err(), "{encoded}");
    }
    let error = searcher.search("a file", format!("x {}", secrets.name)).expect_err("planted").to_string();
    assert!(error.contains("a file") && !error.contains("qxabcdzj"), "{error}");
}

#[tokio::test]
async fn the_search_of_tables_and_files_finds_what_is_planted() -> Result<()> {
    let product = Product::without_offices("planted", None).await?;
    let random: String = product.world.name().chars().rev().take(8).collect();
    let secrets = Secrets::new(&format!("qy{random}zk"));
    let searcher = Searcher::new(&secrets.values);
    let mut database = PgConnection::connect(&product.world.pg_url()).await?;
    search_tables(&mut database, &searcher).await?;
    let readable = search_files(&mut database, &searcher).await?;

    sqlx::raw_sql("create table planted (text text, bytes bytea)").execute(&mut database).await?;
    for (text, bytes) in [(Some(&secrets.name), None), (None, Some(secrets.digits.as_bytes()))] {
        sqlx::query("insert into planted values ($1, $2)").bind(text).bind(bytes).execute(&mut database).await?;
        ensure!(search_tables(&mut database, &searcher).await.is_err(), "not found in a table");
        ensure!(!readable || search_files(&mut database, &searcher).await.is_err(), "not found in a file");
        sqlx::raw_sql("truncate planted").execute(&mut database).await?;
    }
    database.close().await?;
    product.close().await
}
