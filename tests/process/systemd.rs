//! Does systemd hear what it has to: waiting, ready, alive, stopping? A socket of the test's own stands
//! for it.

use anyhow::{Context, Result, ensure};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::product::{Product, START};

/// Half of it is how often the process says that it lives.
const WATCHDOG_US: &str = "200000";

/// Where systemd listens.
struct Listener(UnixDatagram);

impl Listener {
    fn bind(product: &Product) -> Result<(Self, String)> {
        let path = product.file("notify");
        Ok((Self(UnixDatagram::bind(&path)?), path.display().to_string()))
    }

    /// Reads on until a message has this line; gives all lines until then.
    async fn until(&self, line: &str) -> Result<Vec<String>> {
        let mut heard = Vec::new();
        let listening = async {
            let mut room = [0; 4_096];
            while !heard.iter().any(|said: &String| said.starts_with(line)) {
                let length = self.0.recv(&mut room).await?;
                heard.extend(std::str::from_utf8(&room[..length])?.lines().map(ToOwned::to_owned));
            }
            Ok::<_, anyhow::Error>(())
        };
        let outcome = timeout(START, listening).await;
        outcome.with_context(|| format!("no {line:?}, but {heard:?}"))??;
        Ok(heard)
    }
}

#[tokio::test]
async fn systemd_hears_ready_alive_and_stopping() -> Result<()> {
    let product = Product::without_offices("systemd", None).await?;
    let (systemd, socket) = Listener::bind(&product)?;
    let settings = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", WATCHDOG_US)];
    let running = product.spawn(&["relay", "measuring"], &settings).await?;

    let heard = systemd.until("READY=1").await?;
    ensure!(!heard.iter().any(|line| line == "STOPPING=1"), "{heard:?}");
    // It says so once all is there, whichever server answered last.
    const RUNNING: &str = "STATUS=running: relay,measuring";
    if !heard.iter().any(|line| line == RUNNING) {
        systemd.until(RUNNING).await?;
    }
    for _ in 0..3 {
        systemd.until("WATCHDOG=1").await?;
    }
    let (stopped, heard) = tokio::join!(running.stop(), systemd.until("STOPPING=1"));
    stopped?;
    ensure!(!heard?.iter().any(|line| line == "READY=1"), "ready once");
    product.close().await
}

#[tokio::test]
async fn without_postgresql_it_lives_says_for_what_it_waits_and_is_not_ready() -> Result<()> {
    let product = Product::without_offices("systemd_waits", None).await?;
    let (systemd, socket) = Listener::bind(&product)?;
    let settings = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("WATCHDOG_USEC", WATCHDOG_US),
        ("XACMINH_POSTGRESQL__URL", "postgres://somebody:geheim@127.0.0.1:1/nothing"),
    ];
    let running = product.spawn(&[], &settings).await?;
    let mut heard = systemd.until("STATUS=waiting for PostgreSQL at 127.0.0.1:1/nothing").await?;
    // It goes on living, and waiting.
    for _ in 0..10 {
        heard.extend(systemd.until("WATCHDOG=1").await?);
    }
    let (stopped, last) = tokio::join!(running.stop(), systemd.until("STOPPING=1"));
    stopped?;
    heard.extend(last?);
    ensure!(!heard.iter().any(|line| line == "READY=1"), "{heard:?}");
    ensure!(!heard.iter().any(|line| line.contains("geheim") || line.contains("somebody")), "{heard:?}");
    product.close().await
}
