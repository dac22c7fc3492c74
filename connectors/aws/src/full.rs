//! The full import: which scopes there are, and what one page of each has.

use std::sync::Arc;

use car_core::Failure;
use car_core::connector::{Cursor, Page, Scope};
use car_core::record::Records;

#[cfg(feature = "iam")]
use crate::client::Principal;
#[cfg(any(feature = "securityhub", feature = "inspector"))]
use crate::client::Which;
use crate::client::{Estate, Site};
use crate::error;
use crate::map;
use crate::scope::{Part, Service};

/// Prefix of the scope that stands for an account that cannot be entered.
const CLOSED: &str = "account/";

/// Lists the scopes: each service in each region of each account.
///
/// An account that cannot be entered is one scope that fails.
pub(crate) fn scopes(estate: &Estate, services: &[Service]) -> Vec<Scope> {
    let mut scopes = Vec::new();
    for account in &estate.accounts {
        let Ok(sites) = &account.sites else {
            scopes.push(Scope::new(format!("{CLOSED}{}", account.number)));
            continue;
        };
        for service in services {
            let regions: Vec<Option<&String>> = match service.is_global() {
                true => vec![None],
                false => sites.keys().map(Some).collect(),
            };
            for region in regions {
                let part = |service: Service| Part {
                    service,
                    account: account.number.clone(),
                    region: region.cloned(),
                };
                let scope = Scope::new(part(*service).to_string());
                scopes.push(match service.needs() {
                    Some(other) if services.contains(&other) => {
                        scope.depends_on(part(other).to_string())
                    }
                    _ => scope,
                });
            }
        }
    }
    scopes
}

/// Reads one page of a scope.
pub(crate) async fn fetch(
    estate: &Estate,
    scope: &Scope,
    cursor: Option<&Cursor>,
) -> Result<Page, Failure> {
    if let Some(number) = scope.name.strip_prefix(CLOSED) {
        return Err(closed(estate, number, scope));
    }
    let part = Part::parse(&scope.name).ok_or_else(|| error::unknown_scope(&scope.name))?;
    let site = estate
        .site(&part.account, part.region.as_deref())
        .ok_or_else(|| error::unknown_scope(&scope.name))?;
    page(site, part.service, cursor).await
}

/// Reads one page of a service in an account and a region.
pub(crate) async fn page(
    site: &Arc<Site>,
    service: Service,
    cursor: Option<&Cursor>,
) -> Result<Page, Failure> {
    match service {
        #[cfg(feature = "ec2")]
        Service::Ec2 => ec2(site, cursor).await,
        #[cfg(feature = "rds")]
        Service::Rds => rds(site, cursor).await,
        #[cfg(feature = "ecs")]
        Service::Ecs => {
            let (page, next) = site.tasks(cursor).await?;
            let mut records = Records::new();
            map::ecs::tasks(site.place(), &page, &mut records);
            Ok(Page { records, next })
        }
        #[cfg(feature = "eks")]
        Service::Eks => {
            let (names, next) = site.kubernetes_names(cursor).await?;
            let mut records = Records::new();
            for name in names {
                if let Some(cluster) = site.kubernetes(&name).await? {
                    map::eks::cluster(site.place(), &cluster, &mut records);
                }
            }
            Ok(Page { records, next })
        }
        #[cfg(feature = "lambda")]
        Service::Lambda => {
            let (functions, next) = site.functions(cursor).await?;
            let mut records = Records::new();
            for function in &functions {
                map::lambda::function(site.place(), function, &mut records);
            }
            Ok(Page { records, next })
        }
        #[cfg(feature = "elb")]
        Service::Elb => {
            let (balancers, next) = site.balancers(cursor).await?;
            let groups = site.openings_of(&balancers).await?;
            let mut records = Records::new();
            for balancer in &balancers {
                map::elb::balancer(site.place(), balancer, &groups, &mut records);
            }
            Ok(Page { records, next })
        }
        #[cfg(feature = "beanstalk")]
        Service::Beanstalk => beanstalk(site, cursor, None).await,
        #[cfg(feature = "securityhub")]
        Service::SecurityHub => {
            let (findings, next) = site.hub_findings(&Which::Open, cursor).await?;
            let findings = findings
                .iter()
                .filter(|finding| map::securityhub::is_open(finding))
                .filter_map(map::securityhub::finding)
                .map(|finding| site.known(finding));
            let records = found(site, findings.collect()).await?;
            Ok(Page { records, next })
        }
        #[cfg(feature = "inspector")]
        Service::Inspector => {
            let (findings, next) = site.inspector_findings(&Which::Open, cursor).await?;
            let findings = findings
                .iter()
                .filter(|finding| map::inspector::is_open(finding))
                .map(|finding| site.known(map::inspector::finding(finding)));
            let records = found(site, findings.collect()).await?;
            Ok(Page { records, next })
        }
        #[cfg(feature = "iam")]
        Service::Iam => iam(site, cursor).await,
    }
}

fn closed(estate: &Estate, number: &str, scope: &Scope) -> Failure {
    let account = estate
        .accounts
        .iter()
        .find(|account| account.number == number);
    match account.map(|account| &account.sites) {
        Some(Err(why)) => error::closed(number, why),
        _ => error::unknown_scope(&scope.name),
    }
}

#[cfg(feature = "ec2")]
async fn ec2(site: &Arc<Site>, cursor: Option<&Cursor>) -> Result<Page, Failure> {
    let (instances, next) = site.instances(cursor).await?;
    let surroundings = site.surroundings(&instances).await?;
    let mut records = Records::new();
    for instance in &instances {
        map::ec2::instance(site.place(), instance, &surroundings, &mut records);
    }
    Ok(Page { records, next })
}

/// Between the word for what is listed and the cursor of the list.
#[cfg(feature = "rds")]
const SEPARATOR: char = ' ';

/// The cursor of the second of two lists that one scope has.
#[cfg(feature = "rds")]
const CLUSTERS: &str = "clusters";

/// Reads the instances, then the clusters.
#[cfg(feature = "rds")]
async fn rds(site: &Arc<Site>, cursor: Option<&Cursor>) -> Result<Page, Failure> {
    let mut records = Records::new();
    let inside = cursor.and_then(|cursor| cursor.0.split_once(SEPARATOR));
    let next = match inside {
        Some((CLUSTERS, inside)) => {
            let inside = (!inside.is_empty()).then(|| Cursor(inside.to_owned()));
            let (clusters, next) = site.clusters(inside.as_ref()).await?;
            for cluster in &clusters {
                map::rds::cluster(site.place(), cluster, &mut records);
            }
            next.map(|next| format!("{CLUSTERS}{SEPARATOR}{}", next.0))
        }
        _ => {
            let (databases, next) = site.databases(cursor).await?;
            for instance in &databases {
                map::rds::instance(site.place(), instance, &mut records);
            }
            Some(next.map_or_else(|| format!("{CLUSTERS}{SEPARATOR}"), |next| next.0))
        }
    };
    Ok(Page {
        records,
        next: next.map(Cursor),
    })
}

/// Reads the environments; the applications come with the first page.
///
/// With a time, in milliseconds since 1970, environments that were deleted since then are told to
/// be gone.
#[cfg(feature = "beanstalk")]
pub(crate) async fn beanstalk(
    site: &Arc<Site>,
    cursor: Option<&Cursor>,
    deleted_since: Option<i64>,
) -> Result<Page, Failure> {
    let mut records = Records::new();
    if cursor.is_none() {
        for application in site.applications().await? {
            map::beanstalk::application(&application, &mut records);
        }
    }
    let (environments, next) = site.environments(cursor, deleted_since).await?;
    let ids = environments
        .iter()
        .filter(|environment| map::beanstalk::is_there(environment))
        .filter_map(|environment| environment.environment_id.clone())
        .collect();
    let filter = format!("tag:{}", map::beanstalk::ENVIRONMENT_TAG);
    let instances = site.instances_with(&filter, &ids).await?;
    map::beanstalk::environments(site.place(), &environments, &instances, &mut records);
    if deleted_since.is_some() {
        map::beanstalk::gone(&environments, &mut records);
    }
    Ok(Page { records, next })
}

#[cfg(any(feature = "securityhub", feature = "inspector"))]
pub(crate) async fn found(
    site: &Arc<Site>,
    findings: Vec<map::finding::Finding>,
) -> Result<Records, Failure> {
    let living = site.living(&findings).await?;
    let mut records = Records::new();
    for finding in &findings {
        finding.emit(site.place(), &living, &mut records);
    }
    Ok(records)
}

#[cfg(feature = "iam")]
async fn iam(site: &Arc<Site>, cursor: Option<&Cursor>) -> Result<Page, Failure> {
    let (principals, next) = site.principals(cursor).await?;
    let mut records = Records::new();
    map::iam::account(&site.account, &mut records);
    for principal in &principals {
        match principal {
            Principal::User(user) => map::iam::user(&site.account, user, &mut records),
            Principal::Role(role) => map::iam::role(&site.account, role, &mut records),
        }
    }
    Ok(Page { records, next })
}
