//! The address of a PostgreSQL server: TLS, and a password that is seen nowhere.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::own_server::{CERTIFICATES, OwnServer};
use crate::process::{fails, on_server, replica, start};

/// A password with characters that addresses must escape.
const SECRET: &str = "ge/heim:ü";

/// The same, escaped.
const ESCAPED: &str = "ge%2Fheim%3A%C3%BC";

fn certificate(name: &str) -> String {
    Path::new(CERTIFICATES).join(name).display().to_string()
}

/// Fails, and tells nothing of the password.
fn fails_quietly(mut command: Command, text: &str) {
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for secret in [SECRET, ESCAPED, "heim"] {
        assert!(!said.contains(secret), "{said}");
    }
    fails(command, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_the_server_is_verified_and_the_password_is_seen_nowhere() {
    let Some(mut server) = OwnServer::make() else {
        return;
    };
    let port = server.start_with_tls();
    let pool = sqlx::PgPool::connect(&server.url(port)).await.unwrap();
    let sql = format!("ALTER ROLE postgres PASSWORD '{SECRET}'");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .unwrap();
    let url = |password: &str, host: &str, mode: &str, root: &str| {
        let root = certificate(root);
        format!(
            "postgres://postgres:{password}@{host}:{port}/postgres?sslmode={mode}&sslrootcert={root}"
        )
    };

    let good = url(ESCAPED, "localhost", "verify-full", "cert.pem");
    let mut program = replica(&good);
    let client = program.client.clone();
    client.post("databases", json!({})).await.expect(200);
    let seen: (i64,) = sqlx::query_as(
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'car-service' AND ssl",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(seen.0 > 0, "the connections speak TLS");
    let list = std::fs::read(format!("/proc/{}/cmdline", program.child.id())).unwrap();
    assert!(!String::from_utf8_lossy(&list).contains("heim"));
    program.child.kill().unwrap();
    program.child.wait().unwrap();

    // From a file, which only its owner needs to be able to read.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{good}\n")).unwrap();
    let mut command = on_server("");
    command
        .env_remove("CAR_SERVICE_DATABASE_URL")
        .arg("--database-url-file")
        .arg(file.path());
    let mut program = start(command, 0);
    program.child.kill().unwrap();
    program.child.wait().unwrap();

    let cannot = "cannot open the database in the server named by --database-url";
    for bad in [
        // Another authority, no TLS, a wrong password.
        url(ESCAPED, "localhost", "verify-full", "cert2.pem"),
        url(ESCAPED, "localhost", "disable", "cert.pem"),
        url("wrong-heim", "localhost", "verify-full", "cert.pem"),
        url(ESCAPED, "localhost", "verify-maybe", "cert.pem"),
        format!("postgres://postgres:{ESCAPED}@localhost:port/postgres"),
    ] {
        fails_quietly(on_server(&bad), cannot);
    }
    pool.close().await;
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    let mut command = on_server("");
    command
        .env_remove("CAR_SERVICE_DATABASE_URL")
        .arg("--database-url")
        .arg(format!("postgres://postgres:{ESCAPED}@localhost/postgres"));
    fails_quietly(command, "--database-url-file");
    let mut missing = on_server("");
    missing
        .env_remove("CAR_SERVICE_DATABASE_URL")
        .args(["--database-url-file", "/no/such/file"]);
    fails(missing, "--database-url-file");
}
