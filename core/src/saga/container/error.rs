//! What can be wrong with services, with the path that leads there.

use thiserror::Error;

use crate::failure::{Failure, FailureKind};

/// Why a container cannot be built, or a service not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Something needs what nobody binds.
    #[error("no binding for {}", path(.0))]
    Missing(Vec<String>),
    /// Services need each other.
    #[error("a cycle of bindings: {}", path(.0))]
    Cycle(Vec<String>),
    /// Something that lives long needs something that lives short.
    #[error("a singleton needs what each request has its own of: {}", path(.0))]
    TooShort(Vec<String>),
    /// Something is bound twice.
    #[error("{key} is bound twice: at {first} and at {second}")]
    Duplicate {
        /// What.
        key: String,
        /// Where first.
        first: String,
        /// Where then.
        second: String,
    },
    /// Two providers have one key.
    #[error(
        "there are two providers with the key `{0}`; `replace_provider` puts one in the place of the other"
    )]
    TwoProviders(&'static str),
    /// What lives as long as a delivery is asked for without one.
    #[error("{0} belongs to a request, and there is none")]
    NoRequest(String),
    /// A delivery brings what nobody said it would.
    #[error("the delivery brings {0}, which is not bound by `from_request`")]
    NotDeclared(String),
    /// A delivery does not bring what it should.
    #[error("the delivery does not bring {0}")]
    NotGiven(String),
    /// The factory of a service failed.
    #[error("{key} cannot be made")]
    Failed {
        /// What.
        key: String,
        /// Why.
        #[source]
        source: Failure,
    },
}

fn path(path: &[String]) -> String {
    match path {
        [one] => one.clone(),
        path => path.join(" -> "),
    }
}

impl From<ContainerError> for Failure {
    fn from(error: ContainerError) -> Self {
        let message = error.to_string();
        match error {
            ContainerError::Failed { source, .. } => source.wrap(message),
            ContainerError::NotGiven(_) | ContainerError::NotDeclared(_) => {
                Self::new(FailureKind::General, message)
                    .hint("`Delivery::with` brings it, `from_request` binds it")
            }
            _ => Self::new(FailureKind::General, message)
                .hint("the services are put together wrong; this is a defect of the program"),
        }
    }
}
