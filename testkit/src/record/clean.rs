//! Takes secrets out of recorded traffic.

use bytes::Bytes;
use car_core::secret::{REDACTED, Redactor, Secret};
use serde_json::Value;

use super::{ADDRESS, Exchange};

/// Headers of answers that a recording does not keep: credentials, and what differs every time.
const HEADERS: [&str; 6] = [
    "authorization",
    "date",
    "proxy-authenticate",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
];

/// Parts of names under which secrets travel in queries and bodies, without `-` and `_`.
const NAMES: [&str; 11] = [
    "accesskey",
    "apikey",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "passphrase",
    "password",
    "secret",
    "signature",
    "token",
];

/// Names of secrets that are too short to look for inside of others.
const SHORT: [&str; 4] = ["auth", "key", "pwd", "sig"];

/// Parts of names that say where the next page begins, which is no secret though some call it a
/// token.
const PAGES: [&str; 4] = ["continuation", "cursor", "next", "page"];

/// Returns an exchange without what looks like a secret by its name, and without the address of
/// the proxy.
pub(super) fn exchange(recorded: &Exchange, address: &str) -> Exchange {
    let mut cleaned = recorded.clone();
    cleaned.target = target(&recorded.target);
    cleaned.body = body(&recorded.body);
    let reply = &mut cleaned.reply;
    reply.headers.retain(|(name, _)| {
        !HEADERS.contains(&name.to_ascii_lowercase().as_str()) && !is_secret(name)
    });
    for (name, value) in &mut reply.headers {
        *value = value.replace(address, ADDRESS);
        if matches!(name.as_str(), "link" | "location") {
            *value = links(value);
        }
    }
    reply.body = body(&replaced(&recorded.reply.body, address, ADDRESS));
    cleaned
}

/// Takes values out wherever they stand.
pub(super) fn values(exchange: &mut Exchange, redactor: &Redactor) {
    exchange.target = redactor.redact(&exchange.target).into_owned();
    let reply = &mut exchange.reply;
    for (_, value) in &mut reply.headers {
        *value = redactor.redact(value).into_owned();
    }
    for body in [&mut exchange.body, &mut reply.body] {
        if let Ok(text) = std::str::from_utf8(body) {
            *body = redactor.redact(text).into_owned().into();
        }
    }
}

/// Makes what takes values out.
pub(super) fn redactor<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redactor {
    let secrets: Vec<Secret> = secrets.into_iter().map(Secret::from).collect();
    Redactor::new(&secrets)
}

/// Returns a path with a query whose secrets are replaced.
fn target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(pair).collect();
    format!("{path}?{}", pairs.join("&"))
}

/// Returns a header of links whose queries have no secrets.
fn links(value: &str) -> String {
    let part = |part: &str| match part.split_once('>') {
        Some((link, rest)) => format!("{}>{rest}", target(link)),
        None => part.to_owned(),
    };
    if value.contains('<') {
        value.split('<').map(part).collect::<Vec<_>>().join("<")
    } else {
        target(value)
    }
}

/// Returns a body whose members with secrets are replaced: JSON, or a form.
fn body(body: &[u8]) -> Bytes {
    if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
        return match members(&mut value) {
            true => value.to_string().into(),
            false => Bytes::copy_from_slice(body),
        };
    }
    match std::str::from_utf8(body) {
        Ok(text) if is_form(text) => {
            let form = target(&format!("?{text}"));
            form.trim_start_matches('?').to_owned().into()
        }
        _ => Bytes::copy_from_slice(body),
    }
}

/// Replaces the secrets in a JSON value; tells whether there were some.
fn members(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Object(map) => {
            for (name, member) in map {
                if is_secret(name) && (member.is_string() || member.is_number()) {
                    *member = REDACTED.into();
                    found = true;
                } else {
                    found |= members(member);
                }
            }
        }
        Value::Array(list) => {
            for member in list {
                found |= members(member);
            }
        }
        // An address, such as that of the next page.
        Value::String(text) if text.contains("://") => {
            let cleaned = target(text);
            found = cleaned != *text;
            *text = cleaned;
        }
        _ => {}
    }
    found
}

fn is_form(text: &str) -> bool {
    text.contains('=') && !text.contains(['\n', '<', '{', ' '])
}

fn is_secret(name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
    if plain.contains("token") && PAGES.iter().any(|part| plain.contains(part)) {
        return false;
    }
    SHORT.contains(&plain.as_str()) || NAMES.iter().any(|part| plain.contains(part))
}

/// Replaces a text in bytes that are text.
pub(super) fn replaced(bytes: &[u8], from: &str, to: &str) -> Bytes {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains(from) => text.replace(from, to).into(),
        _ => Bytes::copy_from_slice(bytes),
    }
}
