//! `test-connection`: reaches the data source and signs in, nothing else.

use std::time::{Duration, Instant};

use super::number;
use super::setup::Setup;
use crate::connector::Connector;
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind};
use crate::telemetry::Value;

/// Longest time that a test takes, whatever the connector's own limits are.
const DEADLINE: Duration = Duration::from_secs(60);

/// Tests the connection and returns the exit code.
pub(super) fn run<C: Connector>(setup: &Setup) -> u8 {
    let started = Instant::now();
    let tested = setup.run(|cancel| async move {
        let connector: C = setup.open(&cancel).await?;
        let test = tokio::time::timeout(DEADLINE, connector.asset_server().test_connection());
        tokio::select! {
            tested = test => tested.unwrap_or_else(|_| Err(too_slow())),
            () = cancel.cancelled() => {
                Err(Failure::new(FailureKind::Interrupted, "a signal stopped the test"))
            }
        }
    });
    if let Err(failure) = tested {
        return setup
            .console
            .fail(&failure.wrap(format!("cannot use {}", setup.about.title)));
    }
    let elapsed = started.elapsed();
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    setup.console.say(
        &format!(
            "{} answers and accepts the credentials ({})",
            setup.about.title,
            number::duration(elapsed)
        ),
        "the connection works",
        &[("duration_ms", Value::Other(millis.into()))],
    );
    SUCCESS
}

fn too_slow() -> Failure {
    let seconds = DEADLINE.as_secs();
    Failure::new(
        FailureKind::SourceUnavailable,
        format!("the data source did not answer within {seconds} s"),
    )
    .hint("check the address, and that nothing between here and the source drops the connection")
}
