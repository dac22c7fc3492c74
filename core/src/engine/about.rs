//! What a connector is, as the service is told it: its source, its reports, its model, its schema
//! extension. Imports and batches of tasks tell the same.

use car_schema::{Extension, Model, Report, Source};

use crate::car::CarClient;
use crate::connector::About;
use crate::failure::{Failure, FailureKind};

/// Fails when the name of a source is not one that a service takes.
pub(crate) fn check_source(name: &str) -> Result<(), Failure> {
    // Dots alone would be steps in an address.
    let steps = matches!(name, "." | "..");
    if car_schema::is_key(name) && !steps {
        return Ok(());
    }
    Err(Failure::new(FailureKind::InvalidParameter, "the name of the source is not allowed")
        .with("--source", format!("{name:?}"))
        .hint("it has 1 to 254 letters, digits and _ : @ = ; ! ' % - . ( ) + , $ *; set it by `--source` or `CONNECTION_NAME`"))
}

/// Describes the source of a connector.
pub(super) fn source(about: &About, key: &str) -> Source {
    Source {
        key: key.to_owned(),
        name: Some(about.title.to_owned()),
        description: Some(about.description.to_owned()),
        product_link: about.product_link.map(str::to_owned),
        properties: None,
    }
}

/// Describes a report that begins now, in milliseconds since 1970.
pub(super) fn report(about: &About, now: u64) -> Report {
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in 53 bits"
    )]
    let timestamp = now as f64;
    Report {
        key: Some(now.to_string()),
        timestamp,
        ty: Some(about.title.to_owned()),
        description: Some(about.description.to_owned()),
        ..Report::default()
    }
}

/// Returns the core model with what a connector adds.
pub(super) fn model(about: &About) -> Result<Model, Failure> {
    let mut model = Model::core();
    if let Some(extension) = &about.extension {
        model.extend(&extension.schema).map_err(invalid)?;
    }
    Ok(model)
}

/// Makes the service know an extension, unless it knows it, or a newer version of it.
pub(crate) async fn bring_extension(
    car: &CarClient,
    extension: Option<&Extension>,
) -> Result<(), Failure> {
    let Some(extension) = extension else {
        return Ok(());
    };
    let ours = extension.version_number().map_err(invalid)?;
    let stored = car.extension(&extension.key).await?;
    let theirs = stored
        .as_ref()
        .and_then(|stored| stored.version_number().ok());
    // A newer one comes from a newer connector of the same kind and has all that ours has.
    if theirs.is_none_or(|theirs| theirs < ours) {
        car.post_extension(extension).await?;
    }
    Ok(())
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector's schema extension is not valid",
    )
    .because(error)
}

#[cfg(test)]
mod tests {
    use super::check_source;

    #[test]
    fn names_of_sources_are_those_that_services_take() {
        for name in ["a", "aws-123", "o'neil@example.com", "100%"] {
            assert!(check_source(name).is_ok(), "{name}");
        }
        let long = "x".repeat(255);
        for name in ["", ".", "..", "a/b", "a b", "ä", long.as_str()] {
            let failure = check_source(name).unwrap_err();
            assert_eq!(crate::exit::exit_code(failure.kind()), 2, "{name}");
        }
    }
}
