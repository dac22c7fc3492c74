//! The AWS that answers: moto in a process of its own, with what `tests/moto/server.py` adds.

use std::path::Path;
use std::process::Stdio;

use car_testkit::within;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The Python interpreter that has moto.
const PYTHON: &str = "CAR_TEST_PYTHON";

/// The account whose keys the tests use.
pub(crate) const ACCOUNT: &str = "123456789012";

/// An AWS on a loopback port. Dropping it ends it.
pub(crate) struct Moto {
    port: u16,
    http: reqwest::Client,
    _process: Child,
}

/// Returns the interpreter, if it has moto.
#[expect(
    clippy::disallowed_methods,
    reason = "settings of tests are not settings of a program"
)]
fn python() -> Option<String> {
    let found = std::env::var(PYTHON).ok().filter(|path| {
        let probe = std::process::Command::new(path)
            .args(["-c", "import moto, flask"])
            .output();
        probe.is_ok_and(|output| output.status.success())
    });
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        found.is_some() || !in_ci,
        "CI needs {PYTHON}: a Python with moto[server]"
    );
    if found.is_none() {
        println!("SKIPPED: set {PYTHON} to a Python that has moto[server]==5.2.5");
    }
    found
}

impl Moto {
    /// Starts an empty AWS; `None`, said aloud, on machines without moto.
    pub(crate) async fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto/server.py");
        let mut process = Command::new(python()?)
            .args(["-W", "ignore"])
            .arg(script)
            .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = within("starting moto", lines.next_line()).await.unwrap();
        let told: Value = serde_json::from_str(&line.unwrap()).unwrap();
        Some(Self {
            port: u16::try_from(told["port"].as_u64().unwrap()).unwrap(),
            http: car_core::http::client_builder()
                .timeout(std::time::Duration::from_secs(60))
                .build()
                .unwrap(),
            _process: process,
        })
    }

    /// Returns its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn control(&self, what: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}/_test/{what}", self.url()));
        let response = request.json(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{what} {body}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a call as somebody in an account and a region.
    pub(crate) async fn make(&self, at: At, service: &str, call: &str, args: Value) -> Value {
        let step = json!({
            "service": service, "region": at.region, "account": at.account,
            "call": call, "args": args,
        });
        self.control("do", &json!([step])).await[0].take()
    }

    /// Returns the connector's calls since the last time, as `service:Action`.
    pub(crate) async fn calls(&self) -> Vec<String> {
        let calls = self.control("calls", &Value::Null).await;
        let name = |call: &Value| {
            let part = |name: &str| call[name].as_str().unwrap().to_owned();
            format!("{}:{}", part("service"), part("action"))
        };
        calls.as_array().unwrap().iter().map(name).collect()
    }

    /// Has CloudTrail tell of an event: its body as AWS writes it, or a text that is none.
    pub(crate) async fn event(&self, at: At, source: &str, name: &str, body: Value) {
        self.late_event(at, source, name, body, 0).await;
    }

    /// Has CloudTrail tell of an event of so many seconds ago.
    pub(crate) async fn late_event(
        &self,
        at: At,
        source: &str,
        name: &str,
        body: Value,
        seconds: u64,
    ) {
        let event = json!({
            "account": at.account, "region": at.region, "source": format!("{source}.amazonaws.com"),
            "name": name, "body": body, "ago": seconds,
        });
        self.control("events", &json!([event])).await;
    }

    /// Sets what Inspector has found: `{account, region, finding}` each.
    pub(crate) async fn inspector(&self, findings: Value) {
        self.control("inspector", &findings).await;
    }

    /// Has chosen calls answered with an error: `{match, status, code, times, skip}` each.
    pub(crate) async fn fail(&self, faults: Value) {
        self.control("faults", &faults).await;
    }
}

/// Somewhere in AWS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) account: &'static str,
    pub(crate) region: &'static str,
}

/// Returns a time of day as AWS writes it, so many seconds ago.
pub(crate) fn ago(seconds: i64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let then = i64::try_from(now.as_secs()).unwrap() - seconds;
    aws_smithy_types::DateTime::from_secs(then)
        .fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap()
}

/// The first region of the tests.
pub(crate) const IRELAND: At = At {
    account: ACCOUNT,
    region: "eu-west-1",
};

/// The second region of the tests.
pub(crate) const OHIO: At = At {
    account: ACCOUNT,
    region: "us-east-2",
};
