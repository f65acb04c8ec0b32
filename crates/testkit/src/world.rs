//! A test's own database and virtual host.

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use tokio::task::spawn_blocking;
use xacminh_bus::{BusSettings, Grant, Management};
use xacminh_domain::id::OfficeId;

use crate::servers::{with_login, with_path};
use crate::{OfficeClient, Servers, random_text};

/// The first key of the locks behind [`World::lease`].
const LEASES: i32 = 7_226_470;

/// An office with access.
#[derive(Clone)]
pub struct OfficeLogin {
    /// Its id, which is its login. Random, because logins are shared by all virtual hosts.
    pub office: OfficeId,
    /// Its password.
    pub password: String,
}

/// A database, a virtual host and a login of the broker's own that no other test touches.
///
/// [`World::close`] takes them away; a test that fails before leaves that to `Drop`, which blocks.
/// On servers of a test's own they just go with these.
pub struct World {
    name: String,
    servers: Servers,
    management: Management,
    broker_password: String,
    offices: Vec<OfficeId>,
    /// Holds the offices that [`World::lease`] gave out: locks of this connection, to the database
    /// that all tests share.
    leases: Option<PgConnection>,
    /// There is something to take away.
    open: bool,
}

impl World {
    /// Makes one on the servers that all tests share. The name is for whoever looks at the servers;
    /// it need not be unique.
    pub async fn new(test_name: &str) -> Result<Self> {
        Self::make(Servers::shared().await?, test_name, true).await
    }

    /// Makes one on servers of the test's own. Nothing of it is taken away: it goes with them.
    pub async fn on(servers: &Servers, test_name: &str) -> Result<Self> {
        Self::make(servers, test_name, false).await
    }

    async fn make(servers: &Servers, test_name: &str, open: bool) -> Result<Self> {
        let readable: String = test_name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .take(40)
            .collect();
        let name = format!("t_{readable}_{}", random_text(8));
        let world = Self {
            management: Management::new(&servers.mgmt_url, &name)?,
            broker_password: random_text(16),
            offices: Vec::new(),
            leases: None,
            open,
            servers: servers.clone(),
            name,
        };
        let (management, user, password) = (world.mgmt(), world.name.clone(), world.broker_password.clone());
        let on_rabbitmq = spawn_blocking(move || {
            management.create_vhost()?;
            management.create_broker_user(&user, &password)
        });
        run_sql(&servers.pg_url, format!("CREATE DATABASE {}", world.name)).await?;
        on_rabbitmq.await??;
        Ok(world)
    }

    /// Its database, empty at first.
    pub fn pg_url(&self) -> String {
        with_path(&self.servers.pg_url, &self.name)
    }

    /// Its virtual host, for the broker's login, which has all permissions there.
    pub fn amqp_url(&self) -> String {
        let url = with_path(&self.servers.amqp_url, &self.name);
        with_login(&url, &self.name, &self.broker_password)
    }

    /// The management API for its virtual host, as an administrator. Its functions block.
    pub fn mgmt(&self) -> Management {
        self.management.clone()
    }

    /// The address of the management API with an administrator's login, for a process's settings.
    pub fn mgmt_url(&self) -> &str {
        &self.servers.mgmt_url
    }

    /// The name of its database and its virtual host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the broker's login.
    pub fn broker_user(&self) -> &str {
        &self.name
    }

    /// Settings for a bus of the broker's.
    pub fn bus_settings(&self) -> BusSettings {
        BusSettings::new(self.amqp_url(), self.name.clone())
    }

    /// Calls the management API off the async threads.
    pub async fn manage<T, E>(&self, call: impl FnOnce(&Management) -> Result<T, E> + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        let management = self.mgmt();
        spawn_blocking(move || call(&management)).await?.map_err(Into::into)
    }

    /// So many offices with access. The topology has to be there.
    pub async fn offices(&mut self, count: usize) -> Result<Vec<OfficeLogin>> {
        let logins: Vec<OfficeLogin> = (0..count)
            .map(|_| OfficeLogin {
                office: format!("vp{}", random_text(6).replace('o', "8")).parse().expect("an office id"),
                password: random_text(12),
            })
            .collect();
        let grants: Vec<Grant> =
            logins.iter().map(|l| Grant { office: l.office, password: l.password.clone() }).collect();
        self.offices.extend(logins.iter().map(|l| l.office));
        self.manage(move |m| m.grant_offices(&grants)).await?;
        Ok(logins)
    }

    /// One office with access, connected as its own system would be.
    pub async fn office(&mut self) -> Result<OfficeClient> {
        let login = self.offices(1).await?.remove(0);
        self.connect(&login).await
    }

    /// Connects as an office.
    pub async fn connect(&self, login: &OfficeLogin) -> Result<OfficeClient> {
        OfficeClient::connect(&self.amqp_url(), login.office, &login.password).await
    }

    /// An office that something else gave access to: its login is taken away with the rest.
    pub fn adopt(&mut self, office: OfficeId) {
        self.offices.push(office);
    }

    /// So many of these offices that no other test holds, of any process; they are held until this
    /// world ends. Logins are shared by all virtual hosts, so two tests must not grant the same
    /// office of the real registry at once.
    pub async fn lease(&mut self, from: impl IntoIterator<Item = OfficeId>, count: usize) -> Result<Vec<OfficeId>> {
        let mut leased = Vec::with_capacity(count);
        for office in from {
            if leased.len() == count {
                break;
            }
            if !self.offices.contains(&office) && self.try_lock(office).await? {
                self.offices.push(office);
                leased.push(office);
            }
        }
        anyhow::ensure!(leased.len() == count, "only {} of {count} offices were free", leased.len());
        Ok(leased)
    }

    /// Like [`World::lease`], for the one office that will do: waits until no other test holds it.
    /// Whoever wants several asks for the rarest last.
    pub async fn lease_one(&mut self, office: OfficeId) -> Result<()> {
        sqlx::query("select pg_advisory_lock($1, $2)")
            .bind(LEASES)
            .bind(office.spread().cast_signed())
            .execute(self.leases().await?)
            .await?;
        self.offices.push(office);
        Ok(())
    }

    async fn try_lock(&mut self, office: OfficeId) -> Result<bool> {
        let got = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
            .bind(LEASES)
            .bind(office.spread().cast_signed())
            .fetch_one(self.leases().await?)
            .await?;
        Ok(got)
    }

    async fn leases(&mut self) -> Result<&mut PgConnection> {
        if self.leases.is_none() {
            self.leases = Some(PgConnection::connect(&self.servers.pg_url).await?);
        }
        self.leases.as_mut().context("just connected")
    }

    /// Runs a statement in its database, behind the product's back.
    pub async fn sql(&self, statement: impl Into<String>) -> Result<()> {
        run_sql(&self.pg_url(), statement.into()).await
    }

    /// The rows of a question to its database, one text a row.
    pub async fn rows(&self, question: impl Into<String>) -> Result<Vec<String>> {
        let mut connection = PgConnection::connect(&self.pg_url()).await?;
        let question = format!("select t::text from ({}) as r (t)", question.into());
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    }

    /// The number that a question to its database has for an answer.
    pub async fn number(&self, question: impl Into<String>) -> Result<i64> {
        let rows = self.rows(question).await?;
        Ok(rows.first().context("no row")?.parse()?)
    }

    /// Takes all of it away.
    pub async fn close(mut self) -> Result<()> {
        if !self.open {
            return Ok(());
        }
        self.open = false;
        let (management, users) = (self.mgmt(), self.users());
        let on_rabbitmq = spawn_blocking(move || clear_rabbitmq(&management, &users));
        run_sql(&self.servers.pg_url, self.drop_database()).await?;
        on_rabbitmq.await?
    }

    fn users(&self) -> Vec<String> {
        let offices = self.offices.iter().map(ToString::to_string);
        offices.chain([self.name.clone()]).collect()
    }

    fn drop_database(&self) -> String {
        format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (management, users) = (self.mgmt(), self.users());
        let (pg_url, drop_database) = (self.servers.pg_url.clone(), self.drop_database());
        // A thread, because this one may be inside a runtime, where blocking on one panics.
        let cleaning = std::thread::spawn(move || {
            let _ = clear_rabbitmq(&management, &users);
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                let _ = runtime.block_on(run_sql(&pg_url, drop_database));
            }
        });
        let _ = cleaning.join();
    }
}

fn clear_rabbitmq(management: &Management, users: &[String]) -> Result<()> {
    // Users first: that ends their connections.
    for user in users {
        management.delete_user(user)?;
    }
    Ok(management.delete_vhost()?)
}

async fn run_sql(url: &str, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
