//! Names of scopes: a service in an account and a region.

use std::fmt;

use car_core::Failure;

use crate::client::ALL;
use crate::config::{Settings, list};
use crate::error;

/// A service that is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Service {
    #[cfg(feature = "ec2")]
    Ec2,
    #[cfg(feature = "rds")]
    Rds,
    #[cfg(feature = "ecs")]
    Ecs,
    #[cfg(feature = "eks")]
    Eks,
    #[cfg(feature = "lambda")]
    Lambda,
    #[cfg(feature = "elb")]
    Elb,
    #[cfg(feature = "beanstalk")]
    Beanstalk,
    #[cfg(feature = "securityhub")]
    SecurityHub,
    #[cfg(feature = "inspector")]
    Inspector,
    #[cfg(feature = "iam")]
    Iam,
}

impl Service {
    /// Every service of this build, in the order in which scopes are listed.
    pub(crate) const ALL: &'static [Self] = &[
        #[cfg(feature = "ec2")]
        Self::Ec2,
        #[cfg(feature = "rds")]
        Self::Rds,
        #[cfg(feature = "ecs")]
        Self::Ecs,
        #[cfg(feature = "eks")]
        Self::Eks,
        #[cfg(feature = "lambda")]
        Self::Lambda,
        #[cfg(feature = "elb")]
        Self::Elb,
        #[cfg(feature = "beanstalk")]
        Self::Beanstalk,
        #[cfg(feature = "securityhub")]
        Self::SecurityHub,
        #[cfg(feature = "inspector")]
        Self::Inspector,
        #[cfg(feature = "iam")]
        Self::Iam,
    ];

    /// Returns the name in settings and scopes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "ec2")]
            Self::Ec2 => "ec2",
            #[cfg(feature = "rds")]
            Self::Rds => "rds",
            #[cfg(feature = "ecs")]
            Self::Ecs => "ecs",
            #[cfg(feature = "eks")]
            Self::Eks => "eks",
            #[cfg(feature = "lambda")]
            Self::Lambda => "lambda",
            #[cfg(feature = "elb")]
            Self::Elb => "elb",
            #[cfg(feature = "beanstalk")]
            Self::Beanstalk => "beanstalk",
            #[cfg(feature = "securityhub")]
            Self::SecurityHub => "securityhub",
            #[cfg(feature = "inspector")]
            Self::Inspector => "inspector",
            #[cfg(feature = "iam")]
            Self::Iam => "iam",
        }
    }

    /// Finds a service by its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|service| service.name() == name)
    }

    /// Returns the service whose things this one refers to.
    pub(crate) fn needs(self) -> Option<Self> {
        match self.name() {
            "ecs" | "eks" | "beanstalk" | "securityhub" | "inspector" => Self::named("ec2"),
            _ => None,
        }
    }

    /// Whether the service is the same in every region of an account.
    pub(crate) fn is_global(self) -> bool {
        self.name() == "iam"
    }
}

/// Returns the services that are to be imported.
pub(crate) fn services(settings: &Settings) -> Result<Vec<Service>, Failure> {
    let mut wanted = Vec::new();
    for word in list(&settings.services) {
        match Service::named(word) {
            Some(service) => wanted.push(service),
            None if word == ALL => wanted.extend(Service::ALL),
            None => {
                let names: Vec<&str> = Service::ALL.iter().map(|one| one.name()).collect();
                return Err(error::bad_setting(
                    "--services",
                    word,
                    "this program does not import that service",
                )
                .hint(format!("it imports {}", names.join(", "))));
            }
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        wanted.extend(Service::ALL);
    }
    Ok(wanted)
}

/// A service in an account and a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) service: Service,
    pub(crate) account: String,
    /// `None` for what is the same in every region.
    pub(crate) region: Option<String>,
}

impl Part {
    /// Reads the name of a scope.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut words = name.split('/');
        let service = Service::named(words.next()?)?;
        let account = words.next()?.to_owned();
        let region = words.next().map(str::to_owned);
        (words.next().is_none() && region.is_none() == service.is_global()).then_some(Self {
            service,
            account,
            region,
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service.name(), self.account)?;
        match &self.region {
            Some(region) => write!(f, "/{region}"),
            None => Ok(()),
        }
    }
}
