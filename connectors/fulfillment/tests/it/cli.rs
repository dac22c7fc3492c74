//! What users see: help and errors, word for word.

use car_testkit::{Program, TestFolder};
use insta::assert_snapshot;
use serde_json::json;

use crate::support::{World, once, program, purchase};

/// Runs the program and shows what came of it, without what differs from machine to machine.
async fn shown(program: Program, volatile: &[(&str, &str)]) -> String {
    let program = program.args(&["--log-format", "text"]);
    program.run().await.shown(volatile)
}

/// Complete settings that lead nowhere.
fn complete() -> Program {
    program()
        .env("CONFIGURATION_AUTH_URL", "http://127.0.0.1:9/public/v1")
        .env("CONFIGURATION_AUTH_KEY", "ApiKey SU-1:hush")
        .env(
            "CONFIGURATION_PARAMETER_VENDOR_URL",
            "http://127.0.0.1:9/vendor/v1",
        )
        .env("CONFIGURATION_AUTH_VENDOR_TOKEN", "hush")
}

#[tokio::test]
async fn help() {
    assert_snapshot!(program().args(&["--help"]).run().await.shown(&[]));
}

#[tokio::test]
async fn help_of_its_verbs() {
    let mut text = String::new();
    for verb in [
        &["fulfill"][..],
        &["saga"],
        &["saga", "list"],
        &["saga", "abandon"],
    ] {
        let ended = program().args(verb).args(&["--help"]).run().await;
        let own = ended.with_code(0).stdout;
        // What all verbs have follows, and is in the help of the program.
        let own = own.split("\n\n").take(3).collect::<Vec<_>>().join("\n\n");
        text.push_str(&format!("$ {}\n{own}\n\n", verb.join(" ")));
    }
    assert_snapshot!(text);
}

#[tokio::test]
async fn settings_that_are_missing() {
    assert_snapshot!(shown(program().args(&["fulfill"]), &[]).await);
}

#[tokio::test]
async fn no_place_for_sagas() {
    assert_snapshot!(shown(complete().args(&["fulfill"]), &[]).await);
}

#[tokio::test]
async fn a_place_for_sagas_that_nobody_knows() {
    let wrong = complete().args(&["saga", "list", "--saga-log", "mysql://me:hush@db/sagas"]);
    assert_snapshot!(shown(wrong, &[]).await);
}

#[tokio::test]
async fn a_password_in_the_address() {
    let place = "postgres://me:hush@db/sagas";
    let wrong = complete().env("CONFIGURATION_PARAMETER_SAGA_LOG", place);
    assert_snapshot!(shown(wrong.args(&["saga", "list"]), &[]).await);
}

#[tokio::test]
async fn a_file_that_is_no_record() {
    let folder = TestFolder::new();
    let file = folder.write("sagas.db", "this is no database, and long enough to be one");
    let file = file.to_str().unwrap();
    let wrong = complete().args(&["saga", "list", "--saga-log", file]);
    assert_snapshot!(shown(wrong, &[(file, "SAGAS.DB")]).await);
}

#[tokio::test]
async fn a_saga_that_is_not_there() {
    let world = World::start().await;
    let wrong = world.program().args(&["saga", "show", "PR-9"]);
    assert_snapshot!(shown(wrong, &[]).await);
}

#[tokio::test]
async fn a_purchase_that_is_undone() {
    let world = World::start().await;
    world.faults(once("licences", "PUT", "refuse")).await;
    let mut request = purchase();
    request["id"] = json!("PR-1000");
    world.order(request).await;
    world.fulfill().await;
    let text = world.show("PR-1000").await;
    // Each record begins with its time.
    let line = |line: &str| match line.split_once("Z  ") {
        Some((_, rest)) => format!("TIME  {rest}\n"),
        None => format!("{line}\n"),
    };
    assert_snapshot!(text.lines().map(line).collect::<String>());
}
