//! A database server that goes away in the middle of imports and comes back.

use std::collections::HashMap;

use serde_json::json;
use tokio::sync::watch;

use crate::own_server::OwnServer;
use crate::process::replica;
use crate::support::{Client, envelope};

/// Rows of one import.
const ROWS: usize = 40;

/// Sends imports of a source until told to stop, and returns the numbers of those that were
/// answered with an id and the codes of those that were not.
async fn import(
    client: Client,
    source: usize,
    stop: watch::Receiver<bool>,
    done: tokio::sync::mpsc::UnboundedSender<Result<(usize, usize), String>>,
) {
    for number in 0.. {
        if *stop.borrow() {
            return;
        }
        let rows: Vec<_> = (0..ROWS)
            .map(|row| json!({ "external_id": format!("{source}-{number}-{row}"), "name": "n" }))
            .collect();
        let answer = client
            .post(
                "imports",
                envelope(&format!("s{source}"), json!({ "asset": rows })),
            )
            .await;
        let outcome = match answer.status.as_u16() {
            200 => Ok((source, number)),
            status => Err(format!(
                "{status} {}",
                answer.body["code"].as_str().unwrap()
            )),
        };
        if done.send(outcome).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_vanishes_and_returns_loses_nothing_and_halves_nothing() {
    let Some(server) = OwnServer::make() else {
        return;
    };
    server.start();
    let mut program = replica(&server.url(5432));
    let client = program.client.clone();
    client.post("databases", json!({})).await.expect(200);
    let (stop, stopping) = watch::channel(false);
    let (sender, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let mut workers = tokio::task::JoinSet::new();
    for source in 0..3 {
        workers.spawn(import(
            client.clone(),
            source,
            stopping.clone(),
            sender.clone(),
        ));
    }
    drop(sender);
    let mut answered = Vec::new();
    let mut refused = Vec::new();
    for _ in 0..2 {
        let before = answered.len();
        while answered.len() < before + 6 {
            match outcomes.recv().await.unwrap() {
                Ok(import) => answered.push(import),
                Err(code) => refused.push(code),
            }
        }
        server.stop();
        let known = refused.len();
        while refused.len() == known {
            match outcomes.recv().await.unwrap() {
                Ok(import) => answered.push(import),
                Err(code) => refused.push(code),
            }
        }
        let health = client.get("v3/health/all").await;
        assert_eq!(health.status.as_u16(), 503, "{}", health.body);
        server.start();
    }
    // It works again without a restart.
    let before = answered.len();
    while answered.len() < before + 6 {
        match outcomes.recv().await.unwrap() {
            Ok(import) => answered.push(import),
            Err(code) => refused.push(code),
        }
    }
    stop.send_replace(true);
    while workers.join_next().await.is_some() {}
    while let Some(outcome) = outcomes.recv().await {
        match outcome {
            Ok(import) => answered.push(import),
            Err(code) => refused.push(code),
        }
    }
    for code in &refused {
        assert_eq!(code, "503 store_unavailable");
    }
    let query = json!({ "query": "{ asset(limit: 100000) { external_id } }" });
    let answer = client.post("v3/query", query).await.expect(200);
    let mut found: HashMap<String, usize> = HashMap::new();
    for row in answer["data"]["asset"].as_array().unwrap() {
        let id = row["external_id"].as_str().unwrap();
        let (import, _) = id.rsplit_once('-').unwrap();
        *found.entry(import.to_owned()).or_default() += 1;
    }
    for (import, count) in &found {
        assert_eq!(*count, ROWS, "import {import} is half there");
    }
    for (source, number) in answered {
        let import = format!("{source}-{number}");
        assert!(found.contains_key(&import), "import {import} is lost");
    }
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}
