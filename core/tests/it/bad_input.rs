//! Bad input that the framework has to bear: what a service or a proxy before it sends, what a
//! data source sends, ids of all kinds, and a disk that does not take more.

use std::os::unix::fs::PermissionsExt;

use car_core::car::{CarClient, Options as CarOptions};
use car_core::config::{CarCredentials, Limit};
use car_core::progress::Silent;
use car_core::record::Records;
use car_core::{Failure, FailureKind};
use car_schema::edges::AssetVulnerability;
use car_schema::{Identity, Model, import_schema};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Answer, CarMock, FullOnly, Incremental, SOURCE, Setup, asset, assets, quick, records, run,
    side_by_side, soon,
};

fn one_asset() -> FullOnly {
    FullOnly::new().scope("assets", [assets(&["1"])])
}

#[tokio::test]
async fn html_and_truncated_json_are_named_as_what_they_are() {
    let calls = [
        "get databases",
        "get source",
        "open session",
        "get job status",
        "get import schema",
        "post import",
        "get import status",
        "close session",
    ];
    let runs = calls.map(|call| async move {
        for text in [
            "<!DOCTYPE html><title>Sign in</title>",
            "{\"databases\":[{\"na",
            "",
        ] {
            let car = CarMock::start().await.always(call, Answer::Text(200, text));
            let done = run(&car, one_asset()).await;
            assert_eq!(done.report.exit_code, 10, "{call} {:?}", done.failure);
            let chain = done.report.error.join(": ");
            assert!(chain.contains("is not JSON"), "{chain}");
            assert!(chain.contains(&format!("call `{call}` failed")), "{chain}");
            let failure = done.failure.unwrap();
            assert!(
                failure
                    .hints()
                    .any(|hint| hint.contains("proxy or a login page"))
            );
        }
    });
    side_by_side(runs).await;
}

#[tokio::test]
async fn json_of_another_shape_is_no_answer() {
    for (call, answer) in [
        ("get databases", json!({})),
        ("get databases", json!({ "databases": [] })),
        ("get source", json!([1, 2])),
        ("get source", json!({ "model_state_id": 7 })),
        ("open session", json!({ "id": "1" })),
        ("get job status", json!({ "status": "SOMETHING" })),
        ("get import schema", json!({ "version": "v2" })),
        ("post import", json!({ "status": "ok" })),
        ("get import status", json!([])),
    ] {
        let car = CarMock::start()
            .await
            .always(call, Answer::Json(answer.clone()));
        let done = soon(run(&car, one_asset())).await;
        assert_eq!(
            done.report.exit_code, 10,
            "{call} {answer} {:?}",
            done.failure
        );
        assert_eq!(car.count("close session"), 0, "{call} {answer}");
    }
}

#[tokio::test]
async fn an_import_schema_that_is_none_stops_the_run() {
    for schema in [
        json!(null),
        json!({}),
        json!({ "properties": [] }),
        json!({ "properties": { "asset": { "items": { "properties": { "name": { "pattern": "(" } } } } } }),
    ] {
        let car = CarMock::start().await.schema(schema.clone());
        let done = run(&car, one_asset()).await;
        assert_eq!(done.report.exit_code, 20, "{schema} {:?}", done.failure);
        let chain = done.report.error.join(": ");
        assert!(chain.contains("import schema cannot be used"), "{chain}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    // 65 MiB of JSON, more than any answer of the protocol.
    let mut text = " ".repeat(65 << 20);
    text.push_str("{}");
    let car = CarMock::start()
        .await
        .always("get source", Answer::Text(200, text.leak()));
    let done = soon(run(&car, one_asset())).await;
    let chain = done.report.error.join(": ");
    assert!(chain.contains("larger than 64 MiB"), "{chain}");
    assert_eq!(done.report.exit_code, 20);
}

#[tokio::test]
async fn a_page_that_repeats_ends_the_scope_and_retires_nothing() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, None)
        .holds("asset", json!({ "external_id": "old", "name": "old" }));
    let source = FullOnly::new()
        .scope("users", [assets(&["u"])])
        .circling("assets", assets(&["1"]));
    let done = soon(run(&car, source)).await;
    assert_eq!(done.report.exit_code, 11, "{:?}", done.failure);
    let scope = &done.report.scopes[1];
    assert!(!scope.complete);
    assert!(
        scope.error.join(": ").contains("lead in a circle"),
        "{scope:?}"
    );
    assert!(scope.pages <= 3, "{scope:?}");
    assert_eq!(car.keys("asset"), ["1", "old", "u"]);

    let alone = FullOnly::new().circling("assets", assets(&["1"]));
    let done = soon(run(&car, alone)).await;
    assert_eq!(done.report.exit_code, 55);
    assert_eq!(car.count("close session"), 0);
}

#[tokio::test]
async fn a_connector_that_breaks_the_rules_is_told() {
    let car = CarMock::start().await;
    let twice = FullOnly::new().scope("a", []).scope("a", []);
    let done = run(&car, twice).await;
    assert_eq!(done.report.exit_code, 1);
    assert!(done.report.error.join(": ").contains("lists a scope twice"));
    assert_eq!(car.count("open session"), 0);

    let mut page = Records::new();
    page.delete(car_core::record::Deletion::vertex("asset", "1"));
    let done = run(&car, FullOnly::new().scope("a", [page.clone()])).await;
    assert_eq!(done.report.exit_code, 1);
    assert!(
        done.report
            .error
            .join(": ")
            .contains("deletions in a full import")
    );
    assert_eq!(car.count("close session"), 0);

    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let mut page = Records::new();
    page.delete(car_core::record::Deletion::vertex("planet", "1"));
    let done = run(&car, Incremental::new().state("2").changes([page])).await;
    assert_eq!(done.report.exit_code, 1);
    let chain = done.report.error.join(": ");
    assert!(
        chain.contains("not in the model") && chain.contains("planet"),
        "{chain}"
    );
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));
}

#[tokio::test]
async fn a_connector_that_panics_does_not_hang_the_run() {
    let car = CarMock::start().await;
    let source = FullOnly::new().scope("a", [assets(&["1"])]).panicking("b");
    let done = soon(run(&car, source)).await;
    assert_eq!(done.report.exit_code, 1, "{:?}", done.failure);
    assert_eq!(car.count("close session"), 0);
}

#[tokio::test]
async fn rows_of_unknown_collections_and_records_without_a_row_are_rejected_with_a_reason() {
    let car = CarMock::start().await;
    let setup = Setup::new(&car).with(|options| options.max_rejects = Limit::Share(1.0));
    let planet = car_schema::GenericVertex::new("planet", "mars");
    let mut page = records(&[
        &planet,
        &asset("1"),
        &AssetVulnerability::new("7", "v"),
        &AssetVulnerability::new("1", "v"),
    ]);
    page.reject(
        "asset",
        Some("7"),
        "`name` is not text",
        br#"{"pk":7}"#.to_vec(),
    );
    page.reject("asset", None, "not even an id", b"\xff\xfe".to_vec());
    let done = setup.run(FullOnly::new().scope("all", [page])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(done.report.collections["planet"].rejected, 1);
    assert_eq!(done.report.collections["asset"].rejected, 2);
    assert_eq!(done.report.collections["asset_vulnerability"].withheld, 1);
    assert_eq!(car.keys("asset_vulnerability"), ["1 -> v"]);
    let text = std::fs::read_to_string(&setup.options.quarantine).unwrap();
    let reasons: Vec<String> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["reason"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "the service does not know the collection",
            "`name` is not text",
            "not even an id",
            "withheld, because the vertex that it begins at was rejected"
        ]
    );
    assert!(text.contains(r#""row":{"pk":7}"#), "{text}");
}

#[tokio::test]
async fn strings_of_ten_megabytes_arrive() {
    let car = CarMock::start().await;
    let long = "é".repeat(5 << 20);
    let mut big = asset("big");
    big.description = Some(long.clone());
    let mut edge = AssetVulnerability::new("big", "v").with("note", long.clone());
    edge.risk_score = Some(3.0);
    // Small edges before and after: none of them may be lost beside the large one.
    let page = records(&[
        &asset("small"),
        &big,
        &asset("last"),
        &AssetVulnerability::new("small", "v"),
        &edge,
        &AssetVulnerability::new("last", "v"),
    ]);
    let done = soon(run(&car, FullOnly::new().scope("all", [page]))).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(car.keys("asset"), ["big", "last", "small"]);
    assert_eq!(
        car.keys("asset_vulnerability"),
        ["big -> v", "last -> v", "small -> v"]
    );
    assert_eq!(car.row("asset", "big").unwrap()["description"], long);
    assert_eq!(done.report.collections["asset_vulnerability"].sent, 3);
}

#[tokio::test]
async fn a_full_disk_under_the_spill_names_the_folder_and_retires_nothing() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, None)
        .holds("asset", json!({ "external_id": "old", "name": "old" }));
    let setup = Setup::new(&car);
    let file = setup.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Below a file, and where the kernel lets nobody write: no disk takes anything there.
    for folder in [file.join("below"), "/proc/self".into()] {
        let setup = Setup::new(&car).with(|options| {
            options.memory_budget = 0;
            options.spill_folder = Some(folder.clone());
        });
        let page = records(&[&asset("1"), &AssetVulnerability::new("1", "v")]);
        let done = setup.run(FullOnly::new().scope("all", [page])).await;
        assert_eq!(done.report.exit_code, 1, "{:?}", done.failure);
        let chain = done.report.error.join(": ");
        assert!(chain.contains(&folder.display().to_string()), "{chain}");
        let failure = done.failure.unwrap();
        assert!(
            failure
                .hints()
                .any(|hint| hint.contains("--export-data-dir"))
        );
        assert_eq!(car.count("close session"), 0);
        assert!(car.keys("asset").contains(&"old".to_owned()));
    }
}

#[tokio::test]
async fn a_quarantine_that_cannot_be_written_does_not_hide_what_failed() {
    let car = CarMock::start().await;
    let mut bad = asset("bad");
    bad.risk = Some(99.0);
    let source = |kind: Option<FailureKind>| match kind {
        None => FullOnly::new().scope("a", [records(&[&bad, &asset("1")])]),
        Some(kind) => FullOnly::new().failing("a", [records(&[&bad, &asset("1")])], kind),
    };
    // A disk that is always full, and a device: its mode must stay as it is.
    let device = std::path::Path::new("/dev/full");
    let mode = || device.metadata().unwrap().permissions().mode();
    let before = mode();
    let setup = Setup::new(&car).with(|options| {
        options.quarantine = device.to_owned();
        options.max_rejects = Limit::Share(1.0);
    });
    let done = setup.run(source(None)).await;
    assert_eq!(mode(), before);
    assert_eq!(done.report.exit_code, 1, "{:?}", done.failure);
    let chain = done.report.error.join(": ");
    assert!(chain.contains("/dev/full"), "{chain}");
    assert_eq!(car.count("close session"), 0);

    let done = setup.run(source(Some(FailureKind::SourceForbidden))).await;
    assert_eq!(
        done.report.exit_code, 53,
        "the cause decides: {:?}",
        done.failure
    );
}

/// A server that answers every request with an empty object, and the first lines that it read.
async fn wire(calls: impl AsyncFnOnce(CarClient)) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&lines);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let seen = std::sync::Arc::clone(&seen);
            tokio::spawn(async move {
                loop {
                    let mut head = String::new();
                    if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                    seen.lock().unwrap().push(head.trim_end().to_owned());
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        stream.read_line(&mut line).await.unwrap();
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).await.unwrap();
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let credentials = CarCredentials::Token {
        url: format!("http://{address}/api/car/v2"),
        token: "t".into(),
    };
    let options = CarOptions {
        backoff: quick(),
        ..CarOptions::new(credentials, "test/1")
    };
    let client = CarClient::new(
        options,
        std::sync::Arc::new(Silent),
        CancellationToken::new(),
    )
    .unwrap();
    soon(calls(client)).await;
    server.abort();
    lines.lock().unwrap().clone()
}

#[tokio::test]
async fn addresses_on_the_wire_carry_odd_ids_as_they_should() {
    let odd = "a#b&c=d,e%/é ?+";
    let encoded = "a%23b%26c%3Dd%2Ce%25%2F%C3%A9%20%3F%2B";
    let lines = wire(async |client: CarClient| {
        client.source(odd).await.unwrap();
        client.set_save_point(odd, Some("1")).await.unwrap();
        let ids = [odd.to_owned(), "100%".to_owned(), "x/y".to_owned()];
        for identity in [Identity::ExternalId, Identity::Key] {
            client
                .delete_vertices(odd, "asset", identity, &ids)
                .await
                .unwrap();
        }
        for retire in [true, false] {
            client
                .delete_edge(odd, "asset_ipaddress", (odd, "10.0.0.1"), retire)
                .await
                .unwrap();
        }
        // Whatever the answer: the address is what counts.
        drop::<Result<_, Failure>>(client.extension(odd).await);
        drop::<Result<_, Failure>>(client.open_session(odd, false).await);
        drop::<Result<_, Failure>>(client.close_session(odd).await);
        drop::<Result<_, Failure>>(client.unfinished_imports(&ids).await);
    })
    .await;
    let base = "/api/car";
    let expected = [
        format!("GET {base}/v2/source/{encoded} HTTP/1.1"),
        format!("PATCH {base}/v2/source?key={encoded} HTTP/1.1"),
        format!("DELETE {base}/v2/source/{encoded}/asset?external_ids={encoded} HTTP/1.1"),
        format!("DELETE {base}/v2/source/{encoded}/asset?external_ids=100%25,x%2Fy HTTP/1.1"),
        format!("DELETE {base}/v2/source/{encoded}/asset?keys={encoded} HTTP/1.1"),
        format!("DELETE {base}/v2/source/{encoded}/asset?keys=100%25,x%2Fy HTTP/1.1"),
        format!(
            "DELETE {base}/v2/source/{encoded}/asset_ipaddress?from={encoded}&to=10.0.0.1 HTTP/1.1"
        ),
        format!(
            "PATCH {base}/v2/asset_ipaddress?source={encoded}&from={encoded}&to=10.0.0.1 HTTP/1.1"
        ),
        format!("GET {base}/v3/carSchema/{encoded} HTTP/1.1"),
        format!("POST {base}/v2/source/{encoded}/full-import-in-progress HTTP/1.1"),
        format!("DELETE {base}/v2/source/{encoded}/full-import-in-progress HTTP/1.1"),
        format!("GET {base}/v2/importstatus?ids={encoded},100%25,x%2Fy HTTP/1.1"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn an_empty_id_deletes_nothing() {
    let lines = wire(async |client: CarClient| {
        let ids = [String::new(), "a".to_owned(), String::new()];
        client
            .delete_vertices("s", "asset", Identity::ExternalId, &ids)
            .await
            .unwrap();
        client
            .delete_vertices("s", "asset", Identity::ExternalId, &[String::new()])
            .await
            .unwrap();
    })
    .await;
    assert_eq!(
        lines,
        ["DELETE /api/car/v2/source/s/asset?external_ids=a HTTP/1.1"]
    );
}

#[tokio::test]
async fn a_schema_may_refer_to_definitions_of_its_own_document() {
    let mut schema = import_schema(&Model::core());
    schema["definitions"] = json!({ "name": { "type": "string", "maxLength": 7 } });
    schema["properties"]["asset"]["items"]["properties"]["name"] =
        json!({ "$ref": "#/definitions/name" });
    schema["properties"]["user"]["items"]["properties"]["role"] =
        json!({ "$ref": "#/properties/asset/items/properties/name" });
    let car = CarMock::start().await.schema(schema);
    let setup = Setup::new(&car).with(|options| options.max_rejects = Limit::Share(1.0));
    let page = assets(&["1", "much too long"]);
    let done = setup.run(FullOnly::new().scope("all", [page])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(car.keys("asset"), ["1"]);
    assert_eq!(done.report.collections["asset"].rejected, 1);
}
