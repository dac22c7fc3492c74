//! The calls of a connector in Python, as its client makes them: routes, bodies, statuses.
//!
//! Acceptance check 3: they pass in all four modes.

use car_testkit::{Emulator, EmulatorOptions, TestFolder};
use reqwest::{Client, Method};
use serde_json::{Value, json};

struct Sample {
    client: Client,
    base: String,
}

impl Sample {
    fn new(emulator: &Emulator) -> Self {
        Self {
            client: car_core::http::client_builder().build().unwrap(),
            base: emulator.url(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Reads an input as the client does: batches until one is empty.
    async fn batches(&self, input: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        loop {
            let (status, body) = self.get(&format!("/input/{input}/next_batch?size=2")).await;
            assert_eq!(status, 200);
            match body["data"].as_array().unwrap().as_slice() {
                [] => return rows,
                batch => rows.extend_from_slice(batch),
            }
        }
    }
}

async fn started(files: &[(&str, &str)]) -> (TestFolder, Emulator) {
    let folder = TestFolder::new();
    for (name, text) in files {
        folder.write(name, text);
    }
    let mut options = EmulatorOptions::new(folder.path());
    if files.iter().any(|(name, _)| name.starts_with("before")) {
        options.delta_key = vec!["id".to_owned()];
    }
    let emulator = Emulator::start(options).await.unwrap();
    (folder, emulator)
}

#[tokio::test]
async fn data_source() {
    let (_folder, emulator) = started(&[]).await;
    let sample = Sample::new(&emulator);
    let (status, _) = sample
        .post(
            "/logs/info",
            json!({"message": "starting", "context": {"rows": 2}}),
        )
        .await;
    assert_eq!(status, 201);
    let rows = json!([{"id": "1"}, {"id": "2", "more": "x"}]);
    let (status, body) = sample.post("/output/output", json!({"data": rows})).await;
    assert_eq!(status, 201);
    assert!(body["message"].is_string());
    let nested = json!({"meta": {"separator": "."}, "data": [{"a": {"b": "c"}}]});
    assert_eq!(sample.post("/output/output", nested).await.0, 201);
    let written = emulator.written(car_core::exchange::OutputType::Output);
    assert_eq!(written.lines().last(), Some("{\"a.b\":\"c\"}"));
    let (status, _) = sample
        .call(Method::POST, "/output/output/close", None)
        .await;
    assert_eq!(status, 204);
    assert_eq!(
        sample
            .post("/logs/success", json!({"message": "done"}))
            .await
            .0,
        201
    );
}

#[tokio::test]
async fn data_service() {
    let (_folder, emulator) = started(&[(
        "full.csv",
        "id,title,_internal\n1,one,x\n2,two,y\n3,three,z\n",
    )])
    .await;
    let sample = Sample::new(&emulator);
    let (status, body) = sample.get("/items/full/count").await;
    assert_eq!((status, &body["data"]["count"]), (200, &json!(3)));
    let rows = sample.batches("full").await;
    assert_eq!(rows[0], json!({"id": "1", "title": "one"}));
    assert_eq!(rows.len(), 3);
    assert_eq!(sample.get("/input/full/next").await.0, 204);
    assert_eq!(sample.get("/input/full/restart").await.0, 200);
    let (status, body) = sample.get("/input/full/next?show-hidden=true").await;
    assert_eq!(status, 200);
    assert_eq!(body["data"]["_internal"], "x");
    let changed: Vec<Value> = rows
        .iter()
        .map(|row| json!({"id": row["id"], "copy": row["title"]}))
        .collect();
    assert_eq!(
        sample
            .post("/output/output", json!({"data": changed}))
            .await
            .0,
        201
    );
}

#[tokio::test]
async fn export() {
    let (_folder, emulator) = started(&[(
        "input.jsonl",
        "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n",
    )])
    .await;
    let sample = Sample::new(&emulator);
    // One row and batches share a cursor.
    assert_eq!(sample.get("/input/input/next").await.1["data"]["id"], "1");
    assert_eq!(sample.batches("input").await.len(), 2);
    let feedback = json!({"data": [{"id": "1", "status": "failed"}]});
    assert_eq!(sample.post("/output/feedback", feedback).await.0, 201);
    let written = emulator.written(car_core::exchange::OutputType::Feedback);
    assert_eq!(written, "{\"id\":\"1\",\"status\":\"failed\"}\n");
}

#[tokio::test]
async fn export_delta() {
    let (_folder, emulator) = started(&[
        (
            "before.jsonl",
            "{\"id\":\"1\"}\n{\"id\":\"2\",\"v\":\"a\"}\n",
        ),
        (
            "input.jsonl",
            "{\"id\":\"2\",\"v\":\"b\"}\n{\"id\":\"3\"}\n",
        ),
    ])
    .await;
    let sample = Sample::new(&emulator);
    for (input, expected) in [
        ("new", json!([{"id": "3"}])),
        ("modified", json!([{"id": "2", "v": "b"}])),
        ("unchanged", json!([])),
        ("deleted", json!([{"id": "1"}])),
    ] {
        assert_eq!(
            Value::Array(sample.batches(input).await),
            expected,
            "{input}"
        );
    }
}

#[tokio::test]
async fn refusals_have_the_statuses_that_the_client_knows() {
    let (_folder, emulator) = started(&[("input.jsonl", "{\"id\":\"1\"}\n")]).await;
    let sample = Sample::new(&emulator);
    for (path, body, field) in [
        ("/output/output", json!({"data": []}), "data"),
        ("/output/output", json!({"data": {"id": "1"}}), "data"),
        ("/output/output", json!({}), "data"),
        ("/logs/info", json!({"message": " "}), "message"),
        (
            "/storage/internal",
            json!({"remote_file": "x"}),
            "sourceFile",
        ),
        (
            "/store/to-transport",
            json!({"source_file": "x"}),
            "remoteFile",
        ),
    ] {
        let (status, error) = sample.post(path, body).await;
        assert_eq!(status, 400, "{path}");
        assert!(error["message"].is_string(), "{path}");
        assert!(error["errors"][field].is_string(), "{path} {error}");
    }
    for (path, status) in [
        ("/ping", 200),
        ("/input/new/next", 404),
        ("/input/new/next_batch", 404),
        ("/input/other/next", 404),
        ("/input/input/next_batch?size=0", 400),
        ("/input/input/next_batch?size=1000", 400),
        ("/input/input/next_batch?size=x", 400),
        ("/input/input/next_batch?size=999", 200),
        ("/items/new/count", 404),
        ("/processes/nobody", 404),
        ("/processes/pending", 200),
        ("/csa-classifications", 200),
        ("/emulator", 200),
    ] {
        let (answered, error) = sample.get(path).await;
        assert_eq!(answered, status, "{path}");
        if status == 404 {
            // Where no field is to blame it is a list.
            assert_eq!(error["errors"], json!([]), "{path}");
        }
    }
    assert_eq!(
        sample.call(Method::POST, "/processes/log", None).await.0,
        200
    );
}

#[tokio::test]
async fn processes_and_classifications_have_their_keys() {
    let (folder, emulator) = started(&[
        (
            "classifications.jsonl",
            "{\"classification-id\":7,\"classification-path\":\"a/b\"}\n{\"classification-id\":8,\"classification-path\":\"c\"}\n",
        ),
        (
            "input.jsonl",
            "{\"id\":\"1\",\"__classification-id\":7}\n{\"id\":\"2\",\"__classification-id\":8}\n",
        ),
        ("file.txt", "x"),
    ])
    .await;
    let sample = Sample::new(&emulator);
    let (_, list) = sample
        .get("/csa-classifications?classification-path=a")
        .await;
    assert_eq!(
        list,
        json!([{"classification-id": 7, "classification-path": "a/b"}])
    );
    let (_, row) = sample
        .get("/input/input/next_batch?size=9&classification-id=8")
        .await;
    assert_eq!(row["data"], json!([{"id": "2"}]));
    let file = folder.file("file.txt");
    let body = json!({"source_file": file, "remote_file": "a.txt"});
    let (status, answer) = sample.post("/storage/internal", body).await;
    assert_eq!(status, 202);
    let path = format!("/processes/{}", answer["data"]["id"].as_str().unwrap());
    let (status, process) = sample.get(&path).await;
    assert_eq!(status, 200);
    assert_eq!(process["status"], "running");
    assert_eq!(process["exit-code"], Value::Null);
    assert_eq!(process["seconds-remaining"], 21_600);
    assert_eq!(sample.get(&path).await.1["exit-code"], 0);
}
