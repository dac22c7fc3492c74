//! Log lines: one JSON object a line for platforms, or text for people.
//!
//! Library code speaks through `tracing`; [`LogLayer`] makes lines of it and takes secrets out.
//! Where lines go is up to a [`Sink`], because a terminal with progress bars on it must not be
//! written to directly.

mod clock;
mod events;
mod line;

use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

pub use clock::timestamp;
pub use events::LogReporter;
pub(crate) use events::tell_trouble;
pub use line::{Identity, LineFormat, LineWriter, Value, printable};

/// Libraries that tell more than anybody wants to know about a connector.
const CHATTY: [&str; 10] = [
    "aws_config",
    "aws_smithy_runtime",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "reqwest",
    "rustls",
    "sqlx",
    "tower",
];

/// Takes finished lines.
pub trait Sink: Send + Sync {
    /// Writes a line; `line` is without the line end. A line that cannot be written is lost.
    fn line(&self, line: &str);
}

/// Makes log lines of `tracing` events.
pub struct LogLayer {
    writer: Arc<LineWriter>,
}

impl LogLayer {
    /// Makes a layer that writes through this writer.
    #[must_use]
    pub fn new(writer: Arc<LineWriter>) -> Self {
        Self { writer }
    }
}

/// Returns a subscriber that writes events of this level and above, those of chatty libraries
/// only from warnings up.
pub fn subscriber(writer: Arc<LineWriter>, level: LevelFilter) -> impl Subscriber + Send + Sync {
    Registry::default().with(LogLayer::new(writer).with_filter(targets(level)))
}

/// Returns a filter for events of this level and above, those of chatty libraries only from
/// warnings up.
pub(crate) fn targets(level: LevelFilter) -> Targets {
    let quiet = LevelFilter::WARN.min(level);
    CHATTY
        .iter()
        .fold(Targets::new().with_default(level), |targets, name| {
            targets.with_target(*name, quiet)
        })
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.writer.write(
            level(*metadata.level()),
            metadata.target(),
            &fields.message,
            &fields.others,
        );
    }
}

pub(crate) fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// The fields of an event.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) message: String,
    pub(crate) others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn push(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.push(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::Other(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::Other(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, Value::Other(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::Other(value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut texts = vec![value.to_string()];
        let mut cause = value.source();
        while let Some(error) = cause {
            texts.push(error.to_string());
            cause = error.source();
        }
        self.push(field, Value::Texts(texts));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::secret::{Redactor, Secret};

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Sink for Lines {
        fn line(&self, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }

    fn log(format: LineFormat, level: LevelFilter, act: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Lines::default());
        let writer = LineWriter::new(
            format,
            Arc::new(Redactor::new(&[Secret::from("hush-hush")])),
            Arc::clone(&lines) as Arc<dyn Sink>,
        )
        .identity(Identity {
            connector: "probe".into(),
            source: "s1".into(),
            version: "1.0".into(),
        })
        .clock(|| 1_766_400_000_123_456);
        tracing::subscriber::with_default(subscriber(Arc::new(writer), level), act);
        let lines = lines.0.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn json_lines_have_the_fields_that_platforms_read() {
        let lines = log(LineFormat::Json, LevelFilter::INFO, || {
            tracing::info!(target: "probe", rows = 3, ok = true, "read a page of hush-hush");
            tracing::debug!("not shown");
            tracing::warn!(target: "hyper", source = "x", "two\nlines \u{1b}[31m");
            tracing::info!(target: "hyper::proto", "not shown");
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"ibm_datetime":"2025-12-22T10:40:00.123456Z","level":"INFO","label":"probe","message":"read a page of [secret]","connector":"probe","source":"s1","version":"1.0","rows":3,"ok":true}
        {"ibm_datetime":"2025-12-22T10:40:00.123456Z","level":"WARN","label":"hyper","message":"two\nlines \u001b[31m","connector":"probe","source":"s1","version":"1.0","source_":"x"}
        "#);
        for line in lines {
            assert!(
                serde_json::from_str::<serde_json::Value>(&line).is_ok(),
                "{line}"
            );
        }
    }

    #[test]
    fn text_lines_hold_no_control_characters() {
        let lines = log(
            LineFormat::Text { colour: false },
            LevelFilter::DEBUG,
            || {
                let error = std::io::Error::other("disk of hush-hush is full");
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    rows = 2,
                    "two\nlines \u{1b}[31m"
                );
            },
        );
        insta::assert_snapshot!(lines.join("\n"), @"10:40:00Z DEBUG two lines �[31m (error disk of [secret] is full, rows 2)");
    }
}
