//! Refused submits of a batch made whole, out of the store or out of the batch itself.

use std::collections::HashMap;

use xacminh_contract::decode::{self, Command};
use xacminh_contract::envelope::CommandType;
use xacminh_contract::receipt::Refusal;
use xacminh_contract::refusal::RefusalCode;
use xacminh_contract::resubmit::Changes;
use xacminh_store::inbox::Key;
use xacminh_store::{PgConnection, parked};
use xacminh_trust::key::KeyRing;

use crate::error::Error;
use crate::reading::{Asked, Read, lane_fits};

/// What is kept of refused submits, as far as a batch asks for it.
pub(crate) struct Kept {
    /// Refused before or earlier in this batch.
    refused: HashMap<Key, Vec<u8>>,
    /// What this batch made whole, by the key of the message that did.
    whole: HashMap<Key, Vec<u8>>,
}

impl Kept {
    /// Reads what a batch wants to make whole.
    pub(crate) async fn read(tx: &mut PgConnection, keys: &KeyRing, reads: &[Read<'_>]) -> Result<Self, Error> {
        let wanted: Vec<Key> = reads
            .iter()
            .filter_map(|read| match &read.asked {
                Ok(Asked::Changes(changes)) => Some((read.sender, changes.of.0)),
                Ok(Asked::Command(_)) | Err(_) => None,
            })
            .collect();
        Ok(Self { refused: parked::refused_submits(tx, keys, &wanted).await?, whole: HashMap::new() })
    }

    /// The whole submit of a message that brings changes only.
    pub(crate) fn make_whole(&mut self, read: &Read<'_>, key: Key, changes: &Changes) -> Result<Command, Refusal> {
        let refused = self.refused.get(&(key.0, changes.of.0)).ok_or_else(|| RefusalCode::ResubmitUnknown.refusal())?;
        let whole = changes.made_whole(refused)?;
        let command = decode::command(CommandType::RequestSubmit, &whole)
            .and_then(|command| lane_fits(command, &read.delivery.properties.routing_key));
        self.whole.insert(key, whole);
        command
    }

    /// A message of this batch was refused; gives what is to be kept of it. Of changes that is the
    /// whole that was judged, so that the next changes need not repeat them.
    pub(crate) fn refused(&mut self, read: &Read<'_>, refusal: &Refusal) -> Vec<u8> {
        let sent = || read.delivery.bytes.clone();
        let Some(key) = read.key().filter(|_| refusal.code != RefusalCode::IdReused.as_str()) else { return sent() };
        let body = self.whole.remove(&key).unwrap_or_else(sent);
        if read.of == Some(CommandType::RequestSubmit) {
            self.refused.entry(key).or_insert_with(|| body.clone());
        }
        body
    }
}
