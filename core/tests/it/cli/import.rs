//! An import against a CAR service that answers as the protocol says.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Ended, Probe, ended, lines};

/// A service with an empty database.
pub(super) async fn service() -> MockServer {
    let server = MockServer::start().await;
    let answers = [
        (
            "GET",
            "v2/databases",
            json!({"databases": [{"name": "t", "graph_name": "assets", "is_ready": true, "missing_collections": [], "collections_without_indexes": [], "collections": []}]}),
        ),
        (
            "GET",
            "v3/importSchema",
            json!({"version": "v2", "schema": car_schema::import_schema(&car_schema::Model::core())}),
        ),
        ("GET", "v3/health", json!({})),
        (
            "POST",
            "v2/source/s1/full-import-in-progress",
            json!({"job_id": "j"}),
        ),
        (
            "DELETE",
            "v2/source/s1/full-import-in-progress",
            json!({"job_id": "j"}),
        ),
        ("GET", "v2/jobstatus/j", json!({"status": "COMPLETE"})),
        (
            "POST",
            "v2/imports",
            json!({"id": "i", "status": "INPROGRESS"}),
        ),
        (
            "GET",
            "v2/importstatus",
            json!({"error_imports": [], "incomplete_imports": []}),
        ),
        ("PATCH", "v2/source", json!({})),
    ];
    for (verb, place, answer) in answers {
        Mock::given(method(verb))
            .and(path(format!("/api/car/{place}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&server)
            .await;
    }
    server
}

fn line(dir: &TempDir, more: &str) -> String {
    let at = |name: &str| dir.path().join(name).display().to_string();
    format!(
        "{more} --report {} --quarantine {}",
        at("report.json"),
        at("quarantine.jsonl")
    )
}

fn report(dir: &TempDir) -> Value {
    let text = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    assert!(!text.contains("hush-"), "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn import(server: &MockServer, dir: &TempDir, more: &str) -> Ended {
    let probe = Probe::new(&line(dir, more)).source().car(&server.uri());
    probe.run().await
}

#[tokio::test]
async fn an_import_ends_with_a_summary() {
    let (server, dir) = (service().await, tempfile::tempdir().unwrap());
    let done = import(
        &server,
        &dir,
        "--regions eu,us --assets 1200 --log-format text",
    )
    .await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.stdout, "");
    let summary: Vec<&str> = done
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("collection"))
        .collect();
    insta::with_settings!({filters => vec![(r"in [0-9.]+ m?s", "in TIME")]}, {
        insta::assert_snapshot!(summary.join("\n"), @r"
    collection    sent
    ──────────────────
    asset        2 400

    imported 2 400 objects in TIME: full, because the connector has no incremental import
    ");
    });
    let report = report(&dir);
    assert_eq!(report["outcome"], "complete");
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["collections"]["asset"]["sent"], 2400);
}

#[tokio::test]
async fn log_lines_tell_the_run() {
    let (server, dir) = (service().await, tempfile::tempdir().unwrap());
    let done = import(&server, &dir, "import -regions eu -full -state none").await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let told = lines(&done.stderr);
    for line in &told {
        let time = line["ibm_datetime"].as_str().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
        assert_eq!(line["connector"], "probe");
        assert_eq!(line["source"], "s1");
        assert_eq!(line["version"], "1.2.3");
    }
    let messages: Vec<&str> = told
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    insta::with_settings!({filters => vec![(r"in [0-9.]+ m?s", "in TIME")]}, {
        insta::assert_snapshot!(messages.join("\n"), @r"
    entered a phase
    chose the mode
    entered a phase
    listed the scopes
    entered a phase
    read a scope to its end
    entered a phase
    entered a phase
    entered a phase
    entered a phase
    imported 3 objects in TIME: full, because it was asked for
    ");
    });
    let last = told.last().unwrap();
    assert_eq!((&last["sent"], &last["mode"]), (&json!(3), &json!("full")));
}

#[tokio::test]
async fn a_failing_source_ends_the_run_with_its_code() {
    let (server, dir) = (service().await, tempfile::tempdir().unwrap());
    let more = "--regions eu --behaviour forbidden --log-format text";
    let done = import(&server, &dir, more).await;
    let report = report(&dir);
    assert_eq!(i64::from(done.code), report["exit_code"].as_i64().unwrap());
    assert!([11, 53].contains(&done.code), "{}", done.stderr);
    assert!(
        done.stderr.contains("the source forbids reading"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("401: wrong password [secret]"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn wrong_credentials_of_the_service_are_recoverable() {
    let (server, dir) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(401).set_body_string("no user hush-key:hush-car"))
        .mount(&server)
        .await;
    let done = import(&server, &dir, "--regions eu --log-format text").await;
    assert_eq!(done.code, 10, "{}", done.stderr);
    assert!(
        done.stderr.starts_with("error: ") || done.stderr.contains("\nerror: "),
        "{}",
        done.stderr
    );
    assert_eq!(report(&dir)["exit_code"], 10);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_recoverable() {
    let dir = tempfile::tempdir().unwrap();
    let line = line(&dir, "--regions eu --car-retry-for 1ms");
    let done = Probe::new(&line)
        .source()
        .car("http://127.0.0.1:1")
        .run()
        .await;
    assert_eq!(done.code, 10, "{}", done.stderr);
    assert_eq!(report(&dir)["outcome"], "failed");
}

#[tokio::test]
async fn settings_of_the_service_are_checked_before_anything_is_opened() {
    let done = Probe::new("--regions eu --log-format text")
        .source()
        .run()
        .await;
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.starts_with("error: nothing is set to sign in"),
        "{}",
        done.stderr
    );
    let none = Probe::new("--log-format text").run().await;
    assert_eq!(none.code, 2);
    assert!(
        none.stderr
            .starts_with("error: settings `server`, `password`, `source` are missing"),
        "{}",
        none.stderr
    );
}

/// What a process says, as it comes.
type Said = tokio::io::Lines<BufReader<tokio::process::ChildStderr>>;

/// Starts an import whose source never answers.
fn hanging(dir: &TempDir, server: &MockServer) -> (Child, Said) {
    let line = line(dir, "--regions eu --behaviour hangs");
    let mut child = Probe::new(&line).source().car(&server.uri()).start();
    let stderr = child.stderr.take().unwrap();
    (child, BufReader::new(stderr).lines())
}

async fn until(said: &mut Said, text: &str) {
    loop {
        let next = tokio::time::timeout(super::DEADLINE, said.next_line());
        let line = next.await.expect("the process says something").unwrap();
        if line.expect("the process goes on").contains(text) {
            return;
        }
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let status = std::process::Command::new("kill")
        .args([name, &id])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_signal_ends_the_run_and_leaves_a_report() {
    let (server, dir) = (service().await, tempfile::tempdir().unwrap());
    let (child, mut said) = hanging(&dir, &server);
    until(&mut said, "waiting for the source").await;
    signal(&child, "-TERM");
    until(&mut said, "stopping, as a signal asked for").await;
    until(&mut said, "\"exit_code\":10").await;
    assert_eq!(ended(child).await.code, 10);
    let report = report(&dir);
    assert_eq!(report["outcome"], "interrupted");
    assert_eq!(report["session_open"], true);
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        // A call to the service is not dropped at once, as a read of the source is.
        let (server, dir) = (service().await, tempfile::tempdir().unwrap());
        let never = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(600));
        Mock::given(path("/api/car/v2/databases"))
            .respond_with(never)
            .with_priority(1)
            .mount(&server)
            .await;
        let (child, mut said) = hanging(&dir, &server);
        until(&mut said, "entered a phase").await;
        signal(&child, name);
        until(&mut said, "stopping, as a signal asked for").await;
        signal(&child, name);
        assert_eq!(ended(child).await.code, code);
        assert!(!dir.path().join("report.json").exists());
    }
}

#[tokio::test]
async fn a_defect_ends_the_run_with_a_report_or_a_line() {
    let (server, dir) = (service().await, tempfile::tempdir().unwrap());
    let done = import(&server, &dir, "--regions eu --behaviour panics").await;
    assert_ne!(done.code, 0);
    assert_ne!(done.code, 101, "{}", done.stderr);
    let defects = lines(&done.stderr);
    let told = defects.iter().any(|line| {
        line["message"]
            .as_str()
            .unwrap()
            .contains("the list of http://source is empty")
    });
    assert!(told, "{}", done.stderr);
}
