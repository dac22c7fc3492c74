//! What a server that does not do its part is told as.

use std::fmt;

use car_core::saga::LogError;
use car_core::tasks::TaskError;

/// Why the server does not do its part.
#[derive(Debug)]
struct Away(TaskError);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; see that it runs, can be reached, and knows the namespace",
            self.0
        )
    }
}

impl std::error::Error for Away {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Says what failed, as "the saga log cannot be …".
pub(super) fn storage(doing: &'static str) -> impl Fn(TaskError) -> LogError + Copy {
    move |error| LogError::Storage {
        doing,
        full: false,
        source: Box::new(Away(error)),
    }
}
