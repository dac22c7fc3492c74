//! Reports of runs, and imports that were refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Harness, KEY, Kind, PASSWORD, envelope};

fn report(number: u64) -> Value {
    json!({
        "format": 1,
        "connector": "reference",
        "source": "s",
        "report": format!("run-{number}"),
        "outcome": "partial",
        "exit_code": 11,
        "started_at": 1_700_000_000_000_u64 + number,
        "scopes": [{ "name": "ü \u{1F980}", "complete": false, "error": ["a", "b"] }],
        "a field of a later version": { "kept": [1.50, null, "\u{0}"] },
    })
}

async fn reports_are_kept_whole_and_the_newest_come_first(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    assert_eq!(
        client.get("v3/source/s/runs").await.expect(200),
        json!({ "runs": [] })
    );
    // In another order than they began, and one of them twice.
    for number in (0..105).rev().chain([3]) {
        client
            .post("v3/source/s/runs", report(number))
            .await
            .expect(200);
    }
    let runs = client.get("v3/source/s/runs?limit=100").await.expect(200);
    let expected: Vec<Value> = (5..105).rev().map(report).collect();
    assert_eq!(runs["runs"], json!(expected));
    let runs = client.get("v3/source/s/runs?limit=2").await.expect(200);
    assert_eq!(runs["runs"], json!([report(104), report(103)]));
    // The last word about a run counts.
    let mut other = report(104);
    other["outcome"] = "complete".into();
    client
        .post("v3/source/s/runs", other.clone())
        .await
        .expect(200);
    let runs = client.get("v3/source/s/runs?limit=1").await.expect(200);
    assert_eq!(runs["runs"], json!([other]));
    // A run that fails before its first import makes its source known.
    assert_eq!(client.get("source/s").await.expect(200)["_key"], "s");
    for bad in ["0", "101", "x", "-1"] {
        let path = format!("v3/source/s/runs?limit={bad}");
        assert_eq!(client.get(&path).await.code(400), "invalid_parameter");
    }
}

async fn what_is_no_report_is_refused(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let without = |name: &str| {
        let mut body = report(1);
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = report(1);
        body[name] = value;
        body
    };
    let bodies = [
        json!([]),
        json!(["run", "ok", 0, 1]),
        json!(1),
        without("report"),
        without("outcome"),
        without("exit_code"),
        without("started_at"),
        with("report", json!("a b")),
        with("report", json!(7)),
        with("outcome", json!("")),
        with("exit_code", json!(256)),
        with("exit_code", json!(-1)),
        with("started_at", json!("yesterday")),
        with("started_at", json!(1.5)),
        with("source", json!("another")),
    ];
    for body in bodies {
        let answer = client.post("v3/source/s/runs", body.clone()).await;
        assert_eq!(answer.code(400), "invalid_report", "{body}");
    }
    let large = with("text", json!("x".repeat(1 << 20)));
    let answer = client.post("v3/source/s/runs", large).await;
    assert_eq!(answer.code(413), "body_too_large");
    let answer = client.post("v3/source/a%2Fb/runs", report(1)).await;
    assert_eq!(answer.code(400), "invalid_source");
    let request = client
        .request(Method::POST, "v3/source/s/runs")
        .basic_auth(KEY, Some(PASSWORD))
        .body(b"{\"report\":\"\xff\"}".to_vec());
    assert_eq!(client.send(request).await.code(400), "invalid_report");
    let runs = client.get("v3/source/s/runs").await.expect(200);
    assert_eq!(runs, json!({ "runs": [] }));
}

async fn a_connector_sees_and_writes_only_its_own(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let connector = harness.key("connector", &["s"]).await;
    let consumer = harness.key("consumer", &[]).await;
    let claims = |source: &str| {
        json!({
            "source": { "_key": source }, "report": { "timestamp": 1 }, "rows": {},
        })
    };
    let other = |mut body: Value| {
        body["source"] = "t".into();
        body
    };
    let rows = || envelope("s", json!({}));
    let cases = [
        (Method::POST, "v3/source/s/runs", report(1), [200, 403]),
        (
            Method::POST,
            "v3/source/t/runs",
            other(report(1)),
            [403, 403],
        ),
        (Method::GET, "v3/source/s/runs", json!({}), [200, 200]),
        (Method::GET, "v3/source/t/runs", json!({}), [403, 200]),
        (Method::POST, "v3/imports/compare", rows(), [200, 403]),
        (
            Method::POST,
            "v3/imports/compare",
            envelope("t", json!({})),
            [403, 403],
        ),
        (
            Method::POST,
            "v3/imports/unchanged",
            claims("s"),
            [200, 403],
        ),
        (
            Method::POST,
            "v3/imports/unchanged",
            claims("t"),
            [403, 403],
        ),
    ];
    for (method, path, body, statuses) in cases {
        for (caller, status) in [&connector, &consumer].into_iter().zip(statuses) {
            let answer = caller.call(method.clone(), path, body.clone()).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{method} {path}: {}",
                answer.body
            );
        }
    }
    // A refused import of another's source is not listed under that source.
    harness.client.import("t", json!({})).await;
    let bad = envelope("t", json!({ "asset": [{}] }));
    connector
        .call(Method::POST, "imports", bad)
        .await
        .expect(400);
    let refused = harness.client.get("v3/imports/refused").await.expect(200);
    assert_eq!(refused["imports"][0]["source"], Value::Null);
}

async fn refused_imports_are_listed_with_their_errors(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client.import("s", json!({})).await;
    let bad = envelope("s", json!({ "asset": [{ "external_id": "a" }] }));
    for _ in 0..53 {
        client.post("imports", bad.clone()).await.expect(400);
    }
    client
        .post("imports", json!("no envelope"))
        .await
        .expect(400);
    let list = client.get("v3/imports/refused?limit=100").await.expect(200);
    let list = list["imports"].as_array().unwrap();
    assert_eq!(list.len(), 51);
    assert_eq!(list[0]["code"], "invalid_envelope");
    assert_eq!(list[0]["source"], Value::Null);
    assert_eq!(list[1]["code"], "invalid_row");
    assert_eq!(list[1]["source"], "s");
    assert!(list[1]["error"].as_str().unwrap().contains("`name`"));
    // Its id is that of an import that failed, never of one that is done.
    let id = list[1]["id"].as_str().unwrap();
    let status = client.get(&format!("importstatus/{id}")).await.expect(200);
    assert_eq!(status["error_imports"][0]["id"], id);
    assert_eq!(status["error_imports"][0]["statusCode"], 400);
}

crate::support::store_suite! {
    reports_are_kept_whole_and_the_newest_come_first,
    what_is_no_report_is_refused,
    a_connector_sees_and_writes_only_its_own,
    refused_imports_are_listed_with_their_errors,
}
