//! Applications and environments of Elastic Beanstalk.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Instance;
use aws_sdk_elasticbeanstalk::types::{
    ApplicationDescription, EnvironmentDescription, EnvironmentStatus,
};
use car_core::record::{Deletion, Records};
use car_schema::edges::{AssetApplication, AssetHostname};
use car_schema::vertices::{Application, Hostname};

use super::Place;
use super::ec2::{exists, instance_arn, tag};

/// The tag that says which environment an instance is part of.
pub(crate) const ENVIRONMENT_TAG: &str = "elasticbeanstalk:environment-id";

/// Emits an application.
pub(crate) fn application(application: &ApplicationDescription, out: &mut Records) {
    let (Some(arn), Some(name)) = (
        application.application_arn(),
        application.application_name(),
    ) else {
        return;
    };
    let description = application.description().filter(|text| !text.is_empty());
    out.emit(&Application {
        app_type: Some("Elastic Beanstalk application".to_owned()),
        description: description.map(str::to_owned),
        ..Application::new(arn, name)
    });
}

/// Tells whether an environment is there: a terminated one is listed for an hour.
pub(crate) fn is_there(environment: &EnvironmentDescription) -> bool {
    !matches!(environment.status(), Some(EnvironmentStatus::Terminated))
}

/// Emits environments, and which instances run them.
pub(crate) fn environments(
    place: Place<'_>,
    environments: &[EnvironmentDescription],
    instances: &[Instance],
    out: &mut Records,
) {
    let mut members: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| exists(instance)) {
        if let Some(id) = tag(instance.tags(), ENVIRONMENT_TAG) {
            members.entry(id).or_default().push(instance);
        }
    }
    for environment in environments.iter().filter(|one| is_there(one)) {
        let of_it = environment
            .environment_id()
            .and_then(|id| members.get(id))
            .map_or(&[][..], Vec::as_slice);
        emit(place, environment, of_it, out);
    }
}

/// Takes away the environments that are not there any more, with their names.
pub(crate) fn gone(environments: &[EnvironmentDescription], out: &mut Records) {
    for environment in environments.iter().filter(|one| !is_there(one)) {
        if let Some(arn) = environment.environment_arn() {
            out.whole("application", arn, &["asset_application"]);
            out.delete(Deletion::vertex("application", arn));
        }
        // Another environment may have the name by now; then it is told again.
        if let Some(host) = environment.cname().filter(|name| !name.is_empty()) {
            out.whole("hostname", host, &["asset_hostname"]);
            out.delete(Deletion::vertex("hostname", host));
        }
    }
}

fn emit(
    place: Place<'_>,
    environment: &EnvironmentDescription,
    instances: &[&Instance],
    out: &mut Records,
) {
    let arn = environment.environment_arn();
    if let (Some(arn), Some(name)) = (arn, environment.environment_name()) {
        out.emit(&Application {
            app_type: Some("Elastic Beanstalk environment".to_owned()),
            status: environment
                .status()
                .map(|status| status.as_str().to_owned()),
            ..Application::new(arn, name)
        });
    }
    let host = environment.cname().filter(|name| !name.is_empty());
    if let Some(host) = host {
        out.emit(&Hostname::new(host, host));
    }
    let application = environment
        .application_name()
        .map(|name| place.arn("elasticbeanstalk", &format!("application/{name}")));
    for id in instances
        .iter()
        .filter_map(|instance| instance.instance_id())
    {
        let asset = instance_arn(place, id);
        for runs in arn.into_iter().chain(application.as_deref()) {
            out.emit(&AssetApplication::new(asset.as_str(), runs));
        }
        if let Some(host) = host {
            out.emit(&AssetHostname::new(asset.as_str(), host));
        }
    }
}
