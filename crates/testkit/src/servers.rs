//! Where PostgreSQL and RabbitMQ are: given by the environment, or private ones.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::OnceCell;

const VARIABLES: [&str; 3] = ["XACMINH_TEST_PG_URL", "XACMINH_TEST_AMQP_URL", "XACMINH_TEST_MGMT_URL"];

/// The servers that all tests share.
#[derive(Debug, Clone)]
pub struct Servers {
    /// PostgreSQL, as an administrator.
    pub pg_url: String,
    /// RabbitMQ, as an administrator, without a virtual host.
    pub amqp_url: String,
    /// RabbitMQ's management API, as an administrator.
    pub mgmt_url: String,
}

impl Servers {
    /// Those of `XACMINH_TEST_PG_URL`, `XACMINH_TEST_AMQP_URL`, `XACMINH_TEST_MGMT_URL` if they are
    /// set. Else private ones in `target/test-servers`, started by whichever test comes first, of
    /// whichever process: the others wait. They are left running for the next run;
    /// `deploy/private-servers stop target/test-servers` ends them.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        SHARED.get_or_try_init(|| async { tokio::task::spawn_blocking(Self::find).await? }).await
    }

    fn find() -> Result<Self> {
        match VARIABLES.map(|name| env::var(name).ok().filter(|value| !value.is_empty())) {
            [Some(pg_url), Some(amqp_url), Some(mgmt_url)] => Ok(Self { pg_url, amqp_url, mgmt_url }),
            [None, None, None] => Self::start(),
            _ => bail!("set all of {} or none", VARIABLES.join(", ")),
        }
    }

    fn start() -> Result<Self> {
        let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let dir = workspace.join("target/test-servers");
        // The script locks the directory, so that two processes do not start two of each.
        let output = Command::new(workspace.join("deploy/private-servers"))
            .arg("start")
            .arg(&dir)
            .output()
            .context("deploy/private-servers could not be run")?;
        ensure!(
            output.status.success(),
            "no servers to test with:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let written = std::fs::read_to_string(dir.join("env")).context("reading env")?;
        let value = |name: &str| {
            written
                .lines()
                .find_map(|line| line.strip_prefix(&format!("export {name}=")))
                .map(|value| value.trim_matches('\'').to_owned())
                .with_context(|| format!("no {name} in what deploy/private-servers wrote"))
        };
        let [pg_url, amqp_url, mgmt_url] = VARIABLES.map(value);
        Ok(Self { pg_url: pg_url?, amqp_url: amqp_url?, mgmt_url: mgmt_url? })
    }
}

/// The same address for another login.
pub(crate) fn with_login(url: &str, user: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("an address with a scheme");
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}:{password}@{host}")
}

/// The same address with another path: a database, a virtual host.
pub(crate) fn with_path(url: &str, path: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("an address with a scheme");
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    format!("{scheme}://{authority}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_together() {
        let url = "amqp://a:b@127.0.0.1:5672";
        assert_eq!(with_login(url, "vpa2b3c4", "x"), "amqp://vpa2b3c4:x@127.0.0.1:5672");
        assert_eq!(with_path(url, "t_1"), "amqp://a:b@127.0.0.1:5672/t_1");
        assert_eq!(with_path("postgres://u:p@h:1/postgres", "t_2"), "postgres://u:p@h:1/t_2");
    }
}
