//! Where a Temporal server is: `temporal://HOST:PORT/NAMESPACE`.

use std::fmt;
use std::str::FromStr;

use car_core::{Failure, FailureKind};
use url::Url;

/// The usual port.
const PORT: u16 = 7233;

/// Where a Temporal server is, and which of its namespaces is ours.
///
/// `temporal://HOST:PORT/NAMESPACE`, or `temporals://` with TLS. Port and namespace may be left
/// out: 7233 and `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    namespace: String,
    tls: bool,
}

impl Address {
    /// Returns the namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the address for the client.
    pub(crate) fn url(&self) -> Result<Url, url::ParseError> {
        let scheme = if self.tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}:{}", self.host, self.port))
    }

    pub(crate) const fn tls(&self) -> bool {
        self.tls
    }
}

impl FromStr for Address {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::new(
                FailureKind::InvalidParameter,
                format!("`{text}` is no address of a Temporal server: {what}"),
            )
            .hint("it is like `temporal://127.0.0.1:7233/default`")
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let tls = match url.scheme() {
            "temporal" => false,
            "temporals" => true,
            _ => {
                return Err(wrong(
                    "it begins with neither `temporal://` nor `temporals://`",
                ));
            }
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let Some(host) = host else {
            return Err(wrong("it names no host"));
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong("it has more than host, port and namespace"));
        }
        let namespace = match url.path().trim_matches('/') {
            "" => "default",
            path if path.contains('/') => return Err(wrong("a namespace has no `/`")),
            path => path,
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(PORT),
            namespace: namespace.to_owned(),
            tls,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "temporals" } else { "temporal" };
        let Self {
            host,
            port,
            namespace,
            ..
        } = self;
        write!(f, "{scheme}://{host}:{port}/{namespace}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_refused() {
        for (text, read) in [
            (
                "temporal://127.0.0.1:7000/car",
                "temporal://127.0.0.1:7000/car",
            ),
            ("temporal://host", "temporal://host:7233/default"),
            ("temporals://[::1]:1/", "temporals://[::1]:1/default"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), read);
        }
        for text in [
            "",
            "127.0.0.1:7233",
            "http://127.0.0.1:7233",
            "temporal:///default",
            "temporal://user:secret@host",
            "temporal://host/a/b",
            "temporal://host:99999",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
