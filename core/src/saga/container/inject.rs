//! What a factory can ask for, told by the types of its parameters.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;

use super::Key;
use super::error::ContainerError;
use super::scope::Scope;
use crate::failure::Failure;

/// What something needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub key: Key,
    /// Whether it can do without.
    pub optional: bool,
}

/// A parameter of a factory: an `Arc` of a service, an `Option` of one, or a [`Named`] one.
#[async_trait]
pub trait Inject: Sized + Send + 'static {
    /// Says what is needed.
    fn need() -> Need;

    /// Takes it from a scope.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    async fn inject(scope: &Scope) -> Result<Self, ContainerError>;
}

#[async_trait]
impl<T: ?Sized + Send + Sync + 'static> Inject for Arc<T> {
    fn need() -> Need {
        Need {
            key: Key::of::<T>(),
            optional: false,
        }
    }

    async fn inject(scope: &Scope) -> Result<Self, ContainerError> {
        scope.get::<T>().await
    }
}

#[async_trait]
impl<T: ?Sized + Send + Sync + 'static> Inject for Option<Arc<T>> {
    fn need() -> Need {
        Need {
            key: Key::of::<T>(),
            optional: true,
        }
    }

    async fn inject(scope: &Scope) -> Result<Self, ContainerError> {
        scope.find::<T>().await
    }
}

/// The name of a binding, as a type.
///
/// ```
/// use car_core::saga::container::Name;
///
/// struct Primary;
///
/// impl Name for Primary {
///     const NAME: &'static str = "primary";
/// }
/// ```
pub trait Name: Send + Sync + 'static {
    /// The name.
    const NAME: &'static str;
}

/// One of several services of a type.
pub struct Named<T: ?Sized, N>(Arc<T>, PhantomData<fn() -> N>);

impl<T: ?Sized, N> Named<T, N> {
    /// Returns the service.
    #[must_use]
    pub fn into_inner(self) -> Arc<T> {
        self.0
    }
}

impl<T: ?Sized, N> Deref for Named<T, N> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + fmt::Debug, N> fmt::Debug for Named<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl<T: ?Sized + Send + Sync + 'static, N: Name> Inject for Named<T, N> {
    fn need() -> Need {
        Need {
            key: Key::named::<T>(N::NAME),
            optional: false,
        }
    }

    async fn inject(scope: &Scope) -> Result<Self, ContainerError> {
        let service = scope.get_key::<T>(Key::named::<T>(N::NAME)).await?;
        Ok(Self(service, PhantomData))
    }
}

/// Makes a service of what its parameters ask for: any function of up to six [`Inject`]
/// parameters that returns a future of a result.
#[async_trait]
pub trait Factory<Parameters, T>: Send + Sync + 'static {
    /// Says what it needs.
    fn needs() -> Vec<Need>;

    /// Makes the service.
    ///
    /// # Errors
    ///
    /// When a parameter, or the service itself, cannot be made.
    async fn make(&self, scope: &Scope) -> Result<T, ContainerError>;
}

macro_rules! factory {
    ($($parameter:ident)*) => {
        #[async_trait]
        impl<Function, Made, T, $($parameter,)*> Factory<($($parameter,)*), T> for Function
        where
            Function: Fn($($parameter),*) -> Made + Send + Sync + 'static,
            Made: Future<Output = Result<T, Failure>> + Send,
            T: Send + Sync + 'static,
            $($parameter: Inject,)*
        {
            fn needs() -> Vec<Need> {
                vec![$($parameter::need()),*]
            }

            #[allow(non_snake_case, unused_variables, clippy::allow_attributes, reason = "one macro for any number of parameters")]
            async fn make(&self, scope: &Scope) -> Result<T, ContainerError> {
                $(let $parameter = $parameter::inject(scope).await?;)*
                self($($parameter),*).await.map_err(|source| ContainerError::Failed {
                    key: Key::of::<T>().to_string(),
                    source,
                })
            }
        }
    };
}

factory!();
factory!(A);
factory!(A B);
factory!(A B C);
factory!(A B C D);
factory!(A B C D E);
factory!(A B C D E F);
