//! Where sagas are recorded: the one place that knows which log an address means.

use std::path::Path;
use std::sync::Arc;

use car_core::saga::{PostgresLog, SagaLog, SqliteLog};
use car_core::secret::Secret;
use car_core::{Failure, FailureKind};
use url::Url;

use crate::config::Settings;

/// What the log is called on a Temporal server, where the address does not say.
#[cfg(feature = "temporal")]
const NAME: &str = "fulfillment";

/// Opens the log that the settings name.
pub(crate) async fn open_log(settings: &Settings) -> Result<Arc<dyn SagaLog>, Failure> {
    let Some(place) = settings.saga_log.as_deref() else {
        return Err(invalid("there is nothing to record sagas in").hint(
            "`--saga-log` (`CONFIGURATION_PARAMETER_SAGA_LOG`) names a file, which is made if it \
             is new, or `postgres://USER@HOST/DATABASE`",
        ));
    };
    match place.split_once("://") {
        Some(("postgres" | "postgresql", _)) => {
            let address = with_password(place, settings.saga_log_password.as_ref())?;
            Ok(Arc::new(PostgresLog::open(&address).await?))
        }
        #[cfg(feature = "temporal")]
        Some(("temporal" | "temporals", _)) => {
            Ok(Arc::new(car_temporal::TemporalLog::at(place, NAME).await?))
        }
        #[cfg(not(feature = "temporal"))]
        Some(("temporal" | "temporals", _)) => Err(invalid(
            "`--saga-log` names a Temporal server, which this program was built without",
        )
        .hint("build it with `--features temporal`, or take a file or a PostgreSQL server")),
        // Whatever it is may have a password in it, so only what comes before is told.
        Some((scheme, _)) => Err(invalid(format!(
            "`--saga-log` names no file and no PostgreSQL server but `{}://…`",
            scheme.escape_default()
        ))
        .hint("take a file, or `postgres://USER@HOST/DATABASE`")),
        None => Ok(Arc::new(SqliteLog::open(Path::new(place)).await?)),
    }
}

/// Puts the password into an address that has none. One that has would be seen in lists of
/// processes, in settings that are shown, and in logs.
fn with_password(address: &str, password: Option<&Secret>) -> Result<Secret, Failure> {
    const SHAPE: &str = "it looks like `postgres://USER@HOST:5432/DATABASE?sslmode=verify-full`";
    let wrong = |why: &str| invalid(format!("the address in `--saga-log` {why}"));
    let mut url =
        Url::parse(address).map_err(|error| wrong("is none").because(error).hint(SHAPE))?;
    if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
        return Err(wrong("has a password in it").hint(
            "take it out, and give it in CONFIGURATION_AUTH_SAGA_LOG_PASSWORD, or in a secret \
             file of that name",
        ));
    }
    let Some(password) = password else {
        return Ok(Secret::from(String::from(url)));
    };
    url.set_password(Some(password.expose())).map_err(|()| {
        wrong("names no host, so that there is nobody to give a password to").hint(SHAPE)
    })?;
    Ok(Secret::from(String::from(url)))
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(FailureKind::InvalidParameter, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_put_into_an_address_and_never_taken_from_one() {
        let password: Secret = "p@ss/word".into();
        let address = with_password("postgres://saga@db/sagas?sslmode=require", Some(&password));
        assert_eq!(
            address.unwrap().expose(),
            "postgres://saga:p%40ss%2Fword@db/sagas?sslmode=require"
        );
        let without = with_password("postgres://saga@db/sagas", None).unwrap();
        assert_eq!(without.expose(), "postgres://saga@db/sagas");
        for wrong in [
            "postgres://saga:hush@db/sagas",
            "postgres://db/sagas?password=hush",
            "postgres://saga:hush@db:port/sagas",
        ] {
            let failure = with_password(wrong, None).unwrap_err();
            let told = format!("{failure:?} {}", failure.chain().join(": "));
            assert!(!told.contains("hush"), "{told}");
        }
    }
}
