//! What a connector may ask before it sends: which rows are known, what an import would change.

use car_schema::wire::content_hash;
use serde_json::{Value, json};

use crate::support::{Client, Harness, KEY, Kind, PASSWORD, encode, envelope};

const HEADER: &str = r#""source":{"_key":"s"},"report":{"_key":"r1","timestamp":1700000000000"#;

/// Imports rows given as text, in a scope where one is named.
async fn send(client: &Client, scope: Option<&str>, collection: &str, rows: &[&str]) {
    let scope = scope.map_or(String::new(), |scope| format!(r#","scope":"{scope}""#));
    // Space around the rows is not theirs.
    let rows = rows.join(" ,\n ");
    let body = format!("{{{HEADER}{scope}}},\"{collection}\":[ {rows} ]}}");
    let request = client
        .request(reqwest::Method::POST, "imports")
        .basic_auth(KEY, Some(PASSWORD))
        .body(body);
    client.send(request).await.expect(200);
}

/// Asks for rows by key and text, and returns the positions that have to be sent.
async fn ask(client: &Client, report: Value, collection: &str, rows: &[(&[&str], &str)]) -> Value {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(keys, text)| {
            let mut row: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
            row.push(content_hash(text.as_bytes()));
            row
        })
        .collect();
    let body = json!({
        "source": { "_key": "s" }, "report": report, "rows": { collection: rows },
    });
    client.post("v3/imports/unchanged", body).await.expect(200)["changed"].clone()
}

fn report() -> Value {
    json!({ "_key": "r2", "timestamp": 1_700_000_009_000_i64 })
}

const A: &str = r#"{"external_id":"a","name":"A"}"#;
const B: &str = r#"{ "name" : "B\u0041", "external_id":"b", "own":[1,{"x":2}] }"#;

async fn known_rows_count_as_reported(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let health = client.get("v3/health").await.expect(200);
    assert_eq!(health["features"]["content_hashes"], true);
    send(client, None, "asset", &[A, B]).await;
    client.open("s").await;
    let rows: &[(&[&str], &str)] = &[(&["a"], A), (&["b"], A), (&["b"], B), (&["c"], A)];
    let mut scoped = report();
    scoped["scope"] = "one".into();
    let changed = ask(client, scoped, "asset", rows).await;
    assert_eq!(changed, json!({ "asset": [1, 3] }));
    let path = "source/s/full-import-in-progress";
    let state = client.get(path).await.expect(200);
    assert_eq!(state["would_retire"], json!({}));
    assert_eq!(state["scopes"], json!(["one"]));
    let asset = client.get("asset?external_id=a").await.expect(200);
    assert_eq!(asset[0]["report"], "r2");
    assert_eq!(asset[0]["reported_at"], 1_700_000_009_000_i64);
    assert_eq!(client.get("source/s").await.expect(200)["report"], "r2");
    // A second scope is added, as an import does.
    let mut scoped = report();
    scoped["scope"] = "two".into();
    let changed = ask(client, scoped, "asset", &[(&["a"], A)]).await;
    assert_eq!(changed, json!({}));
    let state = client.get(path).await.expect(200);
    assert_eq!(state["scopes"], json!(["one", "two"]));
}

async fn whatever_alters_a_row_makes_it_unknown(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let tagged = r#"{"external_id":"a","name":"A","tag":["t"]}"#;
    let known = async |text: &str| {
        let changed = ask(client, report(), "asset", &[(&["a"], text)]).await;
        changed == json!({})
    };
    assert!(!known(A).await);
    send(client, None, "asset", &[A]).await;
    assert!(known(A).await);
    // Other bytes for the same content, and other tags, are the ones that are known then.
    send(client, None, "asset", &[tagged]).await;
    assert!(known(tagged).await && !known(A).await);
    let tag = json!({ "query": "mutation { insert_tag_asset(objects: {id: \"s/a\", tag: \"u\"}) { affected_rows } }" });
    let answer = client.post("v3/query", tag).await.expect(200);
    assert_eq!(
        answer["data"]["insert_tag_asset"]["affected_rows"], 1,
        "{answer}"
    );
    assert!(!known(tagged).await);
    send(client, None, "asset", &[tagged]).await;
    assert!(known(tagged).await);
    client
        .patch("asset?external_id=a", json!({ "name": "patched" }))
        .await
        .expect(200);
    assert!(!known(tagged).await);
    send(client, None, "asset", &[A]).await;
    assert!(known(A).await);
    // The same row of another source is another row.
    client
        .import(
            "t",
            json!({ "asset": [{ "external_id": "a", "name": "T" }] }),
        )
        .await;
    assert!(known(A).await);
    client
        .delete("source/s/asset?external_ids=a")
        .await
        .expect(200);
    assert!(!known(A).await);
    // The same bytes mean something else when the model changes.
    let own = r#"{"external_id":"a","name":"A","own":"x"}"#;
    send(client, None, "asset", &[own]).await;
    assert!(known(own).await);
    let extension = json!({
        "key": "8e1f1c1e-6f5c-4d0e-9d6a-0d8f5a1c2b3d", "owner": "o", "version": "1",
        "schema": { "vertices": [{ "name": "asset", "properties": { "own": { "type": "text" } } }] },
    });
    client.post("v3/carSchema", extension).await.expect(201);
    assert!(!known(own).await);
    send(client, None, "asset", &[own]).await;
    assert!(known(own).await);
}

async fn edges_are_known_by_their_ends(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let host = r#"{"_key":"h.example","host_name":"h.example","external_id":"77"}"#;
    send(client, None, "hostname", &[host]).await;
    let plain = r#"{"_from_external_id":"a","_to_external_id":"v","active":true}"#;
    let stamped = r#"{"_from_external_id":"b","_to_external_id":"v","timestamp":1700000000000}"#;
    send(client, None, "asset_vulnerability", &[plain, stamped]).await;
    let rows: &[(&[&str], &str)] = &[(&["b", "v"], stamped), (&["a", "v"], plain)];
    // A row that says when it was sent is never the same.
    let changed = ask(client, report(), "asset_vulnerability", rows).await;
    assert_eq!(changed, json!({ "asset_vulnerability": [0] }));
    let named = r#"{"_from_external_id":"acc","_to_external_id":"77"}"#;
    send(client, None, "account_hostname", &[named]).await;
    let rows: &[(&[&str], &str)] = &[(&["acc", "77"], named), (&["acc", "h.example"], named)];
    let changed = ask(client, report(), "account_hostname", rows).await;
    assert_eq!(changed, json!({}));
    let rows: &[(&[&str], &str)] = &[(&["h.example"], host)];
    let changed = ask(client, report(), "hostname", rows).await;
    assert_eq!(changed, json!({}));
}

async fn wrong_questions_are_refused_and_change_nothing(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let hash = content_hash(b"");
    let cases = [
        (json!({ "nowhere": [] }), "unknown_collection"),
        (json!({ "asset": [["a"]] }), "invalid_row"),
        (json!({ "asset": [["a", "b", hash]] }), "invalid_row"),
        (
            json!({ "asset_vulnerability": [["a", hash]] }),
            "invalid_row",
        ),
        (json!({ "asset": [["a", "xyz"]] }), "invalid_row"),
        (json!({ "asset": [["a\0", hash]] }), "invalid_row"),
        (json!({ "asset": "a" }), "invalid_body"),
    ];
    for (rows, code) in cases {
        let body = json!({ "source": { "_key": "s" }, "report": report(), "rows": rows });
        let answer = client.post("v3/imports/unchanged", body.clone()).await;
        assert_eq!(answer.code(400), code, "{body}");
    }
    let body = json!({ "source": { "_key": "a/b" }, "report": report(), "rows": {} });
    let answer = client.post("v3/imports/unchanged", body).await;
    assert_eq!(answer.code(400), "invalid_envelope");
    assert_eq!(client.get("source/s").await.code(404), "unknown_source");
}

async fn a_comparison_tells_what_an_import_would_do(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let compare = async |rows: Value| {
        client
            .post("v3/imports/compare", envelope("s", rows))
            .await
            .expect(200)["collections"]
            .clone()
    };
    let rows = json!({
        "asset": [
            { "external_id": "a", "name": "A", "risk": 1.5, "own": "x", "tag": ["t"] },
            { "external_id": "b", "name": "B" },
        ],
        "asset_vulnerability": [
            { "_from_external_id": "a", "_to_external_id": "v", "risk_score": 1 },
        ],
    });
    let all_new = compare(rows.clone()).await;
    assert_eq!(all_new["asset"]["created"], json!([0, 1]));
    assert_eq!(client.get("source/s").await.code(404), "unknown_source");
    client.import("s", rows.clone()).await;
    let same = compare(rows).await;
    let nothing = |count: u64| json!({ "created": [], "changed": [], "unchanged": count });
    assert_eq!(
        same,
        json!({ "asset": nothing(2), "asset_vulnerability": nothing(1) })
    );
    let other = json!({
        "asset": [
            { "external_id": "c", "name": "C" },
            { "external_id": "b", "name": "lost" },
            { "external_id": "a", "name": "A2", "own": "y", "more": 1, "tag": ["u"], "untag": ["t"] },
            { "external_id": "b", "name": "B" },
        ],
        "asset_vulnerability": [
            { "_from_external_id": "a", "_to_external_id": "v", "risk_score": 2, "active": false },
            { "_from_external_id": "z", "_to_external_id": "v" },
        ],
    });
    let changes = compare(other.clone()).await;
    assert_eq!(
        changes,
        json!({
            "asset": {
                "created": [0],
                "changed": [{ "row": 2, "fields": {
                    "name": ["A", "A2"], "risk": [1.5, null], "own": ["x", "y"],
                    "more": [null, 1], "tag": [["t"], ["u"]],
                } }],
                "unchanged": 1,
            },
            "asset_vulnerability": {
                "created": [1],
                "changed": [{ "row": 0, "fields": {
                    "risk_score": [1, 2], "active": [true, false],
                } }],
                "unchanged": 0,
            },
        })
    );
    // Nothing of it was written, and what is wrong is told as an import tells it.
    assert_eq!(client.ids("asset").await, ["a", "b"]);
    client.import("s", other.clone()).await;
    let after = compare(other).await;
    assert_eq!(
        after,
        json!({ "asset": nothing(3), "asset_vulnerability": nothing(2) })
    );
    for body in [
        envelope("s", json!({ "asset": [{ "external_id": "a" }] })),
        envelope("s", json!({ "nowhere": [] })),
        json!({}),
    ] {
        let asked = client.post("v3/imports/compare", body.clone()).await;
        let told = client.post("imports", body).await;
        assert_eq!(asked.expect(400), told.expect(400));
    }
}

async fn rows_of_a_source_are_listed_in_pages(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let ids = ["a+b", "a b", "Z", "\u{1F980}&=", "é"];
    let assets: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "external_id": id, "name": "x" }))
        .collect();
    let edges: Vec<Value> = ids
        .iter()
        .flat_map(|from| ["v", "w"].map(|to| (from, to)))
        .map(|(from, to)| json!({ "_from_external_id": from, "_to_external_id": to }))
        .collect();
    let rows = json!({ "asset": assets, "asset_vulnerability": edges });
    client.import("s", rows.clone()).await;
    client.import("t", rows).await;
    let pages = async |collection: &str, list: &str| {
        let mut found: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("v3/source/s/rows?collection={collection}&limit=3{after}");
            let page = client.get(&path).await.expect(200);
            found.extend(page[list].as_array().unwrap().iter().cloned());
            match page.get("next") {
                Some(next) => after = format!("&after={}", encode(next.as_str().unwrap())),
                None => return found,
            }
        }
    };
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    assert_eq!(json!(pages("asset", "vertices").await), json!(sorted));
    let expected: Vec<Value> = sorted
        .iter()
        .flat_map(|from| ["v", "w"].map(|to| json!([from, to])))
        .collect();
    assert_eq!(pages("asset_vulnerability", "edges").await, expected);
    assert_eq!(
        client
            .get("v3/source/s/rows?collection=account")
            .await
            .expect(200),
        json!({})
    );
    for (path, status, code) in [
        ("v3/source/s/rows", 400, "missing_parameter"),
        ("v3/source/s/rows?collection=x", 400, "unknown_collection"),
        ("v3/source/x/rows?collection=asset", 404, "unknown_source"),
        (
            "v3/source/s/rows?collection=asset&limit=0",
            400,
            "invalid_parameter",
        ),
        (
            "v3/source/s/rows?collection=asset_vulnerability&after=x",
            400,
            "invalid_parameter",
        ),
    ] {
        assert_eq!(client.get(path).await.code(status), code, "{path}");
    }
}

crate::support::store_suite! {
    known_rows_count_as_reported,
    whatever_alters_a_row_makes_it_unknown,
    edges_are_known_by_their_ends,
    wrong_questions_are_refused_and_change_nothing,
    a_comparison_tells_what_an_import_would_do,
    rows_of_a_source_are_listed_in_pages,
}
