//! What was provisioned is in the graph, and what was undone is not.

use car_testkit::Service;

use crate::support::{World, once, purchase};

#[tokio::test]
async fn accounts_and_applications_are_in_the_graph() {
    let world = World::start().await;
    let service = Service::start().await;
    let import = async || {
        let program = world.program().into_service(&service.url(), "fulfilment");
        drop(program.run().await.with_code(0));
        service.graph("fulfilment").await
    };
    let ids = [
        world.order(purchase()).await,
        world.order(purchase()).await,
        world.order(purchase()).await,
    ];
    world.fulfill().await;
    world.faults(once("licences", "PUT", "refuse")).await;
    let undone = world.order(purchase()).await;
    world.fulfill().await;

    let graph = import().await;
    for id in &ids {
        let account = format!("purchase/{id}/create-user");
        let fields = graph.get("account", &account).unwrap();
        assert_eq!(fields["name"], "ada@example.org");
        assert!(graph.has_edge("account_application", &account, "PRD-1"));
    }
    assert!(graph.get("application", "PRD-1").is_some());
    let undone = format!("purchase/{undone}/create-user");
    assert!(graph.get("account", &undone).is_none());
}

#[tokio::test]
async fn the_connection_is_tested_on_both_sides() {
    let world = World::start().await;
    drop(world.run(&["test-connection"]).await.with_code(0));
    let wrong = world
        .program()
        .env("CONFIGURATION_AUTH_VENDOR_TOKEN", "wrong");
    let ended = wrong.args(&["test-connection"]).run().await;
    assert_ne!(ended.code, Some(0));
    drop(ended.saying("CONFIGURATION_AUTH_VENDOR_TOKEN"));
}
