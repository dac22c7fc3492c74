//! Services that are killed, as a power cut would, in the middle of imports.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use crate::process::{Program, replica, start, with_key};
use crate::support::{Client, KEY, Kind, PASSWORD, envelope, store_suite};

/// Imports that are answered before the last kill, unless the setting below says more; a server
/// beside other tests is slower than a file.
const IMPORTS: [(Kind, usize); 2] = [(Kind::Sqlite, 1_000), (Kind::Postgres, 240)];

/// Names a larger number of imports, for long runs by hand.
const MORE: &str = "CAR_SERVICE_TEST_KILLED_IMPORTS";

/// Kills, spread over the imports.
const KILLS: usize = 8;

/// Rows of each list of an import.
const ROWS: usize = 8;

/// Calls under way at a time.
const WORKERS: usize = 4;

/// Pause before a call that was not answered is made again.
const PAUSE: Duration = Duration::from_millis(20);

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but this one"
)]
fn imports(kind: Kind) -> usize {
    let usual = IMPORTS.iter().find(|(store, _)| *store == kind).unwrap().1;
    std::env::var(MORE).map_or(usual, |value| value.parse().unwrap())
}

/// Sends imports until one is not answered; tells the id of each that is.
async fn keep_importing(
    client: Client,
    first: usize,
    source: String,
    answered: mpsc::UnboundedSender<(usize, String)>,
) {
    for import in first.. {
        let assets: Vec<_> = (0..ROWS)
            .map(|row| json!({ "external_id": format!("{import}-{row}"), "name": "n" }))
            .collect();
        let edges: Vec<_> = (0..ROWS)
            .map(|row| json!({ "_from_external_id": format!("{import}-{row}"), "_to_external_id": "v" }))
            .collect();
        let rows = json!({ "asset": assets, "asset_vulnerability": edges });
        let request = client
            .request(reqwest::Method::POST, "imports")
            .basic_auth(KEY, Some(PASSWORD))
            .json(&envelope(&source, rows));
        let Ok(response) = request.send().await else {
            return;
        };
        let Ok(answer) = response.json::<serde_json::Value>().await else {
            return;
        };
        let id = answer["id"].as_str().unwrap().to_owned();
        if answered.send((import, id)).is_err() {
            return;
        }
    }
}

async fn no_answered_import_is_lost_and_none_is_half_there(kind: Kind) {
    let folder = tempfile::TempDir::new().unwrap();
    let url = match kind {
        Kind::Postgres => Some(crate::support::postgres_schema().await),
        Kind::Sqlite => None,
    };
    let begin = || match &url {
        Some(url) => replica(url),
        None => start(with_key(folder.path()), 0),
    };
    let mut answered: Vec<(usize, String)> = Vec::new();
    for round in 0..KILLS {
        let mut program = begin();
        let client = program.client.clone();
        client.post("databases", json!({})).await.expect(200);
        for worker in 0..WORKERS {
            let vulnerability = json!({ "vulnerability": [{ "external_id": "v", "name": "v" }] });
            client.import(&format!("s{worker}"), vulnerability).await;
        }
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut calls = tokio::task::JoinSet::new();
        for worker in 0..WORKERS {
            let first = (round * WORKERS + worker) * 1_000_000;
            let source = format!("s{worker}");
            calls.spawn(keep_importing(
                client.clone(),
                first,
                source,
                sender.clone(),
            ));
        }
        drop(sender);
        // The kill comes in the middle of the imports: the others are under way.
        let goal = imports(kind) * (round + 1) / KILLS;
        while answered.len() < goal {
            answered.push(receiver.recv().await.unwrap());
        }
        program.child.kill().unwrap();
        program.child.wait().unwrap();
        while calls.join_next().await.is_some() {}
        while let Some(more) = receiver.recv().await {
            answered.push(more);
        }
    }
    let mut program = begin();
    check(&program.client, &answered).await;
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}

/// Finds every import that was answered by its id, and all or nothing of every import.
async fn check(client: &Client, answered: &[(usize, String)]) {
    for some in answered.chunks(100) {
        let ids: Vec<&str> = some.iter().map(|(_, id)| id.as_str()).collect();
        let path = format!("importstatus?ids={}", ids.join(","));
        let status = client.get(&path).await.expect(200);
        assert_eq!(status["error_imports"], json!([]));
    }
    let mut found: HashMap<usize, [usize; 2]> = HashMap::new();
    for worker in 0..WORKERS {
        // Source by source, so that a long run stays below the limit of rows of one answer.
        let query = format!(
            "{{ asset(limit: 45000, where: {{source: {{_eq: \"s{worker}\"}}}}) \
             {{ external_id vulnerabilities {{ risk_score }} }} }}"
        );
        let answer = client.post("v3/query", json!({ "query": query })).await;
        let answer = answer.expect(200);
        for asset in answer["data"]["asset"].as_array().unwrap() {
            let (import, _) = asset["external_id"]
                .as_str()
                .unwrap()
                .rsplit_once('-')
                .unwrap();
            let counts = found.entry(import.parse().unwrap()).or_default();
            counts[0] += 1;
            counts[1] += asset["vulnerabilities"].as_array().unwrap().len();
        }
    }
    for (import, counts) in &found {
        assert_eq!(counts, &[ROWS; 2], "import {import} is half there");
    }
    for (import, _) in answered {
        assert!(found.contains_key(import), "import {import} is lost");
    }
}

store_suite! {
    no_answered_import_is_lost_and_none_is_half_there,
}

/// A replica that is killed and started again, each time at another address.
struct Replica {
    url: String,
    program: Program,
    client: Arc<RwLock<Client>>,
}

impl Replica {
    fn start(url: &str) -> Self {
        let program = replica(url);
        Self {
            url: url.to_owned(),
            client: Arc::new(RwLock::new(program.client.clone())),
            program,
        }
    }

    fn kill_and_start(&mut self) {
        self.kill();
        self.program = replica(&self.url);
        *self.client.write().unwrap() = self.program.client.clone();
    }

    fn kill(&mut self) {
        self.program.child.kill().unwrap();
        self.program.child.wait().unwrap();
    }
}

/// Makes a call until it is answered, by whichever replica: the protocol is idempotent.
async fn send(
    clients: &[Arc<RwLock<Client>>],
    method: reqwest::Method,
    path: &str,
    body: serde_json::Value,
) {
    for client in clients.iter().cycle() {
        let client = client.read().unwrap().clone();
        let request = client
            .request(method.clone(), path)
            .basic_auth(KEY, Some(PASSWORD))
            .json(&body);
        match request.send().await {
            Ok(response) if response.status().is_success() => return,
            Ok(response) if !response.status().is_server_error() => {
                panic!("{}", response.text().await.unwrap())
            }
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Sends one full import of a source, page by page.
async fn full_import(clients: &[Arc<RwLock<Client>>], source: &str, round: usize) {
    let path = format!("source/{source}/full-import-in-progress");
    let page = |number: usize| {
        let ids: Vec<String> = (0..40)
            .map(|row| format!("{}-{}", round % 2, number * 40 + row))
            .collect();
        let assets: Vec<_> = ids
            .iter()
            .map(|id| json!({ "external_id": id, "name": format!("round {round}") }))
            .collect();
        let edges: Vec<_> = ids
            .iter()
            .map(|id| json!({ "_from_external_id": id, "_to_external_id": "v" }))
            .collect();
        envelope(
            source,
            json!({
                "asset": assets, "asset_vulnerability": edges,
                "vulnerability": [{ "external_id": "v", "name": "v" }],
            }),
        )
    };
    send(clients, reqwest::Method::POST, &path, json!({})).await;
    for number in 0..5 {
        send(clients, reqwest::Method::POST, "imports", page(number)).await;
    }
    send(clients, reqwest::Method::DELETE, &path, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_database_and_survive_kills() {
    if !crate::support::available(Kind::Postgres) {
        return;
    }
    let url = crate::support::postgres_schema().await;
    let mut replicas = [Replica::start(&url), Replica::start(&url)];
    let clients: Vec<_> = replicas
        .iter()
        .map(|replica| Arc::clone(&replica.client))
        .collect();
    let client = replicas[0].program.client.clone();
    client.post("databases", json!({})).await.expect(200);
    let mut connectors = tokio::task::JoinSet::new();
    for number in 0..4 {
        let mut clients = clients.clone();
        clients.rotate_left(number % 2);
        connectors.spawn(async move {
            for round in 0..5 {
                full_import(&clients, &format!("s{number}"), round).await;
            }
        });
    }
    // Both are killed and started again, one after the other, for as long as imports run.
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let killer = tokio::task::spawn_blocking(move || {
        loop {
            for replica in &mut replicas {
                replica.kill_and_start();
            }
            if stopping.load(Ordering::Acquire) {
                return replicas;
            }
        }
    });
    while let Some(done) = connectors.join_next().await {
        done.unwrap();
    }
    stop.store(true, Ordering::Release);
    let mut replicas = killer.await.unwrap();
    // Every graph is that of its last round: 200 assets of that round, each with its edge.
    let query = r#"{ asset_aggregate { aggregate { count } } good: asset_aggregate(where: {name: {_eq: "round 4"}, external_id: {_like: "0-%"}, vulnerabilities: {}}) { aggregate { count } } asset_vulnerability_aggregate { aggregate { count } } }"#;
    for replica in &mut replicas {
        let client = &replica.program.client;
        let answer = client.post("v3/query", json!({ "query": query })).await;
        let answer = answer.expect(200);
        for name in ["asset_aggregate", "good", "asset_vulnerability_aggregate"] {
            assert_eq!(
                answer["data"][name]["aggregate"]["count"], 800,
                "{name}: {answer}"
            );
        }
        replica.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_one_replica_gave_out_wipes_by_the_other() {
    if !crate::support::available(Kind::Postgres) {
        return;
    }
    let url = crate::support::postgres_schema().await;
    let mut replicas = [Replica::start(&url), Replica::start(&url)];
    let [first, second] =
        [&replicas[0], &replicas[1]].map(|replica| replica.program.client.clone());
    first.post("databases", json!({})).await.expect(200);
    first
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "a" }] }),
        )
        .await;
    let token = first.get("v3/clearDbToken").await.expect(200)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("v3/clearDb/?token={token}");
    second.post(&path, json!({})).await.expect(200);
    // It is used up, wherever it is shown.
    assert_eq!(
        first.post(&path, json!({})).await.code(403),
        "invalid_token"
    );
    first.post("databases", json!({})).await.expect(200);
    assert_eq!(second.ids("asset").await, Vec::<String>::new());
    for replica in &mut replicas {
        replica.kill();
    }
}
