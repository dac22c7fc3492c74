//! Sagas in PostgreSQL, where processes of several machines share them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use url::Url;

use crate::support::{World, once, purchase};

#[tokio::test]
async fn sagas_are_kept_in_the_database_that_the_setting_names() {
    let Some(address) = car_testkit::postgres_server() else {
        return;
    };
    let mut address = Url::parse(&address).unwrap();
    let password = address.password().unwrap_or("any").to_owned();
    address.set_password(None).unwrap();
    let world = World::start().await;
    let program = || {
        world
            .program()
            .env("CONFIGURATION_PARAMETER_SAGA_LOG", address.as_str())
            .env("CONFIGURATION_AUTH_SAGA_LOG_PASSWORD", &password)
    };
    // The database outlives the test, and has sagas of others.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let id = format!("PR-{}-{}", std::process::id(), now.as_nanos());
    let mut request = purchase();
    request["id"] = json!(id);
    world.order(request).await;
    world.faults(once("licences", "PUT", "refuse")).await;
    drop(program().args(&["fulfill"]).run().await.with_code(0));
    assert_eq!(world.status(&id).await, "failed");
    assert_eq!(world.left().await, [0; 4]);
    // Another process reads what the first one wrote.
    let shown = program().args(&["saga", "show", &id]).run().await;
    let text = shown.with_code(0).stdout;
    assert!(
        text.starts_with(&format!("{id} (purchase) is undone")),
        "{text}"
    );
    let unknown = world
        .program()
        .args(&["saga", "show", &id])
        .run()
        .await
        .with_code(2);
    drop(unknown.saying("there is no saga"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let world = World::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let place = format!("postgres://saga@127.0.0.1:{port}/sagas");
    let ended = world
        .program()
        .env("CONFIGURATION_PARAMETER_SAGA_LOG", place)
        .env("CONFIGURATION_AUTH_SAGA_LOG_PASSWORD", "geheim")
        .args(&["saga", "list"])
        .run()
        .await;
    assert_ne!(ended.code, Some(0));
    assert!(!ended.stderr.contains("geheim"), "{}", ended.stderr);
    drop(ended.saying("the saga log `PostgreSQL` cannot be used"));
}
