//! Purchases: all done or all undone, whatever the vendor and the machine do.

use reqwest::Method;
use serde_json::json;

use crate::support::{World, once, purchase};

#[tokio::test]
async fn a_purchase_is_provisioned_and_approved_once() {
    let world = World::start().await;
    let id = world.order(purchase()).await;
    assert!(world.fulfill().await.starts_with("approved 1, failed 0"));
    assert_eq!(world.status(&id).await, "approved");
    assert_eq!(world.left().await, [1, 1, 1, 1]);
    let request = world.request(&id).await;
    let params = request["asset"]["params"].as_array().unwrap();
    assert!(
        params
            .iter()
            .any(|parameter| parameter["id"] == "vendor_user"
                && parameter["value"] == format!("purchase/{id}/create-user"))
    );
    let licence = &world.things("licences").await[0];
    assert_eq!(licence["value"]["quantity"], 3);

    // Nothing is pending, and nothing is done again.
    assert!(world.fulfill().await.starts_with("approved 0"));
    let text = world.show(&id).await;
    assert!(
        text.starts_with(&format!("{id} (purchase) is done\nanswered success\n")),
        "{text}"
    );
    let list = world.run(&["saga", "list"]).await.with_code(0).stdout;
    assert!(list.contains(&id) && list.contains("done"), "{list}");
}

#[tokio::test]
async fn a_vendor_that_says_no_at_step_3_leaves_nothing() {
    let world = World::start().await;
    world.faults(once("licences", "PUT", "refuse")).await;
    let id = world.order(purchase()).await;
    assert!(world.fulfill().await.contains("failed 1"));
    assert_eq!(world.left().await, [0; 4]);
    let request = world.request(&id).await;
    assert_eq!(request["status"], "failed");
    let reason = request["answer"]["reason"].as_str().unwrap();
    assert!(reason.contains("the vendor says no"), "{reason}");
    // The record tells it: step 2 undone, then step 1.
    let text = world.show(&id).await;
    let at = |step: &str| {
        let found = text
            .lines()
            .position(|line| line.contains("undone  ") && line.contains(step));
        found.unwrap_or_else(|| panic!("{step} is not undone in:\n{text}"))
    };
    let records = text.lines().filter(|line| line.contains("Z  undone"));
    let undone: Vec<&str> = records
        .filter_map(|line| line.split("undone").nth(1))
        .collect();
    assert_eq!(
        undone.iter().map(|step| step.trim()).collect::<Vec<_>>(),
        ["create-user", "reserve"]
    );
    assert!(at("create-user") > 0);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let world = World::start().await;
    for kind in ["reservations", "users", "licences", "notifications"] {
        world.faults(once(kind, "PUT", "lose-answer")).await;
        let id = world.order(purchase()).await;
        world.fulfill().await;
        assert_eq!(world.status(&id).await, "approved", "{kind}");
    }
    assert_eq!(world.left().await, [4; 4]);
}

#[tokio::test]
async fn a_vendor_that_is_away_is_waited_for_and_the_wait_survives() {
    let world = World::start().await;
    let away = json!([{"kind": "users", "mode": "unavailable", "times": 3}]);
    world.faults(away).await;
    let id = world.order(purchase()).await;
    assert!(world.fulfill().await.contains("waiting 1"));
    assert_eq!(world.status(&id).await, "pending");
    assert_eq!(world.left().await, [1, 0, 0, 0]);
    // Another process: the wait is not over.
    assert!(world.fulfill().await.contains("waiting 1"));
    assert_eq!(world.left().await, [1, 0, 0, 0]);
    // A person does not want to wait.
    let text = world
        .run(&["saga", "resume", &id])
        .await
        .with_code(0)
        .stdout;
    assert!(text.contains("is done"), "{text}");
    assert_eq!(world.status(&id).await, "approved");
    assert_eq!(world.left().await, [1; 4]);
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on() {
    let world = World::start().await;
    world.faults(once("licences", "PUT", "hang")).await;
    let id = world.order(purchase()).await;
    let running = world.program().args(&["fulfill"]).start();
    // The third step is done, and its answer does not come.
    world.until([1, 1, 1, 0]).await;
    running.kill().await;
    let list = world
        .run(&["saga", "list", "--status", "running"])
        .await
        .stdout;
    assert!(list.contains("assign-licences"), "{list}");
    world.fulfill().await;
    assert_eq!(world.status(&id).await, "approved");
    assert_eq!(world.left().await, [1; 4]);
}

#[tokio::test]
async fn killed_while_it_undoes_it_ends_undone() {
    let world = World::start().await;
    let faults = json!([
        {"kind": "licences", "method": "PUT", "mode": "refuse", "times": 1},
        {"kind": "users", "method": "DELETE", "mode": "hang", "times": 1},
    ]);
    world.faults(faults).await;
    let id = world.order(purchase()).await;
    let running = world.program().args(&["fulfill"]).start();
    world.until([1, 0, 0, 0]).await;
    // The first one is there as well before anything is done: the call that hangs is the sign.
    let log = async {
        loop {
            let list = world.run(&["saga", "list"]).await.stdout;
            if list.contains("undoing") {
                break;
            }
        }
    };
    car_testkit::within("the saga undoes", log).await;
    running.kill().await;
    // Killed before the call, the next one would hang as long as a call may take.
    world.faults(json!([])).await;
    world.fulfill().await;
    assert_eq!(world.left().await, [0; 4]);
    assert_eq!(world.status(&id).await, "failed");
}

#[tokio::test]
async fn a_saga_that_was_left_in_the_middle_goes_on_without_its_request() {
    let world = World::start().await;
    world.faults(once("notifications", "PUT", "hang")).await;
    let id = world.order(purchase()).await;
    let running = world.program().args(&["fulfill"]).start();
    world.until([1, 1, 1, 1]).await;
    running.kill().await;
    // Somebody answers the request while nobody is there.
    let fail = format!("/public/v1/requests/{id}/fail");
    world
        .call(Method::POST, &fail, json!({"reason": "by hand"}))
        .await;
    let told = world.fulfill().await;
    assert!(told.contains("failed 1"), "{told}");
    assert_eq!(world.left().await, [0; 4]);
    assert_eq!(world.request(&id).await["answer"]["reason"], "by hand");
}
