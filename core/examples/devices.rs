//! Imports devices from a text file: a whole connector on one page, the one that the guide shows.

use std::path::PathBuf;
use std::process::ExitCode;

use async_trait::async_trait;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, FullImport, Page, Scope,
};
use car_core::record::Records;
use car_core::{Failure, FailureKind};
use car_schema::edges::AssetIpaddress;
use car_schema::vertices::{Asset, Ipaddress};
use clap::Args;
use schemars::JsonSchema;

/// Settings: one documented struct.
#[derive(Debug, Args, JsonSchema)]
struct Settings {
    /// File with a line of `id,name,address` per device
    #[arg(long, value_name = "FILE", env = "CONFIGURATION_PARAMETER_FILE")]
    file: PathBuf,
}

struct Devices {
    settings: Settings,
}

impl Devices {
    /// The client: the only place that talks to the source.
    fn read(&self) -> Result<String, Failure> {
        std::fs::read_to_string(&self.settings.file).map_err(|error| {
            Failure::new(FailureKind::SourceUnavailable, "the file cannot be read")
                .with("file", self.settings.file.display())
                .because(error)
                .hint("check `--file` (`CONFIGURATION_PARAMETER_FILE`)")
        })
    }
}

/// The map: a pure function from what the source says to rows.
fn emit(line: &str, out: &mut Records) {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [id, name, address] = fields.as_slice() else {
        out.reject("asset", None, "not three values", format!("{line:?}"));
        return;
    };
    out.emit(&Asset::new(*id, *name));
    out.emit(&Ipaddress::new(*address));
    out.emit(&AssetIpaddress::new(*id, *address));
}

#[async_trait]
impl Connector for Devices {
    type Settings = Settings;

    fn about() -> About {
        About {
            name: "devices-connector",
            version: env!("CARGO_PKG_VERSION"),
            title: "Device list",
            description: "Imports devices from a text file.",
            product_link: None,
            extension: None,
            incremental: false,
        }
    }

    async fn open(settings: Settings, _: Context) -> Result<Self, Failure> {
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
impl AssetServer for Devices {
    async fn test_connection(&self) -> Result<(), Failure> {
        self.read().map(drop)
    }
}

#[async_trait]
impl FullImport for Devices {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        Ok(vec![Scope::new("devices")])
    }

    async fn fetch(&self, _: &Scope, _: Option<&Cursor>) -> Result<Page, Failure> {
        let mut records = Records::new();
        for line in self.read()?.lines() {
            emit(line, &mut records);
        }
        Ok(Page {
            records,
            next: None,
        })
    }
}

fn main() -> ExitCode {
    car_core::cli::main::<Devices>()
}
