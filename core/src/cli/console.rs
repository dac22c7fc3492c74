//! The two streams: data on standard output, everything else on standard error.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};

use clap::ArgMatches;
use indicatif::MultiProgress;
use tracing_subscriber::filter::LevelFilter;
#[cfg(feature = "exchange")]
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt};

use super::render::render;
use crate::config::LogFormat;
use crate::connector::About;
#[cfg(feature = "exchange")]
use crate::exchange::{Forwarder, forwarding};
use crate::exit::{SUCCESS, exit_code};
use crate::failure::{Failure, FailureKind};
use crate::secret::{Redactor, Secret};
#[cfg(feature = "exchange")]
use crate::telemetry::targets;
use crate::telemetry::{Identity, LineFormat, LineWriter, Sink, Value, subscriber};

/// How the program tells what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Progress bars and tables, for people at a terminal.
    Terminal,
    /// Lines of text.
    Text,
    /// Lines of JSON.
    Json,
}

impl Look {
    /// Chooses what fits where standard error goes to.
    pub(super) fn of(format: LogFormat) -> Self {
        match (format, io::stderr().is_terminal()) {
            (LogFormat::Auto | LogFormat::Text, true) => Self::Terminal,
            (LogFormat::Text, false) => Self::Text,
            (LogFormat::Auto, false) | (LogFormat::Json, _) => Self::Json,
        }
    }

    /// Reads it from a command line that is wrong elsewhere.
    pub(super) fn guess(argv: &[OsString]) -> Self {
        let word = |word: &OsString| {
            word.to_str()
                .map(|word| word.trim_start_matches('-').to_owned())
        };
        let mut words = argv.iter().skip(1).filter_map(word);
        let mut format = LogFormat::Auto;
        while let Some(word) = words.next() {
            let value = match word.strip_prefix("log-format") {
                Some("") => words.next().unwrap_or_default(),
                Some(value) => value.trim_start_matches('=').to_owned(),
                None => continue,
            };
            format = LogFormat::from_word(value);
        }
        Self::of(format)
    }

    /// Reads it from the command line.
    pub(super) fn asked_for(matches: &ArgMatches) -> Self {
        Self::of(
            matches
                .get_one::<LogFormat>("log_format")
                .copied()
                .unwrap_or_default(),
        )
    }
}

/// The two streams.
#[derive(Clone)]
pub(super) struct Console {
    look: Look,
    colour: bool,
    identity: Identity,
    redactor: Arc<Redactor>,
    stderr: Arc<Stderr>,
}

impl Console {
    /// Makes a console that knows nothing of the settings yet.
    pub(super) fn before_settings(about: &About) -> Self {
        let identity = Identity {
            connector: about.name.to_owned(),
            source: String::new(),
            version: about.version.to_owned(),
        };
        Self {
            look: Look::of(LogFormat::Auto),
            colour: colours(),
            identity,
            redactor: Arc::default(),
            stderr: Arc::default(),
        }
    }

    /// Sets how to tell what happens.
    pub(super) fn look(&mut self, look: Look) {
        self.look = look;
    }

    /// Returns how to tell what happens.
    pub(super) fn has_look(&self) -> Look {
        self.look
    }

    /// Takes these secrets out of everything that is said from now on.
    pub(super) fn hide(&mut self, secrets: &[Secret]) {
        self.redactor = Arc::new(Redactor::new(secrets));
    }

    /// Sets what log lines tell about the writer.
    pub(super) fn identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// Returns the filter that takes the secrets out.
    pub(super) fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    /// Lets `tracing` events become lines. Only the first call in a process has an effect.
    pub(super) fn start_log(&self, debug: bool) {
        let level = match (debug, self.look) {
            (true, _) => LevelFilter::DEBUG,
            // The bars show what the lines would tell.
            (false, Look::Terminal) => LevelFilter::WARN,
            (false, Look::Text | Look::Json) => LevelFilter::INFO,
        };
        drop(tracing::subscriber::set_global_default(subscriber(
            Arc::new(self.writer()),
            level,
        )));
    }

    /// Lets `tracing` events go to a platform, and returns what sends them. Only the first call in
    /// a process has an effect.
    #[cfg(feature = "exchange")]
    pub(super) fn forward_log(&self, level: LevelFilter) -> Forwarder {
        let (layer, forwarder) = forwarding(level, Arc::clone(&self.redactor), self.writer());
        let subscriber = Registry::default().with(layer.with_filter(targets(level)));
        drop(tracing::subscriber::set_global_default(subscriber));
        forwarder
    }

    fn writer(&self) -> LineWriter {
        let format = match self.look {
            Look::Json => LineFormat::Json,
            Look::Terminal | Look::Text => LineFormat::Text {
                colour: self.colour,
            },
        };
        let sink: Arc<dyn Sink> = Arc::clone(&self.stderr) as Arc<dyn Sink>;
        LineWriter::new(format, Arc::clone(&self.redactor), sink).identity(self.identity.clone())
    }

    /// Writes lines above the bars from now on, until [`without_bars`](Self::without_bars).
    pub(super) fn with_bars(&self, bars: MultiProgress) {
        self.stderr.set(Some(bars));
    }

    /// Ends what [`with_bars`](Self::with_bars) began.
    pub(super) fn without_bars(&self) {
        self.stderr.set(None);
    }

    /// Says something to people: as it is, or as the message of a log line with fields.
    pub(super) fn say(&self, text: &str, message: &str, fields: &[(&'static str, Value)]) {
        match self.look {
            Look::Json => self
                .writer()
                .write("INFO", "car_core::cli", message, fields),
            Look::Terminal | Look::Text => {
                let clean = self.redactor.redact(text);
                self.stderr.line(clean.trim_end_matches('\n'));
            }
        }
    }

    /// Says what failed, and returns the exit code of it.
    pub(super) fn fail(&self, failure: &Failure) -> u8 {
        let code = exit_code(failure.kind());
        match self.look {
            Look::Json => {
                let mut chain = failure.chain().into_iter();
                let message = chain.next().unwrap_or_default();
                let hints = failure.hints().map(str::to_owned).collect();
                self.writer().write(
                    "ERROR",
                    "car_core::cli",
                    &message,
                    &[
                        ("causes", Value::Texts(chain.collect())),
                        ("hints", Value::Texts(hints)),
                        ("kind", Value::Text(format!("{:?}", failure.kind()))),
                        ("exit_code", Value::Other(code.into())),
                    ],
                );
            }
            Look::Terminal | Look::Text => {
                let text = render(failure, &self.redactor, self.colour);
                self.stderr.line(text.trim_end_matches('\n'));
            }
        }
        code
    }

    /// Prints data, and returns the exit code of that.
    pub(super) fn print(&self, text: &str) -> u8 {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Ok(()) => SUCCESS,
            // Whoever read it has read enough, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => SUCCESS,
            Err(error) => self.fail(
                &Failure::new(FailureKind::General, "could not write to standard output")
                    .because(error),
            ),
        }
    }

    /// Prints the help, with colours where they are shown.
    pub(super) fn print_help(&self, help: &clap::Error) -> u8 {
        let text = help.render();
        let shows_colours = self.colour && io::stdout().is_terminal();
        self.print(&if shows_colours {
            text.ansi().to_string()
        } else {
            text.to_string()
        })
    }
}

/// Tells whether standard error shows colours and its reader wants them.
fn colours() -> bool {
    let wanted = crate::config::Environment::of_process()
        .get("NO_COLOR")
        .is_none();
    wanted && io::stderr().is_terminal()
}

/// Standard error, below or beside progress bars.
#[derive(Default)]
struct Stderr {
    bars: Mutex<Option<MultiProgress>>,
}

impl Stderr {
    fn set(&self, bars: Option<MultiProgress>) {
        if let Ok(mut place) = self.bars.lock() {
            *place = bars;
        }
    }
}

impl Sink for Stderr {
    fn line(&self, line: &str) {
        let bars = self
            .bars
            .lock()
            .map(|bars| bars.clone())
            .unwrap_or_default();
        let write = || write_stderr(&format!("{line}\n"));
        match bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Writes to standard error; when even that fails there is nobody left to tell.
pub(super) fn write_stderr(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
