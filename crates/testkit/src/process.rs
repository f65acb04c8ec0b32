//! A process of ours that a test starts, watches, kills and starts again.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::eventually;

/// A running program. Killed when dropped.
pub struct ChildProcess {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
}

impl ChildProcess {
    /// Starts a program with these arguments and, beside ours, these variables.
    pub fn spawn<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let mut child = Command::new(&program)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.as_ref().display()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (count_in, count) = watch::channel(0);
        let count_in = Arc::new(count_in);
        let stdout = child.stdout.take().context("no stdout")?;
        let stderr = child.stderr.take().context("no stderr")?;
        listen(stdout, said.clone(), count_in.clone());
        listen(stderr, said.clone(), count_in);
        Ok(Self { child, said, count })
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// All lines it has written until now, of both streams.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a line that contains this; an error shows what it said instead.
    pub async fn wait_for_line(&mut self, part: &str, within: Duration) -> Result<String> {
        let (said, mut count) = (self.said.clone(), self.count.clone());
        let searching = async {
            loop {
                // Marked before the look, so that a line written after it wakes us.
                count.borrow_and_update();
                let found = said.lock().unwrap().iter().find(|line| line.contains(part)).cloned();
                if found.is_some() || count.changed().await.is_err() {
                    return found;
                }
            }
        };
        match timeout(within, searching).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("it ended without {part:?}, after:\n{}", self.said().join("\n")),
            Err(_) => bail!("no {part:?} within {within:?}, but:\n{}", self.said().join("\n")),
        }
    }

    /// Waits until `http://{address}{path}` is answered with 200, such as `/readyz`.
    pub async fn wait_until_ready(&mut self, address: &str, path: &str, within: Duration) -> Result<()> {
        let what = format!("200 from {address}{path}");
        let child = &mut self.child;
        let ended = eventually(&what, within, async || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Some(status));
            }
            let answer = http_status(address, path).await.ok()?;
            (answer == 200).then_some(None)
        })
        .await;
        match ended {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}, after:\n{}", self.said().join("\n")),
        }
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self, within: Duration) -> Result<ExitStatus> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("still there after {within:?}, said:\n{}", self.said().join("\n")),
        }
    }

    /// `kill -9`: without a chance to tidy up. Returns when it is gone.
    pub async fn kill_9(mut self) -> Result<()> {
        self.child.kill().await.context("killing")
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub async fn terminate(mut self, within: Duration) -> Result<ExitStatus> {
        if let Some(id) = self.child.id() {
            let sent = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await?;
            if !sent.success() {
                bail!("kill -TERM {id} failed");
            }
        }
        match timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("still there {within:?} after SIGTERM, said:\n{}", self.said().join("\n")),
        }
    }
}

fn listen(
    stream: impl AsyncRead + Unpin + Send + 'static,
    said: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push(line);
            count.send_modify(|count| *count += 1);
        }
    });
}

async fn http_status(address: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    timeout(Duration::from_secs(2), stream.read_exact(&mut head)).await??;
    Ok(std::str::from_utf8(&head[9..])?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PATIENCE;

    #[tokio::test]
    async fn a_child_is_heard_and_ended() {
        let script = "trap 'echo bye >&2; exit 7' TERM; echo ready; while :; do read -t 1 x <> <(:); done";
        let mut child = ChildProcess::spawn("bash", ["-c", script], &[]).unwrap();
        assert_eq!(child.wait_for_line("read", PATIENCE).await.unwrap(), "ready");
        assert_eq!(child.terminate(PATIENCE).await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_child_that_ends_too_soon_shows_what_it_said() {
        let mut child = ChildProcess::spawn("sh", ["-c", "echo no port"], &[]).unwrap();
        let error = child.wait_for_line("ready", PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("no port"), "{error}");
    }
}
