//! Where services come from: the container for all, and a scope of it for each delivery.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::builder::ContainerBuilder;
use super::error::ContainerError;
use super::{Binding, Key, Lifetime, Made};

/// Services, checked when they were put together. Cheap to clone.
#[derive(Clone)]
pub struct Container(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) bindings: HashMap<Key, Binding>,
    pub(super) singletons: HashMap<Key, OnceCell<Made>>,
}

/// The services of one delivery. Cheap to clone.
#[derive(Clone)]
pub struct Scope {
    container: Container,
    /// `None` outside of deliveries.
    own: Option<Arc<Own>>,
}

/// What one delivery has of its own.
struct Own {
    values: HashMap<Key, Made>,
    cells: HashMap<Key, OnceCell<Made>>,
}

/// Values that a delivery brings.
#[derive(Default)]
pub struct ScopeValues(HashMap<Key, Made>);

impl ScopeValues {
    /// Adds a value, in the place of one of its type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        let made: Made = Arc::new(Arc::new(value));
        self.0.insert(Key::of::<T>(), made);
    }
}

impl fmt::Debug for ScopeValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.bindings.keys()).finish()
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.container.fmt(f)
    }
}

impl Container {
    /// Begins with nothing bound.
    #[must_use]
    pub fn builder() -> ContainerBuilder {
        ContainerBuilder::default()
    }

    /// Returns a service that all share.
    ///
    /// # Errors
    ///
    /// When it is not bound, belongs to a request, or cannot be made. What could not be made is
    /// tried again the next time.
    pub async fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Result<Arc<T>, ContainerError> {
        self.outside().get().await
    }

    /// Begins a delivery that brings nothing.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.with(HashMap::new())
    }

    /// Begins a delivery.
    ///
    /// # Errors
    ///
    /// [`ContainerError::NotDeclared`] when it brings what nobody said it would.
    pub fn scope_with(&self, values: ScopeValues) -> Result<Scope, ContainerError> {
        for key in values.0.keys() {
            let declared = self.0.bindings.get(key);
            if declared.is_none_or(|binding| binding.lifetime != Lifetime::FromRequest) {
                return Err(ContainerError::NotDeclared(key.to_string()));
            }
        }
        Ok(self.with(values.0))
    }

    /// Checks that a service is bound.
    pub(in crate::saga) fn check<T: ?Sized + 'static>(&self) -> Result<(), ContainerError> {
        let key = Key::of::<T>();
        if self.0.bindings.contains_key(&key) {
            return Ok(());
        }
        Err(ContainerError::Missing(vec![key.to_string()]))
    }

    fn with(&self, values: HashMap<Key, Made>) -> Scope {
        let cells = self
            .0
            .bindings
            .values()
            .filter(|binding| binding.lifetime == Lifetime::PerRequest)
            .map(|binding| (binding.key, OnceCell::new()))
            .collect();
        Scope {
            container: self.clone(),
            own: Some(Arc::new(Own { values, cells })),
        }
    }

    fn outside(&self) -> Scope {
        Scope {
            container: self.clone(),
            own: None,
        }
    }
}

impl Scope {
    /// Returns a service.
    ///
    /// # Errors
    ///
    /// When it is not bound, not brought, or cannot be made.
    pub async fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Result<Arc<T>, ContainerError> {
        self.get_key(Key::of::<T>()).await
    }

    /// Returns one of several services of a type.
    ///
    /// # Errors
    ///
    /// As [`Scope::get`].
    pub async fn named<T: ?Sized + Send + Sync + 'static>(
        &self,
        name: &'static str,
    ) -> Result<Arc<T>, ContainerError> {
        self.get_key(Key::named::<T>(name)).await
    }

    /// Returns a service if it is bound.
    ///
    /// # Errors
    ///
    /// When it is bound and cannot be made.
    pub async fn find<T: ?Sized + Send + Sync + 'static>(
        &self,
    ) -> Result<Option<Arc<T>>, ContainerError> {
        let key = Key::of::<T>();
        if !self.container.0.bindings.contains_key(&key) {
            return Ok(None);
        }
        self.get_key(key).await.map(Some)
    }

    pub(super) async fn get_key<T: ?Sized + Send + Sync + 'static>(
        &self,
        key: Key,
    ) -> Result<Arc<T>, ContainerError> {
        let made = self.made(key).await?;
        // Only what was made for the key is kept under it.
        made.downcast_ref::<Arc<T>>()
            .cloned()
            .ok_or_else(|| ContainerError::Missing(vec![key.to_string()]))
    }

    async fn made(&self, key: Key) -> Result<Made, ContainerError> {
        let inner = &self.container.0;
        let Some(binding) = inner.bindings.get(&key) else {
            return Err(ContainerError::Missing(vec![key.to_string()]));
        };
        let (cell, scope) = match (binding.lifetime, &self.own) {
            (Lifetime::Singleton, _) => (inner.singletons.get(&key), self.container.outside()),
            (_, None) => return Err(ContainerError::NoRequest(key.to_string())),
            (Lifetime::PerRequest, Some(own)) => (own.cells.get(&key), self.clone()),
            (Lifetime::FromRequest, Some(own)) => {
                return match own.values.get(&key) {
                    Some(value) => Ok(Arc::clone(value)),
                    None => Err(ContainerError::NotGiven(key.to_string())),
                };
            }
        };
        match cell {
            Some(cell) => cell
                .get_or_try_init(|| (binding.make)(scope))
                .await
                .cloned(),
            None => (binding.make)(scope).await,
        }
    }
}
