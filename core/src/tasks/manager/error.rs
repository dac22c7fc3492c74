//! Why a change of a connector is not possible.

use thiserror::Error;

use crate::failure::Failure;
use crate::tasks::error::TaskError;

/// Why a change of a connector is not possible. Nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// It is not there.
    #[error("there is no connector `{0}`")]
    Unknown(String),
    /// The name is taken.
    #[error("there is a connector `{0}` already")]
    Exists(String),
    /// The name is none.
    #[error("`{0}` is no name for a connector")]
    Name(String),
    /// No such kind can be installed.
    #[error("there is no kind of connector `{0}`")]
    Provider(String),
    /// The settings are wrong.
    #[error("the settings of the connector are not valid")]
    Settings(#[source] Box<Failure>),
    /// The flags of the process make the connector.
    #[error("connector `{0}` is made by the flags of the process")]
    Fixed(String),
    /// What the connector does of its own failed, and was undone.
    #[error("the connector could not be {doing}")]
    Hook {
        /// What was to be done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        failure: Box<Failure>,
    },
    /// The store or the engine failed.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl ConnectorError {
    /// Returns the stable name of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_connector",
            Self::Exists(_) => "already_installed",
            Self::Name(_) => "invalid_name",
            Self::Provider(_) => "unknown_provider",
            Self::Settings(_) => "invalid_settings",
            Self::Fixed(_) => "fixed",
            Self::Hook { .. } => "connector_failed",
            Self::Task(error) => error.code(),
        }
    }

    /// Returns the message with its causes in one line.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Settings(failure) | Self::Hook { failure, .. } => {
                format!("{self}: {}", failure.chain().join(": "))
            }
            _ => self.to_string(),
        }
    }
}
