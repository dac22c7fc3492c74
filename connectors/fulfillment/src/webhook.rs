//! Notifications of the platform: checked, and turned into the id of a request to look at.
//!
//! A notification is `POST /webhook` with `{"object": "request", "id": "PR-…"}`, or
//! `"tier_config_request"`, and the header `X-Connect-Signature: t=UNIX,v1=HEX`: the HMAC-SHA256
//! of `UNIX.BODY`. It says only where to look: what is done is decided by what the platform
//! answers when it is asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use car_core::saga::cache::{Cache, MemoryStore};
use car_core::secret::Secret;
use car_core::{Failure, FailureKind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::request::Model;

/// Header with time and signature.
const HEADER: &str = "X-Connect-Signature";
/// How far the time of a notification may be from ours.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Largest notification.
const LARGEST: usize = 64 << 10;
/// Notifications that may wait; more are refused, and the platform sends them again.
const WAITING: usize = 1024;

/// What a notification names.
pub(crate) type Named = (Model, String);

#[derive(Clone)]
struct Listener {
    secret: Secret,
    /// Signatures that were seen, for longer than they would be taken.
    seen: Cache,
    named: mpsc::Sender<Named>,
}

#[derive(Deserialize)]
struct Notification {
    object: Object,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Object {
    Request,
    TierConfigRequest,
}

/// Listens for notifications until the token is cancelled. Returns the address.
pub(crate) async fn listen(
    address: &str,
    secret: Secret,
    cancel: CancellationToken,
) -> Result<(String, mpsc::Receiver<Named>), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            FailureKind::InvalidParameter,
            "the address in `--webhook` cannot be listened on",
        )
        .with("address", address)
        .because(error)
        .hint("it looks like `127.0.0.1:8030`; port 0 takes a free one")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let (named, names) = mpsc::channel(WAITING);
    let state = Listener {
        secret,
        seen: Cache::new(MemoryStore::of(100_000)),
        named,
    };
    let router = Router::new()
        .route("/webhook", post(take))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(state);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "notifications are not taken any more");
        }
    });
    Ok((format!("http://{local}"), names))
}

async fn take(State(listener): State<Listener>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let header = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let Some(signature) = header.and_then(|header| check(header, &body, &listener.secret, now))
    else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(notification) = serde_json::from_slice::<Notification>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    match listener.seen.has(&signature).await {
        Ok(false) => {}
        Ok(true) => return StatusCode::CONFLICT,
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE,
    }
    let model = match notification.object {
        Object::Request => Model::Asset,
        Object::TierConfigRequest => Model::TierConfig,
    };
    // Whoever cannot be served now is not marked as seen.
    if listener.named.try_send((model, notification.id)).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let keep = TOLERANCE.saturating_mul(3);
    match listener.seen.put(&signature, &true, Some(keep)).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Returns the signature if it is that of the body, and of about now.
fn check(header: &str, body: &[u8], secret: &Secret, now: Duration) -> Option<String> {
    let mut time = None;
    let mut signature = None;
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", value) => time = value.parse::<u64>().ok(),
            ("v1", value) => signature = Some(value),
            _ => {}
        }
    }
    let (time, signature) = (time?, signature?);
    if now.abs_diff(Duration::from_secs(time)) > TOLERANCE {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    mac.verify_slice(&unhex(signature)?).ok()?;
    // Capital digits are the same signature.
    Some(format!("{time}.{}", signature.to_ascii_lowercase()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) || text.len() > 128 {
        return None;
    }
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secret: &str, time: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        let hex: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("t={time},v1={hex}")
    }

    #[test]
    fn signatures_are_of_the_secret_the_body_and_the_time() {
        let secret: Secret = "secret".into();
        let now = Duration::from_secs(1000);
        let check = |header: &str, body: &str| check(header, body.as_bytes(), &secret, now);
        let good = signed("secret", 1000, "{}");
        let taken = check(&good, "{}").unwrap();
        let capital = good.to_uppercase();
        let capital = capital.replace("T=", "t=").replace("V1=", "v1=");
        assert_eq!(check(&capital, "{}"), Some(taken));
        assert!(check(&signed("secret", 700, "{}"), "{}").is_some());
        for (header, body) in [
            (good.as_str(), "{} "),
            (signed("other", 1000, "{}").as_str(), "{}"),
            (signed("secret", 699, "{}").as_str(), "{}"),
            (signed("secret", 1301, "{}").as_str(), "{}"),
            (good.replace("t=1000", "t=1001").as_str(), "{}"),
            ("", "{}"),
            ("t=1000", "{}"),
            ("t=1000,v1=", "{}"),
            ("t=1000,v1=zz", "{}"),
            ("t=1000,v1=ü", "{}"),
            ("nonsense", "{}"),
        ] {
            assert!(check(header, body).is_none(), "{header} {body}");
        }
    }
}
