//! Purchases that are recorded on a Temporal server: what a killed process was at goes on in
//! another one, forward and back.

use car_testkit::{Program, temporal_server, within};
use serde_json::json;

use crate::support::{World, once, purchase};

/// Returns the connector, with a record that no other test has.
fn program(world: &World, server: &str) -> Program {
    // Other runs of these tests may be on the same server.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let log = format!("{server}/default?log=test-{}-{now}", std::process::id());
    world.program().env("CONFIGURATION_PARAMETER_SAGA_LOG", log)
}

/// Works on what is pending until a request has its answer.
async fn until_answered(world: &World, program: &Program, id: &str, status: &str) {
    within("the request is answered", async {
        while world.status(id).await != status {
            // What was with the killed process may be with the server for a while.
            drop(program.clone().args(&["fulfill"]).run().await);
        }
    })
    .await;
}

async fn show(program: &Program, id: &str) -> String {
    let shown = program.clone().args(&["saga", "show", id]).run().await;
    shown.with_code(0).stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_goes_on_in_another_process_after_a_kill() {
    let Some(server) = temporal_server() else {
        return;
    };
    let world = World::start().await;
    let program = program(&world, &server);
    world.faults(once("licences", "PUT", "hang")).await;
    let id = world.order(purchase()).await;
    let running = program.clone().args(&["fulfill"]).start();
    // The third step is done, and its answer does not come.
    world.until([1, 1, 1, 0]).await;
    running.kill().await;
    until_answered(&world, &program, &id, "approved").await;
    assert_eq!(world.left().await, [1; 4]);
    let shown = show(&program, &id).await;
    assert!(
        shown.starts_with(&format!("{id} (purchase) is done")),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_is_undone_by_another_process_after_a_kill() {
    let Some(server) = temporal_server() else {
        return;
    };
    let world = World::start().await;
    let program = program(&world, &server);
    let faults = json!([
        {"kind": "licences", "method": "PUT", "mode": "refuse", "times": 1},
        {"kind": "users", "method": "DELETE", "mode": "hang", "times": 1},
    ]);
    world.faults(faults).await;
    let id = world.order(purchase()).await;
    let running = program.clone().args(&["fulfill"]).start();
    let undoing = program
        .clone()
        .args(&["saga", "list", "--status", "undoing"]);
    within("the saga undoes", async {
        while !undoing.clone().run().await.stdout.contains(&id) {}
    })
    .await;
    running.kill().await;
    world.faults(json!([])).await;
    until_answered(&world, &program, &id, "failed").await;
    assert_eq!(world.left().await, [0; 4]);
    let shown = show(&program, &id).await;
    assert!(
        shown.starts_with(&format!("{id} (purchase) is undone")),
        "{shown}"
    );
}
