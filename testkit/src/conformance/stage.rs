//! A source, a proxy, a service, and the connector between them.

use car_core::connector::Connector;

use super::Fixture;
use crate::{Ended, Graph, HttpProxy, Program, Replay, Service};

/// Things in the source of a usual test.
pub(super) const THINGS: usize = 4;

/// Everything that a test of the suite needs.
pub(super) struct Stage<F> {
    pub(super) fixture: F,
    pub(super) proxy: HttpProxy,
    pub(super) service: Service,
}

impl<F: Fixture> Stage<F> {
    pub(super) async fn start(things: usize) -> Self {
        let fixture = F::start(things).await;
        Self {
            proxy: HttpProxy::start(fixture.address()).await,
            service: Service::start().await,
            fixture,
        }
    }

    /// Returns the connector's program; it reads through the proxy and writes as this source.
    pub(super) fn program(&self, source: &str) -> Program {
        let program = self.fixture.program(self.proxy.address());
        program.into_service(&self.service.url(), source)
    }

    /// Imports everything; the run must succeed.
    pub(super) async fn full(&self, source: &str) -> Ended {
        let program = self.program(source).args(&["--full"]);
        program.run().await.with_code(0)
    }

    pub(super) async fn graph(&self, source: &str) -> Graph {
        self.service.graph(source).await
    }

    /// Imports everything into a source of its own, and returns the graph and the requests that
    /// it took.
    pub(super) async fn whole(&self) -> (Graph, usize) {
        self.proxy.clear();
        drop(self.full("whole").await);
        let requests = self.proxy.requests().len();
        self.proxy.clear();
        let graph = self.graph("whole").await;
        assert!(
            !graph.is_empty() && requests > 0,
            "the source of the fixture is empty, or its program does not read at the address that \
             it is given: {graph:?} after {requests} requests"
        );
        if let Some(expected) = self.fixture.expected().await {
            graph.assert_is(&expected, "a full import");
        }
        (graph, requests)
    }
}

/// The connection test tells right settings, wrong credentials and an unreachable source apart.
pub async fn test_connection_is_honest<C: Connector, F: Fixture>() {
    let fixture = F::start(THINGS).await;
    let address = fixture.address();
    let verb = ["test-connection"];
    drop(
        fixture
            .program(&address)
            .args(&verb)
            .run()
            .await
            .with_code(0),
    );
    let wrong = fixture.wrong_credentials(&address).args(&verb).run().await;
    assert!(
        matches!(wrong.code, Some(52 | 53)),
        "wrong credentials end with {:?}: {}",
        wrong.code,
        wrong.stderr
    );
    let nobody = unused_address();
    let nobody = fixture.program(&nobody).args(&verb).run().await;
    drop(nobody.with_code(51));
}

/// Importing everything twice gives the same graph as doing so once, and sends nothing more.
pub async fn a_second_full_import_changes_nothing<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, _) = stage.whole().await;
    let again = stage.full("whole").await;
    stage
        .graph("whole")
        .await
        .assert_is(&whole, "a second full import");
    let totals = again.report().totals();
    assert_eq!(totals.retired, 0, "{:?}", again.report().collections);
}

/// What the source sent, recorded without its secrets, makes the same graph again.
pub async fn a_recording_replays_to_the_same_graph<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    drop(stage.full("recorded").await);
    let recording = stage.proxy.recording();
    let secrets = stage.fixture.secrets();
    let recording = recording.without(secrets.iter().map(String::as_str));
    let folder = crate::TestFolder::new();
    let file = folder.file("recording.jsonl");
    recording.save(&file);
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "a secret is in {text}");
    }
    let read = crate::Recording::load(&file);
    assert_eq!(read, recording);
    let replay = Replay::start(&read).await;
    let program = stage.fixture.program(replay.address());
    let program = program.into_service(&stage.service.url(), "replayed");
    let ended = program.args(&["--full"]).run().await;
    assert_eq!(replay.unknown(), Vec::<String>::new());
    drop(ended.with_code(0));
    let graph = stage.graph("recorded").await;
    stage
        .graph("replayed")
        .await
        .assert_is(&graph, "a replayed recording");
}

/// Returns an address where nobody listens: it was free a moment ago.
pub(super) fn unused_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
