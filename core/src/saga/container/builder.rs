//! Binds services.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::check::check;
use super::error::ContainerError;
use super::inject::{Factory, Name, Need};
use super::scope::{Container, Inner};
use super::{Binding, Key, Lifetime, Made, Make};

/// Binds what belongs together; replaceable as a whole by its key.
pub trait Provider: Send {
    /// Names it.
    fn key(&self) -> &'static str;

    /// Binds its services.
    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder;
}

/// Binds services, and checks them.
#[derive(Default)]
pub struct ContainerBuilder {
    bindings: Vec<Binding>,
    replacements: Vec<Binding>,
    providers: Vec<Box<dyn Provider>>,
    wrong: Option<ContainerError>,
}

impl fmt::Debug for ContainerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.bindings.iter().map(|binding| binding.key);
        f.debug_set().entries(keys).finish()
    }
}

impl ContainerBuilder {
    /// Binds a value.
    #[must_use]
    #[track_caller]
    pub fn instance<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.shared(Arc::new(value))
    }

    /// Binds a value that is shared already, such as an `Arc<dyn Trait>`.
    #[must_use]
    #[track_caller]
    pub fn shared<T: ?Sized + Send + Sync + 'static>(self, value: Arc<T>) -> Self {
        self.add(kept(Key::of::<T>(), value))
    }

    /// Binds one of several values of a type.
    #[must_use]
    #[track_caller]
    pub fn named<N: Name, T: Send + Sync + 'static>(self, value: T) -> Self {
        self.add(kept(Key::named::<T>(N::NAME), Arc::new(value)))
    }

    /// Binds what is made once, when it is first asked for.
    #[must_use]
    #[track_caller]
    pub fn singleton<P, T, F>(self, factory: F) -> Self
    where
        T: Send + Sync + 'static,
        F: Factory<P, T>,
    {
        self.add(made::<P, T, F>(Lifetime::Singleton, factory))
    }

    /// Binds what is made once for each delivery that asks for it.
    #[must_use]
    #[track_caller]
    pub fn per_request<P, T, F>(self, factory: F) -> Self
    where
        T: Send + Sync + 'static,
        F: Factory<P, T>,
    {
        self.add(made::<P, T, F>(Lifetime::PerRequest, factory))
    }

    /// Says that each delivery brings a value of this type
    /// ([`Delivery::with`](crate::saga::Delivery::with)).
    #[must_use]
    #[track_caller]
    pub fn from_request<T: Send + Sync + 'static>(self) -> Self {
        let key = Key::of::<T>();
        self.add(Binding {
            key,
            lifetime: Lifetime::FromRequest,
            needs: Vec::new(),
            make: Arc::new(move |_| {
                let error = ContainerError::NotGiven(key.to_string());
                Box::pin(std::future::ready(Err(error)))
            }),
            place: Location::caller(),
        })
    }

    /// Adds what a provider binds.
    #[must_use]
    pub fn provider(mut self, provider: impl Provider + 'static) -> Self {
        let key = provider.key();
        if self.providers.iter().any(|other| other.key() == key) {
            self.wrong.get_or_insert(ContainerError::TwoProviders(key));
        }
        self.providers.push(Box::new(provider));
        self
    }

    /// Puts a provider in the place of the one with its key, or adds it.
    #[must_use]
    pub fn replace_provider(mut self, provider: impl Provider + 'static) -> Self {
        self.providers.retain(|other| other.key() != provider.key());
        self.providers.push(Box::new(provider));
        self
    }

    /// Puts a value in the place of what is bound for its type, whoever binds it; for tests.
    #[must_use]
    #[track_caller]
    pub fn replace<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.replace_shared(Arc::new(value))
    }

    /// Puts a shared value in the place of what is bound for its type; for tests.
    #[must_use]
    #[track_caller]
    pub fn replace_shared<T: ?Sized + Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.replacements.push(kept(Key::of::<T>(), value));
        self
    }

    /// Checks that everything that is needed is bound, once, and that nothing needs itself.
    ///
    /// # Errors
    ///
    /// [`ContainerError`] with the path that leads to what is wrong.
    pub fn build(mut self) -> Result<Container, ContainerError> {
        while !self.providers.is_empty() {
            let provider = self.providers.remove(0);
            self = provider.bind(self);
        }
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let replaced: HashSet<Key> = self.replacements.iter().map(|new| new.key).collect();
        for key in &replaced {
            // A replacement of nothing is a mistake in a test, which would test nothing.
            if !self.bindings.iter().any(|binding| binding.key == *key) {
                return Err(ContainerError::Missing(vec![
                    "a replacement".to_owned(),
                    key.to_string(),
                ]));
            }
        }
        self.bindings.retain(|old| !replaced.contains(&old.key));
        self.bindings.append(&mut self.replacements);
        let order: Vec<Key> = self.bindings.iter().map(|binding| binding.key).collect();
        let mut bindings: HashMap<Key, Binding> = HashMap::new();
        for binding in self.bindings {
            let second = binding.place;
            let key = binding.key;
            if let Some(first) = bindings.insert(key, binding) {
                return Err(ContainerError::Duplicate {
                    key: key.to_string(),
                    first: first.place.to_string(),
                    second: second.to_string(),
                });
            }
        }
        check(&bindings, &order)?;
        let singletons = bindings
            .values()
            .filter(|binding| binding.lifetime == Lifetime::Singleton)
            .map(|binding| (binding.key, OnceCell::new()))
            .collect();
        Ok(Container(Arc::new(Inner {
            bindings,
            singletons,
        })))
    }

    fn add(mut self, binding: Binding) -> Self {
        self.bindings.push(binding);
        self
    }
}

#[track_caller]
fn kept<T: ?Sized + Send + Sync + 'static>(key: Key, value: Arc<T>) -> Binding {
    let made: Made = Arc::new(value);
    Binding {
        key,
        lifetime: Lifetime::Singleton,
        needs: Vec::new(),
        make: Arc::new(move |_| Box::pin(std::future::ready(Ok(Arc::clone(&made))))),
        place: Location::caller(),
    }
}

#[track_caller]
fn made<P, T, F>(lifetime: Lifetime, factory: F) -> Binding
where
    T: Send + Sync + 'static,
    F: Factory<P, T>,
{
    let needs: Vec<Need> = F::needs();
    let factory = Arc::new(factory);
    let make: Make = Arc::new(move |scope| {
        let factory = Arc::clone(&factory);
        Box::pin(async move {
            let service: T = factory.make(&scope).await?;
            let made: Made = Arc::new(Arc::new(service));
            Ok(made)
        })
    });
    Binding {
        key: Key::of::<T>(),
        lifetime,
        needs,
        make,
        place: Location::caller(),
    }
}
