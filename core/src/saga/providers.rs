//! Services that most sagas need, bound under one key each, so that each can be replaced as a
//! whole.

mod cache;
mod logger;
mod values;

use std::fmt;
use std::sync::Arc;

pub use cache::{CacheProvider, open_cache};
pub use logger::{Logger, LoggerProvider, mask};
pub use values::{Values, ValuesProvider};

use super::container::{ContainerBuilder, Provider};
use super::middleware::{OfflineRules, OnMatch};
use crate::failure::{Failure, FailureKind};

/// Binds the HTTP client, `reqwest::Client`, under the key `client`.
#[derive(Debug, Clone, Copy)]
pub struct ClientProvider {
    /// What the other side sees as the name of the program.
    pub user_agent: &'static str,
    /// Longest time that a call takes.
    pub timeout: std::time::Duration,
}

impl Provider for ClientProvider {
    fn key(&self) -> &'static str {
        "client"
    }

    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder {
        let own = *self;
        to.singleton(move || async move {
            crate::http::client_builder()
                .user_agent(own.user_agent)
                .timeout(own.timeout)
                .build()
                .map_err(|error| {
                    Failure::new(FailureKind::General, "the HTTP client cannot be set up")
                        .because(error)
                })
        })
    }
}

/// Binds the rules by which requests are offline, and what is done with such, under the key
/// `offline`; [`Offline::bound`](super::middleware::Offline::bound) uses both.
pub struct OfflineProvider<R> {
    rules: OfflineRules<R>,
    on_match: Option<Arc<OnMatch<R>>>,
}

impl<R> OfflineProvider<R> {
    /// Binds rules.
    pub const fn new(rules: OfflineRules<R>) -> Self {
        Self {
            rules,
            on_match: None,
        }
    }

    /// Binds what is done with requests that are offline; they are skipped without it.
    #[must_use]
    pub fn on_match(mut self, on_match: Arc<OnMatch<R>>) -> Self {
        self.on_match = Some(on_match);
        self
    }
}

impl<R> fmt::Debug for OfflineProvider<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineProvider")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl<R: 'static> Provider for OfflineProvider<R> {
    fn key(&self) -> &'static str {
        "offline"
    }

    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder {
        let to = to.instance(self.rules);
        match self.on_match {
            Some(on_match) => to.shared::<OnMatch<R>>(on_match),
            None => to,
        }
    }
}
