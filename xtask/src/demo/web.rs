//! Calls to the demo's servers.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A server's address and how to sign in.
pub(super) struct Web {
    agent: ureq::Agent,
    base: String,
    authorization: String,
}

impl Web {
    pub(super) fn new(base: &str, user: &str, password: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build();
        Self {
            agent: agent.into(),
            base: base.to_owned(),
            authorization: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
        }
    }

    /// Makes a call below the server's address.
    pub(super) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.call_at(method, &format!("{}{path}", self.base), body)
    }

    /// Makes a call and returns the JSON of the answer, null where there is none.
    pub(super) fn call_at(&self, method: &str, address: &str, body: &Value) -> Result<Value> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(address)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(if body.is_null() {
                String::new()
            } else {
                body.to_string()
            })?;
        let mut response = self
            .agent
            .run(request)
            .with_context(|| format!("{method} {address} failed"))?;
        let text = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("{method} {address} answered {}: {text}", response.status());
        }
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }
}
