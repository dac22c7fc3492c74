//! What imports, sessions and deletions make of the graph.

use serde_json::{Value, json};

use crate::support::{Harness, Kind, envelope};

fn asset(id: &str) -> Value {
    json!({ "external_id": id, "name": id })
}

fn edge(from: &str, to: &str) -> Value {
    json!({ "_from_external_id": from, "_to_external_id": to })
}

fn vulnerability(id: &str) -> Value {
    json!({ "external_id": id, "name": id, "base_score": 7.5 })
}

async fn the_last_of_equal_rows_wins_and_a_second_report_adds_nothing(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let rows = json!({
        "asset": [{ "external_id": "a", "name": "one" }, { "external_id": "a", "name": "two" }],
        "asset_vulnerability": [
            { "_from_external_id": "a", "_to_external_id": "v", "risk_score": 1 },
            { "_from": "asset/a", "_to": "vulnerability/v", "risk_score": 2 },
        ],
    });
    for _ in 0..2 {
        client.import("s", rows.clone()).await;
        let assets = client.get("asset").await.expect(200);
        assert_eq!(assets.as_array().unwrap().len(), 1);
        assert_eq!(assets[0]["name"], "two");
        let edges = client.get("asset_vulnerability").await.expect(200);
        assert_eq!(edges.as_array().unwrap().len(), 1);
        assert_eq!(edges[0]["risk_score"], 2);
    }
    // The same entity of another source is another entity.
    client.import("t", json!({ "asset": [asset("a")] })).await;
    assert_eq!(client.ids("asset").await, ["a", "a"]);
}

async fn closing_a_session_retires_what_it_did_not_report(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let all = json!({
        "asset": [asset("a"), asset("b"), asset("c")],
        "vulnerability": [vulnerability("v")],
        "asset_vulnerability": [edge("a", "v"), edge("b", "v"), edge("ghost", "v")],
    });
    client.import("s", all.clone()).await;
    client.import("other", all).await;

    let state = client.close("s").await;
    assert_eq!(state["status"], "ERROR");
    assert!(
        state["error"]
            .as_str()
            .unwrap()
            .contains("no full import in progress")
    );

    client.open("s").await;
    let report = json!({
        "asset": [asset("a"), asset("d")],
        "vulnerability": [vulnerability("v")],
        // `b` goes, so its edge goes too, though it was reported.
        "asset_vulnerability": [edge("b", "v"), edge("ghost", "v")],
    });
    client.import("s", report).await;
    let preview = client
        .get("source/s/full-import-in-progress")
        .await
        .expect(200);
    assert_eq!(preview["open"], true);
    assert_eq!(
        preview["would_retire"],
        json!({ "asset": 2, "asset_vulnerability": 2 })
    );
    assert_eq!(client.close("s").await["status"], "COMPLETE");
    assert_eq!(
        client
            .get("asset?source=s")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let edges = client.get("asset_vulnerability?source=s").await.expect(200);
    assert_eq!(edges.as_array().unwrap().len(), 1);
    assert_eq!(edges[0]["_from"], "asset/ghost");
    assert_eq!(
        client
            .get("asset?source=other")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let after = client
        .get("source/s/full-import-in-progress")
        .await
        .expect(200);
    assert_eq!(after["open"], false);
    assert_eq!(client.close("s").await["status"], "ERROR");
}

async fn a_session_begins_anew_unless_it_is_resumed(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client.open("s").await;
    client.import("s", json!({ "asset": [asset("a")] })).await;
    client
        .post("source/s/full-import-in-progress?resume=true", json!({}))
        .await
        .expect(200);
    let preview = client
        .get("source/s/full-import-in-progress")
        .await
        .expect(200);
    assert_eq!(preview["would_retire"], json!({}));
    client.open("s").await;
    let preview = client
        .get("source/s/full-import-in-progress")
        .await
        .expect(200);
    assert_eq!(preview["would_retire"], json!({ "asset": 1 }));
    let bad = client
        .post("source/a%2Fb/full-import-in-progress", json!({}))
        .await;
    assert_eq!(bad.code(400), "invalid_source");
}

async fn a_retired_vertex_takes_its_edges_along(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let rows = json!({
        "asset": [asset("a"), asset("b")],
        "ipaddress": [{ "_key": "10.0.0.1" }],
        "vulnerability": [vulnerability("v")],
        "asset_vulnerability": [edge("a", "v"), edge("b", "v")],
        "asset_ipaddress": [{ "_from_external_id": "a", "_to": "ipaddress/10.0.0.1" }],
    });
    client.import("s", rows.clone()).await;
    client.import("t", rows).await;
    let gone = client
        .delete("source/s/asset?external_ids=a")
        .await
        .expect(200);
    assert_eq!(
        gone,
        json!({ "asset": 1, "asset_vulnerability": 1, "asset_ipaddress": 1 })
    );
    assert_eq!(
        client.get("asset_vulnerability?source=s").await.expect(200)[0]["_from"],
        "asset/b"
    );
    assert_eq!(
        client
            .get("asset_vulnerability?source=t")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let gone = client
        .delete("source/t/ipaddress?keys=10.0.0.1")
        .await
        .expect(200);
    assert_eq!(gone, json!({ "ipaddress": 1, "asset_ipaddress": 1 }));
    // A vertex that comes back is new; its edges must be reported again.
    client.import("s", json!({ "asset": [asset("a")] })).await;
    assert_eq!(
        client
            .get("asset_vulnerability?source=s")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn entities_are_patched(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client
        .import(
            "s",
            json!({
                "asset": [asset("a")], "vulnerability": [vulnerability("v")],
                "asset_vulnerability": [edge("a", "v")],
            }),
        )
        .await;
    let body = json!({ "name": "new", "pending_update": "soon" });
    client.patch("asset?external_id=a", body).await.expect(200);
    let found = client.get("asset").await.expect(200);
    assert_eq!(found[0]["name"], "new");
    assert_eq!(found[0]["properties"]["pending_update"], "soon");
    let path = "asset_vulnerability?source=s&from=a&to=vulnerability/v";
    client
        .patch(path, json!({ "active": false }))
        .await
        .expect(200);
    assert_eq!(
        client.get("asset_vulnerability").await.expect(200)[0]["active"],
        false
    );
    assert_eq!(
        client
            .patch("asset?external_id=zz", json!({ "name": "x" }))
            .await
            .code(404),
        "unknown_entity"
    );
    assert_eq!(
        client
            .patch("asset?external_id=a", json!({ "name": 1 }))
            .await
            .code(400),
        "invalid_field"
    );
    assert_eq!(
        client
            .patch("asset", json!({ "name": "x" }))
            .await
            .code(400),
        "missing_parameter"
    );
    // The next report is the truth again.
    client.import("s", json!({ "asset": [asset("a")] })).await;
    assert_eq!(client.get("asset").await.expect(200)[0]["name"], "a");
}

async fn edges_may_name_natural_keys_by_external_id(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client.import("s", json!({
        "hostname": [{ "_key": "h.example", "host_name": "h.example", "external_id": "77" }],
    })).await;
    client
        .import(
            "s",
            json!({ "account_hostname": [edge("acc", "77"), edge("acc", "unknown")] }),
        )
        .await;
    assert_eq!(
        client.ids("account_hostname").await,
        [
            "account/acc hostname/h.example",
            "account/acc hostname/unknown"
        ]
    );
}

async fn edges_get_the_key_of_a_vertex_that_comes_later(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let host = |external: &str| {
        json!({ "hostname": [
            { "_key": "h.example", "host_name": "h.example", "external_id": external },
        ] })
    };
    client
        .import(
            "s",
            json!({ "account_hostname": [
                edge("one", "77"), edge("two", "77"), edge("two", "h.example"), edge("one", "78"),
            ] }),
        )
        .await;
    client
        .import("t", json!({ "account_hostname": [edge("one", "77")] }))
        .await;
    client.import("s", host("77")).await;
    let expected = [
        "account/one hostname/77",
        "account/one hostname/78",
        "account/one hostname/h.example",
        "account/two hostname/h.example",
    ];
    assert_eq!(client.ids("account_hostname").await, expected);
    // Reported again, they are the same edges.
    client
        .import(
            "s",
            json!({ "account_hostname": [edge("one", "77"), edge("two", "77")] }),
        )
        .await;
    assert_eq!(client.ids("account_hostname").await, expected);
    client.import("t", host("77")).await;
    assert_eq!(
        client.ids("account_hostname").await,
        [
            "account/one hostname/78",
            "account/one hostname/h.example",
            "account/one hostname/h.example",
            "account/two hostname/h.example",
        ]
    );
}

async fn imports_at_once_do_not_lose_or_hurt_each_other(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let client = harness.client.clone();
        calls.spawn(async move {
            let source = format!("s{}", number % 4);
            let good = json!({ "asset": [asset(&format!("a{number}")), asset("shared")] });
            client.import(&source, good).await;
            let bad = json!({ "asset": [asset(&format!("bad{number}")), { "name": "x" }] });
            client
                .post("imports", envelope(&source, bad))
                .await
                .expect(400);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    let ids = harness.client.ids("asset").await;
    assert_eq!(ids.len(), 44);
    assert!(ids.iter().all(|id| !id.starts_with("bad")));
}

crate::support::store_suite! {
    the_last_of_equal_rows_wins_and_a_second_report_adds_nothing,
    closing_a_session_retires_what_it_did_not_report,
    a_session_begins_anew_unless_it_is_resumed,
    a_retired_vertex_takes_its_edges_along,
    entities_are_patched,
    edges_may_name_natural_keys_by_external_id,
    edges_get_the_key_of_a_vertex_that_comes_later,
    imports_at_once_do_not_lose_or_hurt_each_other,
}
