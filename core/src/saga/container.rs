//! Services that steps need: bound by type, made when first asked for, checked before that.
//!
//! ```
//! use std::sync::Arc;
//!
//! use car_core::saga::container::Container;
//!
//! # struct Settings { url: String }
//! # struct Client { url: String }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let services = Container::builder()
//!     .instance(Settings { url: "http://127.0.0.1".to_owned() })
//!     .singleton(|settings: Arc<Settings>| async move {
//!         Ok(Client { url: settings.url.clone() })
//!     })
//!     .build()?;
//! let client: Arc<Client> = services.get().await?;
//! assert_eq!(client.url, "http://127.0.0.1");
//! # Ok::<(), car_core::Failure>(())
//! # }).unwrap();
//! ```
//!
//! A test puts something else in the place of a service by one line:
//! [`replace`](ContainerBuilder::replace).

mod builder;
mod check;
mod error;
mod inject;
mod scope;

use std::any::{Any, TypeId};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use builder::{ContainerBuilder, Provider};
pub use error::ContainerError;
pub use inject::{Factory, Inject, Name, Named, Need};
pub use scope::{Container, Scope, ScopeValues};

use super::transaction::BoxFuture;

/// What a service is bound under: its type, and a name where there are two of a type.
#[derive(Clone, Copy)]
pub struct Key {
    id: TypeId,
    type_name: &'static str,
    name: Option<&'static str>,
}

impl Key {
    /// The only one of its type.
    #[must_use]
    pub fn of<T: ?Sized + 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            type_name: std::any::type_name::<T>(),
            name: None,
        }
    }

    /// One of several of its type.
    #[must_use]
    pub fn named<T: ?Sized + 'static>(name: &'static str) -> Self {
        Self {
            name: Some(name),
            ..Self::of::<T>()
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.id, self.name).cmp(&(other.id, other.name))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, self.name).hash(state);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short(self.type_name))?;
        match self.name {
            Some(name) => write!(f, " \"{name}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Takes the paths off the names in a type's name.
fn short(name: &str) -> String {
    let mut text = String::new();
    let mut word = String::new();
    for character in name.chars() {
        match character {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                text.push_str(&word);
                word.clear();
                text.push(c);
            }
        }
    }
    text + &word
}

/// How long a service lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// As long as the container.
    Singleton,
    /// As long as a delivery.
    PerRequest,
    /// As long as a delivery, which brings it.
    FromRequest,
}

/// An `Arc` of the service, in a box of no type.
type Made = Arc<dyn Any + Send + Sync>;
type Make = Arc<dyn Fn(Scope) -> BoxFuture<'static, Result<Made, ContainerError>> + Send + Sync>;

#[derive(Clone)]
struct Binding {
    key: Key,
    lifetime: Lifetime,
    needs: Vec<Need>,
    make: Make,
    /// Where it was bound.
    place: &'static std::panic::Location<'static>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(short("alloc::vec::Vec<a::b::C>"), "Vec<C>");
        assert_eq!(short("dyn a::B + core::marker::Send"), "dyn B + Send");
        assert_eq!(Key::named::<String>("one").to_string(), "String \"one\"");
    }
}
