//! A Temporal server of a test's own, which it can end.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::soon;

/// Has the server end the calls of a worker that ends.
const CANCEL_POLLS: &str = "frontend.enableCancelWorkerPollsOnShutdown=true";

/// A server of a test's own, with its data in a file.
pub(crate) struct Own {
    child: std::process::Child,
}

impl Own {
    pub(crate) async fn start(program: &str, folder: &Path, port: u16) -> Self {
        let data = folder.join("temporal.db");
        let child = Command::new(program)
            .args(["server", "start-dev", "--headless", "--ip", "127.0.0.1"])
            .args(["--log-level", "error", "--port", &port.to_string()])
            .args(["--http-port", &free_port().to_string()])
            .args(["--metrics-port", &free_port().to_string()])
            .arg("--db-filename")
            .arg(data)
            .args(["--dynamic-config-value", CANCEL_POLLS])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        soon(async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        Self { child }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}
