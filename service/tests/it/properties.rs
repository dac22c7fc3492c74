//! What extensions ask of properties: defaults, unique values, an order among extensions.

use car_service::{Admin, Place};
use serde_json::{Value, json};

use crate::support::{Harness, Kind, envelope};

fn extension(key: &str, schema: Value) -> Value {
    json!({ "key": key, "owner": "o", "version": "1", "schema": schema })
}

const LOW: &str = "00000000-0000-4000-8000-000000000001";
const HIGH: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

async fn defaults_fill_what_a_row_leaves_out(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let schema = json!({ "vertices": [{ "name": "asset", "properties": {
        "tier": { "type": "integer", "default": 3, "required": true },
        "note": { "type": "text", "default": "none" },
    } }] });
    client
        .post("v3/carSchema", extension(LOW, schema))
        .await
        .expect(201);
    let rows = json!({ "asset": [
        { "external_id": "a", "name": "a" },
        { "external_id": "b", "name": "b", "tier": 1, "note": "" },
    ] });
    client.import("s", rows).await;
    let found = client.get("asset").await.expect(200);
    assert_eq!(
        (&found[0]["tier"], &found[0]["note"]),
        (&json!(3), &json!("none"))
    );
    assert_eq!(
        (&found[1]["tier"], &found[1]["note"]),
        (&json!(1), &json!(""))
    );
}

async fn unique_values_are_unique_within_a_source(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let schema = json!({
        "vertices": [{ "name": "rack", "properties": {
            "serial": { "type": "text", "unique": true },
            "place": { "type": "bigint", "unique": true },
        } }],
        "edges": [{ "end1": "asset", "end2": "rack", "properties": {
            "slot": { "type": "float", "unique": true },
        } }],
    });
    client
        .post("v3/carSchema", extension(LOW, schema))
        .await
        .expect(201);
    let rack = |id: &str, serial: &str, place: i64| json!({ "external_id": id, "serial": serial, "place": place });
    let slot = |from: &str, slot: f64| json!({ "_from_external_id": from, "_to_external_id": "r", "slot": slot });
    let good = json!({
        "rack": [rack("a", "x", 1), rack("b", "y", 2), { "external_id": "c" }, { "external_id": "d" }],
        "asset_rack": [slot("a", 1.5), slot("b", 2.5)],
    });
    client.import("s", good.clone()).await;
    client.import("t", good).await;
    // Values may change hands in one import.
    let swapped = json!({ "rack": [rack("a", "y", 2), rack("b", "x", 1)] });
    client.import("s", swapped).await;
    for bad in [
        json!({ "rack": [rack("e", "x", 9)] }),
        json!({ "rack": [rack("e", "e", 9), rack("f", "f", 9)] }),
        json!({ "rack": [rack("a", "x", 2)] }),
        json!({ "rack": [rack("e", "e", 8)], "asset_rack": [slot("c", 2.5)] }),
    ] {
        let answer = client.post("imports", envelope("s", bad.clone())).await;
        assert_eq!(answer.code(400), "not_unique", "{bad}");
    }
    let racks = client.get("rack?source=s").await.expect(200);
    assert_eq!(racks.as_array().unwrap().len(), 4);
}

async fn what_cannot_be_kept_to_is_refused(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let property = |property: Value| {
        extension(
            LOW,
            json!({ "vertices": [{ "name": "rack", "properties": { "p": property } }] }),
        )
    };
    for (bad, text) in [
        (json!({ "type": "bigserial" }), "bigserial"),
        (json!({ "type": "integer", "default": "x" }), "default"),
        (json!({ "type": "text", "default": 1 }), "default"),
    ] {
        let answer = client
            .post("v3/carSchema", property(bad.clone()))
            .await
            .expect(400);
        assert_eq!(answer["code"], "invalid_extension", "{bad}");
        assert!(
            answer["message"].as_str().unwrap().contains(text),
            "{answer}"
        );
    }
}

async fn a_graph_moves_with_extensions_that_build_on_each_other(kind: Kind) {
    let from = Harness::ready(kind).await;
    let vertex =
        json!({ "vertices": [{ "name": "rack", "properties": { "unit": { "type": "text" } } }] });
    let edge = json!({ "edges": [{ "end1": "asset", "end2": "rack" }] });
    // The one that comes first by its key needs the other.
    for extension in [extension(HIGH, vertex), extension(LOW, edge)] {
        from.client
            .post("v3/carSchema", extension)
            .await
            .expect(201);
    }
    let rows = json!({
        "rack": [{ "external_id": "r", "unit": "u" }],
        "asset_rack": [{ "_from_external_id": "a", "_to_external_id": "r" }],
    });
    from.client.import("s", rows).await;
    let admin = async |place: Place| Admin::open(&place).await.unwrap();
    let mut lines = Vec::new();
    admin(from.place()).await.export(&mut lines).await.unwrap();
    let to = Harness::empty(kind).await;
    admin(to.place())
        .await
        .import(&mut lines.as_slice())
        .await
        .unwrap();
    assert_eq!(to.client.ids("asset_rack").await, ["asset/a rack/r"]);
    let racks = to.client.get("rack").await.expect(200);
    assert_eq!(racks[0]["unit"], "u");
}

crate::support::store_suite! {
    defaults_fill_what_a_row_leaves_out,
    unique_values_are_unique_within_a_source,
    what_cannot_be_kept_to_is_refused,
    a_graph_moves_with_extensions_that_build_on_each_other,
}
