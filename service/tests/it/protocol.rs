//! The calls of the protocol, good and bad.

use reqwest::Method;
use serde_json::json;

use crate::support::{Harness, KEY, Kind, PASSWORD, encode, envelope};

async fn wrong_or_missing_credentials_are_401_with_a_document(kind: Kind) {
    let harness = Harness::empty(kind).await;
    let client = &harness.client;
    let request = || client.request(Method::GET, "databases");
    assert_eq!(client.send(request()).await.code(401), "unauthorized");
    for (key, password) in [(KEY, "wrong"), ("wrong", PASSWORD), ("", "")] {
        let answer = client.send(request().basic_auth(key, Some(password))).await;
        assert_eq!(answer.code(401), "unauthorized");
    }
    // A body that nobody reads does not hide the reason.
    let import = client.request(Method::POST, "imports");
    let answer = client.send(import.body("x".repeat(20 << 20))).await;
    assert_eq!(answer.code(401), "unauthorized");
    for value in [
        "",
        "Basic",
        "Basic %%%",
        "Bearer x",
        "car-token wrong",
        "car-token key.x",
    ] {
        let answer = client.send(request().header("Authorization", value)).await;
        assert_eq!(answer.code(401), "unauthorized", "{value}");
    }
    for value in ["car-token a token", &format!("car-token {KEY}.{PASSWORD}")] {
        let answer = client.send(request().header("Authorization", value)).await;
        assert_eq!(answer.code(400), "database_not_created", "{value}");
    }
    // Liveness asks for nothing and tells nothing.
    let health = client.request(Method::GET, "health");
    assert_eq!(client.send(health).await.expect(200)["status"], "ok");
}

async fn a_database_is_made_once_and_stays(kind: Kind) {
    let harness = Harness::empty(kind).await;
    let client = &harness.client;
    assert_eq!(
        client.get("databases").await.code(400),
        "database_not_created"
    );
    let refused = client.post("imports", envelope("s", json!({}))).await;
    assert_eq!(refused.code(400), "database_not_created");
    for _ in 0..2 {
        let job = client.post("databases", json!({})).await.expect(200);
        let job = job["job_id"].as_str().unwrap().to_owned();
        let state = client
            .get(&format!("jobstatus?ids={job}"))
            .await
            .expect(200);
        assert_eq!(state["status"], "COMPLETE");
    }
    let harness = harness.restart().await;
    let databases = harness.client.get("databases").await.expect(200);
    let database = &databases["databases"][0];
    assert_eq!(database["is_ready"], true);
    assert_eq!(database["missing_collections"], json!([]));
    assert!(database["collections"].as_array().unwrap().len() > 40);
    let patch = json!({ "graph_name": "assets" });
    harness.client.patch("databases", patch).await.expect(200);
}

async fn an_import_is_there_when_it_is_answered(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let id = client
        .import(
            "s",
            json!({
                "asset": [{ "external_id": "a1", "name": "Asset1", "risk": 3, "colour": "red" }],
                "ipaddress": [{ "_key": "10.0.0.1" }],
                "port": [{ "external_id": "p", "port_number": 80.0, "protocol": "tcp" }],
                "asset_ipaddress": [{ "_from_external_id": "a1", "_to": "ipaddress/10.0.0.1" }],
            }),
        )
        .await;
    let status = client
        .get(&format!("importstatus?ids={id},nope"))
        .await
        .expect(200);
    assert_eq!(status["incomplete_imports"], json!([]));
    assert_eq!(status["error_imports"][0]["id"], "nope");
    assert_eq!(status["error_imports"][0]["statusCode"], 404);
    let one = client.get(&format!("importstatus/{id}")).await.expect(200);
    assert_eq!(one["error_imports"], json!([]));

    let assets = client.get("asset?name=Asset1").await.expect(200);
    assert_eq!(assets[0]["id"], "s/a1");
    assert_eq!(assets[0]["properties"]["colour"], "red");
    assert_eq!(assets[0]["reported_at"], 1_700_000_000_000_i64);
    assert_eq!(client.get("port").await.expect(200)[0]["port_number"], 80);
    let graph = client.get("asset/a1/graph").await.expect(200);
    assert_eq!(graph["related"][0]["node"]["external_id"], "10.0.0.1");
    assert_eq!(graph["related"][0]["link"]["active"], true);
}

async fn a_bad_row_fails_the_import_and_nothing_of_it_is_applied(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let good = json!({ "external_id": "good", "name": "good" });
    let cases = [
        (json!({ "external_id": "x" }), "name", "is required"),
        (
            json!({ "external_id": "x", "name": 7 }),
            "name",
            "must be text",
        ),
        (
            json!({ "external_id": "x", "name": null }),
            "name",
            "must be text, not null",
        ),
        (
            json!({ "external_id": "x", "name": "x", "risk": true }),
            "risk",
            "a number, not true",
        ),
        (
            json!({ "external_id": "x", "name": "x", "risk": 11 }),
            "risk",
            "between 0 and 10",
        ),
        (json!({ "name": "x" }), "external_id", "is required"),
        (
            json!({ "external_id": "", "name": "x" }),
            "external_id",
            "must not be empty",
        ),
        (
            json!({ "external_id": "x\u{0}", "name": "x" }),
            "external_id",
            "zero character",
        ),
        (
            json!({ "external_id": "x".repeat(2000), "name": "x" }),
            "external_id",
            "longer than",
        ),
        (
            json!({ "external_id": "x", "name": "x", "tag": "t" }),
            "tag",
            "a list of texts",
        ),
    ];
    for (row, field, reason) in cases {
        let rows = json!({ "asset": [good, row] });
        let error = client
            .post("imports", envelope("s", rows))
            .await
            .expect(400);
        assert_eq!(error["code"], "invalid_row", "{error}");
        assert_eq!(error["details"]["collection"], "asset");
        assert_eq!(error["details"]["row"], 1);
        assert_eq!(error["details"]["field"], field);
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(client.ids("asset").await, Vec::<String>::new());
}

async fn the_model_rules_of_other_collections_hold(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let bad = [
        (
            json!({ "port": [{ "external_id": "p", "port_number": 80.5, "protocol": "t" }] }),
            "whole",
        ),
        (
            json!({ "port": [{ "external_id": "p", "port_number": true, "protocol": "t" }] }),
            "whole",
        ),
        (
            json!({ "ipaddress": [{ "_key": "1", "name": "x y" }] }),
            "pattern",
        ),
        (
            json!({ "macaddress": [{ "_key": "m", "name": "01:23-45:67:89:ab" }] }),
            "pattern",
        ),
        (
            json!({ "geolocation": [{ "longitude": 1 }] }),
            "exactly one of",
        ),
        (
            json!({ "geolocation": [{ "longitude": 1, "latitude": 2 }] }),
            "`external_id` is required",
        ),
        (
            json!({ "vulnerability": [{ "external_id": "v", "name": "v", "xref_properties": [] }] }),
            "an object",
        ),
        (
            json!({ "asset_ipaddress": [{ "_from_external_id": "a", "_to": "hostname/h" }] }),
            "must begin with",
        ),
        (
            json!({ "asset_ipaddress": [{ "_from_external_id": "a" }] }),
            "`_to` is required",
        ),
        (
            json!({ "nonsense": [{ "a": 1 }] }),
            "no collection `nonsense`",
        ),
        (json!({ "asset": { "external_id": "a" } }), "a list of rows"),
        (json!({ "asset": ["a"] }), "row 0 of `asset` as an object"),
    ];
    for (rows, reason) in bad {
        let error = client
            .post("imports", envelope("s", rows))
            .await
            .expect(400);
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(reason), "{text} lacks {reason}");
    }
    client
        .import(
            "s",
            json!({
                "macaddress": [{ "_key": "m", "name": "01:23:45:67:89:ab" }],
                "hostname": [{ "host_name": "Host.example" }, { "_key": "only.key" }],
                "geolocation": [{ "region": "eu" }, { "external_id": "g", "longitude": 1, "latitude": 2 }],
                "asset_geolocation": [{ "_from": "asset/a", "_to_external_id": "eu" }],
            }),
        )
        .await;
    assert_eq!(client.ids("hostname").await, ["Host.example", "only.key"]);
    assert_eq!(
        client.get("hostname").await.expect(200)[0]["connecting_id"],
        "host.example"
    );
    assert_eq!(client.ids("geolocation").await, ["eu", "g"]);
    assert_eq!(
        client.ids("asset_geolocation").await,
        ["asset/a geolocation/eu"]
    );
}

async fn bodies_that_are_no_envelopes_are_400(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let deep = format!(
        "{{\"source\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"<html>".to_vec(),
        b"{\"source\":{\"_key\":\"s\"}".to_vec(),
        b"{\"source\":{\"_key\":\"s\"}}".to_vec(),
        b"{\"source\":{\"_key\":\"s\"},\"report\":{\"timestamp\":1},\"asset\":[{\"external_id\":\"a\",\"name\":NaN}]}".to_vec(),
        b"{\"source\":{\"_key\":\"s\"},\"report\":{\"timestamp\":1},\"asset\":[{\"external_id\":\"\xff\"}]}".to_vec(),
        b"{\"source\":{\"_key\":\"a/b\"},\"report\":{\"timestamp\":1}}".to_vec(),
        b"{\"source\":{\"_key\":\"s\"},\"source\":{\"_key\":\"s\"},\"report\":{\"timestamp\":1}}".to_vec(),
        b"{\"source\":{\"_key\":\"s\"},\"report\":{\"timestamp\":1}} more".to_vec(),
        deep.into_bytes(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body)
            .chars()
            .take(80)
            .collect::<String>();
        let request = client
            .request(Method::POST, "imports")
            .basic_auth(KEY, Some(PASSWORD))
            .body(body);
        let code = client.send(request).await.code(400);
        assert_eq!(code, "invalid_envelope", "{shown}");
    }
}

async fn a_body_over_the_limit_is_413(kind: Kind) {
    let harness = Harness::start(kind, |options| options.body_limit(10_000)).await;
    let client = &harness.client;
    client.post("databases", json!({})).await.expect(200);
    // Larger than what the buffers of a connection take: the answer comes nevertheless.
    for size in [20_000, 1 << 20, 20 << 20] {
        let rows = json!({ "asset": [{ "external_id": "a", "name": "x".repeat(size) }] });
        let answer = client.post("imports", envelope("s", rows)).await;
        assert_eq!(answer.code(413), "body_too_large");
    }
}

async fn the_save_point_is_kept_cleared_and_survives_a_restart(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    assert_eq!(client.get("source/s").await.code(404), "unknown_source");
    assert_eq!(
        client
            .patch("source/s", json!({ "model_state_id": "1" }))
            .await
            .code(404),
        "unknown_source"
    );
    client.import("s", json!({})).await;
    let source = client.get("source/s").await.expect(200);
    assert_eq!(source.get("model_state_id"), None);
    assert_eq!(source["name"], "a source");
    client
        .patch("source?key=s", json!({ "model_state_id": "42" }))
        .await
        .expect(200);
    let harness = harness.restart().await;
    let client = &harness.client;
    let source = client.get("source/s").await.expect(200);
    assert_eq!(source["model_state_id"], "42");
    let source = client
        .patch("source/s", json!({ "model_state_id": "" }))
        .await
        .expect(200);
    assert_eq!(source.get("model_state_id"), None);
    let answer = client.patch("source/s", json!({ "mark": 1 })).await;
    assert_eq!(answer.code(400), "unknown_field");
}

async fn names_with_a_meaning_elsewhere_are_only_names(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let source = "100%.(a),$*'--;@=";
    client
        .import(
            source,
            json!({ "asset": [
        { "external_id": "a#b", "name": "'; DROP TABLE cur_asset; --" },
        { "external_id": "a&b=c", "name": "x" },
        { "external_id": "100%", "name": "x" },
        { "external_id": "a,b", "name": "x" },
        { "external_id": "a", "name": "x" },
        { "external_id": "b/ü€\u{1F600}", "name": "x" },
    ] }),
        )
        .await;
    client
        .get(&format!("source/{}", encode(source)))
        .await
        .expect(200);
    let found = client
        .get(&format!(
            "asset?name={}",
            encode("'; DROP TABLE cur_asset; --")
        ))
        .await;
    assert_eq!(found.expect(200)[0]["external_id"], "a#b");
    let base = format!("source/{}/asset", encode(source));
    // The whole value is an id: only it goes.
    let gone = client
        .delete(&format!("{base}?external_ids={}", encode("a,b")))
        .await
        .expect(200);
    assert_eq!(gone, json!({ "asset": 1 }));
    assert!(client.ids("asset").await.contains(&"a".to_owned()));
    let list = format!("{},{}", encode("a#b"), encode("100%"));
    let again = format!(
        "{base}?external_ids={list}&external_ids={}",
        encode("b/ü€\u{1F600}")
    );
    assert_eq!(
        client.delete(&again).await.expect(200),
        json!({ "asset": 3 })
    );
    assert_eq!(client.ids("asset").await, ["a", "a&b=c"]);
    // Unknown names are answers, not faults.
    let path = format!("source/{}/asset?keys=x", encode("no/such source"));
    assert_eq!(client.delete(&path).await.code(404), "unknown_source");
    assert_eq!(
        client.delete(&format!("{base}?x=1")).await.code(400),
        "missing_parameter"
    );
    let path = format!("source/{}/asset_x?keys=x", encode(source));
    assert_eq!(client.delete(&path).await.code(404), "unknown_collection");
    assert_eq!(
        client.get("asset%22?x=1").await.code(404),
        "unknown_collection"
    );
    assert_eq!(client.get("asset?x%22=1").await.code(400), "unknown_field");
    assert_eq!(client.get("source/%FF").await.code(400), "invalid_path");
    assert_eq!(
        client.get("nothing/here/at/all").await.code(404),
        "unknown_call"
    );
    let answer = client.delete("imports").await;
    assert_eq!(answer.code(405), "unknown_method");
}

async fn an_extension_lives_and_its_rows_survive(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let key = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let extension = |version: &str, more: bool| {
        let mut site = json!({ "name": { "type": "text", "indexed": true, "required": true } });
        if more {
            site["size"] = json!({ "type": "integer" });
        }
        json!({ "key": key, "owner": "test", "version": version, "schema": {
            "vertices": [
                { "name": "site", "properties": site },
                { "name": "asset", "properties": { "initial_value": { "type": "numeric" } } },
            ],
            "edges": [{ "end1": "site", "end2": "asset" }],
        } })
    };
    let path = format!("v3/carSchema/{key}");
    assert_eq!(client.get(&path).await.code(404), "unknown_extension");
    let rows = json!({ "site": [{ "external_id": "s1", "name": "Site", "size": 3 }] });
    let refused = client.post("imports", envelope("s", rows.clone())).await;
    assert_eq!(refused.code(400), "unknown_collection");

    client
        .post("v3/carSchema", extension("2", false))
        .await
        .expect(201);
    client
        .post("v3/carSchema", extension("2", true))
        .await
        .expect(200);
    assert_eq!(client.get(&path).await.expect(200)["version"], "2");
    let older = client.post("v3/carSchema", extension("1", true)).await;
    assert_eq!(older.code(409), "older_version");
    client
        .import(
            "s",
            json!({
                "site": [{ "external_id": "s1", "name": "Site", "size": 3 }],
                "asset": [{ "external_id": "a1", "name": "A", "initial_value": 5 }],
                "site_asset": [{ "_from_external_id": "s1", "_to_external_id": "a1" }],
            }),
        )
        .await;
    // A property of no schema yet is a custom one.
    assert_eq!(
        client.get("site").await.expect(200)[0]["properties"]["size"],
        3
    );

    client
        .post("v3/carSchema", extension("3", true))
        .await
        .expect(200);
    client.import("s", rows).await;
    let site = client.get("site?size=3").await.expect(200);
    assert_eq!(site[0]["size"], 3);
    let harness = harness.restart().await;
    let client = &harness.client;
    let schema = client.get("v3/importSchema?version=v2").await.expect(200);
    assert!(schema["schema"]["properties"]["site_asset"].is_object());
    assert_eq!(
        client.get("asset?initial_value=5").await.expect(200)[0]["external_id"],
        "a1"
    );
    assert_eq!(client.ids("site_asset").await, ["site/s1 asset/a1"]);

    client.delete(&path).await.expect(204);
    assert_eq!(client.delete(&path).await.code(404), "unknown_extension");
    assert_eq!(client.get("site").await.code(404), "unknown_collection");
    client
        .post("v3/carSchema", extension("3", true))
        .await
        .expect(201);
    assert_eq!(client.ids("site").await, ["s1"]);
}

async fn an_extension_cannot_break_the_model(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let extension = |schema: serde_json::Value| json!({ "key": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "owner": "o", "version": "1", "schema": schema });
    let vertex = |name: &str, properties: serde_json::Value| {
        extension(json!({ "vertices": [{ "name": name, "properties": properties }] }))
    };
    let bad = [
        vertex("asset", json!({ "name": { "type": "integer" } })),
        vertex("asset", json!({ "external_id": { "type": "text" } })),
        vertex("x", json!({ "properties": { "type": "text" } })),
        vertex("source", json!({})),
        vertex("Robert'); DROP TABLE cur_asset;--", json!({})),
        vertex("x\" (", json!({})),
        vertex("query_root", json!({})),
        vertex("asset_aggregate", json!({})),
        vertex("asset_bool_exp", json!({})),
        vertex("asset_by_pk", json!({})),
        extension(json!({
            "vertices": [{ "name": "aggregate" }],
            "edges": [{ "end1": "asset", "end2": "aggregate" }],
        })),
        vertex("x", json!({ "p\"": { "type": "text" } })),
        vertex("x", json!({ "p": { "type": "nonsense" } })),
        vertex(
            "x",
            json!({ "p": { "type": "text", "validation": { "regex": { "pattern": "(" } } } }),
        ),
        extension(json!({ "edges": [{ "end1": "asset", "end2": "nowhere" }] })),
        extension(json!("x")),
        json!({ "key": "k", "owner": "o", "version": "1", "schema": {} }),
        json!({ "key": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "owner": "o", "version": "a", "schema": {} }),
    ];
    for body in bad {
        let shown = body.to_string();
        let code = client.post("v3/carSchema", body).await.code(400);
        assert!(
            matches!(code.as_str(), "invalid_extension" | "invalid_body"),
            "{shown}: {code}"
        );
    }
    assert_eq!(
        client.get("v3/carSchema").await.expect(200)["schemas"],
        json!([])
    );
    client
        .post(
            "v3/carSchema",
            vertex("x", json!({ "p": { "type": "text" } })),
        )
        .await
        .expect(201);
    let mut other = vertex("x", json!({ "p": { "type": "integer" } }));
    other["version"] = json!("2");
    assert_eq!(
        client.post("v3/carSchema", other).await.code(409),
        "type_changed"
    );
}

async fn the_tenant_is_wiped_only_with_a_fresh_token(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "a" }] }),
        )
        .await;
    let token = client.get("v3/clearDbToken").await.expect(200)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        client
            .post("v3/clearDb/?token=x", json!({}))
            .await
            .code(403),
        "invalid_token"
    );
    let path = format!("v3/clearDb/?token={token}");
    assert_eq!(
        client.post(&path, json!({})).await.code(403),
        "invalid_token"
    );
    assert_eq!(client.ids("asset").await, ["a"]);
    let token = client.get("v3/clearDbToken").await.expect(200)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("v3/clearDb/?token={token}");
    client.post(&path, json!({})).await.expect(200);
    assert_eq!(
        client.get("databases").await.code(400),
        "database_not_created"
    );
    client.post("databases", json!({})).await.expect(200);
    assert_eq!(client.ids("asset").await, Vec::<String>::new());
    assert_eq!(client.get("source/s").await.code(404), "unknown_source");
}

async fn health_and_numbers_are_real(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "a" }] }),
        )
        .await;
    for (report, exit_code, started_at) in [
        ("r1", 12, 1_700_000_000_000_i64),
        ("r2", 0, 1_699_999_000_000),
        ("r3", 12, 1_600_000_000_000),
    ] {
        let run = json!({ "report": report, "outcome": "done", "exit_code": exit_code, "started_at": started_at });
        client.post("v3/source/s/runs", run).await.expect(200);
    }
    let health = client.get("v3/health/all").await.expect(200);
    assert_eq!(health["checks"]["store_write"]["status"], "ok");
    let url = harness.server.url().replace("/api/car/v2", "/metrics");
    let numbers = |password: &'static str| {
        let request = reqwest::Client::new()
            .get(&url)
            .basic_auth(KEY, Some(password));
        async move { request.send().await.unwrap() }
    };
    assert_eq!(numbers("wrong").await.status().as_u16(), 401);
    let text = numbers(PASSWORD).await.text().await.unwrap();
    for line in [
        "car_rows_total{fate=\"created\"} 1",
        "car_calls_total{method=\"POST\",call=\"/api/car/v2/imports\",status=\"200\"} 1",
        "car_import_duration_seconds_count 1",
        "car_source_last_run_seconds{source=\"s\",exit_code=\"12\"} 1700000000",
        "car_source_last_run_seconds{source=\"s\",exit_code=\"0\"} 1699999000",
    ] {
        assert!(text.contains(line), "{text} lacks {line}");
    }
}

#[tokio::test]
async fn every_call_of_the_document_is_there() {
    let harness = Harness::ready(Kind::Sqlite).await;
    let client = &harness.client;
    let document = client.get("v3/openapi.json").await.expect(200);
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        let path = path
            .strip_prefix("/v2/")
            .or(path.strip_prefix('/'))
            .unwrap();
        for method in methods.as_object().unwrap().keys() {
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let request = client
                .request(verb, path)
                .basic_auth(KEY, Some(PASSWORD))
                .json(&json!({}));
            let answer = client.send(request).await;
            let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
            assert!(
                !code.starts_with("unknown_call") && code != "unknown_method",
                "{method} {path}"
            );
            assert!(
                !answer.status.is_server_error(),
                "{method} {path}: {}",
                answer.body
            );
            count += 1;
        }
    }
    assert!(count > 30);
}

#[tokio::test]
async fn https_is_spoken_with_a_certificate() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");
    let files = car_service::TlsFiles {
        cert: format!("{folder}/cert.pem").into(),
        key: format!("{folder}/key.pem").into(),
    };
    let harness = Harness::start(Kind::Sqlite, |options| options.tls(files)).await;
    let root = std::fs::read(format!("{folder}/cert.pem")).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&root).unwrap()])
        .build()
        .unwrap();
    let url = format!("{}/health", harness.server.url());
    assert!(url.starts_with("https://"));
    assert_eq!(
        client.get(&url).send().await.unwrap().status().as_u16(),
        200
    );
    // Nothing is answered without TLS, and the server outlives the attempt.
    assert!(
        client
            .get(url.replace("https", "http"))
            .send()
            .await
            .is_err()
    );
    assert_eq!(
        client.get(&url).send().await.unwrap().status().as_u16(),
        200
    );
}

async fn an_import_of_many_rows_is_there_whole(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let rows: Vec<_> = (0..2_500)
        .map(|row| json!({ "external_id": row.to_string(), "name": "ü", "risk": 0.5 }))
        .collect();
    for _ in 0..2 {
        harness.client.import("s", json!({ "asset": rows })).await;
        let query = "{ asset_aggregate { aggregate { count sum { risk } } } }";
        let answer = harness.client.post("v3/query", json!({ "query": query }));
        let answer = answer.await.expect(200);
        let found = &answer["data"]["asset_aggregate"]["aggregate"];
        assert_eq!(found["count"], 2_500, "{answer}");
        assert_eq!(found["sum"]["risk"], 1_250.0, "{answer}");
    }
}

crate::support::store_suite! {
    an_import_of_many_rows_is_there_whole,
    health_and_numbers_are_real,
    wrong_or_missing_credentials_are_401_with_a_document,
    a_database_is_made_once_and_stays,
    an_import_is_there_when_it_is_answered,
    a_bad_row_fails_the_import_and_nothing_of_it_is_applied,
    the_model_rules_of_other_collections_hold,
    bodies_that_are_no_envelopes_are_400,
    a_body_over_the_limit_is_413,
    the_save_point_is_kept_cleared_and_survives_a_restart,
    names_with_a_meaning_elsewhere_are_only_names,
    an_extension_lives_and_its_rows_survive,
    an_extension_cannot_break_the_model,
    the_tenant_is_wiped_only_with_a_fresh_token,
}
