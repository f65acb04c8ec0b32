//! What an office says and hears, as the protocol has it.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::{NoContext, Uuid};
use xacminh_testkit::people::{Person, person};
use xacminh_testkit::{OfficeClient, OfficeMessage, Sent, header};

pub(crate) const RECEIPT: &str = "xacminh.receipt.v1";
pub(crate) const DELIVER: &str = "xacminh.request.deliver.v1";

/// A message as it came, read once.
pub(crate) struct Got {
    pub(crate) message_type: String,
    pub(crate) message_id: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) epoch: String,
    pub(crate) body: Value,
}

/// A message-id as the protocol wants it.
pub(crate) fn message_id(now: Timestamp) -> Result<String> {
    let (seconds, nanos) = (u64::try_from(now.as_second())?, u32::try_from(now.subsec_nanosecond())?);
    Ok(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos)).to_string())
}

/// A form that is right: a number of a person who does not exist, and a unit of today.
pub(crate) fn form(number: u32, received_on: &str, unit: &str) -> Value {
    let Person { full_name, person_no, birth_on, address_detail } = person(number);
    json!({
        "kind": "temp_residence", "case_code": format!("TT-{number}"), "received_on": received_on,
        "purpose": "registration", "lane": "normal", "lookup": "done",
        "home": { "code": unit, "as_of": received_on },
        "person": {
            "full_name": full_name, "person_no": person_no, "birth": birth_on, "address": address_detail,
        },
    })
}

/// A message of this office, ready to be sent as often as one likes.
pub(crate) fn message(
    of: &OfficeClient,
    command: &str,
    key: &str,
    now: Timestamp,
    body: Vec<u8>,
) -> Result<OfficeMessage> {
    Ok(OfficeMessage {
        message_type: format!("xacminh.{command}.v1"),
        routing_key: key.to_owned(),
        message_id: message_id(now)?,
        correlation_id: None,
        body,
        user_id: Some(of.login()),
        headers: Vec::new(),
    })
}

/// A submit in the normal lane.
pub(crate) fn submit(of: &OfficeClient, now: Timestamp, form: &Value) -> Result<OfficeMessage> {
    message(of, "request.submit", "submit.normal", now, serde_json::to_vec(form)?)
}

/// Publishes and wants RabbitMQ's confirm.
pub(crate) async fn send(from: &mut OfficeClient, message: &OfficeMessage) -> Result<()> {
    let sent = from.publish(message.clone()).await?;
    ensure!(sent == Sent::Confirmed, "RabbitMQ did not take it: {sent:?}");
    Ok(())
}

/// The next message of an inbox, acknowledged.
pub(crate) async fn take(of: &mut OfficeClient) -> Result<Got> {
    let delivery = of.next().await?;
    let text = |value: Option<String>, what: &str| value.with_context(|| format!("a message without {what}"));
    let got = Got {
        message_type: text(delivery.properties.kind().as_ref().map(ToString::to_string), "type")?,
        message_id: text(delivery.properties.message_id().as_ref().map(ToString::to_string), "message-id")?,
        body: serde_json::from_slice(&delivery.data)?,
        bytes: delivery.data.clone(),
        epoch: text(header(&delivery, "xm-epoch"), "xm-epoch")?,
    };
    of.ack(&delivery).await?;
    Ok(got)
}

/// Reads on until there is a receipt for this command; gives that message, which has this one item.
pub(crate) async fn receipt_of(of: &mut OfficeClient, message_id: &str) -> Result<Got> {
    loop {
        let got = take(of).await?;
        if got.message_type != RECEIPT {
            continue;
        }
        let items = got.body["items"].as_array().context("a receipt without items")?;
        match &items[..] {
            [item] if item["message_id"] == message_id => return Ok(got),
            items if items.iter().any(|item| item["message_id"] == message_id) => {
                bail!("a receipt of {} commands that were sent one by one", items.len())
            }
            _ => {}
        }
    }
}

/// Distinct messages of a type by their message-id, each with the request or command it is about.
#[derive(Default)]
pub(crate) struct Seen(HashMap<String, String>);

impl Seen {
    /// Reads until so many distinct requests were delivered.
    pub(crate) async fn delivers(&mut self, of: &mut OfficeClient, count: usize) -> Result<()> {
        while self.0.len() < count {
            let got = take(of).await.with_context(|| format!("after {} of {count} delivers", self.0.len()))?;
            if got.message_type == DELIVER {
                let request = got.body["request_id"].as_str().context("no request_id")?;
                self.note(got.message_id, request)?;
            }
        }
        Ok(())
    }

    /// Reads until there are receipts, all of acceptance, for so many distinct commands.
    pub(crate) async fn receipts(&mut self, of: &mut OfficeClient, count: usize) -> Result<()> {
        while self.0.len() < count {
            let got = take(of).await.with_context(|| format!("after {} of {count} receipts", self.0.len()))?;
            if got.message_type != RECEIPT {
                continue;
            }
            for item in got.body["items"].as_array().context("a receipt without items")? {
                ensure!(item["outcome"] == "accepted", "refused: {item}");
                let command = item["message_id"].as_str().context("a receipt about nothing")?;
                self.0.insert(command.to_owned(), command.to_owned());
            }
        }
        Ok(())
    }

    /// Keeps a message; the same message may come again, another one about the same may not.
    fn note(&mut self, message_id: String, about: &str) -> Result<()> {
        if let Some((other, _)) = self.0.iter().find(|(id, of)| of.as_str() == about && **id != message_id) {
            bail!("{about} came twice, as {other} and as {message_id}");
        }
        self.0.insert(message_id, about.to_owned());
        Ok(())
    }

    /// What they are about, sorted.
    pub(crate) fn about(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.0.values().map(String::as_str).collect();
        all.sort_unstable();
        all
    }
}
