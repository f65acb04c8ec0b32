//! A handful of offices for a story: they store what comes, and otherwise do as the story says.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::time::Instant;
use xacminh_contract::answer;
use xacminh_contract::notice::{self, Topic};
use xacminh_contract::receipt::Item;
use xacminh_domain::id::{OfficeId, RequestId};

use crate::client::{Arrival, Client, Crew, Draft};
use crate::deeds;
use crate::driver::{Cast, Driver};
use crate::ledger::Arrived;
use crate::nation::address;
use crate::show::Show;
use crate::table::{clock_face, due_face};
use crate::world::{HomeOffice, RungRow, Settings, World};

/// The offices of a story and what came to them.
pub(crate) struct Scene {
    clients: HashMap<OfficeId, Client>,
    names: HashMap<OfficeId, String>,
    /// How many messages should come before the story goes on.
    hopes: usize,
    /// Requests by the home that stored them.
    pub(crate) stored: HashMap<RequestId, OfficeId>,
    /// Answers that came.
    pub(crate) answers: HashMap<RequestId, answer::Deliver>,
    /// Notices in the order in which they came.
    pub(crate) notices: Vec<(OfficeId, notice::Item)>,
}

impl Cast for Scene {
    fn arrived(&mut self, Arrival { office, what }: Arrival) -> Result<()> {
        match what {
            Arrived::Request(deliver) => {
                let id = deliver.request_id.0;
                self.hopes = self.hopes.saturating_sub(1);
                self.stored.insert(id, office);
                self.client(office)?.send(deeds::received(id)?);
            }
            Arrived::Answer(deliver) => {
                self.hopes = self.hopes.saturating_sub(1);
                self.answers.insert(deliver.request_id.0, *deliver);
            }
            Arrived::Notice(items) => self.notices.extend(items.into_iter().map(|item| (office, item))),
            Arrived::Receipt(_) => {}
            Arrived::Strange(what) => anyhow::bail!("{office} got {what}"),
        }
        Ok(())
    }

    fn act(&mut self) -> Result<Option<Instant>> {
        Ok(None)
    }

    fn expects(&self) -> usize {
        self.hopes
    }

    fn gives_up(&mut self) {
        self.hopes = 0;
    }
}

impl Scene {
    fn client(&self, office: OfficeId) -> Result<&Client> {
        self.clients.get(&office).with_context(|| format!("{office} is not in the story"))
    }
}

/// A story being told.
pub(crate) struct Telling<'w, W> {
    driver: Driver<'w, W>,
    /// The offices.
    pub(crate) scene: Scene,
    /// The screen.
    pub(crate) show: Show,
    rungs: HashSet<(RequestId, String, u8)>,
    notices: usize,
}

impl<'w, W: World> Telling<'w, W> {
    /// Connects the offices of a story.
    pub(crate) async fn begin(
        world: &'w W,
        settings: &Settings,
        offices: &[&HomeOffice],
        start: Timestamp,
    ) -> Result<Self> {
        if world.clock().now() < start {
            world.clock().jump(start)?;
        }
        let (crew, arrivals) = Crew::new(world.clock().clone());
        let mut scene = Scene {
            clients: HashMap::new(),
            names: HashMap::new(),
            hopes: 0,
            stored: HashMap::new(),
            answers: HashMap::new(),
            notices: Vec::new(),
        };
        for office in offices {
            let client = Client::connect(address(world, settings, office.office)?, &crew, false).await?;
            scene.clients.insert(office.office, client);
            scene.names.insert(office.office, office.name.clone());
        }
        let readers = scene.clients.keys().copied().collect();
        let driver = Driver::new(world, crew, arrivals, readers);
        Ok(Self { driver, scene, show: Show::new(), rungs: HashSet::new(), notices: 0 })
    }

    /// Says something that happens now.
    pub(crate) fn say(&mut self, text: &str) {
        let now = clock_face(self.driver.now());
        self.show.line(format_args!("  {now}  {text}"));
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.driver.now()
    }

    /// Lets time pass, and says which rungs fired and who was told.
    pub(crate) async fn until(&mut self, at: Timestamp) -> Result<()> {
        if at > self.driver.now() {
            self.driver.jump(at)?;
        }
        self.driver.live(&mut self.scene, true).await?;
        for row in self.driver.world.rungs().await? {
            if self.rungs.insert((row.request, row.trigger.clone(), row.rung)) {
                self.fired(&row);
            }
        }
        while let Some((office, item)) = self.scene.notices.get(self.notices).cloned() {
            self.notices += 1;
            let topic = match item.topic {
                Topic::Withdrawn | Topic::Restored => continue,
                Topic::AcceptOverdue
                | Topic::AnswerDueToday
                | Topic::OfficeSilent
                | Topic::FileOverdue
                | Topic::AnswerUnread
                | Topic::FileOverdueAnswered => item.topic.as_str(),
            };
            let text = format!("notice to {} ({topic}): {}", self.name(office), item.sentence);
            self.say(&text);
        }
        Ok(())
    }

    fn fired(&mut self, row: &RungRow) {
        let whom = row.target.map_or_else(|| "–".to_owned(), |office| self.name(office));
        let due = due_face(row.due_at);
        let text = format!("rung {} of {} fires, due {due}: {whom}", row.rung, row.trigger);
        self.say(&text);
    }

    /// An office's name.
    pub(crate) fn name(&self, office: OfficeId) -> String {
        self.scene.names.get(&office).cloned().unwrap_or_else(|| office.to_string())
    }

    /// Sends a command, waits until all is done, and gives its receipt, if one came, with its
    /// milliseconds. `hopes` is how many messages should come of it.
    pub(crate) async fn send(
        &mut self,
        office: OfficeId,
        draft: Draft,
        hopes: usize,
    ) -> Result<(String, Option<(Item, u64)>)> {
        self.scene.hopes += hopes;
        let key = self.scene.client(office)?.send(draft);
        self.driver.live(&mut self.scene, true).await?;
        let ledger = self.scene.client(office)?.ledger();
        let sent = ledger.sent.get(&key).context("what was sent is in the ledger")?;
        let receipt = sent.receipt.clone().zip(sent.receipt_ms);
        drop(ledger);
        Ok((key, receipt))
    }

    /// Says goodbye.
    pub(crate) fn end(self) {
        for client in self.scene.clients.values() {
            client.close();
        }
    }
}
