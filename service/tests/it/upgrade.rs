//! Databases of earlier versions, frozen as they were: a newer program brings them up to date.

use serde_json::json;

use crate::support::{Harness, Kind};

/// A store of version 1: a source with a row that has history, a tag, an edge, a save point and
/// an open session that has seen one of the rows. Collections without rows are left out.
const fn version_1(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => include_str!("upgrade/sqlite-v1.sql"),
        Kind::Postgres => include_str!("upgrade/postgres-v1.sql"),
    }
}

async fn a_store_of_version_1_keeps_what_it_has(kind: Kind) {
    let harness = Harness::on(kind, version_1(kind)).await;
    let client = &harness.client;
    assert_eq!(client.ids("asset").await, ["a", "b"]);
    assert_eq!(
        client.ids("asset_vulnerability").await,
        ["asset/a vulnerability/v"]
    );
    let source = client.get("source/s").await.expect(200);
    assert_eq!(source["model_state_id"], "state 1");
    let asset = client.get("asset?external_id=a").await.expect(200);
    assert_eq!(asset[0]["name"], "new");
    assert_eq!(asset[0]["properties"]["custom"], "c");
    let query =
        json!({ "query": "{ asset(where: {external_id: {_eq: \"a\"}}) { tags { name } } }" });
    let tags = client.post("v3/query", query).await.expect(200);
    assert_eq!(tags["data"]["asset"][0]["tags"][0]["name"], "t", "{tags}");

    // The session goes on: the rows that it has not seen have no scope yet.
    let path = "source/s/full-import-in-progress";
    let state = client.get(path).await.expect(200);
    assert_eq!(
        state["would_retire"],
        json!({ "asset": 1, "vulnerability": 1, "asset_vulnerability": 1 })
    );
    assert_eq!(state["scopes"], json!([]));
    client
        .patch(path, json!({ "complete_scopes": ["x"] }))
        .await
        .expect(200);
    let state = client.get(path).await.expect(200);
    assert_eq!(state["would_retire"], json!({}));

    // Nothing is known of the bytes of old rows, until they are reported again.
    let row = r#"{"external_id":"b","name":"b"}"#;
    let hash = car_schema::wire::content_hash(row.as_bytes());
    let header = json!({ "source": { "_key": "s" }, "report": { "_key": "r3", "timestamp": 1 } });
    let mut claim = header.clone();
    claim["rows"] = json!({ "asset": [["b", hash]] });
    let asked = client
        .post("v3/imports/unchanged", claim.clone())
        .await
        .expect(200);
    assert_eq!(asked["changed"], json!({ "asset": [0] }));
    let mut body = header;
    body["asset"] = json!([serde_json::from_str::<serde_json::Value>(row).unwrap()]);
    client.post("imports", body).await.expect(200);
    let asked = client.post("v3/imports/unchanged", claim).await.expect(200);
    assert_eq!(asked["changed"], json!({}));
    let state = client.close("s").await;
    assert_eq!(state["status"], "COMPLETE");
    assert_eq!(client.ids("asset").await, ["a", "b"]);

    // All other collections are there, and a second start finds nothing to do.
    let databases = client.get("databases").await.expect(200);
    assert_eq!(databases["databases"][0]["is_ready"], true);
    let harness = harness.restart().await;
    assert_eq!(harness.client.ids("asset").await, ["a", "b"]);
}

crate::support::store_suite! {
    a_store_of_version_1_keeps_what_it_has,
}
