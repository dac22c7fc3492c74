//! The program itself: exit codes, messages, signals, and being killed while it writes.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::replica::Replica;
use crate::support::{Api, PASSWORD, USER};

const WAIT: Duration = Duration::from_secs(60);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reference-server"));
    command
        .env_remove("REFERENCE_SERVER_USERNAME")
        .env_remove("REFERENCE_SERVER_PASSWORD")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Output {
    timeout(WAIT, program().args(arguments).output())
        .await
        .unwrap()
        .unwrap()
}

/// Starts `serve` on a free port; returns the child and its address.
async fn serve(data: &Path) -> (Child, Api) {
    let mut child = program()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--username",
            USER,
            "--data",
        ])
        .arg(data)
        .env("REFERENCE_SERVER_PASSWORD", PASSWORD)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(WAIT, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let url = line.strip_suffix('/').unwrap().to_owned();
    (child, Api::new(url))
}

#[tokio::test]
async fn wrong_settings_exit_2_and_name_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(
        path("text"),
        "this is not a database, but long enough to look at",
    )
    .unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let (good, text, missing) = (path("good.db"), path("text"), path("no/such/folder.db"));
    for (arguments, wanted) in [
        (
            vec!["serve", "--data", &good, "--listen", &port],
            "--listen",
        ),
        (
            vec!["serve", "--data", &good, "--listen", "nowhere"],
            "--listen",
        ),
        (
            vec![
                "serve",
                "--data",
                &good,
                "--username",
                "a:b",
                "--listen",
                "127.0.0.1:0",
            ],
            "--username",
        ),
        (vec!["serve", "--data", &text], "not a database"),
        (
            vec!["populate", "--data", &missing, "--assets", "1"],
            "--data",
        ),
        (
            vec!["populate", "--data", &good, "--assets", "0"],
            "--assets",
        ),
        (
            vec!["populate", "--data", &good, "--assets", "many"],
            "--assets",
        ),
        (vec!["inventory", "--data", &text], "not a database"),
        (vec!["serve"], "--data"),
        (vec!["server"], "serve"),
    ] {
        let output = run(&arguments).await;
        let talk = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {talk}");
        assert!(talk.contains(wanted), "{arguments:?}: {talk}");
        assert!(talk.starts_with("error: "), "{talk}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_or_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("inventory.db").display().to_string();
    assert!(
        run(&["populate", "--data", &data, "--assets", "1"])
            .await
            .status
            .success()
    );
    let set = |statement: &'static str| {
        let address = format!("sqlite://{data}");
        async move {
            use sqlx::Connection as _;
            let mut file = sqlx::SqliteConnection::connect(&address).await.unwrap();
            sqlx::raw_sql(statement).execute(&mut file).await.unwrap();
            file.close().await.unwrap();
        }
    };
    for (statement, wanted) in [
        ("PRAGMA user_version = 2", "newer version (layout 2"),
        ("PRAGMA application_id = 7", "another program"),
    ] {
        set(statement).await;
        let output = run(&["populate", "--data", &data, "--assets", "1"]).await;
        let talk = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(talk.contains(wanted), "{talk}");
    }
    set("PRAGMA user_version = 1; PRAGMA application_id = 1380271699").await;
    let output = run(&["populate", "--data", &data, "--assets", "1"]).await;
    let counts = String::from_utf8(output.stdout).unwrap();
    assert!(counts.contains("assets 2\n"), "{counts}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("inventory.db");
    let (mut child, api) = serve(&data).await;
    api.post("/sites/", json!({"name": "s"})).await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_password_is_made_and_printed_once_when_none_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("inventory.db"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = timeout(WAIT, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    let user = timeout(WAIT, talk.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let password = timeout(WAIT, talk.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(user, "user name: reference");
    let password = password.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(password.len(), 24);
    let request = crate::support::http().get(format!("{url}assets/"));
    let response = request
        .basic_auth("reference", Some(&password))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    child.kill().await.unwrap();
    let mut rest = String::new();
    talk.into_inner().read_to_string(&mut rest).await.unwrap();
    assert!(!rest.contains(&password), "{rest}");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_and_sigint_end_the_server_with_success() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, api) = serve(&folder.path().join("inventory.db")).await;
        api.post("/sites/", json!({"name": "s"})).await;
        let pid = child.id().unwrap().to_string();
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {pid}")])
            .status();
        assert!(timeout(WAIT, kill).await.unwrap().unwrap().success());
        let status = timeout(WAIT, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn kill_9_while_writing_leaves_objects_and_change_log_in_step() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("inventory.db");
    let mut replica: Option<Replica> = None;
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..6_u32 {
        let (mut child, api) = serve(&data).await;
        // After the kill: every acknowledged object is there, and the change log leads from the
        // state before to what is there now.
        let now = Replica::full(&api).await;
        for name in &acknowledged {
            let key = ("hosts".to_owned(), name.clone());
            assert!(
                now.vertices.contains_key(&key),
                "{name} was acknowledged and is lost"
            );
        }
        if let Some(mut followed) = replica.take() {
            followed.follow(&api, Some(7)).await;
            assert_eq!(followed, now);
        }
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for writer in 0..4 {
            let (api, sender) = (api.clone(), sender.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    let name = format!("r{round}-w{writer}-{n}");
                    let asset = api.request("POST".parse().unwrap(), "/assets/");
                    let asset = asset.json(&json!({"name": name})).send().await;
                    let Ok(asset) = asset else { return };
                    let Ok(asset) = asset.json::<serde_json::Value>().await else {
                        return;
                    };
                    let host = json!({"host_name": name, "assets": [asset["pk"]]});
                    let host = api.request("POST".parse().unwrap(), "/hosts/").json(&host);
                    match host.send().await {
                        Ok(answer) if answer.status() == 201 => drop(sender.send(name)),
                        _ => return,
                    }
                }
            });
        }
        drop(sender);
        for _ in 0..5 + round * 3 {
            let name = timeout(WAIT, receiver.recv()).await.unwrap();
            acknowledged.push(name.expect("the writers stopped before the kill"));
        }
        child.kill().await.unwrap();
        while let Some(name) = timeout(WAIT, receiver.recv()).await.unwrap() {
            acknowledged.push(name);
        }
        replica = Some(now);
    }
    assert!(acknowledged.len() >= 60, "{}", acknowledged.len());
}

#[tokio::test]
async fn loading_in_another_process_while_serving_ends_in_one_consistent_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("inventory.db");
    let (mut child, api) = serve(&data).await;
    let mut replica = Replica::full(&api).await;
    let path = data.display().to_string();
    let arguments = ["populate", "--data", &path, "--assets", "200"];
    let load = run(&arguments);
    let write = async {
        for n in 0..20 {
            api.post("/sites/", json!({"name": format!("by hand {n}")}))
                .await;
        }
    };
    let (output, ()) = tokio::join!(load, write);
    assert!(output.status.success(), "{output:?}");
    replica.follow(&api, Some(1000)).await;
    assert_eq!(replica, Replica::full(&api).await);
    assert_eq!(api.get("/sites/").await.as_array().unwrap().len(), 22);
    child.kill().await.unwrap();
}
