//! Log lines for the platform: taken from `tracing`, without secrets, sent in batches; where the
//! platform cannot be reached they go where they would go without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;

use super::api::{ContainerApi, LogLevel};
use crate::secret::Redactor;
use crate::telemetry::{self, Fields, LineWriter};

/// Lines that wait to be sent; more are counted and left out.
const WAITING: usize = 10_000;

/// Lines in one message.
const BATCH: usize = 100;

/// How long the platform is left alone after it could not be reached.
const PAUSE: Duration = Duration::from_secs(30);

/// How long the end of a run waits for the last lines.
const LAST: Duration = Duration::from_secs(10);

/// What speaks about sending lines must not become a line that is sent.
const OWN: &str = "car_core::exchange::http";

/// A line of the log.
struct Line {
    level: Level,
    target: String,
    message: String,
    fields: Vec<(&'static str, telemetry::Value)>,
}

/// Takes lines from `tracing`.
pub(crate) struct ForwardLayer {
    sender: mpsc::Sender<Line>,
    dropped: Arc<AtomicU64>,
    level: LevelFilter,
}

/// Sends lines to the platform.
pub(crate) struct Forwarder {
    receiver: mpsc::Receiver<Line>,
    dropped: Arc<AtomicU64>,
    redactor: Arc<Redactor>,
    fallback: LineWriter,
    /// Until when the platform is left alone.
    down: Option<Instant>,
}

/// Makes both ends; lines below `level` are left out.
pub(crate) fn forwarding(
    level: LevelFilter,
    redactor: Arc<Redactor>,
    fallback: LineWriter,
) -> (ForwardLayer, Forwarder) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let dropped = Arc::<AtomicU64>::default();
    let layer = ForwardLayer {
        sender,
        dropped: Arc::clone(&dropped),
        level,
    };
    let forwarder = Forwarder {
        receiver,
        dropped,
        redactor,
        fallback,
        down: None,
    };
    (layer, forwarder)
}

impl<S: Subscriber> Layer<S> for ForwardLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > self.level || metadata.target().starts_with(OWN) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: fields.message,
            fields: fields.others,
        };
        if self.sender.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Forwarder {
    /// Sends lines until `end`, and then those that wait still.
    pub(crate) async fn run(
        mut self,
        api: Arc<dyn ContainerApi>,
        end: tokio_util::sync::CancellationToken,
    ) {
        let mut lines = Vec::with_capacity(BATCH);
        loop {
            let received = tokio::select! {
                received = self.receiver.recv_many(&mut lines, BATCH) => received,
                () = end.cancelled() => break,
            };
            if received == 0 {
                return;
            }
            self.send(&*api, &mut lines).await;
        }
        let deadline = Instant::now() + LAST;
        while let Ok(line) = self.receiver.try_recv() {
            lines.push(line);
            if lines.len() >= BATCH {
                self.send_by(&*api, &mut lines, deadline).await;
            }
        }
        self.send_by(&*api, &mut lines, deadline).await;
    }

    async fn send_by(&mut self, api: &dyn ContainerApi, lines: &mut Vec<Line>, by: Instant) {
        if Instant::now() >= by {
            self.down = Some(Instant::now() + PAUSE);
        }
        self.send(api, lines).await;
    }

    /// Sends lines, those of one level together, in order.
    async fn send(&mut self, api: &dyn ContainerApi, lines: &mut Vec<Line>) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            lines.push(Line {
                level: Level::WARN,
                target: module_path!().to_owned(),
                message: format!("{dropped} lines of the log were left out: they came too fast"),
                fields: Vec::new(),
            });
        }
        let mut rest = lines.drain(..).peekable();
        while let Some(first) = rest.next() {
            let mut group = vec![first];
            while let Some(line) =
                rest.next_if(|line| group.first().is_some_and(|first| first.level == line.level))
            {
                group.push(line);
            }
            let is_down = self.down.is_some_and(|until| Instant::now() < until);
            if is_down || !group_sent(api, &self.redactor, &group).await {
                if !is_down {
                    self.down = Some(Instant::now() + PAUSE);
                }
                for line in group {
                    let level = telemetry::level(line.level);
                    self.fallback
                        .write(level, &line.target, &line.message, &line.fields);
                }
            }
        }
    }
}

async fn group_sent(api: &dyn ContainerApi, redactor: &Redactor, group: &[Line]) -> bool {
    let level = match group.first().map(|line| line.level) {
        Some(Level::ERROR) => LogLevel::Error,
        Some(Level::WARN) => LogLevel::Warning,
        Some(Level::INFO) => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    let texts: Vec<&str> = group.iter().map(|line| line.message.as_str()).collect();
    let message = redactor.redact(&texts.join("\n")).into_owned();
    let context = match group {
        [line] => Value::Object(fields(line)),
        lines => {
            let events = lines.iter().map(|line| {
                let mut event =
                    Map::from_iter([("message".to_owned(), line.message.clone().into())]);
                event.append(&mut fields(line));
                Value::Object(event)
            });
            serde_json::json!({"events": events.collect::<Vec<_>>()})
        }
    };
    let mut context = context;
    redactor.redact_json(&mut context);
    api.log(level, &message, Some(&context)).await.is_ok()
}

fn fields(line: &Line) -> Map<String, Value> {
    let value = |value: &telemetry::Value| match value {
        telemetry::Value::Text(text) => text.clone().into(),
        telemetry::Value::Texts(texts) => texts.clone().into(),
        telemetry::Value::Other(other) => other.clone(),
    };
    let target = ("target".to_owned(), line.target.clone().into());
    std::iter::once(target)
        .chain(
            line.fields
                .iter()
                .map(|(name, field)| ((*name).to_owned(), value(field))),
        )
        .collect()
}

#[cfg(test)]
mod tests;
