//! Chromium without a window, driven over the two pipes of its debugging protocol: pages are tested
//! as people meet them.
//!
//! With pipes there is no port to agree on, no driver of the browser's exact version to install,
//! and the browser ends when the test does.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::setting::in_ci;

/// Names the file `axe.min.js`; without it the tests in a browser are skipped and say so.
const AXE: &str = "CAR_TEST_AXE";

/// What Debian and others call the program.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How long the browser may take for one thing, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Moves of the focus after which something cannot be reached.
const STEPS: usize = 400;

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// In dark colours.
    pub dark: bool,
    /// On a screen as wide as a telephone's.
    pub narrow: bool,
}

impl Form {
    /// All of them, the plain one first.
    pub const ALL: [Self; 4] = [
        Self::of(false, false),
        Self::of(true, false),
        Self::of(false, true),
        Self::of(true, true),
    ];

    const fn of(dark: bool, narrow: bool) -> Self {
        Self { dark, narrow }
    }

    /// Returns the name for files.
    #[must_use]
    pub fn name(self) -> String {
        let colour = if self.dark { "dark" } else { "light" };
        let width = if self.narrow { "narrow" } else { "wide" };
        format!("{colour}-{width}")
    }
}

/// A page in a browser of its own.
#[derive(Debug)]
pub struct Chromium {
    // Ends with it.
    _process: Child,
    _folder: TempDir,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    loads: usize,
    axe: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but this one"
)]
fn axe() -> Option<String> {
    let file = std::env::var(AXE).ok().filter(|file| !file.is_empty())?;
    Some(std::fs::read_to_string(file).unwrap())
}

#[expect(
    clippy::disallowed_methods,
    reason = "where programs are is no setting of ours"
)]
fn program() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| PROGRAMS.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn skipped() {
    println!("SKIPPED: needs chromium, and {AXE}: the file axe.min.js of axe-core");
}

impl Chromium {
    /// Starts a browser; where there is none, says so and returns none, which CI does not take.
    pub async fn start() -> Option<Self> {
        let (Some(program), Some(axe)) = (program(), axe()) else {
            assert!(
                !in_ci(),
                "CI needs chromium, and {AXE}: the file axe.min.js"
            );
            skipped();
            return None;
        };
        let folder = TempDir::new().unwrap();
        // Chromium reads from descriptor 3 and writes to 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null"])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                // The sandbox needs what containers and root do not have; the pages are ours.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
                "--force-color-profile=srgb",
                "--hide-scrollbars",
                "--lang=en",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut browser = Self {
            to: process.stdin.take().unwrap(),
            from: BufReader::new(process.stdout.take().unwrap()),
            _process: process,
            _folder: folder,
            session: None,
            sent: 0,
            loads: 0,
            axe,
        };
        let page = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attached = browser
            .call(
                "Target.attachToTarget",
                json!({ "targetId": page["targetId"], "flatten": true }),
            )
            .await;
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", json!({})).await;
        Some(browser)
    }

    /// Calls a method of the protocol and returns its result.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.unwrap();
        loop {
            let message = self.receive(method).await;
            if message["id"] == id {
                assert_eq!(message.get("error"), None, "{method} {parameters}");
                return message["result"].clone();
            }
        }
    }

    async fn receive(&mut self, what: &str) -> Value {
        let mut bytes = Vec::new();
        let read = self.from.read_until(0, &mut bytes);
        let length = tokio::time::timeout(PATIENCE, read)
            .await
            .unwrap_or_else(|_| panic!("the browser does not answer {what}"))
            .unwrap();
        assert!(length > 0, "the browser ended at {what}");
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        if message["method"] == "Page.loadEventFired" {
            self.loads += 1;
        }
        message
    }

    /// Waits until a page was loaded since a call began.
    async fn loaded(&mut self, before: usize, what: &str) {
        while self.loads == before {
            self.receive(what).await;
        }
    }

    /// Sets size and colours.
    pub async fn look(&mut self, form: Form) {
        let (width, height) = if form.narrow { (360, 740) } else { (1280, 900) };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        )
        .await;
        let scheme = if form.dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        )
        .await;
    }

    /// Goes to an address and waits until it is there.
    pub async fn open(&mut self, address: &str) {
        let before = self.loads;
        let gone = self.call("Page.navigate", json!({ "url": address })).await;
        assert_eq!(gone.get("errorText"), None, "{address}");
        self.loaded(before, address).await;
    }

    /// Computes something in the page.
    pub async fn compute(&mut self, expression: &str) -> Value {
        let answer = self
            .call(
                "Runtime.evaluate",
                json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
            )
            .await;
        assert_eq!(answer.get("exceptionDetails"), None, "{expression:.200}");
        answer["result"]["value"].clone()
    }

    async fn press(&mut self, key: &str, code: u32, text: &str) {
        let event = |kind: &str| json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
        let mut down = event("keyDown");
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", down).await;
        self.call("Input.dispatchKeyEvent", event("keyUp")).await;
    }

    /// Moves the focus on until it is where an expression over `e`, the element, is true, and
    /// checks that it can be seen there.
    pub async fn tab_to(&mut self, is_it: &str) {
        for _ in 0..STEPS {
            self.press("Tab", 9, "").await;
            let there = format!("(e => {is_it})(document.activeElement)");
            if self.compute(&there).await == true {
                let seen = "(e => { const s = getComputedStyle(e); const b = e.getBoundingClientRect(); \
                            return s.outlineStyle !== 'none' && b.width > 0 && b.right > 0 && b.left < innerWidth; \
                            })(document.activeElement)";
                assert_eq!(
                    self.compute(seen).await,
                    true,
                    "{is_it}: the focus is not seen"
                );
                return;
            }
        }
        panic!("the keyboard does not lead to {is_it}");
    }

    /// Presses Enter where that leads to another page.
    pub async fn enter(&mut self) {
        let before = self.loads;
        self.press("Enter", 13, "\r").await;
        self.loaded(before, "Enter").await;
    }

    /// Moves to something, as [`tab_to`](Self::tab_to), and goes where it leads; returns the
    /// heading there.
    pub async fn follow(&mut self, is_it: &str) -> String {
        self.tab_to(is_it).await;
        self.enter().await;
        self.heading().await
    }

    /// Returns the heading of the page.
    pub async fn heading(&mut self) -> String {
        let heading = self.compute("document.querySelector('h1').textContent");
        heading.await.as_str().unwrap().to_owned()
    }

    /// Returns the text of the page's main part.
    pub async fn text(&mut self) -> String {
        let text = self.compute("document.querySelector('main').innerText");
        text.await.as_str().unwrap().to_owned()
    }

    /// Types text where the focus is.
    pub async fn type_in(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Keeps a picture of the whole page.
    async fn picture(&mut self, file: &std::path::Path) {
        let picture = self
            .call(
                "Page.captureScreenshot",
                json!({ "format": "png", "captureBeyondViewport": true }),
            )
            .await;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().unwrap())
            .unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Returns what axe finds serious or critical.
    async fn faults(&mut self) -> Vec<Value> {
        let source = self.axe.clone();
        // The value of the library itself cannot be returned.
        self.compute(&format!("{source}; 0")).await;
        let found = self
            .compute(
                "axe.run(document).then(r => r.violations \
                 .filter(v => v.impact === 'serious' || v.impact === 'critical') \
                 .map(v => ({ id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html + n.failureSummary) })))",
            )
            .await;
        found.as_array().unwrap().clone()
    }

    /// Keeps a picture of the page in `target/tmp/screenshots` and returns what is wrong with how it
    /// looks: what axe finds, and a page that is wider than its window.
    pub async fn look_at(&mut self, name: &str, form: Form) -> Vec<String> {
        let title = format!("{name}-{}", form.name());
        let mut folder = crate::binary::target_folder();
        folder.extend(["tmp", "screenshots"]);
        std::fs::create_dir_all(&folder).unwrap();
        self.picture(&folder.join(format!("{title}.png"))).await;
        let faults = self.faults().await;
        let mut wrong: Vec<_> = faults
            .iter()
            .map(|fault| format!("{title}: {fault:#}"))
            .collect();
        let width = "document.documentElement.scrollWidth - innerWidth";
        let over = self.compute(width).await;
        if over.as_f64().is_none_or(|over| over > 0.0) {
            wrong.push(format!("{title}: the page is {over} pixels too wide"));
        }
        wrong
    }
}
