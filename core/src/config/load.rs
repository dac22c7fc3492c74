//! Putting the values together.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use super::argv::{joined, usual_form};
use super::catalog::{Catalog, Kind, Setting};
use super::environment::Environment;
use super::origin::Origin;
use super::{refusal, yaml};
use crate::failure::{Failure, FailureKind};
use crate::secret::{Secret, SecretFiles};

/// A command line that was understood. Not `Debug`: it may hold secrets.
#[derive(Clone)]
pub struct CommandLine {
    words: Vec<OsString>,
    matches: ArgMatches,
    secrets: Vec<Secret>,
}

/// A command line that asks for something else than work.
#[derive(Debug)]
pub enum Refused {
    /// It asks for help, which is this text.
    Help(Box<clap::Error>),
    /// It is wrong.
    Wrong {
        /// Why.
        failure: Failure,
        /// Secrets in it, which the failure may quote.
        secrets: Vec<Secret>,
    },
}

/// Settings from all places. Not `Debug`: they hold secrets.
#[derive(Clone)]
pub struct Loaded {
    matches: ArgMatches,
    origins: BTreeMap<String, Origin>,
    settings: Vec<Setting>,
}

impl CommandLine {
    /// Returns what the parser found, before any other place is looked at.
    #[must_use]
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }

    fn has(&self, setting: &Setting) -> bool {
        self.matches.value_source(&setting.id) == Some(ValueSource::CommandLine)
    }

    /// Returns the secrets that stand in it.
    #[must_use]
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Returns the text of a setting, by the name of its field, if the command line has it.
    #[must_use]
    pub fn text(&self, id: &str) -> Option<&OsStr> {
        match self.matches.value_source(id) {
            Some(ValueSource::CommandLine) => self.matches.get_raw(id)?.next(),
            _ => None,
        }
    }
}

impl Catalog {
    /// Reads a command line, the name of the program first.
    ///
    /// # Errors
    ///
    /// When it asks for help, or is wrong.
    pub fn read(&self, argv: impl IntoIterator<Item = OsString>) -> Result<CommandLine, Refused> {
        let mut secrets = Vec::new();
        let words = usual_form(argv.into_iter().collect(), self, &mut secrets);
        let from_flag = |setting: &Setting| Origin::Flag {
            flag: setting.flag.clone(),
        };
        match self.command().clone().try_get_matches_from(&words) {
            Ok(matches) => Ok(CommandLine {
                words,
                matches,
                secrets,
            }),
            Err(error) if !error.use_stderr() => Err(Refused::Help(Box::new(error))),
            Err(error) => Err(Refused::Wrong {
                failure: refusal::failure(&error, self, from_flag),
                secrets,
            }),
        }
    }

    /// Looks for the settings that the command line does not have in the environment, the secret
    /// files and the YAML file. Secrets are added to `secrets`, whatever the outcome.
    ///
    /// # Errors
    ///
    /// A failure of kind `InvalidParameter` that names the setting and the place.
    pub fn load(
        &self,
        line: &CommandLine,
        environment: &Environment,
        secrets: &mut Vec<Secret>,
    ) -> Result<Loaded, Failure> {
        let dir = line
            .text("secrets_dir")
            .or_else(|| environment.get("CAR_SECRETS_DIR"))
            .map_or_else(|| PathBuf::from("/etc/secrets"), PathBuf::from);
        let files = SecretFiles::read(&dir).map_err(|error| {
            let hint = error.hint();
            Failure::new(
                FailureKind::InvalidParameter,
                "cannot read the secret files",
            )
            .hint(hint)
            .because(error)
        })?;
        let mut entries = match line.text("config") {
            Some(file) => yaml::read(Path::new(file), self)?,
            None => BTreeMap::new(),
        };
        let mut origins = BTreeMap::new();
        let mut added = Vec::new();
        for setting in self.settings() {
            if line.has(setting) {
                origins.insert(
                    setting.flag.clone(),
                    Origin::Flag {
                        flag: setting.flag.clone(),
                    },
                );
                continue;
            }
            let entry = entries.remove(&setting.flag);
            let variable = setting.env.as_deref();
            let file = variable
                .and_then(|name| files.get(name))
                .filter(|value| !value.is_empty());
            let (values, origin) = if let Some((name, value)) =
                variable.and_then(|name| Some((name, environment.get(name)?)))
            {
                (
                    vec![value.to_owned()],
                    Origin::Environment {
                        name: name.to_owned(),
                    },
                )
            } else if let (Some(name), Some(value)) = (variable, file) {
                (
                    vec![value.expose().into()],
                    Origin::SecretFile {
                        file: dir.join(name),
                    },
                )
            } else if let Some(entry) = entry {
                (
                    entry.values.into_iter().map(OsString::from).collect(),
                    entry.origin,
                )
            } else {
                continue;
            };
            if setting.kind == Kind::Secret {
                let secret = |value: &OsString| Secret::from(value.to_string_lossy().into_owned());
                secrets.extend(values.iter().map(secret));
            }
            for value in values {
                added.extend(word(setting, &value, &origin)?);
            }
            origins.insert(setting.flag.clone(), origin);
        }
        let origin = |setting: &Setting| {
            origins
                .get(&setting.flag)
                .cloned()
                .unwrap_or(Origin::Default)
        };
        let mut words = line.words.iter().cloned();
        let program = words.next();
        let words = program.into_iter().chain(added).chain(words);
        let matches = self
            .command()
            .clone()
            .try_get_matches_from(words)
            .map_err(|error| refusal::failure(&error, self, origin))?;
        Ok(Loaded {
            matches,
            origins,
            settings: self.settings().to_vec(),
        })
    }
}

/// Puts together what a settings file with this text and nothing else gives.
#[cfg(feature = "fuzzing")]
pub(crate) fn from_yaml(text: &str, catalog: &Catalog) -> Result<Loaded, Failure> {
    let mut words = vec![OsString::from("connector")];
    let mut origins = BTreeMap::new();
    for (flag, entry) in yaml::parse(Path::new("settings.yaml"), text, catalog)? {
        let Some(setting) = catalog.setting(&flag) else {
            continue;
        };
        for value in entry.values {
            words.extend(word(setting, OsStr::new(&value), &entry.origin)?);
        }
        origins.insert(flag, entry.origin);
    }
    let origin = |setting: &Setting| {
        origins
            .get(&setting.flag)
            .cloned()
            .unwrap_or(Origin::Default)
    };
    let matches = catalog
        .command()
        .clone()
        .try_get_matches_from(words)
        .map_err(|error| refusal::failure(&error, catalog, origin))?;
    Ok(Loaded {
        matches,
        origins,
        settings: catalog.settings().to_vec(),
    })
}

/// Gives a value of another place as a word of the command line.
fn word(setting: &Setting, value: &OsStr, origin: &Origin) -> Result<Option<OsString>, Failure> {
    let flag = format!("--{}", setting.flag);
    let invalid = |message: String| Err(Failure::new(FailureKind::InvalidParameter, message));
    let Some(text) = value.to_str() else {
        return invalid(format!(
            "the value of `{}` is not UTF-8 text: {origin}",
            setting.flag
        ));
    };
    if setting.kind != Kind::Switch {
        return Ok(Some(joined(&flag, value)));
    }
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Some(flag.into())),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(None),
        _ if matches!(origin, Origin::SecretFile { .. }) => invalid(format!(
            "`{}` must be true or false: {origin}",
            setting.flag
        )),
        _ => invalid(format!(
            "`{}` must be true or false, not `{text}`: {origin}",
            setting.flag
        )),
    }
}

impl Loaded {
    /// Makes a settings struct of the values.
    ///
    /// # Errors
    ///
    /// When a value is missing.
    pub fn settings<S: FromArgMatches>(&self) -> Result<S, Failure> {
        S::from_arg_matches(&self.matches).map_err(|error| {
            Failure::new(
                FailureKind::InvalidParameter,
                "the settings are not complete",
            )
            .because(error.to_string())
        })
    }

    /// Returns the connector's own settings that are no secrets, by long flag, with their values.
    #[must_use]
    pub fn own_values(&self) -> Vec<(String, String)> {
        let open = |setting: &&Setting| setting.own && setting.kind != Kind::Secret;
        let mut values = Vec::new();
        for setting in self.settings.iter().filter(open) {
            for value in self.matches.get_raw(&setting.id).into_iter().flatten() {
                values.push((setting.flag.clone(), value.to_string_lossy().into_owned()));
            }
        }
        values
    }

    /// Returns where the value of a setting, named by its long flag, came from.
    #[must_use]
    pub fn origin(&self, flag: &str) -> Origin {
        self.origins.get(flag).cloned().unwrap_or(Origin::Default)
    }

    /// Checks that the connector's required settings and these common ones, named by their long
    /// flags, have a value.
    ///
    /// # Errors
    ///
    /// When some have none, with all of them named.
    pub fn require_own_and(&self, flags: &[&str]) -> Result<(), Failure> {
        self.missing(|setting| {
            (setting.own && setting.required) || flags.contains(&setting.flag.as_str())
        })
    }

    /// Checks that settings, named by their long flags, have a value.
    ///
    /// # Errors
    ///
    /// When some have none, with all of them named.
    pub fn require(&self, flags: &[&str]) -> Result<(), Failure> {
        self.missing(|setting| flags.contains(&setting.flag.as_str()))
    }

    fn missing(&self, needed: impl Fn(&Setting) -> bool) -> Result<(), Failure> {
        let missing: Vec<&Setting> = self
            .settings
            .iter()
            .filter(|setting| needed(setting) && self.matches.value_source(&setting.id).is_none())
            .collect();
        let names: Vec<String> = missing
            .iter()
            .map(|setting| format!("`{}`", setting.flag))
            .collect();
        let message = match names.as_slice() {
            [] => return Ok(()),
            [name] => format!("setting {name} is missing"),
            names => format!("settings {} are missing", names.join(", ")),
        };
        let failure = Failure::new(FailureKind::InvalidParameter, message);
        Err(missing.iter().fold(failure, |failure, setting| {
            failure.hint(format!("give `{}` by {}", setting.flag, setting.ways()))
        }))
    }
}
