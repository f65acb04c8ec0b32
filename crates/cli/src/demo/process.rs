//! The product's processes, as an operator would run them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

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
}

/// One process of the product: all roles, or one of them.
pub(crate) struct Part {
    /// Its name: `xacminh`, or its role's.
    pub(crate) name: String,
    role: Option<&'static str>,
    port: u16,
    pid_file: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Part {
    /// A process that does not run yet.
    pub(crate) async fn new(dir: &Path, role: Option<&'static str>) -> Result<Self> {
        let name = role.unwrap_or("xacminh").to_owned();
        let pid_file = dir.join(format!("{name}.pid"));
        Ok(Self { name, role, port: free_port().await?, pid_file, child: Mutex::new(None) })
    }

    /// Where its admin port listens.
    pub(crate) fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self, program: &Program) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&program.log)?;
        let mut args = vec!["run"];
        args.extend(self.role.iter().flat_map(|role| ["--role", role]));
        let mut command = program.command(&args)?;
        command.env("XACMINH_ADMIN__LISTEN", self.admin());
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let pid = child.id().context("the services have ended")?;
        std::fs::write(&self.pid_file, format!("{pid}\n"))?;
        let (name, log, begun) = (&self.name, program.log.display(), Instant::now());
        while !is_ready(self.port).await {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended ({status}); see {log}");
            }
            ensure!(begun.elapsed() < PATIENCE, "{name} did not get ready; see {log}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        *self.child.lock().await = Some(child);
        Ok(())
    }

    /// Ends it without a word.
    pub(crate) async fn kill_9(&self) -> Result<()> {
        let mut child = self.child.lock().await.take().with_context(|| format!("{} does not run", self.name))?;
        Ok(child.kill().await?)
    }

    /// Ends it in an orderly way, if it runs.
    pub(crate) async fn stop(&self) -> Result<()> {
        if let Some(mut child) = self.child.lock().await.take()
            && let Some(pid) = child.id()
        {
            Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
            let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
            let status = ended.with_context(|| format!("{} did not end in time", self.name))??;
            ensure!(status.success(), "{} ended with {status}", self.name);
            std::fs::remove_file(&self.pid_file)?;
        }
        Ok(())
    }

    /// Its memory in MiB.
    pub(crate) async fn memory_mib(&self) -> u64 {
        self.child.lock().await.as_ref().and_then(Child::id).map_or(0, memory_mib)
    }
}

/// A port that nothing listens on.
async fn free_port() -> Result<u16> {
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

/// Memory of a process in MiB, as the kernel tells it.
fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|v| v.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
