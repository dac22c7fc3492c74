//! The names that the query schema makes up beside those of the model, so that an extension
//! cannot take one of them.

use std::collections::BTreeMap;

use super::catalog::{Catalog, TAG, Ty};
use super::totals::FUNCTIONS;
use super::{mutation, schema};
use crate::error::{Error, Result};

/// What types and root fields of a collection are called after its name.
const ENDINGS: [&str; 6] = [
    "_bool_exp",
    "_order_by",
    "_select_column",
    "_aggregate",
    "_aggregate_fields",
    "_by_pk",
];

/// Names that belong to no collection.
const COMMON: [&str; 6] = [
    schema::QUERY,
    schema::MUTATION,
    "subscription_root",
    "order_by",
    "tag_bool_exp",
    TAG,
];

/// Refuses a model in which a collection is named as something that the schema makes up.
///
/// # Errors
///
/// Names the collection and what already has its name.
pub(crate) fn check(catalog: &Catalog) -> Result<()> {
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    let common = COMMON
        .into_iter()
        .chain(mutation::TYPES)
        .map(str::to_owned)
        .chain(scalars());
    made.extend(common.map(|name| (name, "every query".to_owned())));
    for name in catalog.0.keys() {
        let own = ENDINGS
            .iter()
            .map(|ending| format!("{name}{ending}"))
            .chain(FUNCTIONS.map(|(function, _)| format!("{name}_{function}_fields")));
        made.extend(own.map(|made| (made, format!("queries of `{name}`"))));
    }
    match catalog
        .0
        .keys()
        .find_map(|name| Some((name, made.get(name)?)))
    {
        None => Ok(()),
        Some((name, user)) => Err(Error::bad_request(
            "invalid_extension",
            format!("collection `{name}` cannot have this name: {user} use it; choose another one"),
        )),
    }
}

/// Returns the names of scalar types and of their comparisons.
fn scalars() -> impl Iterator<Item = String> {
    [
        Ty::String,
        Ty::Float,
        Ty::Int,
        Ty::BigInt,
        Ty::Boolean,
        Ty::Json,
    ]
    .into_iter()
    .flat_map(|ty| [ty.name().to_owned(), schema::comparison_name(ty)])
}

#[cfg(test)]
mod tests {
    use async_graphql::dynamic::Schema;
    use car_schema::Model;

    use super::*;
    use crate::store::Layout;

    #[test]
    fn every_made_name_is_known_here() {
        let catalog = Catalog::new(&Layout::new(&Model::core(), &[]));
        check(&catalog).unwrap();
        let schema: Schema = schema::build(&std::sync::Arc::new(catalog.clone())).unwrap();
        let sdl = schema.sdl();
        let types = sdl.lines().filter_map(|line| {
            let rest = ["type ", "input ", "enum ", "scalar "]
                .iter()
                .find_map(|kind| line.strip_prefix(kind))?;
            rest.split([' ', '{']).next()
        });
        let mut seen = 0;
        for name in types {
            // A collection of this name would be taken for the type.
            if catalog.get(name).is_some() || name.starts_with(char::is_uppercase) {
                continue;
            }
            let mut other = catalog.clone();
            let entry = other.get("asset").unwrap().clone();
            other.0.insert(name.to_owned(), entry);
            let error = check(&other).expect_err(name);
            assert!(error.message().contains(name), "{name}: {error}");
            seen += 1;
        }
        assert!(seen > 100, "{seen}");
    }
}
