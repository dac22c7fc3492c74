//! Which accounts and regions there are, and what they have.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use car_core::Failure;

use super::Site;
use super::login::{Login, check_region, with_region};
use crate::actions;
use crate::config::{Settings, list};
use crate::error;
use crate::pace::Pace;
use crate::scope;

/// The word for all active accounts of the organization.
const ORGANIZATION: &str = "organization";

/// The word for all enabled regions, or all services.
pub(crate) const ALL: &str = "all";

/// Look-ups in CloudTrail that AWS allows to an account in a region.
const LOOKUPS_PER_SECOND: u32 = 2;

/// Everything that is to be imported.
pub(crate) struct Estate {
    /// Accounts in the order of their numbers.
    pub(crate) accounts: Vec<Account>,
}

/// An account: its regions, or why it cannot be entered.
pub(crate) struct Account {
    pub(crate) number: String,
    pub(crate) sites: Result<BTreeMap<String, Arc<Site>>, Arc<Failure>>,
}

/// Who the credentials belong to.
struct Caller {
    account: String,
    partition: String,
}

impl Estate {
    /// Finds out who we are, which accounts there are, and their regions.
    pub(crate) async fn find(login: &Login, settings: &Settings) -> Result<Self, Failure> {
        let home = home(login.base());
        let caller = caller(&nobody(login, &home, settings)).await?;
        check_account(settings, &caller)?;
        let own = site(
            login.base(),
            &caller.account,
            &caller.partition,
            &home,
            settings,
        );
        let numbers = accounts(&own, settings).await?;
        let mut accounts = Vec::with_capacity(numbers.len());
        for number in numbers {
            let is_own = number == caller.account;
            let config = match (&settings.account_role, is_own) {
                (_, true) => login.base().clone(),
                (Some(role), false) => {
                    let arn = format!("arn:{}:iam::{number}:role/{role}", caller.partition);
                    login.with_role(&arn).await
                }
                (None, false) => {
                    return Err(error::bad_setting(
                        "--accounts",
                        &number,
                        "there is no role for other accounts",
                    )
                    .hint("`--account-role` (`CONFIGURATION_PARAMETER_ACCOUNT_ROLE`) names the role to take on in each of them"));
                }
            };
            let entry = site(&config, &number, &caller.partition, &home, settings);
            let sites = match regions(&entry, settings).await {
                Ok(regions) => Ok(regions
                    .into_iter()
                    .map(|region| {
                        let config = with_region(&config, &region);
                        let site = site(&config, &number, &caller.partition, &region, settings);
                        (region, Arc::new(site))
                    })
                    .collect()),
                // An account of several is one part of the run; the only one is the run.
                Err(failure) if is_own => return Err(failure),
                Err(failure) => Err(Arc::new(failure)),
            };
            accounts.push(Account { number, sites });
        }
        accounts.sort_by(|a, b| a.number.cmp(&b.number));
        Ok(Self { accounts })
    }

    /// Finds an account in a region.
    pub(crate) fn site(&self, account: &str, region: Option<&str>) -> Option<&Arc<Site>> {
        let account = self.accounts.iter().find(|one| one.number == account)?;
        let sites = account.sites.as_ref().ok()?;
        match region {
            Some(region) => sites.get(region),
            None => sites.values().next(),
        }
    }

    /// Returns every account in every region.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.accounts
            .iter()
            .filter_map(|account| account.sites.as_ref().ok())
            .flat_map(BTreeMap::values)
    }
}

/// Asks who we are: reaches AWS and authenticates, nothing else.
pub(crate) async fn test(login: &Login, settings: &Settings) -> Result<(), Failure> {
    let home = home(login.base());
    let caller = caller(&nobody(login, &home, settings)).await?;
    check_account(settings, &caller)
}

fn home(config: &SdkConfig) -> String {
    config.region().map(ToString::to_string).unwrap_or_default()
}

/// Returns what can be asked before it is known whose the credentials are.
fn nobody(login: &Login, home: &str, settings: &Settings) -> Site {
    let unknown = error::UNKNOWN_ACCOUNT;
    site(login.base(), unknown, unknown, home, settings)
}

fn site(
    config: &SdkConfig,
    account: &str,
    partition: &str,
    region: &str,
    settings: &Settings,
) -> Site {
    Site {
        account: account.to_owned(),
        region: region.to_owned(),
        partition: partition.to_owned(),
        config: config.clone(),
        pace: Pace::new(settings.calls_per_second),
        trail_pace: Pace::without_burst(LOOKUPS_PER_SECOND),
        page_size: settings.page_size,
        // Wrong ones were refused when the settings were read.
        services: scope::services(settings).unwrap_or_default(),
        memory: Default::default(),
    }
}

async fn caller(site: &Site) -> Result<Caller, Failure> {
    let action = actions::GET_CALLER_IDENTITY;
    let sts = aws_sdk_sts::Client::new(site.config());
    let answer = site.call(action, sts.get_caller_identity().send()).await?;
    // `arn:PARTITION:sts::ACCOUNT:…`
    let partition = answer.arn().and_then(|arn| arn.split(':').nth(1));
    match (answer.account(), partition) {
        (Some(account), Some(partition)) => Ok(Caller {
            account: account.to_owned(),
            partition: partition.to_owned(),
        }),
        _ => Err(error::incomplete(action, "account")),
    }
}

fn check_account(settings: &Settings, caller: &Caller) -> Result<(), Failure> {
    match settings.account_id.as_deref().map(str::trim) {
        None | Some("") => Ok(()),
        Some(account) if account == caller.account => Ok(()),
        Some(account) => Err(error::contradicted(
            "--account-id",
            account,
            format!("the credentials belong to account {}", caller.account),
        )
        .hint("set `CONFIGURATION_AUTH_ACCOUNT_ID` to the account of the credentials, or leave it out; `--accounts` chooses what to import")),
    }
}

async fn accounts(own: &Site, settings: &Settings) -> Result<Vec<String>, Failure> {
    let Some(wanted) = settings.accounts.as_deref() else {
        return Ok(vec![own.account.clone()]);
    };
    let mut accounts = Vec::new();
    for word in list(wanted) {
        if word == ORGANIZATION {
            accounts.extend(organization(own).await?);
        } else if word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            accounts.push(word.to_owned());
        } else {
            return Err(error::bad_setting(
                "--accounts",
                word,
                "this is neither the number of an account nor `organization`",
            ));
        }
    }
    accounts.sort_unstable();
    accounts.dedup();
    if accounts.is_empty() {
        accounts.push(own.account.clone());
    }
    Ok(accounts)
}

#[cfg(feature = "organizations")]
async fn organization(own: &Site) -> Result<Vec<String>, Failure> {
    use aws_sdk_organizations::types::AccountStatus;

    let client = aws_sdk_organizations::Client::new(own.config());
    let mut accounts = Vec::new();
    let mut token = None;
    loop {
        let call = client.list_accounts().set_next_token(token).send();
        let page = own.call(actions::LIST_ACCOUNTS, call).await?;
        let active = page
            .accounts()
            .iter()
            .filter(|account| account.status() == Some(&AccountStatus::Active))
            .filter_map(|account| account.id().map(str::to_owned));
        accounts.extend(active);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(accounts);
        }
    }
}

#[cfg(not(feature = "organizations"))]
async fn organization(_: &Site) -> Result<Vec<String>, Failure> {
    Err(error::bad_setting(
        "--accounts",
        ORGANIZATION,
        "this program was built without the feature `organizations`",
    ))
}

/// Returns the regions of an account that are to be imported.
async fn regions(entry: &Site, settings: &Settings) -> Result<Vec<String>, Failure> {
    let wanted: Vec<&str> = list(&settings.regions).collect();
    for region in &wanted {
        check_region("--regions", region)?;
    }
    let everything = wanted.is_empty() || wanted.contains(&ALL);
    let there = there(entry, everything).await?;
    if everything {
        return Ok(there
            .into_iter()
            .filter_map(|(region, enabled)| enabled.then_some(region))
            .collect());
    }
    let mut regions = Vec::new();
    for region in wanted {
        if !there.is_empty() && !there.contains_key(region) {
            return Err(
                error::contradicted("--regions", region, "AWS does not know this region").hint(
                    format!(
                        "it knows {}",
                        there.keys().cloned().collect::<Vec<_>>().join(", ")
                    ),
                ),
            );
        }
        regions.push(region.to_owned());
    }
    regions.sort_unstable();
    regions.dedup();
    Ok(regions)
}

/// Returns the regions that AWS knows, and whether the account has enabled them.
#[cfg(feature = "ec2")]
async fn there(entry: &Site, _: bool) -> Result<BTreeMap<String, bool>, Failure> {
    let client = aws_sdk_ec2::Client::new(entry.config());
    let call = client.describe_regions().all_regions(true).send();
    let answer = entry.call(actions::DESCRIBE_REGIONS, call).await?;
    Ok(answer
        .regions()
        .iter()
        .filter_map(|region| {
            let enabled = region.opt_in_status() != Some("not-opted-in");
            Some((region.region_name()?.to_owned(), enabled))
        })
        .collect())
}

/// Without EC2, nobody can be asked.
#[cfg(not(feature = "ec2"))]
async fn there(_: &Site, everything: bool) -> Result<BTreeMap<String, bool>, Failure> {
    if everything {
        return Err(error::bad_setting(
            "--regions",
            ALL,
            "this program was built without the feature `ec2`, so it cannot find regions",
        )
        .hint("name the regions"));
    }
    Ok(BTreeMap::new())
}
