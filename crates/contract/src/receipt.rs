//! What comes back for a command: accepted or refused, with all that is needed to mend it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xacminh_domain::directory::ResolveWarning;
use xacminh_domain::person::PersonWarning;
use xacminh_domain::person_no::PersonNoWarning;
use xacminh_domain::request::{OpenWarning, State as DomainState};
use xacminh_domain::unit::SuccessionDetail;

use crate::answer::Code;
use crate::values::{Day, Instant, MsgId, Office, ReqId, Unit, wire_enum};

/// Accepted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is stored and will not be lost.
    Accepted,
    /// It changed nothing; `refusal` says what to change.
    Refused,
}

wire_enum!(
    /// How far a request is.
    State = DomainState {
        /// Accepted from W.
        Submitted = "submitted",
        /// In H's inbox.
        Sent = "sent",
        /// Stored by H's system.
        Delivered = "delivered",
        /// On a desk at H.
        Opened = "opened",
        /// Answered by H.
        Answered = "answered",
        /// The answer was read at W.
        Read = "read",
        /// Taken back by W.
        Withdrawn = "withdrawn",
    }
);

/// What looked odd. Nothing is refused for it, nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The number has 9 digits: an old identity card.
    IdLegacy,
    /// The number begins with no known place of birth registration.
    IdUnknownPrefix,
    /// The number and the declared birth year disagree.
    IdDisagreesBirth,
    /// The place of origin is abroad.
    OriginAbroad,
    /// The name has letters outside the Vietnamese alphabet.
    NameRareLetters,
    /// The appointment differs from the legal time limit.
    PromisedDiffersFromLimit,
    /// The sender's clock is ahead of the broker's.
    ClockSkew,
    /// `as_of` lies before the registry's record; the first record was used.
    BeforeRecord,
    /// The words named a unit that no longer exists; its successor was taken.
    FormerName,
    /// The ward could not look in the databases first.
    LookupPending,
    /// The same content was given before; nothing changed.
    AlreadyDone,
    /// The file ended with a result (CT08) before H answered; H still owes its answer.
    ClosedUnanswered,
    /// Another request about the same file, kind and home office stands; `duplicate_of` names it.
    NearDuplicate,
}

impl Warning {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdLegacy => "id_legacy",
            Self::IdUnknownPrefix => "id_unknown_prefix",
            Self::IdDisagreesBirth => "id_disagrees_birth",
            Self::OriginAbroad => "origin_abroad",
            Self::NameRareLetters => "name_rare_letters",
            Self::PromisedDiffersFromLimit => "promised_differs_from_limit",
            Self::ClockSkew => "clock_skew",
            Self::BeforeRecord => "before_record",
            Self::FormerName => "former_name",
            Self::LookupPending => "lookup_pending",
            Self::AlreadyDone => "already_done",
            Self::ClosedUnanswered => "closed_unanswered",
            Self::NearDuplicate => "near_duplicate",
        }
    }
}

impl From<OpenWarning> for Warning {
    fn from(warning: OpenWarning) -> Self {
        match warning {
            OpenWarning::Person(PersonWarning::Number(PersonNoWarning::IdLegacy)) => Self::IdLegacy,
            OpenWarning::Person(PersonWarning::Number(PersonNoWarning::IdUnknownPrefix)) => Self::IdUnknownPrefix,
            OpenWarning::Person(PersonWarning::Number(PersonNoWarning::IdDisagreesBirth)) => Self::IdDisagreesBirth,
            OpenWarning::Person(PersonWarning::OriginAbroad) => Self::OriginAbroad,
            OpenWarning::Person(PersonWarning::NameRareLetters) => Self::NameRareLetters,
            OpenWarning::PromisedDiffersFromLimit => Self::PromisedDiffersFromLimit,
            OpenWarning::ClockSkew => Self::ClockSkew,
        }
    }
}

impl From<ResolveWarning> for Warning {
    fn from(warning: ResolveWarning) -> Self {
        match warning {
            ResolveWarning::BeforeRecord => Self::BeforeRecord,
            ResolveWarning::FormerName => Self::FormerName,
        }
    }
}

wire_enum!(
    /// What of a former unit went into one of today's.
    Share = SuccessionDetail {
        /// All of it.
        Whole = "whole",
        /// All of it, under its own name.
        Unchanged = "unchanged",
        /// All of it, under another name.
        Renamed = "renamed",
        /// All of it, as a unit of another kind.
        KindChanged = "kind_changed",
        /// All of it, together with others.
        MergedWhole = "merged_whole",
        /// Some of the land and some of the people.
        Part = "part",
        /// Some of the land, on which nobody lives.
        AreaOnly = "area_only",
        /// Some of the land and all of the people.
        AllPopulation = "all_population",
        /// People without land.
        PopulationOnly = "population_only",
    }
);

/// One unit that `home` may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HomeCandidate {
    /// Today's unit.
    pub unit: Unit,
    /// Its name.
    pub name: String,
    /// Its province.
    pub province: String,
    /// The office to be asked.
    pub office: Office,
    /// That office's name.
    pub office_name: String,
    /// What of the former unit went there; absent when the words are its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Today's address in words.
    pub words: String,
}

/// Why a command was refused, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The code; see the table of refusals.
    pub code: String,
    /// JSON pointer (RFC 6901) to the field to change; empty for the whole message.
    pub pointer: String,
    /// What to change, for a clerk.
    pub sentence: String,
    /// The same in English.
    pub sentence_en: String,
    /// What was expected there, or a hint; never anything of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// For `home_ambiguous`: the units it may mean. Pick one and submit again, under a new
    /// message-id, with its `unit` as `home.code` and today as `home.as_of`; with `resubmits` the
    /// home alone will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<HomeCandidate>,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The command's message-id; absent when it had none that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MsgId>,
    /// The command's `type` as sent, when it is one the broker knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The request, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<ReqId>,
    /// Accepted or refused.
    pub outcome: Outcome,
    /// When the broker took it.
    pub at: Instant,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What looked odd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// With `near_duplicate`: the first request about the same file, kind and home office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<ReqId>,
    /// How far the request is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How it was answered, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Code>,
    /// Whom the broker asks, for an accepted submit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responder: Option<crate::request::OfficeCard>,
    /// The last day of the file clock, for an accepted submit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_due_on: Option<Day>,
    /// The answer came at or after its due.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// `receipt`: what became of one command or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// At least one.
    #[schemars(length(min = 1))]
    pub items: Vec<Item>,
}
