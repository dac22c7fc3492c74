//! `plan`: what an import would do, on standard output.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Arg, ArgMatches, Command, ValueHint};

use super::console::Console;
use super::import;
use super::plan_text;
use super::setup::Setup;
use super::state;
use crate::connector::Connector;
use crate::engine::{self, Plan, PlanOptions, Planned};
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind};

/// Adds the verb's own arguments.
pub(super) fn command() -> Command {
    Command::new("plan")
        .about("Tell what an import would do, without writing anything")
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Keep the plan in this file, for `import --plan FILE`"),
        )
        .arg(output())
        .arg(
            Arg::new("samples")
                .long("samples")
                .value_name("NUMBER")
                .default_value("3")
                .value_parser(RangedU64ValueParser::<u64>::new().range(0..=1000))
                .help("Rows to show of each kind in each collection"),
        )
}

/// Makes the argument of verbs that print data for people or for machines.
pub(super) fn output() -> Arg {
    Arg::new("output")
        .long("output")
        .value_name("FORMAT")
        .default_value("text")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .help("How to print it")
}

/// Returns whether the output is to be JSON.
pub(super) fn wants_json(verb: &ArgMatches) -> bool {
    verb.get_one::<String>("output")
        .is_some_and(|format| format == "json")
}

/// Plans, prints the plan and returns the exit code that the import would have.
pub(super) fn run<C: Connector>(setup: &Setup, verb: Option<&ArgMatches>) -> u8 {
    let console = &setup.console;
    let json = verb.is_some_and(wants_json);
    let options = PlanOptions {
        out: verb.and_then(|verb| verb.get_one::<PathBuf>("out").cloned()),
        samples: verb
            .and_then(|verb| verb.get_one::<u64>("samples"))
            .map_or(0, |samples| usize::try_from(*samples).unwrap_or(usize::MAX)),
        settings: state::settings(&setup.loaded),
    };
    let (reporter, bars) = import::reporter(console);
    let out = options.out.clone();
    let planned = setup.run(async |cancel| {
        setup.loaded.require_own_and(&["source"])?;
        let connector: C = setup.open(&cancel).await?;
        let car = import::car(setup, &reporter, &cancel)?;
        let engine_options = import::options(setup);
        let connector = Arc::new(connector);
        Ok(engine::plan(connector, engine_options, options, car, reporter, cancel).await)
    });
    import::clear(console, bars);
    let Planned { plan, failure } = match planned {
        Ok(planned) => planned,
        Err(failure) => return console.fail(&failure),
    };
    let printed = match plan.mode {
        // It failed before there was anything to tell.
        None => SUCCESS,
        Some(_) if json => print_json(console, &plan),
        Some(_) => console.print(&console.redactor().redact(&plan_text::text(&plan))),
    };
    match failure {
        Some(failure) => console.fail(&failure),
        None => {
            if let Some(out) = out.filter(|_| !json && printed == SUCCESS) {
                let text = format!("import it with `import --plan {}`", out.display());
                console.say(&text, &text, &[]);
            }
            printed
        }
    }
}

fn print_json(console: &Console, plan: &Plan) -> u8 {
    match serde_json::to_string_pretty(plan) {
        Ok(text) => console.print(&format!("{}\n", console.redactor().redact(&text))),
        Err(error) => console.fail(
            &Failure::new(FailureKind::General, "the plan cannot be written as JSON")
                .because(error),
        ),
    }
}
