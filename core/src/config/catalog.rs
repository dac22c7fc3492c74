//! The list of settings, made from the settings structs.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, ValueParser};
use clap::{Arg, ArgAction, Args, Command};

use super::common::Common;
use crate::connector::Settings;
use crate::secret::Secret;

/// Arguments of the common settings that only make sense on the command line or in the
/// environment: they say where the other settings are.
const NOT_IN_FILES: [&str; 2] = ["config", "secrets-dir"];

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no; on the command line a flag without a value.
    Switch,
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A number, a word of a list, or whatever else its parser understands.
    Other,
}

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Name of the field in its struct.
    pub id: String,
    /// The long flag without dashes, which is the YAML key too.
    pub flag: String,
    /// Placeholder of the value in help texts.
    pub value_name: String,
    /// Environment variable, which is the name of its secret file too.
    pub env: Option<String>,
    /// What values it takes.
    pub kind: Kind,
    /// Whether it takes several values.
    pub many: bool,
    /// Whether the connector does not open without it.
    pub required: bool,
    /// Whether it is the connector's own, not one that all connectors have.
    pub own: bool,
    /// Whether it may stand in the YAML file.
    pub in_files: bool,
    /// Default as on the command line.
    pub default: Option<String>,
    /// Heading of the group of settings it belongs to.
    pub heading: String,
    /// Whether help texts leave it out.
    pub hidden: bool,
}

/// All settings of a connector, and the command line that takes them.
#[derive(Debug, Clone)]
pub struct Catalog {
    settings: Vec<Setting>,
    command: Command,
    verbs: Vec<String>,
}

impl Catalog {
    /// Adds the settings of `S`, then the common ones, to a command that has the verbs.
    #[must_use]
    pub fn new<S: Settings>(command: Command) -> Self {
        let own = S::augment_args(Command::new("settings")).mut_args(|arg| {
            let heading = arg.get_help_heading().unwrap_or("Data source").to_owned();
            arg.help_heading(heading)
        });
        let common = Common::augment_args(Command::new("settings"));
        let mut settings = Vec::new();
        let mut command = command;
        for group in own.get_groups() {
            command = command.group(group.clone().required(false));
        }
        for (arg, is_own) in own
            .get_arguments()
            .map(|arg| (arg, true))
            .chain(common.get_arguments().map(|arg| (arg, false)))
        {
            if arg.get_long().is_some() {
                settings.push(Setting::of(arg, is_own));
            }
            command = command.arg(prepared(arg.clone()));
        }
        let verbs = command
            .get_subcommands()
            .map(|verb| verb.get_name().to_owned())
            .collect();
        Self {
            settings,
            command,
            verbs,
        }
    }

    /// Leaves the arguments that `hides` out of help texts.
    #[cfg(feature = "exchange")]
    #[must_use]
    pub(crate) fn hiding(mut self, hides: fn(&Arg) -> bool) -> Self {
        self.command = self.command.mut_args(|arg| match hides(&arg) {
            true => arg.hide(true),
            false => arg,
        });
        self
    }

    /// Returns the settings: the connector's own, then the common ones.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns the command line as a parser.
    #[must_use]
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Returns the setting with this long flag.
    #[must_use]
    pub fn setting(&self, flag: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.flag == flag)
    }

    /// Tells whether a word is a verb.
    #[must_use]
    pub fn is_verb(&self, word: &str) -> bool {
        self.verbs.iter().any(|verb| verb == word)
    }
}

impl Setting {
    fn of(arg: &Arg, own: bool) -> Self {
        let flag = arg.get_long().unwrap_or_default().to_owned();
        let action = arg.get_action();
        let kind = if matches!(action, ArgAction::SetTrue | ArgAction::SetFalse) {
            Kind::Switch
        } else {
            kind(arg.get_value_parser())
        };
        let takes_many = arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
        let default = arg.get_default_values().first();
        Self {
            id: arg.get_id().as_str().to_owned(),
            value_name: arg
                .get_value_names()
                .and_then(|names| names.first())
                .map_or_else(|| flag.to_uppercase(), ToString::to_string),
            env: arg
                .get_env()
                .and_then(|name| name.to_str())
                .map(str::to_owned),
            kind,
            many: matches!(action, ArgAction::Append) || takes_many,
            required: arg.is_required_set(),
            own,
            in_files: own || !NOT_IN_FILES.contains(&flag.as_str()),
            default: default.and_then(|value| value.to_str()).map(str::to_owned),
            heading: arg.get_help_heading().unwrap_or_default().to_owned(),
            hidden: arg.is_hide_set(),
            flag,
        }
    }

    /// Says how the setting can be given, for hints.
    #[must_use]
    pub fn ways(&self) -> String {
        let value = if self.kind == Kind::Switch {
            String::new()
        } else {
            format!(" {}", self.value_name)
        };
        let mut ways = format!("`--{}{value}`", self.flag);
        if let Some(env) = &self.env {
            ways = format!("{ways}, environment variable or secret file {env}");
        }
        if self.in_files {
            ways = format!("{ways}, or `{}:` in the YAML file", self.flag);
        }
        ways
    }
}

fn kind(parser: &ValueParser) -> Kind {
    let id = parser.type_id();
    if id == TypeId::of::<Secret>() {
        Kind::Secret
    } else if id == TypeId::of::<String>()
        || id == TypeId::of::<PathBuf>()
        || id == TypeId::of::<OsString>()
    {
        Kind::Text
    } else {
        Kind::Other
    }
}

/// Makes an argument fit for a command where verbs share the flags and values come from several
/// places: it may stand before and after the verb, whether it is there is checked when all
/// places were looked at, and the environment is read by us.
fn prepared(arg: Arg) -> Arg {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if arg.is_required_set() {
        help.push_str(" (required)");
    }
    if let Some(env) = arg.get_env().and_then(|name| name.to_str()) {
        help.push_str(&format!(" [env: {env}]"));
    }
    let arg = match arg.get_action() {
        ArgAction::Set if arg.get_value_parser().type_id() == TypeId::of::<bool>() => {
            arg.value_parser(BoolishValueParser::new())
        }
        _ => arg,
    };
    let is_flag = arg.get_long().is_some() || arg.get_short().is_some();
    arg.required(false)
        .global(is_flag)
        .help(help)
        .long_help(None::<&str>)
        .env(None::<&str>)
}
