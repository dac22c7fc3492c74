//! How every HTTP client of the project is set up: TLS, redirects, proxies, limits.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Returns a client builder with the project's TLS provider, without redirects.
///
/// Redirects are not followed because credentials must not travel to an address that nobody
/// configured; a connector whose source needs them sets its own policy.
pub fn client_builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails only when a provider is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
}

/// Reads how many seconds a server asks to wait in `Retry-After`.
///
/// The form with a date counts as absent: it needs two clocks that agree, and the backoff
/// decides as well.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Why the body of an answer was not read to its end.
#[derive(Debug)]
pub enum BodyError {
    /// The connection broke, or took too long.
    Broken(reqwest::Error),
    /// There is more than the caller is ready to keep.
    TooLarge,
}

/// Reads the body of an answer, at most so many bytes of it.
///
/// # Errors
///
/// [`BodyError`].
pub async fn body(response: &mut reqwest::Response, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len().saturating_add(chunk.len()) > most {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
