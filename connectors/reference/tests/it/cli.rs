//! What users see: help and errors, word for word.

use car_testkit::{Program, TestFolder};
use insta::assert_snapshot;

use crate::support::{program, reading};

/// Runs the program and shows what came of it, without what differs from machine to machine.
async fn shown(program: Program, volatile: &[(&str, &str)]) -> String {
    program.run().await.shown(volatile)
}

fn as_text(program: Program) -> Program {
    program.args(&["--log-format", "text"])
}

/// Complete settings that lead nowhere.
fn complete() -> Program {
    reading("http://127.0.0.1:9").into_service("http://127.0.0.1:9/api/car/v2", "reference")
}

#[tokio::test]
async fn help() {
    assert_snapshot!(shown(program().args(&["--help"]), &[]).await);
}

#[tokio::test]
async fn version() {
    let ended = program().args(&["-V"]).run().await.with_code(0);
    assert_eq!(
        ended.stdout,
        format!("reference-connector {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn an_unknown_flag() {
    assert_snapshot!(shown(as_text(complete().args(&["--sever", "x"])), &[]).await);
}

#[tokio::test]
async fn a_missing_setting() {
    assert_snapshot!(
        shown(
            as_text(complete().without("CONFIGURATION_AUTH_PASSWORD")),
            &[]
        )
        .await
    );
}

#[tokio::test]
async fn an_address_that_is_none() {
    let wrong = complete().env("CONFIGURATION_AUTH_URL", "ftp://127.0.0.1");
    assert_snapshot!(shown(as_text(wrong), &[]).await);
}

#[tokio::test]
async fn an_unknown_yaml_key() {
    let folder = TestFolder::new();
    let file = folder.write("settings.yaml", "server: http://127.0.0.1:9\npagesize: 7\n");
    let file = file.to_str().unwrap();
    let wrong = as_text(complete().args(&["--config", file]));
    assert_snapshot!(shown(wrong, &[(file, "SETTINGS.YAML")]).await);
}

#[tokio::test]
async fn a_secret_file_that_cannot_be_opened() {
    let folder = TestFolder::new();
    folder.write("CONFIGURATION_AUTH_PASSWORD", "this is no encrypted secret");
    folder.write(
        ".jwk/key.jwk",
        r#"{"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
    );
    let path = folder.path().to_str().unwrap();
    let wrong = complete()
        .without("CONFIGURATION_AUTH_PASSWORD")
        .env("CAR_SECRETS_DIR", path);
    assert_snapshot!(shown(as_text(wrong), &[(path, "SECRETS")]).await);
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let nobody = as_text(reading(&url).args(&["test-connection"]));
    assert_snapshot!(shown(nobody, &[(port.as_str(), "PORT")]).await);
}

#[tokio::test]
async fn a_service_where_nobody_listens() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/api/car/v2");
    let nobody = complete()
        .into_service(&url, "reference")
        .args(&["--car-retry-for", "1ms"]);
    assert_snapshot!(shown(as_text(nobody), &[(port.as_str(), "PORT")]).await);
}

/// Returns a port that nobody listens on: it was free a moment ago.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}
