//! `cargo xtask demo`: the whole system on this machine, from source to graph.
//!
//! It does what a user would do by hand, with the same programs and the same commands, and says
//! at the end how to repeat each of them.

mod graph;
mod server;
mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::place::Place;
use crate::process::run;
use crate::say::talk;
use server::Server;
use web::Web;

/// How long the build may take on a slow machine.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The programs of the demo, by package and name.
const PROGRAMS: [&str; 3] = ["car-service", "reference-server", "reference-connector"];

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Made assets to load besides this machine's inventory
    #[arg(long, default_value_t = 1000)]
    pub assets: u64,
    /// End after the last step instead of staying up
    #[arg(long)]
    pub exit: bool,
}

/// Runs the demo; 0 when every step did what it should.
#[must_use]
pub fn demo(place: &Place, options: &Options) -> ExitCode {
    match Demo::begin(place).and_then(|demo| demo.show(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            talk(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The folder of the demo and where its programs are.
struct Demo<'a> {
    place: &'a Place,
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl<'a> Demo<'a> {
    fn begin(place: &'a Place) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("car-demo-").tempdir()?;
        Ok(Self {
            place,
            folder,
            programs: programs(place)?,
        })
    }

    fn show(self, options: &Options) -> Result<()> {
        talk("== build the programs");
        let mut build = self.place.cargo();
        build
            .arg("build")
            .args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
        run(&mut build, BUILD_LIMIT)?;

        talk(format_args!(
            "\n== load this machine and {} made assets",
            options.assets
        ));
        let data = self.path("inventory.db");
        let load = |verb: &str| {
            let mut command = self.program("reference-server");
            command.arg(verb).arg("--data").arg(&data);
            command
        };
        run(
            load("populate")
                .arg("--assets")
                .arg(options.assets.to_string()),
            STEP_LIMIT,
        )?;
        run(&mut load("inventory"), STEP_LIMIT)?;

        talk("\n== start the data source and the CAR service");
        let source = Server::start(
            load("serve")
                .args(["--listen", "127.0.0.1:0", "--username", "demo"])
                .env("REFERENCE_SERVER_PASSWORD", "demo"),
        )?;
        let service = Server::start(
            self.program("car-service")
                .arg("serve")
                .arg("--data")
                .arg(self.path("service"))
                .args(["--listen", "127.0.0.1:0"]),
        )?;
        let address = service.word("http")?;
        let (key, password) = (service.after("key:")?, service.after("password:")?);
        let source_address = source.word("http")?.trim_end_matches('/').to_owned();
        talk(format_args!(
            "data source  {source_address}/   user `demo`, password `demo`"
        ));
        talk(format_args!("CAR service  {address}"));
        let state = self.path("state.db").display().to_string();
        let settings = [
            ("CAR_STATE", state.as_str()),
            ("CONFIGURATION_AUTH_URL", source_address.as_str()),
            ("CONFIGURATION_AUTH_USERNAME", "demo"),
            ("CONFIGURATION_AUTH_PASSWORD", "demo"),
            ("CAR_SERVICE_URL", address.as_str()),
            ("CAR_SERVICE_KEY", key.as_str()),
            ("CAR_SERVICE_PASSWORD", password.as_str()),
            ("CONNECTION_NAME", "demo"),
        ];
        let environment = self.environment_file(&settings)?;
        let import = |report: &str| {
            let mut command = self.program("reference-connector");
            command
                .arg("--report")
                .arg(self.path(report))
                .envs(settings);
            command
        };

        talk("\n== import everything");
        run(&mut import("full.json"), STEP_LIMIT)?;
        self.expect_mode("full.json", "full")?;

        talk(
            "\n== change the source: rename an asset, add a weakness to it, delete an application",
        );
        let source_web = Web::new(&source_address, "demo", "demo");
        source_web.call(
            "PATCH",
            "/assets/1/",
            &json!({ "name": "renamed by the demo", "risk": 9.5 }),
        )?;
        source_web.call(
            "POST",
            "/vulnerabilities/",
            &json!({
                "external_id": "DEMO-1", "name": "a weakness that the demo added",
                "base_score": 9.8, "assets": ["/assets/1/"],
            }),
        )?;
        source_web.call("DELETE", "/apps/1/", &json!(null))?;
        run(&mut import("incremental.json"), STEP_LIMIT)?;
        self.expect_mode("incremental.json", "incremental")?;

        talk("\n== what is in the graph");
        let service_web = Web::new(&address, &key, &password);
        graph::show(&service_web, &address)?;

        self.by_hand(&environment, &address);
        if options.exit {
            return Ok(());
        }
        talk("\nBoth servers stay up until Ctrl-C.");
        // Its files are still in use, and the terminal's signal ends this program at once.
        let _kept = self.folder.keep();
        source.wait()
    }

    /// Says how to repeat each step.
    fn by_hand(&self, environment: &Path, address: &str) {
        talk(format_args!(
            "\n== by hand, in another terminal while the demo stays up\n\
             . {environment}                 # the settings of this demo\n\
             {connector}            # an import: incremental where possible\n\
             {connector} --full     # everything again\n\
             {connector} --help     # every setting\n\
             curl -u $CAR_SERVICE_KEY:$CAR_SERVICE_PASSWORD {query} -H 'content-type: application/json' \\\n  \
             -d '{{\"query\":\"{{ asset(limit: 3) {{ name risk }} }}\"}}'\n\
             curl -u demo:demo -X DELETE $CONFIGURATION_AUTH_URL/assets/2/   # change the source",
            environment = environment.display(),
            connector = self.programs.join("reference-connector").display(),
            query = graph::query_address(address),
        ));
    }

    /// Writes the settings to a file that a shell can read, for this user only.
    fn environment_file(&self, settings: &[(&str, &str)]) -> Result<PathBuf> {
        let path = self.path("demo.env");
        let lines: String = settings
            .iter()
            .map(|(name, value)| format!("export {name}='{value}'\n"))
            .collect();
        fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(path)
    }

    /// Fails when a run was not what the demo is about to claim.
    fn expect_mode(&self, report: &str, mode: &str) -> Result<()> {
        let path = self.path(report);
        let report: serde_json::Value = serde_json::from_slice(
            &fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
        )?;
        match report.get("mode").and_then(serde_json::Value::as_str) {
            Some(found) if found == mode => Ok(()),
            found => bail!("the import was {found:?} and should have been {mode}"),
        }
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Returns the folder that `cargo build` puts programs into: this program's own.
fn programs(place: &Place) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let folder = own.parent().context("this program has no folder")?;
    if folder.ends_with("debug") {
        return Ok(folder.to_owned());
    }
    Ok(place.root.join("target/debug"))
}
