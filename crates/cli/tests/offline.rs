//! What `xacminh` says without any server: due days, units, and what cannot be right.

use std::process::{Command, Output};

/// Runs the command on the reference data of this workspace, without any settings from outside.
fn xacminh(args: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xacminh"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("XACMINH_")) {
        command.env_remove(name);
    }
    command.env("XACMINH_DATA_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../../data"));
    match command.args(args).envs(settings.iter().copied()).output() {
        Ok(output) => output,
        Err(error) => panic!("xacminh could not be started: {error}"),
    }
}

#[track_caller]
fn lines_of(args: &[&str]) -> Vec<String> {
    let out = xacminh(args, &[]);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

fn first_words(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.split_whitespace().next()).collect()
}

/// The candidates of `unit resolve`, one a line.
#[track_caller]
fn resolve(args: &[&str]) -> Vec<String> {
    lines_of(&[&["unit", "resolve", "--today", "2026-11-19"], args].concat())
}

#[track_caller]
fn assert_refused(out: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success(), "it was taken: {}", String::from_utf8_lossy(&out.stdout));
    assert!(out.stdout.is_empty(), "not on standard error: {}", String::from_utf8_lossy(&out.stdout));
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} should stand in: {said}");
}

#[test]
fn due_days_are_those_of_the_calendar() {
    let cases = [
        // Mon 23, Tue 24 is a holiday, Wed 25, Thu 26.
        ("2026-11-20T10:00:00+07:00", "2026-11-26"),
        ("2026-11-20", "2026-11-26"),
        // Fri 21, Sat 22 is worked in exchange for Mon 31, Mon 24.
        ("2026-08-20T10:00:00+07:00", "2026-08-24"),
        // Fri 28, Mon 31 is off in exchange, 1 and 2 September are holidays, Thu 3, Fri 4.
        ("2026-08-27T10:00:00+07:00", "2026-09-04"),
        // The same minute in London: the 19th, then the 20th in Vietnam.
        ("2026-11-19T16:59:59Z", "2026-11-25"),
        ("2026-11-19T17:00:00Z", "2026-11-26"),
    ];
    for (received, due) in cases {
        let said = lines_of(&["due", "--received", received, "--working-days", "3"]);
        assert_eq!(first_words(&said), [due], "received {received}: {said:?}");
    }
}

#[test]
fn calendar_days_that_end_on_a_rest_day_roll_forward() {
    // 30 days after Thu 22/10 is Sat 21/11.
    let said = lines_of(&["due", "--received", "2026-10-22", "--calendar-days", "30"]);
    assert_eq!(first_words(&said), ["2026-11-23"], "{said:?}");
}

#[test]
fn a_due_without_a_limit_or_with_an_unreadable_day_is_refused() {
    assert_refused(&xacminh(&["due", "--received", "2026-11-20"], &[]), &["--working-days"]);
    let unreadable = xacminh(&["due", "--received", "20/11/2026", "--working-days", "3"], &[]);
    assert_refused(&unreadable, &["--received", "2026-11-20"]);
}

#[test]
fn a_unit_merged_whole_has_one_successor() {
    let said = resolve(&["00001", "--as-of", "2025-06-01"]);
    assert_eq!(first_words(&said), ["00097"], "{said:?}");
    assert!(said.iter().all(|line| line.contains("Phường Hồng Hà")), "{said:?}");
}

#[test]
fn a_divided_unit_has_all_its_successors() {
    let said = resolve(&["00091", "--as-of", "2025-06-01"]);
    assert_eq!(first_words(&said), ["00091", "00097", "00103"], "{said:?}");
}

#[test]
fn several_candidates_are_said_to_be_several_beside_the_lines_a_program_reads() {
    let asked = |code| xacminh(&["unit", "resolve", "--today", "2026-11-19", code, "--as-of", "2025-06-01"], &[]);
    let divided = String::from_utf8_lossy(&asked("00091").stderr).into_owned();
    assert!(divided.starts_with("ambiguous: 3 units"), "{divided}");
    let whole = String::from_utf8_lossy(&asked("00112").stderr).into_owned();
    assert!(whole.is_empty(), "{whole}");
}

#[test]
fn the_unit_to_which_all_the_people_went_is_the_only_successor() {
    // Thụy Khuê: all its people to Tây Hồ (00103), some land without people to Ba Đình (00004).
    let said = resolve(&["00112", "--as-of", "2025-06-01"]);
    assert_eq!(first_words(&said), ["00103"], "{said:?}");
}

#[test]
fn a_reused_code_means_what_it_meant_on_the_day() {
    let before = resolve(&["06799", "--as-of", "2025-06-30"]);
    let after = resolve(&["06799", "--as-of", "2025-07-01"]);
    assert_eq!((first_words(&before), first_words(&after)), (vec!["06886"], vec!["06799"]));
}

#[test]
fn old_words_are_understood_without_tone_marks() {
    let without = resolve(&["phuong phuc xa", "--district", "quan ba dinh", "--province", "ha noi"]);
    let with = resolve(&["Phường Phúc Xá", "--district", "Quận Ba Đình", "--province", "Hà Nội"]);
    assert_eq!(first_words(&without), ["00097"], "{without:?}");
    assert_eq!(without, with);
}

#[test]
fn a_code_without_its_day_or_without_a_unit_is_refused() {
    assert_refused(&xacminh(&["unit", "resolve", "00097"], &[]), &["--as-of"]);
    assert_refused(&xacminh(&["unit", "resolve", "99999", "--as-of", "2025-06-01"], &[]), &["no such unit"]);
}

#[test]
fn an_unknown_setting_is_refused_and_its_value_not_repeated() {
    let misspelt = [("XACMINH_POSTGRESQL__ULR", "postgres://a:geheim@b/c")];
    let out = xacminh(&["due", "--received", "2026-11-20", "--working-days", "3"], &misspelt);
    assert_refused(&out, &["ulr", "postgresql"]);
    assert!(!String::from_utf8_lossy(&out.stderr).contains("geheim"));
}

#[test]
fn a_channel_that_does_not_exist_yet_is_refused_without_a_server() {
    for channel in ["desk", "agent"] {
        let out = xacminh(&["office", "grant", "vpzzcu75", "--channel", channel], &[]);
        assert_refused(&out, &["does not exist yet", "grant amqp"]);
    }
}

#[test]
fn a_saturday_counts_only_in_the_mode_that_says_so() {
    let evening = "2026-11-20T19:30:00+07:00";
    let saturday = "2026-11-21T09:00:00+07:00";
    for (received, mode, due, says) in [
        (evening, "off", "2026-11-26", "after office hours"),
        (evening, "receive_only", "2026-11-26", "after office hours"),
        (evening, "counts", "2026-11-25", "after office hours"),
        (saturday, "off", "2026-11-26", "the counter closed"),
        (saturday, "receive_only", "2026-11-26", "the counter open"),
        (saturday, "counts", "2026-11-26", "received 2026-11-21, calendar"),
    ] {
        let said = lines_of(&["due", "--received", received, "--working-days", "3", "--saturday-mode", mode]);
        assert_eq!(first_words(&said), [due], "{mode}: {said:?}");
        assert!(said[0].contains(says), "{mode}: {said:?}");
    }
    let said = lines_of(&["due", "--received", evening, "--working-days", "3", "--office", "00097"]);
    assert_eq!(first_words(&said), ["2026-11-26"]);
    assert_refused(
        &xacminh(&["due", "--received", evening, "--working-days", "3", "--saturday-mode", "sometimes"], &[]),
        &["off, receive_only, counts"],
    );
}
