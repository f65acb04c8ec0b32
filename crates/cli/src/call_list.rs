//! `call-list`: the page from which PC06 phones the offices of its province, and what it notes of a
//! call. Offices stand by what is due longest, never by a rate; no citizen is on it.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use xacminh_contract::notice::Why;
use xacminh_domain::calendar::local_date;
use xacminh_store::call::{self, LONGEST_NOTE};
use xacminh_store::reference;
use xacminh_store::view::{by_office, look};

use crate::late::known_province;
use crate::report::{cut, short_office, wrapped};
use crate::settings::Settings;
use crate::{office, show, wiring};

/// How wide a page is, in characters.
const WIDTH: usize = 100;
/// How much of it an office's name may take.
const NAME: usize = 40;

/// Of which province; or a note.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct CallList {
    /// The province (code of 2 digits).
    #[arg(long, value_name = "CODE", required = true)]
    province: Option<String>,
    #[command(subcommand)]
    command: Option<Note>,
}

/// What is noted.
#[derive(Debug, Subcommand)]
pub(crate) enum Note {
    /// Keeps what was said on the telephone, and by whom if you like; sealed. Nothing about a citizen.
    Note {
        /// The office's id, or the code of a unit it serves.
        office: String,
        /// 1 to 500 characters.
        words: String,
    },
}

/// `xacminh call-list`.
pub(crate) async fn call_list(settings: &Settings, args: &CallList) -> Result<()> {
    match (&args.command, &args.province) {
        (Some(Note::Note { office, words }), _) => note(settings, office, words).await,
        (None, Some(province)) => list(settings, province).await,
        (None, None) => bail!("of which province? (--province)"),
    }
}

async fn note(settings: &Settings, wanted: &str, words: &str) -> Result<()> {
    let words = words.trim();
    if words.is_empty() || words.chars().count() > LONGEST_NOTE {
        bail!("a note has 1 to {LONGEST_NOTE} characters");
    }
    let (store, keys, now) = (wiring::store(settings)?, wiring::keys(settings)?, wiring::clock(settings)?.now());
    let mut conn = store.conn().await?;
    let reference = reference::load(&mut conn).await?;
    let id = office::find(&reference.directory, wanted, local_date(now))?;
    call::note(&mut conn, &keys, id, now, words).await?;
    show::line(format!("{id}: noted, {}", show::minute(now)));
    Ok(())
}

async fn list(settings: &Settings, province: &str) -> Result<()> {
    let (store, now) = (wiring::store(settings)?, wiring::clock(settings)?.now());
    let reference = reference::load(&mut *store.conn().await?).await?;
    let unit = known_province(&reference, province, now)?;
    let mut conn = look(&store, now).await?;
    let offices = by_office::to_call(&mut conn, province).await?;
    let keys = wiring::keys(settings).ok();
    let ids: Vec<&str> = offices.iter().map(|o| o.office.as_str()).collect();
    let notes = call::latest(&mut conn, keys.as_ref(), &ids).await?;
    let name = reference.directory.unit_at(&unit, local_date(now)).map_or(province, |u| u.name.as_str());
    show::line(format!("Danh sách gọi điện: {name}, {} (whom to phone)", show::minute(now)));
    if offices.is_empty() {
        show::line("  Không có đơn vị nào chậm. (Nothing is late.)");
        return Ok(());
    }
    show::line(line(["Đơn vị", "Điện thoại", "Số", "Hạn cũ nhất", "Gửi cách đây"]));
    show::line(line(["(office)", "(number)", "(n)", "(oldest due)", "(sent in, ago)"]));
    let (mut all, mut borrowed) = (0, false);
    for to_call in &offices {
        let office = to_call.office.parse().ok().and_then(|id| reference.directory.office(&id));
        let phone = match office.map(|o| (o.phone.as_deref(), o.fallback_phone.as_deref())) {
            Some((Some(own), _)) => own.to_owned(),
            Some((None, Some(fallback))) => {
                borrowed = true;
                format!("{fallback} *")
            }
            Some((None, None)) | None => "-".to_owned(),
        };
        let count: i64 = to_call.late.iter().map(|(_, n)| n).sum();
        all += count;
        show::line(line([
            &office.map_or_else(|| to_call.office.clone(), |o| short_office(&o.name)),
            &phone,
            &count.to_string(),
            &to_call.oldest_due_on.map_or_else(|| "-".to_owned(), show::day),
            &show::age(to_call.oldest, now),
        ]));
        aside(&to_call.late.iter().map(|(why, n)| reason(*why, *n)).collect::<Vec<_>>().join(", "));
        if let Some(note) = notes.get(&to_call.office) {
            let words = note.words.as_deref().unwrap_or("(không mở được: thiếu khóa; sealed, no key)");
            aside(&format!("gọi gần nhất {} (last contact): {words}", show::minute(note.at)));
        }
    }
    show::line("");
    show::line(format!("  {} đơn vị, {all} yêu cầu ({} offices, {all} requests)", offices.len(), offices.len()));
    if borrowed {
        show::line("  * số của đơn vị cấp trên, vì đơn vị không có số riêng (the office above; it has no number)");
    }
    show::line("  Ghi lại cuộc gọi (note a call): xacminh call-list note ĐƠN-VỊ \"…\"");
    Ok(())
}

fn line([office, phone, count, due, age]: [&str; 5]) -> String {
    format!("  {:<NAME$}  {phone:<15}  {count:>4}  {due:>12}  {age:>14}", cut(office, NAME)).trim_end().to_owned()
}

fn aside(text: &str) {
    for text in wrapped(text, WIDTH - 8) {
        show::line(format!("    {text}"));
    }
}

fn reason(why: Why, count: i64) -> String {
    format!("{count} {} ({})", why.words(), why.as_str())
}
