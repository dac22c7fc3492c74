//! Steps that note what happens, in an order that tests compare.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use car_core::saga::middleware::{Middleware, Next};
use car_core::saga::{Context, MemoryLog, NoMatch, Response, Saga, SagaBuilder, Step};
use car_core::{Effect, Failure, FailureKind};
use serde::{Deserialize, Serialize};

/// A request with traces that steps leave in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) kind: String,
    pub(crate) trace: Vec<String>,
}

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What a step does when it is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Done,
    Skip,
    Refuse,
    /// Fails before anything is written.
    Fail,
    /// Writes, and the answer is lost.
    Lose,
    Panic,
    Reschedule,
}

impl Does {
    pub(crate) fn act(self) -> Result<Response, Failure> {
        let failure = || Failure::new(FailureKind::Source, "the vendor is down");
        match self {
            Self::Done => Ok(Response::done()),
            Self::Skip => Ok(Response::skip()),
            Self::Refuse => Ok(Response::fail("no such item")),
            Self::Fail => Err(failure()),
            Self::Lose => Err(failure().with_effect(Effect::Unknown)),
            Self::Panic => panic!("a defect of the step"),
            Self::Reschedule => Ok(Response::reschedule()),
        }
    }
}

/// A step that notes each call.
pub(crate) fn step(name: &str, notes: &Notes, applies: bool, does: Does) -> Step<Order> {
    let (when, execute, compensate) = (notes.clone(), notes.clone(), notes.clone());
    let names = [name.to_owned(), name.to_owned(), name.to_owned()];
    let [test, exec, undo] = names;
    Step::new(name)
        .when(move |_| {
            when.add(format!("test {test}"));
            applies
        })
        .execute(move |order: &mut Order, _| {
            execute.add(format!("exec {exec}"));
            order.trace.push(exec.clone());
            Box::pin(async move {
                tokio::task::yield_now().await;
                does.act()
            })
        })
        .compensate(move |order, _, failure| {
            compensate.add(format!("compensate {undo}"));
            order.trace.push(format!("un{undo}"));
            let message = failure.to_string();
            Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(Response::fail(message))
            })
        })
}

/// A middleware that notes when it is entered and left.
#[derive(Debug)]
pub(crate) struct Noting(pub(crate) &'static str, pub(crate) Notes);

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Noting {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        self.1.add(format!("{} in", self.0));
        let ended = next.run(request, context).await;
        self.1.add(format!("{} out", self.0));
        ended
    }
}

/// Begins a chain with a log in memory.
pub(crate) fn chain(name: &str) -> (SagaBuilder<Order>, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::new());
    let saga = Saga::chain(name, NoMatch::Skip).log(Arc::clone(&log) as _);
    (saga, log)
}
