//! What the verbs that talk to a source have in common.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::console::{Console, Look};
use super::signals;
use super::state::Place;
use crate::config::{Common, Environment, Loaded};
use crate::connector::{About, Connector, Context};
use crate::failure::{Failure, FailureKind};
use crate::telemetry::Identity;

/// How long a run that was asked to stop may take to come to an end.
const GRACE: Duration = Duration::from_secs(9);

/// How long tasks that did not end with the run may go on.
const LEFTOVERS: Duration = Duration::from_millis(200);

/// Everything that is known before the source is opened.
pub(super) struct Setup {
    pub about: About,
    pub common: Common,
    pub loaded: Loaded,
    pub console: Console,
    pub state: Place,
}

impl Setup {
    /// Reads the common settings and starts the log.
    pub(super) fn new(
        about: About,
        loaded: Loaded,
        environment: &Environment,
        console: &mut Console,
    ) -> Result<Self, Failure> {
        let setup = Self::without_log(about, loaded, environment, console)?;
        console.start_log(setup.common.debug);
        Ok(setup)
    }

    /// Reads the common settings.
    pub(super) fn without_log(
        about: About,
        loaded: Loaded,
        environment: &Environment,
        console: &mut Console,
    ) -> Result<Self, Failure> {
        let common: Common = loaded.settings()?;
        console.look(Look::of(common.log_format));
        console.identity(Identity {
            connector: common.name.clone().unwrap_or_else(|| about.name.to_owned()),
            source: common.source.clone().unwrap_or_default(),
            version: common
                .version
                .clone()
                .unwrap_or_else(|| about.version.to_owned()),
        });
        let source = common.source.as_deref().unwrap_or_default();
        Ok(Self {
            state: Place::of(&common, &about, environment, source),
            about,
            common,
            loaded,
            console: console.clone(),
        })
    }

    /// Returns the name of the source in the graph, empty when there is none.
    pub(super) fn source(&self) -> &str {
        self.common.source.as_deref().unwrap_or_default()
    }

    /// Makes the connector. Does not talk to the source yet.
    pub(super) async fn open<C: Connector>(
        &self,
        cancel: &CancellationToken,
    ) -> Result<C, Failure> {
        C::open(self.own_settings()?, self.context(cancel.clone())).await
    }

    /// Returns the connector's own settings, all of which have to be there.
    pub(super) fn own_settings<S: clap::Args>(&self) -> Result<S, Failure> {
        self.loaded.require_own_and(&[])?;
        self.loaded.settings()
    }

    /// Returns what a connector is told when it is opened.
    pub(super) fn context(&self, cancel: CancellationToken) -> Context {
        Context {
            source: self.source().to_owned(),
            cancel,
        }
    }

    /// Runs something that stops when a signal asks for it: by itself, or else after a grace
    /// period.
    pub(super) fn run<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T, Failure> {
        let runtime = runtime()?;
        let cancel = CancellationToken::new();
        let outcome = runtime.block_on(async {
            signals::watch(cancel.clone(), self.console.clone())?;
            let late = async {
                cancel.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                outcome = work(cancel.clone()) => outcome,
                () = late => Err(Failure::new(
                    FailureKind::Interrupted,
                    format!("did not come to an end within {} s of the signal", GRACE.as_secs()),
                )
                .hint("run it again: it goes on from what was acknowledged")),
            }
        });
        runtime.shutdown_timeout(LEFTOVERS);
        outcome
    }
}

/// Stack of the threads that a connector's code runs on: generated clients of large services take
/// more than the usual two megabytes where they are not optimised.
const STACK: usize = 16 * 1024 * 1024;

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(FailureKind::General, "could not start threads").because(error)
        })
}
