//! The service, and connectors that serve, against their own OpenAPI documents: schemathesis
//! makes calls from them, right and wrong ones, and every answer must be one that the document has.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Outcome;
use super::steps::{BUILD_LIMIT, BUILT, program};
use crate::dist::target_folder;
use crate::place::Place;
use crate::process::{output, run};
use crate::queries;

/// The programs that are checked.
const SERVICE: &str = "car-service";
const CONNECTOR: &str = "file-connector";
const WITH_SAGAS: &str = "fulfillment-connector";

/// What the one with sagas works for.
const PLATFORM: &str = "fulfillment-server";

/// The key of the connector that serves.
const KEY: &str = "0123456789";

/// The credentials of the service.
const BASIC: &str = "Basic a2V5OnBhc3N3b3Jk";

/// What the calls to one program may take together; then the tool stops by itself.
const SECONDS: u32 = 40;

/// How long the tool may take, with its start and its report.
const LIMIT: Duration = Duration::from_secs(180);

/// What is checked of each answer: no fault of the service, and what the document says of
/// status, media type and body.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// A program, ended when this is dropped.
struct Server(Child);

impl Server {
    /// Starts it, and returns what follows a word in a line that it says.
    fn start(
        mut command: Command,
        said: fn(&mut Child) -> Option<Box<dyn Read + Send>>,
        word: &str,
    ) -> Result<(Self, String)> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn();
        let mut server = Self(child.with_context(|| format!("cannot start {program}"))?);
        let Some(output) = said(&mut server.0) else {
            bail!("{program} has no output");
        };
        let mut lines = BufReader::new(output).lines();
        let mut all = Vec::new();
        for line in lines.by_ref() {
            let line = line?;
            if let Some((_, address)) = line.split_once(word) {
                let address = address.trim().trim_end_matches('/').to_owned();
                // Whoever does not read stops the writer in the end.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((server, address));
            }
            all.push(line);
        }
        bail!("{program} did not start: {}", all.join("\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the calls have told.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Checks the answers of all.
///
/// # Errors
///
/// When one does not start, or an answer is not one of its document.
pub(super) fn api(place: &Place) -> Result<Outcome> {
    let mut build = place.cargo();
    build.arg("build").args(BUILT);
    run(&mut build, BUILD_LIMIT)?;
    let folder = tempfile::tempdir()?;
    let binary =
        |name: &str| Ok::<_, anyhow::Error>(target_folder(place)?.join("debug").join(name));
    let mut command = place.command(binary(SERVICE)?);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .env("CAR_SERVICE_KEY", "key")
        .env("CAR_SERVICE_PASSWORD", "password")
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped());
    let stdout = |child: &mut Child| Some(Box::new(child.stdout.take()?) as _);
    let (_service, service) = Server::start(command, stdout, "listening on ")?;
    let base = service.trim_end_matches("/v2").to_owned();
    post(&format!("{base}/v2/databases"), BASIC, "{}").context("cannot make the database")?;
    let document = format!("{base}/v3/openapi.json");
    calls(place, folder.path(), &document, &base, BASIC)?;
    // Numbers are told once there are some.
    let mut import = place.command(binary(CONNECTOR)?);
    import
        .args(["--source", "numbers", "--state", "none", "--memory", "none"])
        .args(["--directory", "connectors/file/examples/inventory"])
        .args(["--mapping", "connectors/file/examples/mapping.yaml"])
        .env("CAR_SERVICE_URL", &service)
        .env("CAR_SERVICE_KEY", "key")
        .env("CAR_SERVICE_PASSWORD", "password");
    output(&mut import, LIMIT).context("a file cannot be imported")?;
    let root = base.trim_end_matches("/api/car");
    let mut offered = queries::offered(&get(&format!("{root}/metrics"), BASIC)?);

    let at = Connector {
        place,
        folder: folder.path(),
        service: &service,
    };
    let (_connector, base) = at.serve(&binary(CONNECTOR)?, &[])?;
    let bearer = format!("Bearer {KEY}");
    // The document's example, so that not all calls are about what is not there.
    let settings = format!("{{\"directory\": {:?}}}", folder.path());
    let install = format!("{base}/connectors/assets?provider=payments");
    post(&install, &bearer, &settings).context("cannot install a connector")?;
    let document = format!("{base}/openapi.json");
    calls(place, folder.path(), &document, &base, &bearer)?;
    offered.extend(queries::offered(&get(&format!("{base}/metrics"), &bearer)?));
    let asked = queries::recorded(place)?;
    let missing: Vec<_> = asked.difference(&offered).collect();
    ensure!(
        missing.is_empty(),
        "alerts or dashboards ask for {missing:?}, which neither {SERVICE} nor {CONNECTOR} has"
    );

    let platform = place.command(binary(PLATFORM)?);
    sagas(&at, platform, &binary(WITH_SAGAS)?)?;
    Ok(Outcome::Passed)
}

/// What connectors that serve have in common.
struct Connector<'a> {
    place: &'a Place,
    folder: &'a Path,
    service: &'a str,
}

impl Connector<'_> {
    /// Has a connector serve; returns its address.
    fn serve(&self, program: &Path, settings: &[(&str, String)]) -> Result<(Server, String)> {
        let tasks = program.with_extension("db");
        let tasks = tasks.file_name().context("a program without a name")?;
        let mut command = self.place.command(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "text"])
            .arg("--tasks")
            .arg(self.folder.join(tasks))
            .env("CONNECTOR_API_KEY", KEY)
            .env("CAR_SERVICE_URL", self.service)
            .env("CAR_SERVICE_KEY", "key")
            .env("CAR_SERVICE_PASSWORD", "password")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped());
        let talk = |child: &mut Child| Some(Box::new(child.stderr.take()?) as _);
        Server::start(command, talk, "listening on ")
    }
}

/// Checks the answers about sagas, of which there is one.
fn sagas(at: &Connector<'_>, mut platform: Command, program: &Path) -> Result<()> {
    platform
        .args(["--listen", "127.0.0.1:0"])
        .env("FULFILLMENT_SERVER_KEY", "ApiKey SU-1")
        .env("FULFILLMENT_SERVER_TOKEN", KEY)
        .stdout(Stdio::piped());
    let stdout = |child: &mut Child| Some(Box::new(child.stdout.take()?) as _);
    // Its address is all that it says.
    let (_platform, platform) = Server::start(platform, stdout, "")?;
    let order = r#"{"type": "purchase", "asset": {"id": "AS-1", "product": {"id": "PRD-1"},
        "params": [{"id": "email", "value": "ada@example.org"}]}}"#;
    let requests = format!("{platform}/public/v1/requests");
    post(&requests, "ApiKey SU-1", order).context("nothing can be ordered")?;
    let log = at.folder.join("sagas.db").display().to_string();
    let settings = [
        ("CONFIGURATION_AUTH_URL", format!("{platform}/public/v1")),
        ("CONFIGURATION_AUTH_KEY", "ApiKey SU-1".to_owned()),
        (
            "CONFIGURATION_PARAMETER_VENDOR_URL",
            format!("{platform}/vendor/v1"),
        ),
        ("CONFIGURATION_AUTH_VENDOR_TOKEN", KEY.to_owned()),
        ("CONFIGURATION_PARAMETER_SAGA_LOG", log),
    ];
    let mut fulfill = at.place.command(program);
    fulfill.arg("fulfill");
    fulfill.envs(settings.iter().map(|(name, value)| (name, value)));
    let said = output(&mut fulfill, LIMIT).context("nothing can be fulfilled")?;
    ensure!(said.contains("approved 1,"), "{program:?} said {said}");
    let (_connector, base) = at.serve(program, &settings)?;
    let document = format!("{base}/openapi.json");
    calls(
        at.place,
        at.folder,
        &document,
        &base,
        &format!("Bearer {KEY}"),
    )
}

/// Makes calls from a document.
fn calls(place: &Place, folder: &Path, document: &str, base: &str, key: &str) -> Result<()> {
    let mut check = program(place, "schemathesis")?;
    check
        .args(["run", document, "--url", base, "--checks", CHECKS])
        .args(["--header", &format!("Authorization: {key}")])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-time", &SECONDS.to_string(), "--max-examples", "30"])
        .args(["--seed", "1", "--no-color", "--request-timeout", "30"])
        .current_dir(folder);
    run(&mut check, LIMIT)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Reads the text of an answer, which must be good.
fn get(url: &str, key: &str) -> Result<String> {
    let mut answer = agent().get(url).header("authorization", key).call()?;
    Ok(answer.body_mut().read_to_string()?)
}

/// Makes one call with a body; the answer must be good.
fn post(url: &str, key: &str, body: &str) -> Result<()> {
    agent()
        .post(url)
        .header("authorization", key)
        .header("content-type", "application/json")
        .send(body)?;
    Ok(())
}
