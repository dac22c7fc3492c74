//! Incremental imports against full ones.

use car_core::connector::Connector;
use car_core::report::Mode;

use super::Fixture;
use super::stage::{Stage, THINGS};
use crate::{cases, seed};

/// Changes between two imports of a series, and imports in a series.
const ROUNDS: u64 = 3;

/// Whatever happens to the source, a series of incremental imports ends in the graph that a full
/// import of the last state makes, and a full import on top changes nothing.
///
/// For a connector without incremental import, all of them are full.
pub async fn incremental_imports_end_as_a_full_one<C: Connector, F: Fixture>() {
    let first = seed();
    for seed in first..first + u64::from(cases(3)) {
        let stage = Stage::<F>::start(THINGS).await;
        drop(stage.program("series").run().await.with_code(0));
        for round in 0..ROUNDS {
            for change in 0..=round {
                stage
                    .fixture
                    .mutate(seed * 1000 + round * 10 + change)
                    .await;
            }
            let run = stage.program("series").args(&["--approve-deletions"]);
            let ended = run.run().await.with_code(0);
            if C::about().incremental {
                assert_eq!(ended.report().mode, Some(Mode::Incremental));
            }
            if let Some(expected) = stage.fixture.expected().await {
                let what = format!("seed {seed}, after round {round}");
                stage.graph("series").await.assert_is(&expected, &what);
            }
        }
        let series = stage.graph("series").await;
        let (whole, _) = stage.whole().await;
        series.assert_is(&whole, &format!("seed {seed}, a series of imports"));
        let full = stage.program("series");
        let full = full.args(&["--full", "--approve-deletions"]);
        drop(full.run().await.with_code(0));
        let graph = stage.graph("series").await;
        graph.assert_is(&whole, &format!("seed {seed}, a full import on top"));
    }
}
