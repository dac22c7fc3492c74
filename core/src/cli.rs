//! The command line that every connector has; the only place that prints or exits.
//!
//! A connector's `main` is one call of [`main`]. What stands on standard output is data (a schema,
//! a completion script); everything else is said on standard error.
//!
//! A verb is one file below this one and one arm in `verb.rs`.

mod bars;
mod completions;
mod console;
#[cfg(feature = "exchange")]
mod exchange;
mod grid;
mod import;
mod number;
mod panic;
mod plan;
mod plan_text;
mod quarantine;
mod render;
mod report_file;
#[cfg(feature = "serve")]
mod serve;
mod setup;
mod signals;
mod spec;
mod state;
mod summary;
#[cfg(feature = "serve")]
mod tasks;
mod test_connection;
mod verb;
#[cfg(feature = "serve")]
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use crate::config::{Catalog, CommandLine, Environment, Refused};
use crate::connector::{About, Connector};
use crate::exit;
use console::{Console, Look};
use import::Beginning;
use setup::Setup;
use verb::Verb;

pub use bars::Bars;
pub use render::render;
pub use summary::{headline, summary};

/// Runs a connector's program: reads the arguments and the environment of the process, does what
/// they ask for, and gives the exit code.
#[must_use]
pub fn main<C: Connector>() -> ExitCode {
    panic::report_as_failure(|| run::<C>(std::env::args_os(), &Environment::of_process()))
}

/// Does what a command line asks for and returns the exit code; [`main`] with arguments and
/// environment from elsewhere.
pub fn run<C: Connector>(
    argv: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> u8 {
    let about = C::about();
    let argv: Vec<OsString> = argv.into_iter().collect();
    // Asked for by images' health checks, often, and before there are any settings.
    if argv
        .iter()
        .skip(1)
        .any(|word| word == "--health-check" || word == "-health-check")
    {
        return exit::SUCCESS;
    }
    let own_verbs = C::verbs();
    let settings_verbs = C::settings_verbs();
    let own_commands = own_verbs.iter().map(|verb| verb.command.clone());
    let with_settings = settings_verbs.iter().map(|verb| verb.command.clone());
    let command = command(&about).subcommands(own_commands.chain(with_settings));
    #[cfg(feature = "exchange")]
    let command = command.subcommands(exchange::commands::<C>());
    let catalog = Catalog::new::<C::Settings>(command);
    #[cfg(feature = "exchange")]
    if let Some((mode, argv)) = exchange::asked_for(&argv, &catalog) {
        return exchange::run::<C>(mode, argv, about, environment);
    }
    let mut console = Console::before_settings(&about);
    let line = match catalog.read(argv.iter().cloned()) {
        Ok(line) => line,
        Err(Refused::Help(help)) => return console.print_help(&help),
        Err(Refused::Wrong { failure, secrets }) => {
            console.look(Look::guess(&argv));
            console.hide(&secrets);
            return console.fail(&failure);
        }
    };
    console.look(Look::asked_for(line.matches()));
    if prints_version(line.matches()) {
        return console.print(&format!("{} {}\n", about.name, about.version));
    }
    if let Some((name, arguments)) = line.matches().subcommand()
        && let Some(own) = own_verbs.iter().find(|own| own.command.get_name() == name)
    {
        return match (own.run)(arguments) {
            Ok(text) => console.print(&text),
            Err(failure) => console.fail(&failure),
        };
    }
    if let Some((name, arguments)) = line.matches().subcommand()
        && let Some(own) = settings_verbs
            .iter()
            .find(|own| own.command.get_name() == name)
    {
        let arguments = arguments.clone();
        let setup = prepare(about, &catalog, &line, environment, &mut console);
        let done = setup.and_then(|setup| {
            setup.run(|cancel| async {
                let settings = setup.own_settings()?;
                (own.run)(settings, setup.context(cancel), arguments).await
            })
        });
        return match done {
            Ok(text) => console.print(&text),
            Err(failure) => console.fail(&failure),
        };
    }
    let printed = match Verb::of(line.matches()) {
        verb @ (Verb::Import | Verb::Plan | Verb::TestConnection) => {
            return work::<C>(verb, about, &catalog, &line, environment, console);
        }
        Verb::Quarantine => {
            return match line.matches().subcommand() {
                Some((_, verb)) => quarantine::run(&console, verb),
                None => exit::SUCCESS,
            };
        }
        #[cfg(feature = "serve")]
        verb @ (Verb::Serve | Verb::Worker) => {
            return work::<C>(verb, about, &catalog, &line, environment, console);
        }
        #[cfg(feature = "serve")]
        Verb::Tasks => {
            let verb = line.matches().subcommand().map(|(_, verb)| verb);
            return verb.map_or(exit::SUCCESS, |verb| {
                tasks::run(&console, verb, environment)
            });
        }
        Verb::Spec(what) => spec::text::<C>(&about, &catalog, what),
        Verb::Completions(shell) => Ok(completions::script(&catalog, shell)),
        Verb::Man => completions::manual(&catalog),
    };
    match printed {
        Ok(text) => console.print(&text),
        Err(failure) => console.fail(&failure),
    }
}

/// Looks for the settings and runs a verb that needs them.
fn work<C: Connector>(
    verb: Verb,
    about: About,
    catalog: &Catalog,
    line: &CommandLine,
    environment: &Environment,
    mut console: Console,
) -> u8 {
    let began = Beginning::now();
    // Taken before the settings are complete: a report of why they are not is wanted too.
    let report_file = line
        .text("report")
        .filter(|_| verb == Verb::Import)
        .map(PathBuf::from);
    let setup = match prepare(about.clone(), catalog, line, environment, &mut console) {
        Ok(setup) => setup,
        Err(failure) => {
            if let Some(file) = report_file {
                let report = began.failed(&about, "", &failure);
                if let Err(unwritten) = report_file::write(&file, &report, console.redactor()) {
                    console.fail(&unwritten);
                }
            }
            return console.fail(&failure);
        }
    };
    let arguments = line.matches().subcommand().map(|(_, arguments)| arguments);
    match verb {
        Verb::TestConnection => test_connection::run::<C>(&setup),
        _ if setup.common.connection_test => test_connection::run::<C>(&setup),
        Verb::Plan => plan::run::<C>(&setup, arguments),
        #[cfg(feature = "serve")]
        Verb::Serve => match arguments {
            Some(verb) => serve::run::<C>(&setup, catalog, verb, environment),
            None => exit::SUCCESS,
        },
        #[cfg(feature = "serve")]
        Verb::Worker => match arguments {
            Some(verb) => worker::run::<C>(&setup, catalog, verb),
            None => exit::SUCCESS,
        },
        _ => {
            let plan = arguments.and_then(|arguments| arguments.get_one::<PathBuf>("plan"));
            import::run::<C>(&setup, plan.map(PathBuf::as_path), &began)
        }
    }
}

/// Looks for the settings.
fn prepare(
    about: About,
    catalog: &Catalog,
    line: &CommandLine,
    environment: &Environment,
    console: &mut Console,
) -> Result<Setup, crate::Failure> {
    let mut secrets = Vec::new();
    let loaded = catalog.load(line, environment, &mut secrets);
    secrets.extend(line.secrets().iter().cloned());
    console.hide(&secrets);
    Setup::new(about, loaded?, environment, console)
}

/// Makes the command line without the settings.
fn command(about: &About) -> Command {
    verb::add_all(command_without_verbs(about, about.name.to_owned()))
}

/// Makes a command line that has neither verbs nor settings.
fn command_without_verbs(about: &About, name: String) -> Command {
    Command::new(name)
        .about(about.description)
        .max_term_width(100)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::HelpShort)
                .global(true)
                .help("Print this help"),
        )
        .arg(
            Arg::new("print_version")
                .short('V')
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print the version"),
        )
        .arg(
            Arg::new("health_check")
                .long("health-check")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Exit with 0 at once, to show that the program starts"),
        )
}

fn prints_version(matches: &clap::ArgMatches) -> bool {
    matches.get_flag("print_version")
        || matches
            .get_one::<String>("version")
            .is_some_and(String::is_empty)
}
