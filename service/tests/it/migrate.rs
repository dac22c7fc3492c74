//! Databases that are empty, old, new or up to date, and what `migrate` and a start make of them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::process::{fails, on_server, replica, start, with_key};
use crate::support::{Kind, postgres_schema, store_suite};

/// A store that no service runs on.
struct Store {
    folder: tempfile::TempDir,
    url: Option<String>,
}

impl Store {
    async fn new(kind: Kind) -> Self {
        Self {
            folder: tempfile::TempDir::new().unwrap(),
            url: match kind {
                Kind::Postgres => Some(postgres_schema().await),
                Kind::Sqlite => None,
            },
        }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn serve(&self) -> Command {
        match &self.url {
            Some(url) => on_server(url),
            None => with_key(self.data()),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_car-service"));
        command.env_clear().arg("migrate").args(arguments);
        match &self.url {
            Some(url) => command.env("CAR_SERVICE_DATABASE_URL", url),
            None => command.arg("--data").arg(self.data()),
        };
        command
    }

    /// Runs `migrate` and returns its exit code with what it printed.
    fn migrate(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, .. } = self.command(arguments).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap())
    }

    async fn run(&self, statements: &[&'static str]) {
        match &self.url {
            Some(url) => {
                let pool = sqlx::PgPool::connect(url).await.unwrap();
                for statement in statements {
                    sqlx::query(*statement).execute(&pool).await.unwrap();
                }
                pool.close().await;
            }
            None => {
                let file = format!("sqlite:{}", self.data().join("car.db").display());
                let pool = sqlx::SqlitePool::connect(&file).await.unwrap();
                for statement in statements {
                    sqlx::query(*statement).execute(&pool).await.unwrap();
                }
                pool.close().await;
            }
        }
    }

    /// Makes a database with one asset, and takes away what a program of an earlier version
    /// did not have.
    async fn make_old(&self) {
        let mut program = start(self.serve(), 0);
        let client = program.client.clone();
        client.post("databases", json!({})).await.expect(200);
        let rows = json!({ "asset": [{ "external_id": "a", "name": "a", "risk": 2.5 }] });
        client.import("s", rows).await;
        program.child.kill().unwrap();
        program.child.wait().unwrap();
        self.run(&[
            "UPDATE meta SET value = '0' WHERE name = 'version'",
            "DROP TABLE old_tags",
            "DROP INDEX ix_imports_at",
            "DROP TABLE cur_database",
            "ALTER TABLE cur_asset DROP COLUMN risk",
        ])
        .await;
    }
}

const UP_TO_DATE: &str = "the database is up to date\n";

async fn an_empty_database_is_made(kind: Kind) {
    let store = Store::new(kind).await;
    let (code, missing) = store.migrate(&["--check"]);
    assert_eq!(code, 3, "{missing}");
    assert!(missing.starts_with("missing: "), "{missing}");
    assert_eq!(store.migrate(&["--check"]).0, 3, "a check changes nothing");
    let (code, made) = store.migrate(&[]);
    assert_eq!(code, 0);
    assert!(made.contains("made: sources\n"), "{made}");
    for arguments in [&["--check"][..], &[], &["--check"]] {
        assert_eq!(store.migrate(arguments), (0, UP_TO_DATE.to_owned()));
    }
    let mut program = start(store.serve(), 0);
    let client = program.client.clone();
    client.post("databases", json!({})).await.expect(200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    assert_eq!(store.migrate(&["--check"]), (0, UP_TO_DATE.to_owned()));
}

async fn an_old_database_is_brought_up_to_date(kind: Kind) {
    let store = Store::new(kind).await;
    store.make_old().await;
    let (code, missing) = store.migrate(&["--check"]);
    assert_eq!(code, 3);
    for part in ["version ", "old_tags", "ix_imports_at"] {
        assert!(missing.contains(part), "{part}: {missing}");
    }
    let (code, _) = store.migrate(&[]);
    assert_eq!(code, 0);
    assert_eq!(store.migrate(&["--check"]), (0, UP_TO_DATE.to_owned()));
    let mut program = start(store.serve(), 0);
    let client = program.client.clone();
    assert_eq!(client.ids("asset").await, ["a"]);
    let rows = json!({
        "asset": [{ "external_id": "b", "name": "b", "risk": 1.5 }],
        "database": [{ "external_id": "d", "name": "d" }],
    });
    client.import("s", rows).await;
    let query = json!({ "query": "{ asset(where: {risk: {_eq: 1.5}}) { external_id } }" });
    let answer = client.post("v3/query", query).await.expect(200);
    assert_eq!(answer["data"]["asset"], json!([{ "external_id": "b" }]));
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}

async fn a_newer_database_is_refused(kind: Kind) {
    let store = Store::new(kind).await;
    assert_eq!(store.migrate(&[]).0, 0);
    store
        .run(&["UPDATE meta SET value = '99' WHERE name = 'version'"])
        .await;
    fails(store.command(&[]), "has version 99");
    fails(store.command(&["--check"]), "has version 99");
    fails(store.serve(), "has version 99");
}

store_suite! {
    an_empty_database_is_made,
    an_old_database_is_brought_up_to_date,
    a_newer_database_is_refused,
}

#[test]
fn a_folder_in_use_is_left_to_its_service() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut program = start(with_key(folder.path()), 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_car-service"));
    command.env_clear().arg("migrate");
    command.arg("--data").arg(folder.path());
    fails(command, "in use by another car-service");
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}

/// Starts several replicas in the same moment and returns how many made the first key.
fn start_at_once(url: &str) -> usize {
    let commands = (0..4).map(|_| {
        let mut command = on_server(url);
        command
            .env_remove("CAR_SERVICE_KEY")
            .env_remove("CAR_SERVICE_PASSWORD")
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    let children: Vec<_> = commands.collect();
    let mut keys = 0;
    for mut child in children {
        use std::io::{BufRead, BufReader, Read};
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let started = first.starts_with("listening on ");
        child.kill().unwrap();
        let said = child.wait_with_output().unwrap().stderr;
        assert!(started, "{}", String::from_utf8_lossy(&said));
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        keys += usize::from(rest.contains("key: "));
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_do_not_collide() {
    if !crate::support::available(Kind::Postgres) {
        return;
    }
    let empty = Store::new(Kind::Postgres).await;
    let url = empty.url.as_deref().unwrap();
    assert_eq!(start_at_once(url), 1, "one of them makes the key");
    assert_eq!(start_at_once(url), 0);
    assert_eq!(empty.migrate(&["--check"]), (0, UP_TO_DATE.to_owned()));

    let old = Store::new(Kind::Postgres).await;
    old.make_old().await;
    let url = old.url.as_deref().unwrap();
    start_at_once(url);
    assert_eq!(old.migrate(&["--check"]), (0, UP_TO_DATE.to_owned()));
    let mut program = replica(url);
    assert_eq!(program.client.ids("asset").await, ["a"]);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}
