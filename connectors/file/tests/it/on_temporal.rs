//! Payments on a Temporal server: a process that serves and a worker, each killed in the middle.

use std::path::Path;

use car_testkit::{At, Deed, HttpProxy, Program, Service, Serving, TestFolder, temporal_server};
use serde_json::json;

use crate::payments::put_payments;
use crate::support::program;

async fn serve(folder: &Path, service: &Service, server: &str) -> Serving {
    let program = program().for_service(&service.url());
    Serving::start_with(&program, folder, &["--tasks-on", server]).await
}

/// Makes a worker for the connector that is installed elsewhere.
fn worker(url: &str, server: &str, connectors: &Path) -> Program {
    let connectors = connectors.to_string_lossy();
    program()
        .for_service(url)
        .args(&["worker", "--tasks-on", server, "--connectors", &connectors])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_processes_that_are_killed_go_on_elsewhere() {
    const FILES: usize = 20;
    let Some(server) = temporal_server() else {
        return;
    };
    let (folder, service) = (TestFolder::new(), Service::start().await);
    let proxy = HttpProxy::start(service.address()).await;
    let directory = folder.file("dropped");
    std::fs::create_dir(&directory).unwrap();
    put_payments(&directory, FILES);
    // Other runs of this test may be on the same server.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let name = format!("payments-{}-{now}", std::process::id());
    let settings = json!({ "directory": directory, "pollingPeriod": "1s" });

    let connectors = folder.file("connectors.yaml");
    let text = json!({ &name: { "provider": "payments", "settings": settings } });
    std::fs::write(&connectors, text.to_string()).unwrap();
    // The worker does not get beyond its first batch.
    proxy.on(At::Nth(5), Deed::Hold);
    let url = service.url().replace(&service.address(), proxy.address());
    let worker = worker(&url, &server, &connectors).start();

    let serving = serve(folder.path(), &service, &server).await;
    let path = format!("/connectors/{name}?provider=payments");
    let (status, view) = serving.post(&path, &settings).await;
    assert_eq!(status, 201, "{view}");
    proxy.held().await;
    worker.kill().await;
    serving.until(&name, "terminated", FILES).await;
    serving.kill().await;

    put_payments(&directory, FILES + 1);
    let serving = serve(folder.path(), &service, &server).await;
    let done = serving.until(&name, "terminated", FILES + 1).await;
    for task in &done {
        assert_eq!(task["runs"], 1, "{task}");
    }
    let graph = service.graph(&name).await;
    assert_eq!(graph.identities("payment").count(), FILES + 1);
    let (status, _) = serving.delete(&format!("/connectors/{name}")).await;
    assert_eq!(status, 204);
    assert_eq!(
        serving.get("/connectors").await,
        json!({ "connectors": [] })
    );
}
