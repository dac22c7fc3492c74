//! Functions of Lambda.

use aws_sdk_lambda::types::FunctionConfiguration;
use car_core::record::Records;
use car_schema::edges::AssetApplication;
use car_schema::vertices::{Application, Asset};

use super::Place;

/// Emits a function. Its environment, which often has secrets, is not looked at.
pub(crate) fn function(place: Place<'_>, function: &FunctionConfiguration, out: &mut Records) {
    let (Some(arn), Some(name)) = (function.function_arn(), function.function_name()) else {
        out.reject(
            "asset",
            function.function_arn(),
            "the function has no ARN or no name",
            format!("{:?}", function.function_name()),
        );
        return;
    };
    let description = function.description().filter(|text| !text.is_empty());
    let mut asset = Asset {
        description: description.map(str::to_owned),
        ..place.asset(arn, name, "Lambda function")
    };
    if let Some(state) = function.state() {
        asset = asset.with("state", state.as_str());
    }
    let vpc = function.vpc_config().and_then(|network| network.vpc_id());
    if let Some(vpc) = vpc.filter(|vpc| !vpc.is_empty()) {
        asset = asset.with("vpc_id", vpc);
    }
    let runtime = function.runtime().map(|runtime| runtime.as_str());
    if let Some(runtime) = runtime {
        asset = asset.with("platform", runtime);
    }
    out.emit(&asset);
    place.locate(arn, out);
    // One that is an image has none.
    if let Some(runtime) = runtime {
        out.emit(&Application {
            app_type: Some("Lambda runtime".to_owned()),
            ..Application::new(runtime, runtime)
        });
        out.emit(&AssetApplication::new(arn, runtime));
    }
}
