//! SIGTERM and SIGINT: the first asks the run to stop, the second ends the process.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::console::Console;
use crate::failure::{Failure, FailureKind};

/// Exit codes of a process that a signal ended, as shells write them.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// Cancels at the first signal and exits at the second. Needs a runtime.
pub(super) fn watch(cancel: CancellationToken, console: Console) -> Result<(), Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(FailureKind::General, "could not listen for signals").because(error)
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    tokio::spawn(async move {
        next(&mut interrupt, &mut terminate).await;
        cancel.cancel();
        let text = "stopping; once more to stop at once";
        console.say(text, "stopping, as a signal asked for", &[]);
        let code = next(&mut interrupt, &mut terminate).await;
        exit(code);
    });
    Ok(())
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => INTERRUPTED,
        _ = terminate.recv() => TERMINATED,
    }
}

#[expect(
    clippy::exit,
    reason = "whoever asks twice does not want to wait for anything"
)]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}
