//! Every mode beside a platform, over HTTP.

use car_core::exchange::{LogLevel, OutputType};
use car_testkit::{
    At, Deed, Emulator, EmulatorOptions, HttpProxy, Program, Running, Signal, TestFolder,
};

use super::{numbered, read, text};
use crate::support::program;

/// Returns a mode of the connector beside a platform.
fn beside(mode: &str, address: &str) -> Program {
    program()
        .args(&[mode])
        .env("CONTAINER_API", format!("http://{address}"))
}

/// Acceptance check 3, from our side: all four modes.
#[tokio::test]
async fn all_modes_pass() {
    let (folder, files, target) = (TestFolder::new(), TestFolder::new(), TestFolder::new());
    folder.write(
        "before.jsonl",
        "{\"id\":\"1\",\"v\":\"a\"}\n{\"id\":\"2\",\"v\":\"b\"}\n",
    );
    folder.write(
        "input.jsonl",
        "{\"id\":\"2\",\"v\":\"c\"}\n{\"id\":\"3\",\"v\":\"d\"}\n",
    );
    files.write("a.csv", "id,name\n7,seven\n");
    target.write("1.json", "{}\n");
    let mut options = EmulatorOptions::new(folder.path());
    options.delta_key = vec!["id".to_owned()];
    let emulator = Emulator::start(options).await.unwrap();
    let address = emulator.address();

    drop(
        beside("data-source", &address)
            .args(&["--directory", &text(files.path())])
            .run()
            .await
            .with_code(0),
    );
    assert_eq!(
        emulator.written(OutputType::Output),
        "{\"id\":\"7\",\"name\":\"seven\"}\n"
    );
    drop(
        beside("data-service", &address)
            .env("NEW_COLUMN_NAME", "copy")
            .env("SOURCE_COLUMN", "v")
            .run()
            .await
            .with_code(0),
    );
    let written = emulator.written(OutputType::Output);
    assert!(
        written.ends_with("{\"id\":\"3\",\"v\":\"d\",\"copy\":\"d\"}\n"),
        "{written}"
    );
    drop(
        beside("export", &address)
            .args(&["--to-directory", &text(target.path())])
            .run()
            .await
            .with_code(0),
    );
    assert_eq!(read(&target, "export.jsonl"), read(&folder, "input.jsonl"));
    drop(
        beside("export-delta", &address)
            .args(&["--key-column", "id", "--to-directory", &text(target.path())])
            .run()
            .await
            .with_code(0),
    );
    assert_eq!(super::names(&target), ["2.json", "3.json", "export.jsonl"]);
}

/// Log lines go to the platform, without secrets and without rows (weakness 6).
#[tokio::test]
async fn the_log_goes_to_the_platform() {
    let folder = TestFolder::new();
    folder.write(
        "input.jsonl",
        "{\"id\":\"1\",\"name\":\"a private name\"}\n",
    );
    let emulator = Emulator::of(folder.path()).await;
    let ended = beside("export", &emulator.address())
        .env("PUP_AUTH_TOKEN", "hush-hush")
        .env("TO_URL", "http://127.0.0.1:9/?hush-hush")
        .args(&["--source-retry-for", "1ms"])
        .run()
        .await
        .with_code(51);
    let logs = emulator.logs();
    let error = logs.iter().find(|line| line.level == LogLevel::Error);
    assert!(
        error.unwrap().message.contains("sending rows failed"),
        "{logs:?}"
    );
    let all = format!("{logs:?}{}{}", ended.stderr, ended.stdout);
    for hidden in ["hush-hush", "a private name"] {
        assert!(!all.contains(hidden), "{all}");
    }
    let files = TestFolder::new();
    files.write("a.csv", "id\n1\n");
    drop(
        beside("data-source", &emulator.address())
            .args(&["--directory", &text(files.path())])
            .run()
            .await
            .with_code(0),
    );
    let logs = emulator.logs();
    assert!(
        logs.iter()
            .any(|line| line.message.contains("read a file to its end")),
        "{logs:?}"
    );
    assert_eq!(logs.last().unwrap().level, LogLevel::Success, "{logs:?}");
}

/// A log that the platform does not take goes to standard error.
#[tokio::test]
async fn a_log_that_is_not_taken_is_on_standard_error() {
    let (folder, files) = (TestFolder::new(), TestFolder::new());
    files.write("a.csv", "id\n1\n");
    let emulator = Emulator::of(folder.path()).await;
    let proxy = HttpProxy::start(emulator.address()).await;
    proxy.on(At::With("POST /logs".to_owned()), Deed::Answer(400));
    drop(
        beside("data-source", proxy.address())
            .args(&["--directory", &text(files.path())])
            .run()
            .await
            .with_code(0)
            .saying("read a file to its end"),
    );
    assert!(emulator.logs().is_empty());
    assert_eq!(emulator.written(OutputType::Output), "{\"id\":\"1\"}\n");
}

#[tokio::test]
async fn a_platform_that_is_not_there_ends_in_60() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    drop(
        beside("data-service", &address)
            .args(&["--set", "a=b", "--container-api-retry-for", "1ms"])
            .run()
            .await
            .with_code(60)
            .saying("cannot be reached"),
    );
}

/// An export that waits for its second batch.
struct Held {
    target: TestFolder,
    proxy: HttpProxy,
    export: Program,
    running: Running,
    _folder: TestFolder,
    _emulator: Emulator,
}

impl Held {
    async fn start() -> Self {
        let (folder, target) = (TestFolder::new(), TestFolder::new());
        folder.write("input.jsonl", &numbered(2500));
        target.write("export.jsonl", "before\n");
        let emulator = Emulator::of(folder.path()).await;
        let proxy = HttpProxy::start(emulator.address()).await;
        let export =
            beside("export", proxy.address()).args(&["--to-directory", &text(target.path())]);
        // A ping, two counts of what was written, to the start, a count, a batch; the next never
        // comes.
        proxy.on(At::Nth(7), Deed::Hold);
        let running = export.start();
        proxy.held().await;
        Self {
            target,
            proxy,
            export,
            running,
            _folder: folder,
            _emulator: emulator,
        }
    }
}

/// Nothing is half, and the next run begins with the first row.
async fn begins_anew(target: &TestFolder, proxy: &HttpProxy, export: &Program) {
    assert_eq!(read(target, "export.jsonl"), "before\n");
    proxy.clear();
    drop(export.run().await.with_code(0));
    assert_eq!(read(target, "export.jsonl"), numbered(2500));
    assert_eq!(super::names(target), ["export.jsonl"]);
}

/// A run that is killed leaves what was there.
#[tokio::test]
async fn a_killed_run_leaves_nothing_half() {
    let held = Held::start().await;
    held.running.kill().await;
    begins_anew(&held.target, &held.proxy, &held.export).await;
}

/// A run that is asked to stop ends soon, says so, and takes its partial file away.
#[tokio::test]
async fn a_run_that_is_stopped_leaves_nothing_half() {
    let held = Held::start().await;
    held.running.signal(Signal::Term).await;
    drop(held.running.ended().await.with_code(10).saying("stopped"));
    assert_eq!(super::names(&held.target), ["export.jsonl"]);
    begins_anew(&held.target, &held.proxy, &held.export).await;
}
