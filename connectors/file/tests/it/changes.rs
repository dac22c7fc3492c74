//! What changed between two imports, and nothing else, is read.

use car_core::report::Mode;

use car_testkit::{Graph, Service, Serving, TestFolder, within};
use serde_json::{Value, json};

use crate::support::{Pair, assets, program, system_tells};

fn asset(id: &str, name: &str) -> String {
    format!("{{\"collection\": \"asset\", \"external_id\": \"{id}\", \"name\": \"{name}\"}}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_retires_what_only_it_reported() {
    let pair = Pair::start().await;
    let both = asset("both", "Both");
    pair.files.write("a.jsonl", &(asset("a", "A") + &both));
    pair.files.write("b.jsonl", &(asset("b", "B") + &both));
    let first = pair.import().await;
    assert_eq!(first.report().mode, Some(Mode::Full));
    let names = |graph: &car_testkit::Graph| -> Vec<String> {
        graph.identities("asset").map(str::to_owned).collect()
    };
    assert_eq!(names(&pair.graph().await), ["a", "b", "both"]);

    std::fs::remove_file(pair.files.file("a.jsonl")).unwrap();
    pair.files.write("c.jsonl", &asset("c", "C"));
    let second = pair.import().await;
    assert_eq!(second.report().mode, Some(Mode::Incremental));
    assert_eq!(names(&pair.graph().await), ["b", "both", "c"]);

    pair.files.write("b.jsonl", &asset("b", "B again"));
    let third = pair.import().await;
    assert_eq!(third.report().mode, Some(Mode::Incremental));
    let graph = pair.graph().await;
    assert_eq!(names(&graph), ["b", "c"]);
    assert_eq!(graph.get("asset", "b").unwrap()["name"], "B again");

    let fourth = pair.import().await;
    assert_eq!(fourth.report().totals().sent, 0);
}

/// In a process that stays up, the next import does not wait for its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_system_tells_of_is_imported_at_once() {
    let folder = TestFolder::new();
    if !system_tells(&folder) {
        return;
    }
    let service = Service::start().await;
    let serving = Serving::start(&program().for_service(&service.url()), folder.path()).await;
    let files = TestFolder::new();
    files.write("a.jsonl", &asset("a", "A"));
    let settings = json!({ "directory": files.path(), "settle": "10ms", "every": "1h" });
    let path = "/connectors/files?provider=file-connector";
    let (status, view) = serving.post(path, &settings).await;
    assert_eq!(status, 201, "{view}");
    let waits = |task: &Value| task["activity"] == "waiting" && task["state"]["sent"] == 1;
    serving.task("files", "the first import", waits).await;
    let until = async |expected: &[&str]| {
        within("an import at news", async {
            let mut graph: Graph = service.graph("files").await;
            while assets(&graph) != expected {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                graph = service.graph("files").await;
            }
        })
        .await;
    };
    std::fs::create_dir(files.file("deep")).unwrap();
    files.write("deep/b.jsonl", &asset("b", "B"));
    until(&["a", "b"]).await;
    std::fs::remove_file(files.file("a.jsonl")).unwrap();
    until(&["b"]).await;
}
