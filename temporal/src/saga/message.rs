//! What goes to and fro between logs and workflows, as JSON. It is stored in the histories of
//! workflows: fields may be added with a default, and none may change its meaning.

use car_core::saga::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alive::By;
use super::record::Record;

/// What a workflow begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SagaInput(pub(crate) SagaForm);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum SagaForm {
    /// A saga that is new, claimed by whoever makes it.
    New(Box<Begun>),
    /// A saga whose history has grown long.
    Continued(Box<Record>),
}

/// A saga that is new.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Its name.
    pub(crate) saga: String,
    /// Its first record.
    pub(crate) event: Value,
    pub(crate) ask: Ask,
    /// Milliseconds for which it can be claimed after its end.
    pub(crate) keep: u64,
    /// Most events of a history, 0 for what the server suggests.
    pub(crate) history: u32,
}

/// Asks for a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) by: By,
    /// Milliseconds that the claim lasts without being renewed.
    pub(crate) ttl: u64,
    /// The claim whose holder is known to be dead.
    pub(crate) dead: Option<u64>,
}

/// What comes of asking for a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// It is granted, with this number.
    Granted(u64),
    /// Another has it.
    Held {
        by: By,
        fence: u64,
        /// Milliseconds until it runs out.
        left: u64,
    },
}

/// Writes records, or none: then the claim is renewed or given back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) fence: u64,
    pub(crate) events: Vec<Value>,
    /// Where the saga stands afterwards, if that changes.
    pub(crate) stands: Option<Stands>,
    /// Whether the claim is kept.
    pub(crate) keep: bool,
}

/// Where a saga stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stands {
    pub(crate) status: Status,
    /// The step that it stands at, if there is one.
    pub(crate) step: Option<String>,
}

/// What comes of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wrote {
    Done,
    /// The claim is another's, or was given back.
    Lost,
    /// The saga would have so many bytes, which are too many.
    TooMuch(usize),
}

/// Some of the records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) records: Vec<(u64, Value)>,
    /// How many there are altogether.
    pub(crate) total: usize,
    pub(crate) status: Status,
    pub(crate) fence: u64,
}

/// What lists show of a saga; it is in the memo of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) saga: String,
    pub(crate) stands: Stands,
    pub(crate) created: u64,
    pub(crate) updated: u64,
}
