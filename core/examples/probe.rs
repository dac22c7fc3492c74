//! A connector whose source is its own settings: it shows what the command line does with a
//! connector, and the tests drive it.

use async_trait::async_trait;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, FullImport, Page, Scope,
};
use car_core::record::Records;
use car_core::secret::Secret;
use car_core::{Failure, FailureKind};
use car_schema::vertices::Asset;
use clap::{Args, ValueEnum};
use schemars::JsonSchema;

/// Settings of the probe.
#[derive(Debug, Clone, Args, JsonSchema)]
struct Settings {
    /// Address of the data source
    #[arg(long, value_name = "URL", env = "CONFIGURATION_AUTH_URL")]
    server: String,

    /// User of the data source
    #[arg(long, value_name = "NAME", env = "CONFIGURATION_AUTH_USERNAME")]
    username: Option<String>,

    /// Password of the user
    #[arg(long, value_name = "PASSWORD", env = "CONFIGURATION_AUTH_PASSWORD")]
    password: Secret,

    /// Regions to read
    #[arg(
        long,
        value_name = "REGION",
        env = "CONNECTION_REGIONS",
        value_delimiter = ','
    )]
    regions: Vec<String>,

    /// Number of assets in each region
    #[arg(
        long,
        value_name = "NUMBER",
        env = "CONFIGURATION_PARAMETER_ASSETS",
        default_value_t = 3
    )]
    assets: u32,

    /// How the source behaves
    #[arg(
        long,
        value_name = "BEHAVIOUR",
        env = "CONFIGURATION_PARAMETER_BEHAVIOUR",
        value_enum,
        default_value_t = Behaviour::Well
    )]
    behaviour: Behaviour,
}

/// How the source behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Behaviour {
    /// It answers.
    Well,
    /// It cannot be reached.
    Unavailable,
    /// It does not accept the password, and repeats it in its answer.
    Unauthorised,
    /// It does not allow what is asked for.
    Forbidden,
    /// It does not know a parameter.
    Invalid,
    /// It sends something else than data.
    Garbage,
    /// It never answers.
    Hangs,
    /// It has a defect.
    Panics,
}

struct Probe {
    settings: Settings,
}

impl Probe {
    async fn call(&self) -> Result<(), Failure> {
        let (kind, message) = match self.settings.behaviour {
            Behaviour::Well => return Ok(()),
            Behaviour::Unavailable => (FailureKind::SourceUnavailable, "cannot reach the source"),
            Behaviour::Unauthorised => (
                FailureKind::SourceAuthentication,
                "the source does not accept the password",
            ),
            Behaviour::Forbidden => (FailureKind::SourceForbidden, "the source forbids reading"),
            Behaviour::Invalid => (FailureKind::SourceInvalidParameter, "no such region"),
            Behaviour::Garbage => (FailureKind::SourceData, "the source's answer is not JSON"),
            Behaviour::Hangs => {
                tracing::info!("waiting for the source");
                return std::future::pending().await;
            }
            #[expect(clippy::panic, reason = "shows what becomes of a defect")]
            Behaviour::Panics => panic!("the list of {} is empty", self.settings.server),
        };
        // What a careless server sends back.
        let answer = format!("401: wrong password {}", self.settings.password.expose());
        Err(Failure::new(kind, message)
            .with("address", &self.settings.server)
            .hint("check --server and --password")
            .because(answer))
    }
}

#[async_trait]
impl Connector for Probe {
    type Settings = Settings;

    fn about() -> About {
        About {
            name: "probe",
            version: "1.2.3",
            title: "Probe",
            description: "Imports made assets, to show what the command line does",
            product_link: None,
            extension: None,
            incremental: false,
        }
    }

    async fn open(settings: Settings, _: Context) -> Result<Self, Failure> {
        tracing::debug!(?settings, "opening the source");
        Ok(Self { settings })
    }

    fn asset_server(&self) -> &dyn AssetServer {
        self
    }

    fn full_import(&self) -> &dyn FullImport {
        self
    }
}

#[async_trait]
impl AssetServer for Probe {
    async fn test_connection(&self) -> Result<(), Failure> {
        self.call().await
    }
}

#[async_trait]
impl FullImport for Probe {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        Ok(self.settings.regions.iter().map(Scope::new).collect())
    }

    async fn fetch(&self, scope: &Scope, _: Option<&Cursor>) -> Result<Page, Failure> {
        self.call().await?;
        let mut records = Records::default();
        for number in 1..=self.settings.assets {
            let name = format!("asset {number} of {scope}");
            records.emit(&Asset::new(format!("{scope}-{number}"), name));
        }
        Ok(Page {
            records,
            next: None,
        })
    }
}

fn main() -> std::process::ExitCode {
    car_core::cli::main::<Probe>()
}
