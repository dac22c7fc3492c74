//! The program: how it starts, stops, and what a kill leaves behind.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;

use crate::support::{Client, KEY, PASSWORD, envelope};

pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) client: Client,
    /// What it printed besides the address.
    pub(crate) rest: Vec<String>,
    output: BufReader<std::process::ChildStdout>,
}

pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_car-service"));
    command
        .env_clear()
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn start(mut command: Command, lines: usize) -> Program {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut read = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let first = read();
    let url = first
        .strip_prefix("listening on ")
        .expect(&first)
        .to_owned();
    let rest = (0..lines).map(|_| read()).collect();
    Program {
        child,
        client: Client::new(&url),
        rest,
        output,
    }
}

pub(crate) fn with_key(data: &Path) -> Command {
    let mut command = command(data);
    command
        .env("CAR_SERVICE_KEY", KEY)
        .env("CAR_SERVICE_PASSWORD", PASSWORD);
    command
}

pub(crate) fn fails(mut command: Command, text: &str) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(text), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test]
async fn the_first_start_makes_a_key_and_shows_it_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().join("new/data");
    let mut program = start(command(&data), 3);
    let key = program.rest[0].strip_prefix("key: ").unwrap().to_owned();
    let password = program.rest[1]
        .strip_prefix("password: ")
        .unwrap()
        .to_owned();
    let request = program
        .client
        .request(reqwest::Method::POST, "databases")
        .basic_auth(&key, Some(&password));
    program.client.send(request).await.expect(200);
    let terminated = Command::new("kill")
        .arg(program.child.id().to_string())
        .status()
        .unwrap();
    assert!(terminated.success());
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file:?}");
        let bytes = std::fs::read(file.path()).unwrap();
        let found = bytes
            .windows(password.len())
            .any(|window| window == password.as_bytes());
        assert!(!found, "the password is in {file:?}");
    }
    assert_eq!(
        std::fs::metadata(&data).unwrap().permissions().mode() & 0o777,
        0o700
    );

    let mut program = start(command(&data), 0);
    let request = program
        .client
        .request(reqwest::Method::GET, "databases")
        .basic_auth(&key, Some(&password));
    program.client.send(request).await.expect(200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let mut rest = String::new();
    program.output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing more is printed on a second start");
}

#[test]
fn settings_that_cannot_work_end_with_2_and_name_the_flag() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    fails(command(&file.join("data")), "--data");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut busy = Command::new(env!("CARGO_BIN_EXE_car-service"));
    busy.env_clear()
        .args(["serve", "--data"])
        .arg(folder.path().join("a"))
        .args(["--listen", &taken.local_addr().unwrap().to_string()]);
    fails(busy, "--listen");

    let mut half = command(&folder.path().join("b"));
    half.args(["--api-key", "k"]);
    fails(half, "--api-password");
    let mut colon = command(&folder.path().join("b"));
    colon.args(["--api-key", "a:b", "--api-password", "p"]);
    fails(colon, "--api-key");
    fails(command(Path::new("")), "--data");
    let mut tls = command(&folder.path().join("b"));
    tls.arg("--tls-cert").arg(&file).arg("--tls-key").arg(&file);
    fails(tls, "--tls-cert");

    let data = folder.path().join("c");
    let mut running = start(with_key(&data), 0);
    fails(with_key(&data), "in use by another car-service");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut program = start(with_key(folder.path()), 0);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let file = folder.path().join("car.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display()))
        .await
        .unwrap();
    sqlx::query("UPDATE meta SET value = '99' WHERE name = 'version'")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    fails(with_key(folder.path()), "has version 99");
    std::fs::write(&file, vec![7_u8; 10_000]).unwrap();
    fails(with_key(folder.path()), "cannot open the database");
}

#[tokio::test]
async fn a_stop_finishes_what_runs() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut program = start(with_key(folder.path()), 0);
    program
        .client
        .post("databases", json!({}))
        .await
        .expect(200);
    let rows: Vec<_> = (0..20_000)
        .map(|row| json!({ "external_id": row.to_string(), "name": "n" }))
        .collect();
    let body = envelope("s", json!({ "asset": rows }));
    let client = program.client.clone();
    let call = tokio::spawn(async move {
        client
            .request(reqwest::Method::POST, "imports")
            .basic_auth(KEY, Some(PASSWORD))
            .json(&body)
            .send()
            .await
            .map(|response| response.status().as_u16())
    });
    tokio::task::yield_now().await;
    let status = Command::new("kill")
        .arg(program.child.id().to_string())
        .status()
        .unwrap();
    assert!(status.success());
    let code = tokio::task::spawn_blocking(move || program.child.wait().unwrap().code())
        .await
        .unwrap();
    assert_eq!(code, Some(0));
    let answered = call.await.unwrap().is_ok_and(|status| status == 200);
    let file = folder.path().join("car.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display()))
        .await
        .unwrap();
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM cur_asset")
        .fetch_one(&pool)
        .await
        .unwrap();
    // Either the call was under way and was finished, or it never arrived.
    assert_eq!(count, if answered { 20_000 } else { 0 });
}

/// Runs the program to its end and returns what it printed.
fn run(arguments: &[&str], data: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_car-service"))
        .env_clear()
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn keys_have_roles_and_are_taken_away() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut program = start(with_key(folder.path()), 0);
    program
        .client
        .post("databases", json!({}))
        .await
        .expect(200);
    program
        .client
        .import(
            "other",
            json!({ "asset": [{ "external_id": "a", "name": "a" }] }),
        )
        .await;
    let make = |arguments: &[&str]| {
        let text = run(arguments, folder.path());
        let mut lines = text.lines();
        let key = lines
            .next()
            .unwrap()
            .strip_prefix("key: ")
            .unwrap()
            .to_owned();
        let password = lines
            .next()
            .unwrap()
            .strip_prefix("password: ")
            .unwrap()
            .to_owned();
        (key, password)
    };
    let connector = make(&["key", "create", "--role", "connector", "--source", "mine"]);
    let consumer = make(&["key", "create", "--role", "consumer"]);
    let admin = make(&["key", "create", "--role", "admin"]);
    let client = program.client.clone();
    let call = async |(key, password): &(String, String),
                      method: &str,
                      path: &str,
                      body: serde_json::Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client
            .request(method, path)
            .basic_auth(key, Some(password))
            .json(&body);
        client.send(request).await
    };
    let none = json!({});
    let query = json!({ "query": "{ asset { name } }" });
    let tag = json!({ "query": "mutation { insert_tag_asset(objects: {id: \"other/a\", tag: \"t\"}) { affected_rows } }" });
    let cases = [
        (
            "POST",
            "imports",
            envelope("mine", json!({})),
            [200, 403, 200],
        ),
        (
            "POST",
            "imports",
            envelope("other", json!({})),
            [403, 403, 200],
        ),
        (
            "POST",
            "source/mine/full-import-in-progress",
            none.clone(),
            [200, 403, 200],
        ),
        (
            "POST",
            "source/other/full-import-in-progress",
            none.clone(),
            [403, 403, 200],
        ),
        (
            "DELETE",
            "source/other/full-import-in-progress",
            none.clone(),
            [403, 403, 200],
        ),
        (
            "PATCH",
            "source/other/full-import-in-progress",
            none.clone(),
            [403, 403, 409],
        ),
        (
            "PATCH",
            "source/mine",
            json!({ "model_state_id": "1" }),
            [200, 403, 200],
        ),
        (
            "PATCH",
            "source?key=other",
            json!({ "model_state_id": "1" }),
            [403, 403, 200],
        ),
        (
            "DELETE",
            "source/other/asset?external_ids=x",
            none.clone(),
            [403, 403, 200],
        ),
        (
            "PATCH",
            "asset?external_id=a",
            json!({ "name": "b" }),
            [403, 403, 404],
        ),
        ("POST", "v3/query", query.clone(), [200, 200, 200]),
        ("GET", "asset", none.clone(), [200, 200, 200]),
        ("GET", "v3/clearDbToken", none.clone(), [403, 403, 200]),
        ("DELETE", "v3/carSchema/x", none.clone(), [403, 403, 404]),
    ];
    for (method, path, body, statuses) in cases {
        for (key, status) in [&connector, &consumer, &admin].into_iter().zip(statuses) {
            let answer = call(key, method, path, body.clone()).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{method} {path}: {}",
                answer.body
            );
        }
    }
    for key in [&connector, &consumer] {
        let answer = call(key, "POST", "v3/query", tag.clone()).await.expect(200);
        assert!(
            answer["errors"][0]["message"]
                .as_str()
                .unwrap()
                .contains("may not")
        );
    }
    let list = run(&["key", "list"], folder.path());
    assert!(
        list.contains(&format!("{}\tconnector\tmine", connector.0)),
        "{list}"
    );
    run(&["key", "revoke", &consumer.0], folder.path());
    assert!(!run(&["key", "list"], folder.path()).contains(&consumer.0));

    let copy = folder.path().join("copy.db");
    run(&["backup", "--to", copy.to_str().unwrap()], folder.path());
    assert_eq!(
        std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    // A revoked key is refused at once after a start, and within seconds without one.
    let mut program = start(with_key(folder.path()), 0);
    let request = program
        .client
        .request(reqwest::Method::GET, "asset")
        .basic_auth(&consumer.0, Some(&consumer.1));
    assert_eq!(program.client.send(request).await.code(401), "unauthorized");
    program.child.kill().unwrap();
    program.child.wait().unwrap();

    let restored = tempfile::TempDir::new().unwrap();
    std::fs::copy(&copy, restored.path().join("car.db")).unwrap();
    let mut program = start(with_key(restored.path()), 0);
    assert_eq!(program.client.ids("asset").await, Vec::<String>::new());
    program.client.get("source/other").await.expect(200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}

#[tokio::test]
async fn an_address_that_guesses_has_to_wait() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut program = start(with_key(folder.path()), 0);
    let mut last = 0;
    for _ in 0..40 {
        let request = program
            .client
            .request(reqwest::Method::GET, "asset")
            .basic_auth(KEY, Some("guess"));
        last = program.client.send(request).await.status.as_u16();
    }
    assert_eq!(last, 429);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}

/// Starts a service on a PostgreSQL server.
pub(crate) fn replica(url: &str) -> Program {
    start(on_server(url), 0)
}

/// Describes a service on a PostgreSQL server, with fixed credentials.
pub(crate) fn on_server(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_car-service"));
    command
        .env_clear()
        .env("CAR_SERVICE_KEY", KEY)
        .env("CAR_SERVICE_PASSWORD", PASSWORD)
        .env("CAR_SERVICE_DATABASE_URL", url)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped());
    command
}

#[tokio::test]
async fn a_graph_moves_to_another_store() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut program = start(with_key(folder.path()), 0);
    let client = &program.client;
    client.post("databases", json!({})).await.expect(200);
    let extension = json!({
        "key": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "owner": "o", "version": "1",
        "schema": { "vertices": [{ "name": "site", "properties": { "size": { "type": "integer" } } }] },
    });
    client.post("v3/carSchema", extension).await.expect(201);
    client
        .import(
            "s",
            json!({
                "asset": [{ "external_id": "a/1", "name": "ü", "risk": 1.5, "tag": ["t"], "own": { "x": [1] } }],
                "hostname": [{ "_key": "h", "host_name": "H", "external_id": "7" }],
                "geolocation": [{ "external_id": "g", "region": "eu" }],
                "site": [{ "external_id": "s1", "size": 3 }],
                "asset_hostname": [{ "_from_external_id": "a/1", "_to": "hostname/h", "active": false }],
            }),
        )
        .await;
    client
        .patch("source/s", json!({ "model_state_id": "42" }))
        .await
        .expect(200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let exported = run(&["export"], folder.path());

    let other = tempfile::TempDir::new().unwrap();
    let mut empty = start(with_key(other.path()), 0);
    empty.child.kill().unwrap();
    empty.child.wait().unwrap();
    for _ in 0..2 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_car-service"))
            .env_clear()
            .args(["import", "--data"])
            .arg(other.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), exported.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(run(&["export"], other.path()), exported);
    }
    assert!(exported.contains("\"model_state_id\":\"42\""), "{exported}");
    let mut bad = Command::new(env!("CARGO_BIN_EXE_car-service"));
    bad.env_clear()
        .args(["import", "--data"])
        .arg(other.path())
        .stdin(Stdio::null());
    assert!(bad.output().unwrap().status.success(), "nothing is nothing");
}
