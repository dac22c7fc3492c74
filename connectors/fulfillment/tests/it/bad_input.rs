//! Requests, deliveries and settings that are not as they should be.

use reqwest::Method;
use serde_json::json;

use crate::support::{KEY, TOKEN, World, once, purchase};

#[tokio::test]
async fn requests_of_no_known_type_are_left_alone() {
    let world = World::start().await;
    let odd = [
        json!({"asset": {"id": "AS-1"}}),
        json!({"type": 7}),
        json!({"type": "transfer"}),
        json!({"type": "a\nb"}),
    ];
    let mut ids = Vec::new();
    for request in odd {
        ids.push(world.order(request).await);
    }
    // Among them is one that can be worked on, on the second page.
    ids.push(world.order(purchase()).await);
    let told = world.fulfill().await;
    assert!(
        told.starts_with("approved 1, failed 0, inquired 0, skipped 4"),
        "{told}"
    );
    for id in &ids[..4] {
        assert_eq!(world.status(id).await, "pending");
    }
    assert_eq!(world.left().await, [1; 4]);
}

#[tokio::test]
async fn a_purchase_without_a_parameter_goes_back_and_comes_again() {
    let world = World::start().await;
    let id = world
        .order(json!({"type": "purchase", "asset": {"params": []}}))
        .await;
    assert!(world.fulfill().await.contains("inquired 1"));
    assert_eq!(world.status(&id).await, "inquiring");
    assert_eq!(world.left().await, [0; 4]);
    let path = format!("/public/v1/requests/{id}");
    let answer = json!({"asset": {"params": [{"id": "email", "value": "ada@example.org"}]}});
    world.call(Method::PUT, &path, answer).await;
    world
        .call(Method::POST, &format!("{path}/pend"), json!({}))
        .await;
    world.fulfill().await;
    assert_eq!(world.status(&id).await, "approved");
}

#[tokio::test]
async fn an_id_that_cannot_be_a_key_is_an_error_of_this_request_alone() {
    let world = World::start().await;
    let mut bad = purchase();
    bad["id"] = json!("PR 1");
    world.order(bad).await;
    let good = world.order(purchase()).await;
    let ended = world.run(&["fulfill"]).await.with_code(0);
    assert!(ended.stdout.starts_with("approved 1"), "{}", ended.stdout);
    assert!(ended.stdout.contains("errors 1"), "{}", ended.stdout);
    assert_eq!(world.status(&good).await, "approved");
}

#[tokio::test]
async fn a_status_that_changed_meanwhile_undoes_what_was_done() {
    let world = World::start().await;
    let id = world.order(purchase()).await;
    world
        .faults(once("notifications", "PUT", "unavailable"))
        .await;
    // Waits at the last step at the vendor, then the customer takes the order back.
    let away = json!([{"kind": "notifications", "mode": "unavailable", "times": 3}]);
    world.faults(away).await;
    assert!(world.fulfill().await.contains("waiting 1"));
    assert_eq!(world.left().await, [1, 1, 1, 0]);
    let fail = format!("/public/v1/requests/{id}/fail");
    world
        .call(Method::POST, &fail, json!({"reason": "taken back"}))
        .await;
    let text = world
        .run(&["saga", "resume", &id])
        .await
        .with_code(0)
        .stdout;
    assert!(text.contains("changed meanwhile: it is failed"), "{text}");
    assert_eq!(world.left().await, [0; 4]);
}

#[tokio::test]
async fn a_compensation_that_fails_five_times_waits_for_a_person() {
    let world = World::start().await;
    let faults = json!([
        {"kind": "licences", "method": "PUT", "mode": "refuse", "times": 1},
        {"kind": "users", "method": "DELETE", "mode": "refuse", "times": 5},
    ]);
    world.faults(faults).await;
    let id = world.order(purchase()).await;
    assert!(world.fulfill().await.contains("stuck 1"));
    // Neither answered nor tried again.
    assert_eq!(world.status(&id).await, "pending");
    assert!(world.fulfill().await.contains("stuck 1"));
    assert_eq!(world.left().await, [1, 1, 0, 0]);
    let list = world
        .run(&["saga", "list", "--status", "stuck"])
        .await
        .stdout;
    assert!(list.contains("create-user"), "{list}");
    drop(world.run(&["saga", "resume", &id]).await.with_code(0));
    assert_eq!(world.left().await, [0; 4]);
    assert_eq!(world.status(&id).await, "failed");
}

#[tokio::test]
async fn a_saga_that_is_abandoned_stays_as_it_is() {
    let world = World::start().await;
    let away = json!([{"kind": "users", "mode": "unavailable", "times": 3}]);
    world.faults(away).await;
    let id = world.order(purchase()).await;
    world.fulfill().await;
    let told = world
        .run(&["saga", "abandon", &id, "--reason", "by hand"])
        .await;
    assert_eq!(told.with_code(0).stdout, format!("{id} is abandoned\n"));
    let twice = world.run(&["saga", "abandon", &id]).await.with_code(2);
    drop(twice.saying("is abandoned already"));
    world.fulfill().await;
    assert_eq!(world.left().await, [1, 0, 0, 0]);
    assert_eq!(world.status(&id).await, "failed");
    let unknown = world.run(&["saga", "show", "PR-9"]).await.with_code(2);
    drop(unknown.saying("there is no saga"));
}

#[tokio::test]
async fn settings_that_are_missing_or_wrong_are_named() {
    let world = World::start().await;
    let without_log = world.program().without("CONFIGURATION_PARAMETER_SAGA_LOG");
    let ended = without_log.args(&["fulfill"]).run().await.with_code(2);
    drop(ended.saying("--saga-log"));
    let wrong_key = world.program().env("CONFIGURATION_AUTH_KEY", "wrong");
    let ended = wrong_key.args(&["fulfill"]).run().await;
    let ended = ended.saying("CONFIGURATION_AUTH_KEY");
    assert_ne!(ended.code, Some(0));
    let ftp = world
        .program()
        .env("CONFIGURATION_PARAMETER_VENDOR_URL", "ftp://host");
    let ended = ftp.args(&["fulfill"]).run().await.with_code(2);
    drop(ended.saying("`--vendor`"));
    let no_secret = world.program();
    let arguments = ["fulfill", "--watch", "--webhook", "127.0.0.1:0"];
    let ended = no_secret.args(&arguments).run().await.with_code(2);
    drop(ended.saying("--webhook-secret"));
}

#[tokio::test]
async fn no_secret_is_in_what_is_printed_or_written() {
    let world = World::start().await;
    world.faults(once("licences", "PUT", "refuse")).await;
    world.order(purchase()).await;
    let ended = world.program().args(&["fulfill", "--debug"]).run().await;
    let secret = KEY.split(':').nth(1).unwrap();
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(secret) && !text.contains(TOKEN), "{text}");
    }
    for (name, text) in ended.files() {
        assert!(!text.contains(secret) && !text.contains(TOKEN), "{name}");
    }
}
