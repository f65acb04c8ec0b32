//! The product as an operator would run it: commands, processes, an admin port, a clock.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use xacminh_clock::SteppedClock;
use xacminh_testkit::{ChildProcess, OfficeClient, OwnServers, World, narrow_rows_agree};

/// How long a process may take to get ready or to end. Long, because the machine may be busy.
pub(crate) const START: Duration = Duration::from_secs(60);

/// The program under test, which lies beside the tests. Cargo gives no other package its path.
pub(crate) fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("a test lies in target/<profile>/deps")?;
    let binary = profile.join("xacminh");
    ensure!(
        binary.is_file(),
        "there is no {}: build it first, `cargo build -p xacminh-cli` (`make test` does)",
        binary.display()
    );
    Ok(binary)
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A database, a vhost, a key, imported reference data, and granted offices.
pub(crate) struct Product {
    pub(crate) world: World,
    dir: Directory,
    env: Vec<(String, String)>,
    passwords: HashMap<String, String>,
    clock: Option<SteppedClock>,
}

/// A directory of its own for key, clock and credentials; it goes with the test, however that ends.
struct Directory(PathBuf);

impl Directory {
    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed now is in the way of nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The product's process.
pub(crate) struct Running {
    pub(crate) child: ChildProcess,
    /// Its admin port.
    pub(crate) admin: String,
}

impl Product {
    /// Prepares it as the README says, the last step while it runs: the grants need the topology
    /// that the services declare. A test uses offices of its own, since all virtual hosts share
    /// their logins. Without an instant it goes by the machine's clock.
    pub(crate) async fn new(name: &str, clock: Option<&str>, offices: &[&str]) -> Result<Self> {
        Self::without_offices(name, clock).await?.with_offices(offices).await
    }

    /// The same on servers of the test's own, which may then stop and die.
    pub(crate) async fn on(servers: &OwnServers, name: &str, clock: Option<&str>, offices: &[&str]) -> Result<Self> {
        Self::in_world(World::on(servers.servers(), name).await?, clock).await?.with_offices(offices).await
    }

    async fn with_offices(self, offices: &[&str]) -> Result<Self> {
        let running = self.start(&[]).await?;
        let product = self.grant(offices).await?;
        running.stop().await?;
        Ok(product)
    }

    /// Prepares it without offices.
    pub(crate) async fn without_offices(name: &str, clock: Option<&str>) -> Result<Self> {
        Self::in_world(World::new(name).await?, clock).await
    }

    async fn in_world(world: World, clock: Option<&str>) -> Result<Self> {
        binary()?;
        let dir = Directory(std::env::temp_dir().join(format!("xacminh-{}", world.name())));
        fs::DirBuilder::new().mode(0o700).create(&dir.0)?;
        let path = |file: &str| dir.path(file).display().to_string();
        let mut env: Vec<(String, String)> = [
            ("XACMINH_DATA_DIR", root().join("data").display().to_string()),
            ("XACMINH_POSTGRESQL__URL", world.pg_url()),
            ("XACMINH_RABBITMQ__URL", world.amqp_url()),
            ("XACMINH_RABBITMQ__MANAGEMENT_URL", world.mgmt_url().to_owned()),
            ("XACMINH_KEYS__MASTER_FILE", path("master.key")),
            ("XACMINH_ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("XACMINH_LOG__FORMAT", "json".to_owned()),
            ("XACMINH_ESCALATING__EVERY_MS", "50".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let clock = match clock {
            None => None,
            Some(shown) => {
                env.push(("XACMINH_CLOCK__FILE".to_owned(), path("clock")));
                Some(SteppedClock::create(&dir.path("clock"), shown.parse()?)?)
            }
        };
        let product = Self { world, dir, env, passwords: HashMap::new(), clock };
        product.run(&["keys", "new", &product.key().display().to_string()]).await?;
        product.run(&["migrate"]).await?;
        product.run(&["import"]).await?;
        Ok(product)
    }

    async fn grant(mut self, offices: &[&str]) -> Result<Self> {
        let file = self.dir.path("credentials.csv");
        let out = file.display().to_string();
        let mut args = vec!["office", "grant", "--out", &out];
        args.extend(offices);
        for office in offices {
            self.world.adopt(office.parse()?);
        }
        self.run(&args).await?;
        self.take_credentials(&file)?;
        Ok(self)
    }

    /// From now on offices connect with the passwords of this file.
    pub(crate) fn take_credentials(&mut self, file: &Path) -> Result<()> {
        for line in fs::read_to_string(file)?.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let [office, _, password, _] = cells[..] else { bail!("a line of the credentials has not four cells") };
            self.passwords.insert(office.to_owned(), password.to_owned());
        }
        Ok(())
    }

    /// A path in the product's own directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path(name)
    }

    /// Runs a command to its end and gives what it printed.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with(args, &[]).await
    }

    /// The same on another database of its server.
    pub(crate) async fn run_on(&self, pg_url: &str, args: &[&str]) -> Result<String> {
        self.run_with(args, &[("XACMINH_POSTGRESQL__URL", pg_url)]).await
    }

    /// The same with these settings over the others.
    pub(crate) async fn run_with(&self, args: &[&str], settings: &[(&str, &str)]) -> Result<String> {
        Ok(self.said(args, settings).await?.0)
    }

    /// Runs a command that must succeed: what it printed, and what it said beside it.
    pub(crate) async fn said(&self, args: &[&str], settings: &[(&str, &str)]) -> Result<(String, String)> {
        let (env, over) = (self.env.iter().cloned(), settings.iter().copied());
        let out = Command::new(binary()?).args(args).envs(env).envs(over).output().await?;
        let said = String::from_utf8(out.stderr)?;
        ensure!(out.status.success(), "xacminh {}: {said}", args.join(" "));
        Ok((String::from_utf8(out.stdout)?, said))
    }

    /// Runs a command to its end with these settings over the others: its exit status and what it
    /// printed.
    pub(crate) async fn try_with(&self, args: &[&str], settings: &[(&str, &str)]) -> Result<(i32, String)> {
        let mut command = Command::new(binary()?);
        command.args(args).envs(self.env.iter().cloned()).envs(settings.iter().copied());
        let out = command.output().await?;
        let status = out.status.code().context("it was killed")?;
        Ok((status, String::from_utf8(out.stdout)?))
    }

    /// Starts the services, these roles or all, and waits until they are ready.
    pub(crate) async fn start(&self, roles: &[&str]) -> Result<Running> {
        let mut running = self.spawn(roles, &[]).await?;
        running.child.wait_until_ready(&running.admin, "/readyz", START).await?;
        Ok(running)
    }

    /// Starts the services with these settings over the others and waits for the admin port alone.
    pub(crate) async fn spawn(&self, roles: &[&str], settings: &[(&str, &str)]) -> Result<Running> {
        let mut args = vec!["run"];
        args.extend(roles.iter().flat_map(|role| ["--role", role]));
        let mut env: Vec<(&str, &str)> = self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        env.extend(settings);
        let mut child = ChildProcess::spawn(binary()?, args, &env)?;
        let line = child.wait_for_line("admin port", START).await?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let admin = line["listen"].as_str().with_context(|| format!("no address in {line}"))?.to_owned();
        Ok(Running { child, admin })
    }

    /// Connects as an office's own system.
    pub(crate) async fn office(&self, office: &str) -> Result<OfficeClient> {
        let password = self.passwords.get(office).with_context(|| format!("{office} was not granted"))?;
        OfficeClient::connect(&self.world.amqp_url(), office.parse()?, password).await
    }

    /// The file of its master key.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path("master.key")
    }

    /// An office's password.
    pub(crate) fn password(&self, office: &str) -> Result<&str> {
        Ok(self.passwords.get(office).context("not granted")?)
    }

    /// What the product's clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(Timestamp::now, SteppedClock::now)
    }

    /// The product's clock, for offices that go by it.
    pub(crate) fn clock(&self) -> Result<SteppedClock> {
        self.clock.clone().context("it goes by the machine's clock")
    }

    /// Moves the product's clock ahead.
    pub(crate) fn jump(&self, to: &str) -> Result<()> {
        Ok(self.clock.as_ref().context("it goes by the machine's clock")?.jump(to.parse()?)?)
    }

    /// Takes everything away.
    pub(crate) async fn close(self) -> Result<()> {
        narrow_rows_agree(&self.world).await?;
        self.world.close().await
    }
}

impl Running {
    /// Asks it to end, and wants it to end well.
    pub(crate) async fn stop(self) -> Result<()> {
        let status = self.child.terminate(START).await?;
        ensure!(status.code() == Some(0), "it ended with {status}");
        Ok(())
    }

    /// Ends it without a chance to tidy up.
    pub(crate) async fn kill_9(self) -> Result<()> {
        self.child.kill_9().await
    }

    /// A page of its admin port: status and text.
    pub(crate) async fn page(&self, path: &str) -> Result<(u16, String)> {
        let reading = async {
            let mut stream = TcpStream::connect(&self.admin).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let answer = String::from_utf8(answer)?;
            let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
            let status = head.split(' ').nth(1).context("no status")?.parse()?;
            Ok((status, body.to_owned()))
        };
        tokio::time::timeout(START, reading).await.with_context(|| format!("{path} does not answer"))?
    }
}
