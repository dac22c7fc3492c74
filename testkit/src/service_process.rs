//! A CAR service as a process of its own, for tests that kill it.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::query::Api;
use crate::{Graph, Service, TestFolder, binary, within};

/// The program `car-service` on a loopback port.
///
/// It keeps its port and its data when it is started again.
#[derive(Debug)]
pub struct ServiceProcess {
    child: Child,
    data: PathBuf,
    address: String,
    _folder: TestFolder,
}

impl ServiceProcess {
    /// Starts an empty service.
    pub async fn start() -> Self {
        let folder = TestFolder::new();
        let data = folder.file("data");
        let (child, address) = spawn(&data, "127.0.0.1:0").await;
        Self {
            child,
            data,
            address,
            _folder: folder,
        }
    }

    /// Kills the process as a power cut would, without a chance to finish anything.
    pub async fn kill(&mut self) {
        within("killing the service", self.child.kill())
            .await
            .unwrap();
    }

    /// Starts it again after [`kill`](Self::kill), at the same address.
    pub async fn restart(&mut self) {
        let (child, address) = spawn(&self.data, &self.address).await;
        assert_eq!(address, self.address);
        self.child = child;
    }

    /// Returns the address for connectors.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api/car/v2", self.address)
    }

    /// Returns where it listens, `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Reads everything that a source has in the graph now.
    pub async fn graph(&self, source: &str) -> Graph {
        Api::new(&self.url(), Service::credentials())
            .graph(source)
            .await
    }
}

/// Starts the program and waits until it says where it listens.
async fn spawn(data: &std::path::Path, listen: &str) -> (Child, String) {
    let credentials = Service::credentials();
    let mut child = Command::new(binary("car-service"))
        .args(["serve", "--listen", listen, "--data"])
        .arg(data)
        .env_clear()
        .env("CAR_SERVICE_KEY", credentials.key)
        .env("CAR_SERVICE_PASSWORD", credentials.password)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within("starting the service", lines.next_line())
        .await
        .unwrap();
    let line = line.unwrap_or_else(|| panic!("the service on {listen} ended at once"));
    let url = line.trim_start_matches("listening on http://");
    let address = url.trim_end_matches("/api/car/v2").to_owned();
    (child, address)
}
