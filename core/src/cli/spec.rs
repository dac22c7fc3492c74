//! `spec`: the connector described for machines.

use serde_json::{Value, json};

use super::verb::Spec;
use crate::config::{self, Catalog};
use crate::connector::{About, Connector};
use crate::failure::{Failure, FailureKind};

/// Version of what `--capabilities` prints. Fields are only ever added.
const FORMAT: u32 = 1;

/// Returns what `spec` prints.
pub(super) fn text<C: Connector>(
    about: &About,
    catalog: &Catalog,
    what: Spec,
) -> Result<String, Failure> {
    let value = match what {
        Spec::Settings => config::schema::<C::Settings>(about, catalog),
        Spec::Cp4s => config::page(
            about,
            catalog,
            &config::schema::<C::Settings>(about, catalog),
        ),
        Spec::Capabilities => capabilities(about, catalog),
    };
    let text = serde_json::to_string_pretty(&value).map_err(|error| {
        Failure::new(FailureKind::General, "could not describe the connector").because(error)
    })?;
    Ok(text + "\n")
}

fn capabilities(about: &About, catalog: &Catalog) -> Value {
    let verbs: Vec<&str> = catalog
        .command()
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    json!({
        "format": FORMAT,
        "name": about.name,
        "version": about.version,
        "title": about.title,
        "description": about.description,
        "product_link": about.product_link,
        "verbs": verbs,
        "full_import": true,
        "incremental_import": about.incremental,
        "extension": about.extension,
    })
}
