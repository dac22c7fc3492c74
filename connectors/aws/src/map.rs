//! Turns what AWS answers into vertices and edges. Pure: no I/O, no state.

#[cfg(feature = "beanstalk")]
pub(crate) mod beanstalk;
#[cfg(feature = "ec2")]
pub(crate) mod ec2;
#[cfg(feature = "ecs")]
pub(crate) mod ecs;
#[cfg(feature = "eks")]
pub(crate) mod eks;
#[cfg(feature = "elb")]
pub(crate) mod elb;
#[cfg(any(feature = "securityhub", feature = "inspector"))]
pub(crate) mod finding;
#[cfg(feature = "iam")]
pub(crate) mod iam;
#[cfg(feature = "inspector")]
pub(crate) mod inspector;
#[cfg(feature = "lambda")]
pub(crate) mod lambda;
pub(crate) mod network;
#[cfg(feature = "rds")]
pub(crate) mod rds;
#[cfg(feature = "securityhub")]
pub(crate) mod securityhub;
#[cfg(all(
    test,
    feature = "beanstalk",
    feature = "ecs",
    feature = "eks",
    feature = "elb",
    feature = "iam",
    feature = "inspector",
    feature = "rds",
    feature = "securityhub"
))]
mod tests;

use car_core::record::Records;
use car_schema::edges::AssetGeolocation;
use car_schema::vertices::{Asset, Geolocation};

/// Where a thing is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) partition: &'a str,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
}

impl Place<'_> {
    /// Returns the ARN of a thing that AWS does not give one in its answer.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition, self.region, self.account
        )
    }

    /// Returns an asset that is here.
    pub(crate) fn asset(&self, id: &str, name: &str, kind: &str) -> Asset {
        Asset {
            asset_type: Some(kind.to_owned()),
            ..Asset::new(id, name)
        }
        .with("account_number", self.account)
        .with("region", self.region)
    }

    /// Emits the region, and that an asset is in it.
    pub(crate) fn locate(&self, asset: &str, out: &mut Records) {
        out.emit(&Geolocation {
            region: Some(self.region.to_owned()),
            name: Some(self.region.to_owned()),
            ..Geolocation::new(self.region)
        });
        out.emit(&AssetGeolocation::new(asset, self.region));
    }
}

/// Returns a time in milliseconds since 1970.
pub(crate) fn milliseconds(time: &aws_smithy_types::DateTime) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in 53 bits"
    )]
    time.to_millis().ok().map(|millis| millis as f64)
}
