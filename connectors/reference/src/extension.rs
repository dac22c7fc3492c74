//! What the connector adds to the model: sites, their assets, and an asset's initial value.

use std::collections::BTreeMap;

use car_schema::{
    EdgeExtension, Extension, ExtensionSchema, PropertyExtension, PropertyType, VertexExtension,
};

/// The vertex collection of sites.
pub(crate) const SITE: &str = "site";

/// The edge collection from a site to its assets.
pub(crate) const SITE_ASSET: &str = "site_asset";

/// Describes the extension. A change of it needs a higher version.
pub(crate) fn extension() -> Extension {
    let text = |description| PropertyExtension::new(PropertyType::Text, description);
    let required_text = |description| PropertyExtension {
        required: true,
        indexed: true,
        ..PropertyExtension::new(PropertyType::Text, description)
    };
    Extension {
        key: "5a2a6bd8-3a4c-4f0e-9d0e-6a7f0b3f5c11".to_owned(),
        owner: env!("CARGO_PKG_NAME").to_owned(),
        version: "1".to_owned(),
        schema: ExtensionSchema {
            vertices: vec![
                VertexExtension {
                    name: SITE.to_owned(),
                    properties: BTreeMap::from([
                        ("name".to_owned(), required_text("Name of the site.")),
                        ("address".to_owned(), text("Where the site is.")),
                        (
                            "description".to_owned(),
                            text("What the site is, in a sentence."),
                        ),
                    ]),
                    validation: None,
                },
                VertexExtension {
                    name: "asset".to_owned(),
                    properties: BTreeMap::from([(
                        "initial_value".to_owned(),
                        PropertyExtension::new(PropertyType::Numeric, "Worth when it was new."),
                    )]),
                    validation: None,
                },
            ],
            edges: vec![EdgeExtension {
                end1: SITE.to_owned(),
                end2: "asset".to_owned(),
                properties: BTreeMap::new(),
                validation: None,
            }],
        },
    }
}
