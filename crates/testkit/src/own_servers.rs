//! A RabbitMQ and a PostgreSQL of a test's own, to be stopped, killed and started again under it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tokio::task::spawn_blocking;

use crate::{Servers, random_text};

/// Variables that would have `deploy/private-servers` use servers that are not its own.
const NOT_OURS: [&str; 3] = ["XACMINH_SERVERS_PG_URL", "XACMINH_SERVERS_AMQP_URL", "XACMINH_SERVERS_MGMT_URL"];

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// RabbitMQ.
    RabbitMq,
    /// PostgreSQL.
    PostgreSql,
}

impl Server {
    fn as_str(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::PostgreSql => "postgresql",
        }
    }
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As an operator stops it: RabbitMQ closes what it has open, PostgreSQL ends its sessions.
    InOrder,
    /// SIGKILL to all of its processes.
    Killed,
}

/// A private pair, whatever the environment says, in a directory of its own under `target/`. It
/// ends, and its data go, with [`OwnServers::close`] or when it is dropped, so also after a panic;
/// only after a kill of the test itself is it left to `deploy/down`.
pub struct OwnServers {
    dir: PathBuf,
    servers: Servers,
    /// What `deploy/private-servers` is told otherwise than by default.
    told: Vec<(&'static str, String)>,
    open: bool,
}

impl OwnServers {
    /// Starts them, which takes some seconds. The name is for whoever looks; it need not be unique.
    pub async fn start(test_name: &str) -> Result<Self> {
        Self::start_told(test_name, Vec::new()).await
    }

    /// The same with a RabbitMQ that is set up badly: so many open files, and messages of so many bytes.
    pub async fn start_with_limits(test_name: &str, open_files: u32, message_size: u32) -> Result<Self> {
        let told = vec![
            ("XACMINH_SERVERS_OPEN_FILES", open_files.to_string()),
            ("XACMINH_SERVERS_MESSAGE_SIZE", message_size.to_string()),
        ];
        Self::start_told(test_name, told).await
    }

    async fn start_told(test_name: &str, told: Vec<(&'static str, String)>) -> Result<Self> {
        let dir = workspace().join("target/own-servers").join(format!("{test_name}-{}", random_text(6)));
        // From here on there is something to end, whatever fails.
        let mut own = Self {
            servers: Servers { pg_url: String::new(), amqp_url: String::new(), mgmt_url: String::new() },
            dir,
            told,
            open: true,
        };
        own.call(&["start"]).await.context("a test needs servers of its own")?;
        own.servers = Servers::written_in(&own.dir)?;
        Ok(own)
    }

    /// Where they are. The same after each start.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Ends one of them; returns when it is gone.
    pub async fn stop(&self, server: Server, how: Ending) -> Result<()> {
        self.call_about("stop", server, how).await
    }

    /// Ends one of them and starts it again; returns when it is ready.
    pub async fn restart(&self, server: Server, how: Ending) -> Result<()> {
        self.call_about("restart", server, how).await
    }

    /// Starts what does not run; returns when it is ready.
    pub async fn start_again(&self) -> Result<()> {
        self.call(&["start"]).await
    }

    /// RabbitMQ takes no messages while less than this is free on its disk, such as `1000000GB`: it has
    /// an alarm then, as with a disk that is full, and tells whoever publishes. `50MB` is its default.
    pub async fn disk_limit(&self, limit: &'static str) -> Result<()> {
        self.call(&["rabbitmqctl", "set_disk_free_limit", limit]).await
    }

    /// Holds all processes of a server: connections stand and new ones are taken by the kernel, but
    /// nobody answers.
    pub fn hold(&self, server: Server) -> Result<()> {
        self.signal_all(server, "-STOP")
    }

    /// Lets them go on.
    pub fn let_go(&self, server: Server) -> Result<()> {
        self.signal_all(server, "-CONT")
    }

    fn signal_all(&self, server: Server, signal: &str) -> Result<()> {
        let main = self.pid(server)?.context("it does not run")?;
        // The main process first: a held one makes no new children.
        let sent = Command::new("kill").args([signal, &main.to_string()]).status()?;
        ensure!(sent.success(), "kill {signal} {main}");
        for child in std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))?.split_whitespace() {
            // One that has ended meanwhile needs none.
            Command::new("kill").args([signal, child]).output()?;
        }
        Ok(())
    }

    /// The main process of a server that runs.
    pub fn pid(&self, server: Server) -> Result<Option<u32>> {
        let name = match server {
            Server::RabbitMq => "XACMINH_TEST_RABBITMQ_PID",
            Server::PostgreSql => "XACMINH_TEST_PG_PID",
        };
        let value = value_in(&self.dir, name)?;
        Ok(if value.is_empty() { None } else { Some(value.parse()?) })
    }

    /// Ends both; their data go.
    pub async fn close(mut self) -> Result<()> {
        self.open = false;
        let dir = self.dir.clone();
        spawn_blocking(move || end(&dir)).await?
    }

    async fn call_about(&self, command: &'static str, server: Server, how: Ending) -> Result<()> {
        match how {
            Ending::InOrder => self.call(&[command, server.as_str()]).await,
            Ending::Killed => self.call(&[command, server.as_str(), "--kill"]).await,
        }
    }

    async fn call(&self, args: &[&'static str]) -> Result<()> {
        let (dir, args, told) = (self.dir.clone(), args.to_vec(), self.told.clone());
        spawn_blocking(move || private_servers(&dir, &args, &NOT_OURS, &told)).await?
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        if self.open {
            // The test has failed already, and for another reason. What is held cannot end.
            let _ = self.let_go(Server::PostgreSql);
            let _ = self.let_go(Server::RabbitMq);
            let _ = end(&self.dir);
        }
    }
}

fn end(dir: &Path) -> Result<()> {
    private_servers(dir, &["stop"], &NOT_OURS, &[])?;
    Ok(std::fs::remove_dir_all(dir)?)
}

/// The repository.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs `deploy/private-servers` on a directory, without some variables and with others.
pub(crate) fn private_servers(dir: &Path, args: &[&str], without: &[&str], with: &[(&str, String)]) -> Result<()> {
    let mut command = Command::new(workspace().join("deploy/private-servers"));
    command.arg(args[0]).arg(dir).args(&args[1..]);
    for name in without {
        command.env_remove(name);
    }
    command.envs(with.iter().map(|(name, value)| (name, value)));
    let output = command.output().context("deploy/private-servers could not be run")?;
    ensure!(
        output.status.success(),
        "deploy/private-servers {}:\n{}{}",
        args.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(())
}

/// A value of `DIR/env`.
pub(crate) fn value_in(dir: &Path, name: &str) -> Result<String> {
    let written = std::fs::read_to_string(dir.join("env")).context("reading env")?;
    let value = written.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
    let value = value.with_context(|| format!("no {name} in what deploy/private-servers wrote"))?;
    Ok(value.trim_matches('\'').to_owned())
}
