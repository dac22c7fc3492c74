//! Counts and times of steps, for whoever shows metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::Failure;
use crate::saga::context::{Context, Phase};
use crate::saga::response::Response;

/// Counts parts by saga, step, phase and result.
#[derive(Debug, Clone, Default)]
pub struct Metrics(MetricsHandle);

/// What was counted; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MetricsHandle(Arc<Mutex<BTreeMap<Label, Tally>>>);

type Label = (String, String, Phase, &'static str);

/// One count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// How long, all together.
    pub time: Duration,
}

impl Metrics {
    /// Returns what is counted.
    #[must_use]
    pub fn handle(&self) -> MetricsHandle {
        self.0.clone()
    }
}

impl MetricsHandle {
    /// Returns how often a part of a step ended with a result (`success`, `skip`, `fail`,
    /// `reschedule`, `retry`, or `error` for a failure).
    #[must_use]
    pub fn tally(&self, saga: &str, step: &str, phase: Phase, result: &str) -> Tally {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = counts
            .iter()
            .find(|((a, b, c, d), _)| (&**a, &**b, *c, *d) == (saga, step, phase, result));
        found.map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// Writes it in the text form of Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from(
            "# HELP saga_parts_total Executions and compensations of steps, and deliveries.\n\
             # TYPE saga_parts_total counter\n",
        );
        let mut times = String::from(
            "# HELP saga_parts_seconds_total Time that they took.\n\
             # TYPE saga_parts_seconds_total counter\n",
        );
        for ((saga, step, phase, result), tally) in counts.iter() {
            let labels = format!(
                "{{saga=\"{}\",step=\"{}\",phase=\"{}\",result=\"{result}\"}}",
                escaped(saga),
                escaped(step),
                phase.as_str()
            );
            text.push_str(&format!("saga_parts_total{labels} {}\n", tally.count));
            let seconds = tally.time.as_secs_f64();
            times.push_str(&format!("saga_parts_seconds_total{labels} {seconds}\n"));
        }
        text + &times
    }

    fn add(&self, label: Label, time: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = counts.entry(label).or_default();
        tally.count = tally.count.saturating_add(1);
        tally.time = tally.time.saturating_add(time);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Metrics {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let began = Instant::now();
        let step = context.step().unwrap_or_default().to_owned();
        let phase = context.phase();
        let ended = next.run(request, context).await;
        let result = ended.as_ref().map_or("error", Response::as_str);
        let label = (context.saga().to_owned(), step, phase, result);
        self.0.add(label, began.elapsed());
        ended
    }
}
