//! A private Prometheus with the alert rules that operators get, only quicker.
//!
//! The rules wait for minutes before they wake anybody; a test cannot. So every duration in them is
//! divided by one number ([`quicker`]), and the figures are asked for every two seconds. What is tried is
//! the same otherwise: the rules' own text, Debian's Prometheus, the product's own pages. How long an
//! alert then took says how fast fault and remedy are *seen*; `for:` comes on top.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::own_servers::workspace;
use crate::{ChildProcess, PATIENCE, random_text};

/// How often it asks for figures, and how long a page may take: on a busy machine over a second.
const SCRAPE: &str = "2s";
/// How often it looks at the rules.
const EVALUATE: &str = "500ms";

/// An alert that waits for its `for:`, or fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its labels, the name among them.
    pub labels: Value,
    /// It fires.
    pub firing: bool,
    /// What the operator reads.
    pub summary: String,
}

/// A Prometheus of a test's own on a free port. Ends, and its directory goes, when it is dropped; only
/// after a kill of the test itself is it left to `deploy/down`.
pub struct OwnPrometheus {
    dir: PathBuf,
    // Keeps the process.
    _child: ChildProcess,
    address: String,
}

impl OwnPrometheus {
    /// Starts one with the configuration and the rules of `deploy/prometheus`, made quicker.
    pub async fn start(test_name: &str, divisor: u32) -> Result<Self> {
        let from = workspace().join("deploy/prometheus");
        let dir = workspace().join("target/own-prometheus").join(format!("{test_name}-{}", random_text(6)));
        fs::create_dir_all(dir.join("targets"))?;
        let rules = quicker(&fs::read_to_string(from.join("xacminh.rules.yml"))?, divisor)?;
        fs::write(dir.join("xacminh.rules.yml"), rules)?;
        fs::write(dir.join("prometheus.yml"), often(&fs::read_to_string(from.join("prometheus.yml"))?))?;
        let started = Self::start_in(&dir).await;
        let (child, address) = match started {
            Ok(started) => started,
            Err(error) => {
                fs::remove_dir_all(&dir)?;
                return Err(error);
            }
        };
        Ok(Self { dir, _child: child, address })
    }

    async fn start_in(dir: &Path) -> Result<(ChildProcess, String)> {
        let path = |name: &str| dir.join(name).display().to_string();
        let args = [
            format!("--config.file={}", path("prometheus.yml")),
            format!("--storage.tsdb.path={}", path("data")),
            "--web.listen-address=127.0.0.1:0".to_owned(),
        ];
        let mut child = ChildProcess::spawn("prometheus", args, &[])
            .context("no Prometheus here; run deploy/install-servers --with-prometheus")?;
        // For `deploy/down`, if the test is killed before it can end it.
        fs::write(dir.join("pid"), child.id().context("it ended at once")?.to_string())?;
        let line = child.wait_for_line("msg=\"Listening on\"", PATIENCE).await?;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).context("no address")?;
        let address = address.to_owned();
        child.wait_until_ready(&address, "/-/ready", PATIENCE).await?;
        Ok((child, address))
    }

    /// From now on a job asks at these addresses.
    pub fn targets(&self, job: &str, addresses: &[&str]) -> Result<()> {
        let file = self.dir.join("targets").join(format!("{job}.yml"));
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_string(&serde_json::json!([{ "targets": addresses }]))?)?;
        // In one step, or half a list might be read.
        Ok(fs::rename(new, file)?)
    }

    /// The alerts that fire or are about to.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let data = self.ask("/api/v1/alerts").await?;
        let alerts = data["alerts"].as_array().context("no list of alerts")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(alerts
            .iter()
            .map(|alert| Alert {
                name: text(&alert["labels"]["alertname"]),
                labels: alert["labels"].clone(),
                firing: alert["state"] == "firing",
                summary: text(&alert["annotations"]["summary"]),
            })
            .collect())
    }

    /// The names of all alerts that fired at any time in so long until now, each once.
    pub async fn fired_in(&self, last: Duration) -> Result<Vec<String>> {
        let question =
            format!("count by (alertname) (count_over_time(ALERTS{{alertstate=\"firing\"}}[{}ms]))", last.as_millis());
        let rows = self.query(&question).await?;
        Ok(rows.iter().map(|row| row["metric"]["alertname"].as_str().unwrap_or("?").to_owned()).collect())
    }

    /// How long ago this alert fired last, of so long until now; all of it if it did not. Half a second
    /// more or less.
    pub async fn last_fired(&self, alert: &str, last: Duration) -> Result<Duration> {
        let firing = format!("timestamp(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
        let question = format!("time() - max(max_over_time(({firing})[{}ms:500ms]))", last.as_millis().max(1));
        let rows = self.query(&question).await?;
        let ago = rows.first().and_then(|row| row["value"][1].as_str()?.parse().ok());
        Ok(ago.map_or(last, |ago: f64| Duration::from_secs_f64(ago.max(0.0))))
    }

    /// The rows that an expression has now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.ask(&format!("/api/v1/query?query={}", encoded(expression))).await?;
        Ok(data["result"].as_array().with_context(|| format!("no rows in {data}"))?.clone())
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let asking = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            // 1.0: the answer then comes whole and ends with the connection.
            stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, anyhow::Error>(answer)
        };
        let answer = timeout(PATIENCE, asking).await.with_context(|| format!("{path}: no answer"))??;
        let (_, body) = answer.split_once("\r\n\r\n").context("no head")?;
        let body: Value = serde_json::from_str(body).with_context(|| format!("{path}: {answer}"))?;
        ensure!(body["status"] == "success", "{path}: {body}");
        Ok(body["data"].clone())
    }
}

impl Drop for OwnPrometheus {
    fn drop(&mut self) {
        // The process is killed as its handle is dropped; what it still writes is in nobody's way.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The text of rules with every duration divided: `for:`, `keep_firing_for:`, windows (`[10m]`) and
/// `offset`. Nothing else changes. An error for a duration that it cannot read: left as it is, a test
/// would wait for it in vain.
pub fn quicker(rules: &str, divisor: u32) -> Result<String> {
    let mut made = String::with_capacity(rules.len());
    for line in rules.lines() {
        if line.trim_start().starts_with('#') {
            made.push_str(line);
        } else {
            let mut rest = line;
            while let Some(at) = ["for: ", "[", "offset "].iter().filter_map(|m| Some(rest.find(m)? + m.len())).min() {
                let (before, after) = rest.split_at(at);
                made.push_str(before);
                rest = after;
                // Anything else in brackets, such as the labels of a template, is no duration.
                if after.starts_with(|c: char| c.is_ascii_digit()) {
                    let length = after.find([']', ')', ' ']).unwrap_or(after.len());
                    let (duration, after) = after.split_at(length);
                    made.push_str(&format!("{}ms", millis(duration)? / u64::from(divisor)));
                    rest = after;
                }
            }
            made.push_str(rest);
        }
        made.push('\n');
    }
    Ok(made)
}

/// `10m` in milliseconds.
fn millis(duration: &str) -> Result<u64> {
    let unit = duration.find(|c: char| !c.is_ascii_digit()).with_context(|| format!("{duration} has no unit"))?;
    let (number, unit) = duration.split_at(unit);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => bail!("{duration} is no duration of one unit"),
    };
    Ok(number.parse::<u64>()? * unit)
}

/// The configuration with its rhythm set, not divided: a scrape has to have time for its answer.
fn often(config: &str) -> String {
    let set = |line: &str| {
        let (key, _) = line.split_once(": ")?;
        let to = match key.trim_start() {
            "scrape_interval" | "scrape_timeout" => SCRAPE,
            "evaluation_interval" => EVALUATE,
            _ => return None,
        };
        Some(format!("{key}: {to}"))
    };
    config.lines().map(|line| set(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_durations_are_divided_and_nothing_else() {
        let rules = "# for: 5m stays\n\
            for: 1m\n  keep_firing_for: 2h\n\
            expr: rate(x{a=\"[y]\"}[10m]) > 5 * rate(x[10m] offset 1h) > 60\n\
            expr: (x offset 1d) and y[90s]\n\
            summary: Wait for 5m, in [{{ $labels.a }}]\n";
        let made = "# for: 5m stays\n\
            for: 1000ms\n  keep_firing_for: 120000ms\n\
            expr: rate(x{a=\"[y]\"}[10000ms]) > 5 * rate(x[10000ms] offset 60000ms) > 60\n\
            expr: (x offset 1440000ms) and y[1500ms]\n\
            summary: Wait for 5m, in [{{ $labels.a }}]\n";
        assert_eq!(quicker(rules, 60).unwrap(), made);
    }

    #[test]
    fn a_duration_that_cannot_be_read_is_no_duration_left_alone() {
        for rules in ["for: 1m30s", "expr: x[5m:1m]", "expr: x offset 3", "for: 1y"] {
            assert!(quicker(rules, 60).is_err(), "{rules}");
        }
    }

    #[test]
    fn the_rhythm_is_set_and_the_rest_stays() {
        let config = "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\njobs:\n  - job_name: x\n    scrape_timeout: 5s\n";
        let made = "global:\n  scrape_interval: 2s\n  evaluation_interval: 500ms\njobs:\n  - job_name: x\n    scrape_timeout: 2s\n";
        assert_eq!(often(config), made);
    }
}
