//! Writes `schemas/` and the generated tables of `docs/PROTOCOL.md`, or checks that they are
//! current: `cargo run -p xacminh-contract --example schemas -- write|check`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use xacminh_contract::schema;

const BEGIN: &str = "<!-- refusals: generated, see crates/contract/src/refusal.rs -->";
const END: &str = "<!-- end of refusals -->";

fn main() -> ExitCode {
    let write = match std::env::args().nth(1).as_deref() {
        Some("write") => true,
        Some("check") => false,
        _ => return complain("say write or check"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut wanted = Vec::new();
    for message in schema::messages() {
        wanted.push((root.join("schemas").join(schema::file_name(&message)), schema::file_text(&message)));
    }
    let page = root.join("docs/PROTOCOL.md");
    match fs::read_to_string(&page) {
        Ok(text) => match between(&text) {
            Some((head, tail)) => {
                wanted.push((page, format!("{head}{BEGIN}\n\n{}\n{END}{tail}", schema::refusal_table())));
            }
            None => return complain("docs/PROTOCOL.md has lost the marks around its table of refusals"),
        },
        Err(e) => return complain(&format!("docs/PROTOCOL.md: {e}")),
    }
    let mut stale = 0;
    for (path, text) in wanted {
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        stale += 1;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if write {
            if let Err(e) = fs::write(&path, text) {
                return complain(&format!("{name}: {e}"));
            }
            eprintln!("written: {name}");
        } else {
            eprintln!("differs from the code: {name}");
        }
    }
    if write || stale == 0 {
        return ExitCode::SUCCESS;
    }
    complain("run: cargo run -p xacminh-contract --example schemas -- write")
}

fn between(text: &str) -> Option<(&str, &str)> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some((head, tail))
}

fn complain(what: &str) -> ExitCode {
    eprintln!("schemas: {what}");
    ExitCode::FAILURE
}
