//! Settings: a file, then `XACMINH_…` of the environment. Unknown keys are refused; a secret may
//! stand in a file of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

mod fault;

/// Variables of this project that are no settings of the program.
const NOT_SETTINGS: [&str; 4] = ["XACMINH_TEST_", "XACMINH_SERVERS_", "XACMINH_DEMO_", "XACMINH_ABORT_AT"];

/// All settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where the reference data lie, for `import`, `due` and `unit`.
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL.
    pub(crate) postgresql: Postgresql,
    /// RabbitMQ.
    pub(crate) rabbitmq: Rabbitmq,
    /// Keys.
    pub(crate) keys: Keys,
    /// The clock.
    pub(crate) clock: ClockFile,
    /// The admin port.
    pub(crate) admin: Admin,
    /// Logs.
    pub(crate) log: Log,
    /// Escalating.
    pub(crate) escalating: Every,
    /// Measuring.
    pub(crate) measuring: Every,
    /// How often the relay asks whether something has to be sent again.
    pub(crate) sending_again: Every,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            postgresql: Postgresql::default(),
            rabbitmq: Rabbitmq::default(),
            keys: Keys::default(),
            clock: ClockFile::default(),
            admin: Admin::default(),
            log: Log::default(),
            escalating: Every { every_ms: 1_000 },
            measuring: Every { every_ms: 5_000 },
            sending_again: Every { every_ms: 5_000 },
        }
    }
}

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Postgresql {
    url: Option<String>,
    url_file: Option<PathBuf>,
    /// The most connections of this process.
    pub(crate) connections: u32,
}

/// The fewest connections a process can work with: pieces of work that are under way at once have one each, and some
/// wait with one for others.
const FEWEST_CONNECTIONS: u32 = 10;

impl Default for Postgresql {
    fn default() -> Self {
        Self { url: None, url_file: None, connections: 20 }
    }
}

impl Postgresql {
    /// `postgres://user:password@host:port/database`.
    pub(crate) fn url(&self) -> Result<String> {
        let url = secret("postgresql.url", self.url.as_deref(), self.url_file.as_deref())?;
        // The driver takes any scheme, and without a database the login's name for one.
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let database = rest.and_then(|rest| rest.split('?').next()?.split_once('/')).map(|(_, database)| database);
        match database {
            Some(database) if !database.is_empty() => Ok(url),
            _ => bail!("postgresql.url is not of the form postgres://user:password@host:port/database"),
        }
    }

    /// The most connections of this process, if they are enough.
    pub(crate) fn connections(&self) -> Result<u32> {
        if self.connections < FEWEST_CONNECTIONS {
            bail!(
                "postgresql.connections is {}: a process needs {FEWEST_CONNECTIONS} or more (20 if it is not set)",
                self.connections
            );
        }
        Ok(self.connections)
    }
}

/// RabbitMQ.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rabbitmq {
    url: Option<String>,
    url_file: Option<PathBuf>,
    management_url: Option<String>,
    management_url_file: Option<PathBuf>,
}

impl Rabbitmq {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`.
    pub(crate) fn url(&self) -> Result<String> {
        secret("rabbitmq.url", self.url.as_deref(), self.url_file.as_deref())
    }

    /// `http://user:password@host:port`.
    pub(crate) fn management_url(&self) -> Result<String> {
        secret("rabbitmq.management_url", self.management_url.as_deref(), self.management_url_file.as_deref())
    }

    /// Whether an address of the management API is set: no role needs it.
    pub(crate) fn has_management(&self) -> bool {
        self.management_url.is_some() || self.management_url_file.is_some()
    }

    /// The vhost that the address names.
    pub(crate) fn vhost(&self) -> Result<String> {
        let url = self.url()?;
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let vhost = path.split('?').next().unwrap_or_default();
        Ok(if vhost.is_empty() || vhost == "%2f" || vhost == "%2F" { "/".to_owned() } else { vhost.to_owned() })
    }
}

/// Keys.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// The master key: base64 of 32 bytes, readable by nobody else.
    pub(crate) master_file: Option<PathBuf>,
    /// Older master keys, for what was sealed before.
    pub(crate) older_files: Vec<PathBuf>,
}

/// The clock.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClockFile {
    /// A stepped clock's file, for demonstrations; the machine's clock without it.
    pub(crate) file: Option<PathBuf>,
}

/// The admin port: `/livez`, `/readyz`, `/metrics`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// Logs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// For machines or for people.
    pub(crate) format: LogFormat,
    /// Levels, as `tracing` writes them: `info,xacminh_bus=debug`.
    pub(crate) filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".to_owned() }
    }
}

/// For whom logs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a terminal.
    Human,
}

/// A rhythm.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Every {
    /// Milliseconds.
    pub(crate) every_ms: u64,
}

impl Every {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(self.every_ms.max(10))
    }
}

impl Settings {
    /// Reads the file, if one is named, and the environment over it.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        Self::from(file, std::env::vars().collect())
    }

    fn from(file: Option<&Path>, vars: HashMap<String, String>) -> Result<Self> {
        let vars: HashMap<String, String> = vars
            .into_iter()
            .filter(|(name, _)| name != "XACMINH_CONFIG" && !NOT_SETTINGS.iter().any(|p| name.starts_with(p)))
            .filter(|(name, _)| name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case("XACMINH_")))
            .collect();
        // The library's words may repeat a value, which may be a secret.
        read(file, &vars).map_err(|error| anyhow::anyhow!("settings: {}", fault::said(file, &vars, &error)))
    }

    /// The settings without a secret: of an address only where it leads.
    pub(crate) fn redacted(mut self) -> Self {
        for url in [&mut self.postgresql.url, &mut self.rabbitmq.url, &mut self.rabbitmq.management_url] {
            *url = url.as_deref().map(without_login);
        }
        self
    }
}

fn read(file: Option<&Path>, vars: &HashMap<String, String>) -> Result<Settings, config::ConfigError> {
    let environment = config::Environment::with_prefix("XACMINH")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .list_separator(",")
        .with_list_parse_key("keys.older_files")
        .source(Some(vars.clone()));
    let mut builder = config::Config::builder();
    if let Some(file) = file {
        builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
    }
    builder.add_source(environment).build().and_then(config::Config::try_deserialize)
}

/// `amqp://***@host/vhost`. What stands before the last `@` may be a password, also one that was
/// written down wrongly, and so may parameters.
fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("?", ""));
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://***@{}", place.split('?').next().unwrap_or_default()),
        None => format!("{scheme}://***"),
    }
}

fn secret(name: &str, value: Option<&str>, file: Option<&Path>) -> Result<String> {
    match (value, file) {
        (Some(value), None) => Ok(value.to_owned()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("{name}_file {}", file.display()))?;
            Ok(text.trim_end().to_owned())
        }
        (Some(_), Some(_)) => bail!("set {name} or {name}_file, not both"),
        (None, None) => {
            let variable = name.replace('.', "__").to_uppercase();
            bail!("{name} is not set (in the settings file, or XACMINH_{variable}, or XACMINH_{variable}_FILE)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_sample_is_right_and_the_environment_wins() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/xacminh.sample.toml");
        let vars = vars(&[
            ("XACMINH_POSTGRESQL__URL_FILE", ""),
            ("XACMINH_ADMIN__LISTEN", "127.0.0.1:1"),
            ("XACMINH_TEST_PG_URL", "not a setting"),
        ]);
        let settings = Settings::from(Some(&sample), vars).unwrap();
        assert_eq!(settings.admin.listen.port(), 1);
    }

    #[test]
    fn an_address_of_something_else_is_no_postgresql() {
        let of = |url: &str| Postgresql { url: Some(url.to_owned()), ..Postgresql::default() }.url();
        for right in ["postgres://a:b@h:5432/x", "postgresql:///x?host=/run/postgresql"] {
            assert_eq!(of(right).unwrap(), right);
        }
        for wrong in ["mysql://x", "http://a@b/c", "postgres://", "postgres://h", "postgres://h/", "postgres://h/?a=b"]
        {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("postgresql.url") && !error.contains("a@b"), "{error}");
        }
    }

    #[test]
    fn too_few_connections_are_said_at_the_start() {
        let of = |connections| Postgresql { connections, ..Postgresql::default() }.connections();
        assert_eq!(of(FEWEST_CONNECTIONS).unwrap(), FEWEST_CONNECTIONS);
        let error = of(FEWEST_CONNECTIONS - 1).unwrap_err().to_string();
        assert!(error.contains("postgresql.connections is 9") && error.contains("10 or more"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let error = Settings::from(None, vars(&[("XACMINH_POSTGRESQL__ULR", "secret-value")])).unwrap_err().to_string();
        assert!(error.contains("ulr") && !error.contains("secret-value"), "{error}");
        let error = Settings::from(None, vars(&[("XACMINH_POSTGRES__URL", "secret-value")])).unwrap_err().to_string();
        assert!(error.contains("postgres") && !error.contains("secret-value"), "{error}");
        let error =
            Settings::from(None, vars(&[("XACMINH_POSTGRESQL__CONNECTIONS", "secret-value")])).unwrap_err().to_string();
        assert!(!error.contains("secret-value"), "{error}");
    }

    #[test]
    fn a_fault_names_its_file_or_variable_and_never_a_value() {
        let dir = std::env::temp_dir().join(format!("xacminh-settings-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("s.toml");
        let said = |text: &str, pairs: &[(&str, &str)]| {
            std::fs::write(&file, text).unwrap();
            Settings::from(Some(&file), vars(pairs)).unwrap_err().to_string()
        };
        let path = file.display().to_string();
        let good = "[log]\nformat = \"json\"\n";
        let port = ("XACMINH_ADMIN__LISTEN", "127.0.0.1:1");
        for (text, pairs, words) in [
            ("[postgresql]\nurl = \"a:geheim@h\n", &[][..], vec![path.as_str(), "line 2"]),
            ("[postgresql]\nulr = \"geheim\"\n", &[port], vec![path.as_str(), "ulr"]),
            ("[log]\nformat = \"geheim\"\n", &[], vec![path.as_str(), "log.format"]),
            ("data_dir = 7\nkeys = \"geheim\"", &[], vec![path.as_str()]),
            (good, &[port, ("XACMINH_LOG__FORMAT", "geheim")], vec!["XACMINH_LOG__FORMAT", "log.format"]),
            (good, &[port, ("XACMINH_POSTGRESQL__ULR", "geheim")], vec!["XACMINH_POSTGRESQL__ULR", "ulr"]),
            (
                good,
                &[("XACMINH_ADMIN__LISTEN", "geheim"), ("XACMINH_MEASURING__EVERY_MS", "geheim")],
                vec!["XACMINH_ADMIN__LISTEN", "XACMINH_MEASURING__EVERY_MS"],
            ),
        ] {
            let said = said(text, pairs);
            assert!(words.iter().all(|word| said.contains(word)) && !said.contains("geheim"), "{said}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
        let said = Settings::from(Some(&file), vars(&[])).unwrap_err().to_string();
        assert!(said.contains(&path), "{said}");
    }

    #[test]
    fn a_list_may_come_from_the_environment() {
        let settings = Settings::from(None, vars(&[("XACMINH_KEYS__OLDER_FILES", "a,b")])).unwrap();
        assert_eq!(settings.keys.older_files, [PathBuf::from("a"), PathBuf::from("b")]);
    }

    #[test]
    fn of_an_address_only_the_place_is_shown() {
        for (url, shown) in [
            ("postgres://u:ge@he/im@h:1/d?password=geheim", "postgres://***@h:1/d"),
            ("amqp://h/v?password=geheim", "amqp://***"),
            ("geheim", "?://***"),
            ("http://u:geheim", "http://***"),
        ] {
            assert_eq!(without_login(url), shown);
        }
    }

    #[test]
    fn a_secret_comes_from_one_place() {
        let both = Postgresql { url: Some("a".into()), url_file: Some("b".into()), connections: 1 };
        assert!(both.url().unwrap_err().to_string().contains("not both"));
        let neither = Postgresql::default().url().unwrap_err().to_string();
        assert!(neither.contains("XACMINH_POSTGRESQL__URL"), "{neither}");
    }
}
