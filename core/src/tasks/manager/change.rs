//! The changes: each writes down what it is about to do, does it, and undoes it when it fails.

use std::sync::Arc;

use serde_json::Value;

use super::{ConnectorError, ConnectorView, Hook, Known, Manager, check_name, now, reveal};
use crate::failure::Failure;
use crate::tasks::connector::{Resolver, TaskConnector};
use crate::tasks::error::TaskError;
use crate::tasks::sqlite::{ConnectorRow, Phase};

impl Manager {
    /// Installs a connector. Without a kind, it is the one with that name, or the only one.
    ///
    /// # Errors
    ///
    /// Any [`ConnectorError`]; nothing of the connector stays then.
    pub async fn install(
        &self,
        name: &str,
        provider: Option<&str>,
        settings: Value,
    ) -> Result<ConnectorView, ConnectorError> {
        let (manager, name) = (self.clone(), name.to_owned());
        let provider = provider.map(str::to_owned);
        detached(async move {
            check_name(&name)?;
            let _turn = manager.turn(&name).await;
            manager
                .install_now(&name, provider.as_deref(), settings)
                .await
        })
        .await
    }

    async fn install_now(
        &self,
        name: &str,
        provider: Option<&str>,
        settings: Value,
    ) -> Result<ConnectorView, ConnectorError> {
        if self.find(name).is_ok() {
            return Err(ConnectorError::Exists(name.to_owned()));
        }
        let provider = self.kind(name, provider)?;
        let settings = provider.complete(settings);
        let loaded = self.load(name, &provider, &settings).await;
        let connector = loaded.map_err(|failure| ConnectorError::Settings(Box::new(failure)))?;
        let now = now();
        let known = Known {
            row: ConnectorRow {
                name: name.to_owned(),
                provider: provider.name().to_owned(),
                settings,
                phase: Phase::Installing,
                pending: None,
                error: None,
                incarnation: 1,
                created_at: now,
                updated_at: now,
            },
            connector: Some(Arc::clone(&connector)),
            fixed: false,
        };
        self.put(known.clone()).await?;
        match self.begin(known, provider.limit(), &connector).await {
            Ok(view) => Ok(view),
            Err(error) => {
                self.remove(name, Some(&connector)).await?;
                Err(error)
            }
        }
    }

    /// Lets a connector's tasks run, has it schedule the first, and stores that it is ready.
    async fn begin(
        &self,
        mut known: Known,
        limit: usize,
        connector: &Arc<dyn TaskConnector>,
    ) -> Result<ConnectorView, ConnectorError> {
        let name = known.row.name.clone();
        self.run(&name, limit, connector).await?;
        let installed = self.call(&name, connector, Hook::Install).await;
        installed.map_err(|failure| hook("installed", failure))?;
        known.row.phase = Phase::Ready;
        known.row.error = None;
        let view = known.view();
        self.put(known).await?;
        Ok(view)
    }

    async fn run(
        &self,
        name: &str,
        limit: usize,
        connector: &Arc<dyn TaskConnector>,
    ) -> Result<(), TaskError> {
        let resolver = Arc::new(Resolver(Arc::clone(connector)));
        self.engine().start(name, limit, resolver).await
    }

    /// Removes all traces of a connector. What it does of its own is tried and not insisted on.
    async fn remove(
        &self,
        name: &str,
        connector: Option<&Arc<dyn TaskConnector>>,
    ) -> Result<(), TaskError> {
        self.engine().halt(name).await?;
        if let Some(connector) = connector
            && let Err(failure) = self.call(name, connector, Hook::Uninstall).await
        {
            let error = failure.chain().join(": ");
            tracing::warn!(connector = name, error, "a connector could not undo all");
        }
        self.engine().forget(name).await?;
        self.0.options.store.delete(name).await?;
        self.known(|known| known.remove(name));
        Ok(())
    }

    /// Uninstalls a connector, with all of its tasks.
    ///
    /// # Errors
    ///
    /// Any [`ConnectorError`]; the connector is there as before then.
    pub async fn uninstall(&self, name: &str) -> Result<(), ConnectorError> {
        let (manager, name) = (self.clone(), name.to_owned());
        detached(async move {
            let _turn = manager.turn(&name).await;
            let known = manager.changeable(&name)?;
            manager.quiet(&known, Phase::Removing, None).await?;
            manager.engine().forget(&name).await?;
            manager.0.options.store.delete(&name).await?;
            manager.known(|known| known.remove(&name));
            Ok(())
        })
        .await
    }

    /// Brings a connector to rest and has it undo what it did outside; when that fails, it goes
    /// on as before.
    async fn quiet(
        &self,
        known: &Known,
        phase: Phase,
        error: Option<&str>,
    ) -> Result<(), ConnectorError> {
        let name = &known.row.name;
        let mut changing = known.clone();
        changing.row.phase = phase;
        changing.row.error = error.map(str::to_owned);
        self.put(changing).await?;
        self.engine().halt(name).await?;
        let Some(connector) = &known.connector else {
            return Ok(());
        };
        let Err(failure) = self.call(name, connector, Hook::Uninstall).await else {
            return Ok(());
        };
        let limit = self.provider(&known.row.provider)?.limit();
        self.run(name, limit, connector).await?;
        let mut known = known.clone();
        known.row.error = Some(failure.chain().join(": "));
        self.put(known).await?;
        Err(hook("uninstalled", failure))
    }

    /// Uninstalls a connector and installs it again with the same settings.
    ///
    /// # Errors
    ///
    /// Any [`ConnectorError`]. When it cannot be installed again its settings are kept, and it
    /// can be reset again.
    pub async fn reset(&self, name: &str) -> Result<ConnectorView, ConnectorError> {
        let (manager, name) = (self.clone(), name.to_owned());
        detached(async move {
            let _turn = manager.turn(&name).await;
            let mut known = manager.changeable(&name)?;
            let provider = manager.provider(&known.row.provider)?;
            let loaded = manager.load(&name, &provider, &known.row.settings).await;
            let connector =
                loaded.map_err(|failure| ConnectorError::Settings(Box::new(failure)))?;
            let half = "a reset did not come to its end; reset it again";
            manager.quiet(&known, Phase::Failed, Some(half)).await?;
            manager.engine().forget(&name).await?;
            known.row.phase = Phase::Failed;
            known.row.error = Some(half.to_owned());
            known.row.incarnation = known.row.incarnation.saturating_add(1);
            known.connector = Some(Arc::clone(&connector));
            let begun = manager
                .begin(known.clone(), provider.limit(), &connector)
                .await;
            if let Err(error) = &begun {
                manager.engine().forget(&name).await?;
                known.row.error = Some(error.text());
                manager.put(known).await?;
            }
            begun
        })
        .await
    }

    /// Gives a connector other settings, and applies them to its tasks. Secrets that are hidden
    /// stay as they are.
    ///
    /// # Errors
    ///
    /// Any [`ConnectorError`]; the settings are the same as before then.
    pub async fn update(
        &self,
        name: &str,
        settings: Value,
    ) -> Result<ConnectorView, ConnectorError> {
        let (manager, name) = (self.clone(), name.to_owned());
        detached(async move {
            let _turn = manager.turn(&name).await;
            let known = manager.changeable(&name)?;
            manager.update_now(known, settings).await
        })
        .await
    }

    async fn update_now(
        &self,
        mut known: Known,
        mut settings: Value,
    ) -> Result<ConnectorView, ConnectorError> {
        let name = known.row.name.clone();
        let provider = self.provider(&known.row.provider)?;
        reveal(&mut settings, &known.row.settings);
        let settings = provider.complete(settings);
        let loaded = self.load(&name, &provider, &settings).await;
        let connector = loaded.map_err(|failure| ConnectorError::Settings(Box::new(failure)))?;
        let before = known.clone();
        known.row.phase = Phase::Updating;
        known.row.pending = Some(settings.clone());
        self.put(known.clone()).await?;
        self.run(&name, provider.limit(), &connector).await?;
        if let Err(failure) = self.call(&name, &connector, Hook::Update).await {
            self.put_back(before, provider.limit()).await?;
            return Err(hook("updated", failure));
        }
        known.row.settings = settings;
        known.row.pending = None;
        known.row.phase = Phase::Ready;
        known.row.error = None;
        known.connector = Some(connector);
        let view = known.view();
        self.put(known).await?;
        Ok(view)
    }

    /// Applies the settings again that a connector had.
    async fn put_back(&self, mut known: Known, limit: usize) -> Result<(), TaskError> {
        let name = known.row.name.clone();
        match &known.connector {
            None => self.engine().halt(&name).await?,
            Some(connector) => {
                self.run(&name, limit, connector).await?;
                if let Err(failure) = self.call(&name, connector, Hook::Update).await {
                    known.row.error = Some(failure.chain().join(": "));
                }
            }
        }
        known.row.pending = None;
        self.put(known).await
    }

    fn changeable(&self, name: &str) -> Result<Known, ConnectorError> {
        let known = self.find(name)?;
        if known.fixed {
            return Err(ConnectorError::Fixed(name.to_owned()));
        }
        Ok(known)
    }

    /// Starts a stored connector with the process, and puts right what was under way when the
    /// one before ended.
    pub(super) async fn restore(&self, row: ConnectorRow) {
        let name = row.name.clone();
        let _turn = self.turn(&name).await;
        let mut known = Known {
            row,
            connector: None,
            fixed: false,
        };
        self.remember(known.clone());
        if let Err(error) = self.restore_now(&mut known).await {
            let error = error.text();
            tracing::error!(connector = name, error, "a connector could not be started");
            known.row.error = Some(error);
            self.remember(known);
        }
    }

    async fn restore_now(&self, known: &mut Known) -> Result<(), ConnectorError> {
        let name = known.row.name.clone();
        let phase = known.row.phase;
        if phase == Phase::Failed {
            return Ok(());
        }
        let loaded = match self.provider(&known.row.provider) {
            Err(error) => Err(error),
            Ok(provider) => self
                .load(&name, &provider, &known.row.settings)
                .await
                .map(|connector| (connector, provider.limit()))
                .map_err(|failure| ConnectorError::Settings(Box::new(failure))),
        };
        if matches!(phase, Phase::Installing | Phase::Removing) {
            tracing::warn!(
                connector = name,
                phase = phase.as_str(),
                "cleaning up after a process that ended in the middle"
            );
            let connector = loaded.ok().map(|(connector, _)| connector);
            self.remove(&name, connector.as_ref()).await?;
            return Ok(());
        }
        let (connector, limit) = loaded?;
        known.connector = Some(Arc::clone(&connector));
        if phase == Phase::Updating {
            known.row.phase = Phase::Ready;
            self.put_back(known.clone(), limit).await?;
            return Ok(());
        }
        self.run(&name, limit, &connector).await?;
        known.row.error = None;
        self.remember(known.clone());
        Ok(())
    }
}

fn hook(doing: &'static str, failure: Failure) -> ConnectorError {
    ConnectorError::Hook {
        doing,
        failure: Box::new(failure),
    }
}

/// Carries a change through to its end even if whoever asked for it does not wait.
async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, ConnectorError>> + Send + 'static,
) -> Result<T, ConnectorError> {
    match tokio::spawn(change).await {
        Ok(done) => done,
        Err(_) => Err(ConnectorError::Task(TaskError::Stopped)),
    }
}
