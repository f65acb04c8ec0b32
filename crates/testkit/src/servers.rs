//! Where PostgreSQL and RabbitMQ are: given by the environment, or private ones.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use crate::own_servers::{private_servers, value_in, workspace};

const VARIABLES: [&str; 3] = ["XACMINH_TEST_PG_URL", "XACMINH_TEST_AMQP_URL", "XACMINH_TEST_MGMT_URL"];

/// Where they are: those that all tests share, or a test's own.
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
        let dir = workspace().join("target/test-servers");
        // The script locks the directory, so that two processes do not start two of each. It heeds
        // the variables that name servers to be used instead.
        private_servers(&dir, &["start"], &[], &[]).context("no servers to test with")?;
        Self::written_in(&dir)
    }

    /// Those that `deploy/private-servers` wrote down in its directory.
    pub(crate) fn written_in(dir: &Path) -> Result<Self> {
        let [pg_url, amqp_url, mgmt_url] = VARIABLES.map(|name| value_in(dir, name));
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
