//! Columns changed: copied, put together, renamed, taken away.

use std::borrow::Cow;

use async_trait::async_trait;
use car_core::exchange::{DataService, ModeContext, Named, Output, Rows};
use car_core::{Failure, FailureKind};
use clap::Args;
use schemars::JsonSchema;

use super::template::Setting;

/// What becomes of the columns.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub(super) struct Settings {
    /// Column to copy; with --new-column-name
    #[arg(
        long,
        alias = "SOURCE_COLUMN",
        env = "SOURCE_COLUMN",
        value_name = "COLUMN",
        help_heading = "Columns"
    )]
    source_column: Option<String>,

    /// Column that gets the copy
    #[arg(
        long,
        alias = "NEW_COLUMN_NAME",
        env = "NEW_COLUMN_NAME",
        value_name = "COLUMN",
        help_heading = "Columns"
    )]
    new_column_name: Option<String>,

    /// Set a column: name={brand} {model|upper}. Filters are trim, upper, lower, default:TEXT,
    /// and required, with which a row fails where the column is empty. One a line where several
    /// stand in a variable
    #[arg(
        long,
        env = "SET_COLUMNS",
        value_name = "COLUMN=TEXT",
        value_delimiter = '\n',
        help_heading = "Columns"
    )]
    #[schemars(with = "Vec<String>")]
    set: Vec<Setting>,

    /// Give a column another name: old=new
    #[arg(
        long,
        env = "RENAME_COLUMNS",
        value_name = "OLD=NEW",
        value_delimiter = ',',
        value_parser = pair,
        help_heading = "Columns"
    )]
    #[schemars(with = "Vec<String>")]
    rename: Vec<(String, String)>,

    /// Take a column away
    #[arg(
        long,
        env = "DROP_COLUMNS",
        value_name = "COLUMN",
        value_delimiter = ',',
        help_heading = "Columns"
    )]
    drop: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("write `OLD=NEW`".to_owned()),
    }
}

/// Changes columns.
pub(super) struct Transform {
    set: Vec<Setting>,
    rename: Vec<(String, String)>,
    drop: Vec<String>,
}

/// Makes the service.
pub(super) fn open(settings: Settings, _: ModeContext) -> Result<Transform, Failure> {
    let wrong = |message: &'static str| Err(Failure::new(FailureKind::InvalidParameter, message));
    let mut set = settings.set;
    match (&settings.source_column, &settings.new_column_name) {
        (Some(from), Some(column)) => set.insert(0, Setting::copy(column, from)),
        (Some(_), None) => return wrong("`--source-column` needs `--new-column-name`"),
        (None, Some(_)) => return wrong("`--new-column-name` needs `--source-column`"),
        (None, None) => {}
    }
    if set.is_empty() && settings.rename.is_empty() && settings.drop.is_empty() {
        return Err(Failure::new(
            FailureKind::InvalidParameter,
            "nothing says what becomes of the columns",
        )
        .hint("give `--source-column` and `--new-column-name` (SOURCE_COLUMN, NEW_COLUMN_NAME), `--set`, `--rename` or `--drop`"));
    }
    Ok(Transform {
        set,
        rename: settings.rename,
        drop: settings.drop,
    })
}

impl Transform {
    fn named(&self, name: &str) -> Named<'_> {
        if self.drop.iter().any(|dropped| dropped == name) {
            return Named::Gone;
        }
        match self.rename.iter().find(|(old, _)| old == name) {
            Some((_, new)) => Named::Other(new.as_str().into()),
            None => Named::Same,
        }
    }
}

#[async_trait]
impl DataService for Transform {
    async fn transform(&mut self, rows: &Rows, output: &mut Output) -> Result<(), Failure> {
        for (index, row) in rows.iter().enumerate() {
            let texts: Result<Vec<Cow<'_, str>>, String> =
                self.set.iter().map(|setting| setting.text(row)).collect();
            match texts {
                Err(reason) => output.failures.row(index, reason),
                Ok(texts) => {
                    let names = self.set.iter().map(|setting| setting.column.as_str());
                    let columns: Vec<(&str, &str)> =
                        names.zip(texts.iter().map(AsRef::as_ref)).collect();
                    output
                        .rows
                        .push_changed(row, &|name| self.named(name), &columns);
                }
            }
        }
        Ok(())
    }
}
