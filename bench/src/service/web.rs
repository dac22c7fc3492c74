//! The service as a process, and calls to it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Place;
use crate::measure::Running;

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(600);

/// A service that answers.
pub(super) struct Service {
    process: Running,
    /// From the start of the process to the first answer.
    pub(super) ready: Duration,
    pub(super) web: Web,
}

impl Service {
    /// Starts the program.
    pub(super) fn start(binary: &Path, place: &Place) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("CAR_SERVICE_KEY", "key")
            .env("CAR_SERVICE_PASSWORD", "password")
            .env("RUST_LOG", "warn");
        match place {
            Place::Folder(folder) => command.arg("--data").arg(folder),
            Place::Server(url) => command.env("CAR_SERVICE_DATABASE_URL", url),
        };
        let began = Instant::now();
        let process = Running::start(&mut command)?;
        let base = process
            .line
            .strip_prefix("listening on ")
            .and_then(|url| url.strip_suffix("/api/car/v2"))
            .with_context(|| format!("the service did not start: `{}`", process.line))?;
        let web = Web::new(base);
        web.get("/api/car/v3/health")?;
        Ok(Self {
            ready: began.elapsed(),
            process,
            web,
        })
    }

    /// Returns the memory that it has now, in bytes.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        self.process.memory()
    }
}

/// Calls to one service; each copy has connections of its own.
pub(super) struct Web {
    agent: ureq::Agent,
    base: String,
    header: (&'static str, String),
}

impl Web {
    fn new(base: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self {
            agent: agent.into(),
            base: base.to_owned(),
            header: (
                "authorization",
                format!("Basic {}", STANDARD.encode("key:password")),
            ),
        }
    }

    /// Returns a caller with connections of its own.
    pub(super) fn another(&self) -> Self {
        Self::new(&self.base)
    }

    /// Logs in to the pages and returns a caller that is.
    pub(super) fn logged_in(&self) -> anyhow::Result<Self> {
        let form = "key=key&password=password&next=";
        let answer = self
            .agent
            .post(format!("{}/ui/login", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .send(form)?;
        let cookie = answer.headers().get("set-cookie");
        let cookie = cookie
            .and_then(|cookie| cookie.to_str().ok()?.split(';').next())
            .with_context(|| format!("the log-in answered {}", answer.status()))?;
        Ok(Self {
            header: ("cookie", cookie.to_owned()),
            ..self.another()
        })
    }

    /// Makes a call and returns its answer.
    pub(super) fn call(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(self.header.0, &self.header.1)
            .header("content-type", "application/json")
            .body(body)?;
        let mut answer = self
            .agent
            .run(request)
            .with_context(|| format!("{method} {path} failed"))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_string()?;
        if !answer.status().is_success() {
            bail!("{method} {path} answered {}: {text}", answer.status());
        }
        Ok(text)
    }

    pub(super) fn get(&self, path: &str) -> anyhow::Result<String> {
        self.call("GET", path, b"")
    }

    /// Asks for a part of the graph; an error inside of the answer is an error.
    pub(super) fn query(&self, query: &str) -> anyhow::Result<Value> {
        let body = serde_json::json!({ "query": query }).to_string();
        let text = self.call("POST", "/api/car/v3/query", body.as_bytes())?;
        let answer: Value = serde_json::from_str(&text)?;
        if let Some(errors) = answer.get("errors") {
            bail!("{query}: {errors}");
        }
        Ok(answer)
    }
}

/// Calls something again and again and returns the median of how long it took.
pub(super) fn median(
    times: u32,
    mut call: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    // Statements are compiled and pages of the file read once before.
    call(0)?;
    let mut took = (1..=u64::from(times.max(1)))
        .map(|turn| {
            let began = Instant::now();
            call(turn)?;
            Ok(began.elapsed())
        })
        .collect::<anyhow::Result<Vec<Duration>>>()?;
    took.sort();
    let middle = took.len() / 2;
    Ok(took.swap_remove(middle))
}
