//! The product's process, as an operator would run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// How long a start or an orderly stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to run the product.
pub(crate) struct Program {
    /// The environment that holds its settings.
    pub(crate) env: Vec<(String, String)>,
    /// Where its log goes.
    pub(crate) log: PathBuf,
}

impl Program {
    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
        command.args(args).envs(self.env.iter().map(|(k, v)| (k.as_str(), v.as_str()))).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command of the product to its end and gives what it printed.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        let out = self.command(args)?.output().await?;
        ensure!(out.status.success(), "xacminh {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Starts the services and waits until they are ready.
    pub(crate) async fn start(&self, port: u16) -> Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut child = self.command(&["run"])?.stdout(Stdio::null()).stderr(log).spawn()?;
        let begun = Instant::now();
        while !is_ready(port).await {
            if let Some(status) = child.try_wait()? {
                bail!("the services ended ({status}); see {}", self.log.display());
            }
            ensure!(begun.elapsed() < PATIENCE, "the services did not get ready; see {}", self.log.display());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(child)
    }
}

/// A port that nothing listens on.
pub(crate) async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port())
}

async fn is_ready(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(true)))
}

/// Ends the services in an orderly way.
pub(crate) async fn stop(mut child: Child) -> Result<()> {
    let Some(pid) = child.id() else { return Ok(()) };
    Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.context("the services did not end in time")??;
    ensure!(status.success(), "the services ended with {status}");
    Ok(())
}

/// Memory of a process in MiB, as the kernel tells it.
pub(crate) fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|v| v.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
