//! The library's refusals in words that help: the limits by their numbers, the nearest name.

use super::catalog::{Catalog, Ty};
use super::schema::{COMPLEXITY, DEPTH, QUERY, comparisons};

/// Least likeness of a name that is worth a question, from 0 to 1.
const ALIKE: f64 = 0.6;

/// Says more than the library does about why a query is refused; `None` where it says enough.
pub(crate) fn explain(message: &str, catalog: &Catalog) -> Option<String> {
    match message {
        "Query is nested too deep." => Some(format!(
            "the query is nested deeper than {DEPTH} levels; ask for less at a time"
        )),
        "Query is too complex." => Some(format!(
            "the query has more than {COMPLEXITY} fields; ask for less at a time"
        )),
        // Where the library finds a name itself, it says so.
        _ if message.contains("Did you mean") => None,
        _ => {
            let (field, names) = match message.strip_prefix("Unknown field \"") {
                Some(rest) => {
                    let (field, rest) = rest.split_once("\" on type \"")?;
                    (field, selectable(rest.split('"').next()?, catalog))
                }
                None => {
                    let (_, rest) = message.split_once("unknown field \"")?;
                    let (field, rest) = rest.split_once("\" of type \"")?;
                    let names = names(rest.split('"').next()?, catalog).into_iter();
                    (field, names.map(str::to_owned).collect())
                }
            };
            let name = nearest(field, names)?;
            let message = message.trim_end_matches('.');
            Some(format!("{message}. Did you mean \"{name}\"?"))
        }
    }
}

fn nearest(field: &str, names: Vec<String>) -> Option<String> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(field, &name), name))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// Returns what can be selected of an output type.
fn selectable(ty: &str, catalog: &Catalog) -> Vec<String> {
    if ty == QUERY {
        let endings = ["", "_by_pk", "_aggregate"];
        let fields = |name: &String| endings.map(|ending| format!("{name}{ending}"));
        return catalog.0.keys().flat_map(fields).collect();
    }
    let Some(entry) = catalog.get(ty) else {
        return Vec::new();
    };
    let attributes = entry.attributes.iter().map(|a| a.name.clone());
    let relations = entry.relations.iter().map(|r| r.name.clone());
    let aggregates = entry.aggregates().map(|(name, _)| name);
    attributes.chain(relations).chain(aggregates).collect()
}

/// Returns the fields of an input type.
fn names<'c>(ty: &str, catalog: &'c Catalog) -> Vec<&'c str> {
    let of = |suffix: &str| catalog.get(ty.strip_suffix(suffix)?);
    if let Some(entry) = of("_bool_exp") {
        let attributes = entry.attributes.iter().filter(|a| a.ty.comparable());
        let relations = entry.relations.iter().map(|r| r.name.as_str());
        return attributes
            .map(|attribute| attribute.name.as_str())
            .chain(relations)
            .chain(["_and", "_or", "_not"])
            .collect();
    }
    if let Some(entry) = of("_order_by") {
        let attributes = entry.attributes.iter().filter(|a| a.ty.comparable());
        return attributes
            .map(|attribute| attribute.name.as_str())
            .collect();
    }
    match ty.strip_suffix("_comparison_exp") {
        Some("String") => comparisons(Ty::String).collect(),
        Some(_) => comparisons(Ty::Int).collect(),
        None => Vec::new(),
    }
}
