//! The address of the CAR service, and how parts of addresses are encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::failure::{Failure, FailureKind};

/// Everything that has a meaning in a path or query is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Encodes a value for use as a path segment or in a query.
#[must_use]
pub(super) fn encode(value: &str) -> String {
    // A segment of dots alone would be taken as a step up.
    if matches!(value, "." | "..") {
        return value.replace('.', "%2E");
    }
    utf8_percent_encode(value, ENCODED).to_string()
}

/// The address below which the versions of the interface are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseAddress {
    root: String,
}

impl BaseAddress {
    /// Reads an address that ends in the version segment `/v2`.
    ///
    /// # Errors
    ///
    /// When it is no http(s) address, carries credentials or a query, or does not end in `/v2`.
    pub fn parse(address: &str) -> Result<Self, Failure> {
        let invalid = |message: &'static str| {
            Failure::new(FailureKind::InvalidParameter, message).hint(
                "the address looks like `https://host/api/car/v2`; it is `--car-service-url` or `CAR_SERVICE_URL`",
            )
        };
        let mut url = Url::parse(address)
            .map_err(|error| invalid("the CAR service's address is not valid").because(error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(
                "the CAR service's address is neither http nor https",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "the CAR service's address must not carry credentials",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(
                "the CAR service's address must not have a query or fragment",
            ));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let Some(parent) = path.strip_suffix("/v2") else {
            return Err(invalid("the CAR service's address does not end in `/v2`"));
        };
        url.set_path(parent);
        Ok(Self {
            root: url.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the address of a call.
    #[must_use]
    pub fn of(&self, version: &str, path: &str, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}/{version}/{path}{separator}{query}", self.root)
    }

    /// Returns the address without a version, for messages.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_segment_is_the_version() {
        let base = BaseAddress::parse("https://v2.example.com/v2/api/car/v2/").unwrap();
        assert_eq!(
            base.of("v3", "query", ""),
            "https://v2.example.com/v2/api/car/v3/query"
        );
        assert_eq!(
            base.of("v2", "source/a", "x=1"),
            "https://v2.example.com/v2/api/car/v2/source/a?x=1"
        );
    }

    #[test]
    fn bad_addresses_are_refused() {
        for address in [
            "",
            "example.com/api/car/v2",
            "ftp://example.com/api/car/v2",
            "https://user:pw@example.com/api/car/v2",
            "https://example.com/api/car/v2?x=1",
            "https://example.com/api/car",
            "https://example.com/api/car/xv2",
        ] {
            let failure = BaseAddress::parse(address).unwrap_err();
            assert_eq!(failure.kind(), FailureKind::InvalidParameter, "{address}");
        }
    }

    #[test]
    fn values_are_encoded() {
        assert_eq!(encode("a#b&c=d%/,é"), "a%23b%26c%3Dd%25%2F%2C%C3%A9");
        assert_eq!(encode(".."), "%2E%2E");
    }
}
