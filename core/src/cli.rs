//! The command line that every connector has; the only place that prints or exits.
//!
//! A connector's `main` is one call of [`main`]. What stands on standard output is data (a schema,
//! a completion script); everything else is said on standard error.
//!
//! A verb is one file below this one and one arm of [`verb::Verb`].

mod bars;
mod completions;
mod console;
mod grid;
mod import;
mod number;
mod panic;
mod render;
mod report_file;
mod setup;
mod signals;
mod spec;
mod summary;
mod test_connection;
mod verb;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use crate::config::{Catalog, Environment, Refused};
use crate::connector::{About, Connector};
use crate::exit;
use crate::failure::Failure;
use console::{Console, Look};
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
    if argv.iter().skip(1).any(|word| word == "--health-check" || word == "-health-check") {
        return exit::SUCCESS;
    }
    let catalog = Catalog::new::<C::Settings>(command(&about));
    let mut secrets = Vec::new();
    let mut console = Console::before_settings(&about);
    let line = match catalog.read(argv, &mut secrets) {
        Ok(line) => line,
        Err(Refused::Help(help)) => return console.print_help(&help),
        Err(Refused::Wrong(failure)) => {
            console.hide(&secrets);
            return console.fail(&failure);
        }
    };
    console.look(Look::asked_for(line.matches()));
    if prints_version(line.matches()) {
        return console.print(&format!("{} {}\n", about.name, about.version));
    }
    let done = match Verb::of(line.matches()) {
        Verb::Spec(what) => spec::text::<C>(&about, &catalog, what).map(|text| console.print(&text)),
        Verb::Completions(shell) => Ok(console.print(&completions::script(&catalog, shell))),
        Verb::Man => completions::manual(&catalog).map(|text| console.print(&text)),
        Verb::Import | Verb::TestConnection => {
            let loaded = catalog.load(&line, environment, &mut secrets);
            console.hide(&secrets);
            loaded.and_then(|loaded| Setup::new(about, loaded, console.clone())).map(|setup| {
                if setup.common.connection_test || Verb::of(line.matches()) == Verb::TestConnection {
                    test_connection::run::<C>(&setup)
                } else {
                    import::run::<C>(&setup)
                }
            })
        }
    };
    done.unwrap_or_else(|failure: Failure| console.fail(&failure))
}

/// Makes the command line without the settings.
fn command(about: &About) -> Command {
    let command = Command::new(about.name)
        .about(about.description)
        .max_term_width(100)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(false)
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
        );
    verb::add_all(command)
}

fn prints_version(matches: &clap::ArgMatches) -> bool {
    matches.get_flag("print_version")
        || matches.get_one::<String>("version").is_some_and(String::is_empty)
}
