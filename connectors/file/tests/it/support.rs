//! What the tests share: the connector between a directory and a service.

use car_testkit::{Ended, Graph, Program, Service, TestFolder};

/// Name of the source in the graph.
pub(crate) const SOURCE: &str = "files";

/// The connector's program, with nothing set.
pub(crate) fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_file-connector"))
}

/// A directory, a service, and the connector between them.
pub(crate) struct Pair {
    pub(crate) files: TestFolder,
    pub(crate) memory: TestFolder,
    pub(crate) service: Service,
}

impl Pair {
    /// Starts a service, with an empty directory.
    pub(crate) async fn start() -> Self {
        Self {
            files: TestFolder::new(),
            memory: TestFolder::new(),
            service: Service::start().await,
        }
    }

    /// Returns the connector, which reads files as soon as they are there.
    pub(crate) fn connector(&self) -> Program {
        program()
            .env("CONFIGURATION_PARAMETER_DIRECTORY", text(self.files.path()))
            .env("CONFIGURATION_PARAMETER_MEMORY", text(self.memory.path()))
            .env("CONFIGURATION_PARAMETER_SETTLE", "1ms")
            .into_service(&self.service.url(), SOURCE)
    }

    /// Imports; the run must succeed.
    pub(crate) async fn import(&self) -> Ended {
        self.connector().run().await.with_code(0)
    }

    /// Returns what is in the graph.
    pub(crate) async fn graph(&self) -> Graph {
        self.service.graph(SOURCE).await
    }
}

/// Tells whether this system tells of new files; says so when it does not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn system_tells(folder: &TestFolder) -> bool {
    use notify::Watcher as _;

    let directory = folder.file("told");
    std::fs::create_dir(&directory).unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let tells = notify::recommended_watcher(told).is_ok_and(|mut watcher| {
        let watched = watcher.watch(&directory, notify::RecursiveMode::NonRecursive);
        std::fs::write(directory.join("file"), "").unwrap();
        watched.is_ok()
            && heard
                .recv_timeout(std::time::Duration::from_secs(10))
                .is_ok()
    });
    if !tells {
        eprintln!("SKIPPED: this system does not tell of new files");
    }
    tells
}

fn text(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A line for an asset.
pub(crate) fn asset(id: &str) -> String {
    format!("{{\"collection\": \"asset\", \"external_id\": \"{id}\", \"name\": \"n\"}}\n")
}

/// The assets of a graph.
pub(crate) fn assets(graph: &Graph) -> Vec<String> {
    graph.identities("asset").map(str::to_owned).collect()
}

/// Imports a good file beside a bad one: the good one is in the graph, and the bad one is named.
pub(crate) async fn bad_beside_good(name: &str, bad: &[u8], says: &[&str]) {
    bad_with(&Pair::start().await, |connector| connector, name, bad, says).await;
}

/// Does the same with more settings.
pub(crate) async fn bad_with(
    pair: &Pair,
    set: impl FnOnce(Program) -> Program,
    name: &str,
    bad: &[u8],
    says: &[&str],
) {
    pair.files.write("good.jsonl", &asset("good"));
    std::fs::write(pair.files.file(name), bad).unwrap();
    let ended = set(pair.connector()).run().await.with_code(11);
    for text in says {
        assert!(
            ended.stderr.contains(text),
            "{text} is not in {}",
            ended.stderr
        );
    }
    assert!(assets(&pair.graph().await).contains(&"good".to_owned()));
}
