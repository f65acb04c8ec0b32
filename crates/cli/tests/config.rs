//! What `xacminh config` says, without any server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A directory of a test's own, which goes with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("xacminh-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path.display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Only litter.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn xacminh(args: &[&str], settings: &[(&str, &str)]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xacminh"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("XACMINH_")) {
        command.env_remove(name);
    }
    command.env("XACMINH_DATA_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../../data"));
    let Output { status, stdout, stderr } = match command.args(args).envs(settings.iter().copied()).output() {
        Ok(output) => output,
        Err(error) => panic!("xacminh could not be started: {error}"),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.success(), text(stdout), text(stderr))
}

#[test]
fn settings_that_are_right_are_called_so_without_a_server() {
    let dir = Dir::new("right");
    let key = dir.0.join("master.key").display().to_string();
    assert!(xacminh(&["keys", "new", &key], &[]).0);
    let url = dir.write("pg.url", "postgres://u:geheim@127.0.0.1:1/d\n");
    let file = dir.write(
        "xacminh.toml",
        &format!("[postgresql]\nurl_file = {url:?}\n[rabbitmq]\nurl = \"amqp://u:geheim@h/v\"\n[keys]\nmaster_file = {key:?}\n"),
    );
    let (well, said, error) = xacminh(&["--config", &file, "config", "check"], &[]);
    assert!(well && said.contains("version 2026") && !said.contains("FAULT"), "{said}{error}");

    let (well, said, error) = xacminh(&["--config", &file, "config", "check", "--connect"], &[]);
    assert!(!well && said.contains("FAULT  postgresql:") && said.contains("FAULT  rabbitmq:"), "{said}{error}");
    assert!(!said.contains("geheim") && !error.contains("geheim"), "{said}{error}");
}

#[test]
fn every_fault_is_said_with_its_file_or_variable() {
    let dir = Dir::new("faults");
    let open = dir.write("open.key", "bm9uZQ==\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap_or_else(|error| panic!("{error}"));
    let settings = [
        ("XACMINH_POSTGRESQL__URL_FILE", "/nowhere/pg.url"),
        ("XACMINH_RABBITMQ__URL", "geheim"),
        ("XACMINH_RABBITMQ__MANAGEMENT_URL", "geheim"),
        ("XACMINH_KEYS__MASTER_FILE", open.as_str()),
        ("XACMINH_DATA_DIR", "/nowhere/data"),
        ("XACMINH_CLOCK__FILE", "/nowhere/clock"),
    ];
    let (well, said, error) = xacminh(&["config", "check"], &settings);
    assert!(!well && error.contains("faults: 6"), "{said}{error}");
    for words in [
        "postgresql.url_file /nowhere/pg.url",
        "rabbitmq.url",
        "rabbitmq.management_url",
        &open,
        "/nowhere/data",
        "/nowhere/clock",
    ] {
        assert!(said.lines().any(|line| line.starts_with("FAULT") && line.contains(words)), "{words}: {said}");
    }
    assert!(!said.contains("geheim") && !error.contains("geheim"), "{said}{error}");
}

#[test]
fn what_is_shown_can_be_read_back_and_holds_no_secret() {
    let settings = [
        ("XACMINH_POSTGRESQL__URL", "postgres://u:geheim@h:1/d"),
        ("XACMINH_RABBITMQ__URL", "amqp://u:geheim@h/v"),
        ("XACMINH_RABBITMQ__MANAGEMENT_URL_FILE", "/etc/xacminh/management.url"),
        ("XACMINH_LOG__FORMAT", "json"),
    ];
    let shown = xacminh(&["config", "show", "--redacted"], &settings);
    assert_eq!(shown, xacminh(&["config", "show"], &settings), "there is no other way to show them");
    let (well, said, error) = shown;
    assert!(well && !said.contains("geheim") && !error.contains("geheim"), "{said}{error}");
    for line in [
        "url = \"postgres://***@h:1/d\"",
        "format = \"json\"",
        "every_ms = 5000",
        "management_url_file = \"/etc/xacminh/management.url\"",
    ] {
        assert!(said.lines().any(|l| l == line), "{line}: {said}");
    }
    let dir = Dir::new("shown");
    let file = dir.write("shown.toml", &said);
    let (well, again, error) = xacminh(&["--config", &file, "config", "show"], &[]);
    assert!(well && again == said, "{again}{error}");
}
