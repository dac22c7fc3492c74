//! The service against its own OpenAPI document: schemathesis makes calls from it, right and
//! wrong ones, and every answer must be one that the document has.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Outcome;
use super::steps::{BUILD_LIMIT, WHOLE, program};
use crate::dist::target_folder;
use crate::place::Place;
use crate::process::run;

/// The program that is checked.
const SERVICE: &str = "car-service";

/// What the calls may take together; then the tool stops by itself.
const SECONDS: u32 = 40;

/// How long the tool may take, with its start and its report.
const LIMIT: Duration = Duration::from_secs(180);

/// What is checked of each answer: no fault of the service, and what the document says of
/// status, media type and body.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// The service, ended when this is dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, which the calls have told.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Checks the service's answers.
///
/// # Errors
///
/// When the service does not start, or an answer is not one of the document.
pub(super) fn api(place: &Place) -> Result<Outcome> {
    let mut build = place.cargo();
    build.arg("build").args(WHOLE).args(["--bin", SERVICE]);
    run(&mut build, BUILD_LIMIT)?;
    let folder = tempfile::tempdir()?;
    let binary = target_folder(place)?.join("debug").join(SERVICE);
    let mut command = place.command(binary);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .env("CAR_SERVICE_KEY", "key")
        .env("CAR_SERVICE_PASSWORD", "password")
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut service = Service(command.spawn().context("cannot start car-service")?);
    let mut line = String::new();
    if let Some(output) = service.0.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    let base = line
        .trim()
        .strip_prefix("listening on ")
        .and_then(|url| url.strip_suffix("/v2"));
    let Some(base) = base else {
        bail!("car-service did not start: `{}`", line.trim());
    };
    create(base)?;
    let mut check = program(place, "schemathesis")?;
    check
        .arg("run")
        .arg(format!("{base}/v3/openapi.json"))
        .args(["--url", base, "--auth", "key:password", "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-time", &SECONDS.to_string(), "--max-examples", "30"])
        .args(["--seed", "1", "--no-color", "--request-timeout", "30"])
        .current_dir(folder.path());
    run(&mut check, LIMIT)?;
    Ok(Outcome::Passed)
}

/// Makes the tenant's tables, without which most calls have one answer.
fn create(base: &str) -> Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into();
    agent
        .post(format!("{base}/v2/databases"))
        .header("authorization", "Basic a2V5OnBhc3N3b3Jk")
        .header("content-type", "application/json")
        .send("{}")
        .context("cannot make the tenant's database")?;
    Ok(())
}
