//! What follows a purchase, and tier configs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, purchase};

/// Makes a purchase and returns the asset with its traces.
async fn bought(world: &World) -> Value {
    let id = world.order(purchase()).await;
    world.fulfill().await;
    assert_eq!(world.status(&id).await, "approved");
    world.request(&id).await["asset"].clone()
}

async fn fulfilled(world: &World, kind: &str, asset: &Value) -> String {
    let id = world.order(json!({"type": kind, "asset": asset})).await;
    world.fulfill().await;
    world.status(&id).await
}

#[tokio::test]
async fn an_asset_is_changed_suspended_resumed_and_cancelled() {
    let world = World::start().await;
    let mut asset = bought(&world).await;
    asset["items"][0]["quantity"] = json!("9");
    assert_eq!(fulfilled(&world, "change", &asset).await, "approved");
    assert_eq!(world.things("licences").await[0]["value"]["quantity"], 9);
    assert_eq!(fulfilled(&world, "suspend", &asset).await, "approved");
    assert_eq!(world.things("users").await[0]["value"]["active"], false);
    assert_eq!(fulfilled(&world, "resume", &asset).await, "approved");
    assert_eq!(world.things("users").await[0]["value"]["active"], true);
    assert_eq!(fulfilled(&world, "cancel", &asset).await, "approved");
    assert_eq!(world.left().await, [0, 0, 0, 1]);
    // Cancelled twice is cancelled.
    assert_eq!(fulfilled(&world, "cancel", &asset).await, "approved");
}

#[tokio::test]
async fn an_asset_that_was_never_bought_cannot_be_changed() {
    let world = World::start().await;
    let asset = json!({"id": "AS-2", "params": []});
    let id = world
        .order(json!({"type": "suspend", "asset": asset}))
        .await;
    world.fulfill().await;
    let request = world.request(&id).await;
    assert_eq!(request["status"], "failed");
    let reason = request["answer"]["reason"].as_str().unwrap();
    assert!(reason.contains("`vendor_user`"), "{reason}");
}

#[tokio::test]
async fn an_asset_that_is_offline_is_left_to_people() {
    let world = World::start().await;
    let mut asset = bought(&world).await;
    asset["configuration"] = json!({"params": [
        {"id": "offline_mode_list", "structured_value": ["AS-1"]}
    ]});
    assert_eq!(fulfilled(&world, "suspend", &asset).await, "pending");
    assert_eq!(world.things("users").await[0]["value"]["active"], true);
}

#[tokio::test]
async fn a_tier_config_is_accepted() {
    let world = World::start().await;
    let request = json!({"type": "setup", "configuration": {"id": "TC-1", "params": []}});
    let path = "/public/v1/tier/config-requests";
    let made = world.call(Method::POST, path, request).await;
    let id = made["id"].as_str().unwrap();
    assert!(world.fulfill().await.starts_with("approved 1"));
    let now = world
        .call(Method::GET, &format!("{path}/{id}"), json!({}))
        .await;
    assert_eq!(now["status"], "approved");
}
