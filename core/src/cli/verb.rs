//! The verbs. A new one is an arm here, a file beside this one, and an arm where they are run.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use clap_complete::Shell;

/// What a command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// One import.
    Import,
    /// What an import would do.
    Plan,
    /// A test of the connection to the data source.
    TestConnection,
    /// The rows that a run rejected.
    Quarantine,
    /// Staying up.
    #[cfg(feature = "serve")]
    Serve,
    /// Doing the steps of tasks that a server keeps.
    #[cfg(feature = "serve")]
    Worker,
    /// The client of a process that stays up.
    #[cfg(feature = "serve")]
    Tasks,
    /// A description of the connector for machines.
    Spec(Spec),
    /// A completion script for a shell.
    Completions(Shell),
    /// The manual page.
    Man,
}

/// What `spec` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spec {
    /// The JSON Schema of the settings.
    Settings,
    /// What the connector can do.
    Capabilities,
    /// The two files for the platform's connection page.
    Cp4s,
}

/// Adds the verbs to the command line.
pub(super) fn add_all(command: Command) -> Command {
    let command = command
        .subcommand(
            Command::new("import")
                .about("Import the source into the graph (the default)")
                .arg(
                    Arg::new("plan")
                        .long("plan")
                        .value_name("FILE")
                        .value_hint(ValueHint::FilePath)
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("Import this plan and nothing else; see `plan --out`"),
                ),
        )
        .subcommand(super::plan::command())
        .subcommand(
            Command::new("test-connection")
                .about("Reach the data source and sign in, nothing else"),
        )
        .subcommand(super::quarantine::command());
    #[cfg(feature = "serve")]
    let command = command
        .subcommand(super::serve::command())
        .subcommand(super::worker::command())
        .subcommand(super::tasks::command());
    command
        .subcommand(
            Command::new("spec")
                .about("Print the JSON Schema of the settings")
                .arg(
                    Arg::new("capabilities")
                        .long("capabilities")
                        .action(ArgAction::SetTrue)
                        .help("Print what the connector can do instead"),
                )
                .arg(
                    Arg::new("cp4s")
                        .long("cp4s")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("capabilities")
                        .help(
                            "Print config.json and lang_en.json of the platform's connection page",
                        ),
                ),
        )
        .subcommand(
            Command::new("completions")
                .about("Print a completion script for a shell")
                .arg(
                    Arg::new("shell")
                        .value_name("SHELL")
                        .required(true)
                        .value_parser(clap::value_parser!(Shell))
                        .help("The shell"),
                ),
        )
        .subcommand(Command::new("man").about("Print the manual page"))
}

impl Verb {
    /// Reads the verb of a command line.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        match matches.subcommand() {
            Some(("plan", _)) => Self::Plan,
            Some(("test-connection", _)) => Self::TestConnection,
            Some(("quarantine", _)) => Self::Quarantine,
            #[cfg(feature = "serve")]
            Some(("serve", _)) => Self::Serve,
            #[cfg(feature = "serve")]
            Some(("worker", _)) => Self::Worker,
            #[cfg(feature = "serve")]
            Some(("tasks", _)) => Self::Tasks,
            Some(("spec", verb)) if verb.get_flag("capabilities") => Self::Spec(Spec::Capabilities),
            Some(("spec", verb)) if verb.get_flag("cp4s") => Self::Spec(Spec::Cp4s),
            Some(("spec", _)) => Self::Spec(Spec::Settings),
            Some(("completions", verb)) => verb
                .get_one::<Shell>("shell")
                .map_or(Self::Import, |shell| Self::Completions(*shell)),
            Some(("man", _)) => Self::Man,
            _ => Self::Import,
        }
    }
}
