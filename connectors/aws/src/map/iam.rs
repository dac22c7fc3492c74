//! Users and roles of IAM as accounts of their AWS account.

use aws_sdk_iam::types::{RoleDetail, UserDetail};
use car_core::record::Records;
use car_schema::edges::UserAccount;
use car_schema::vertices::{Account, User};

use car_schema::{EndRef, GenericEdge, GenericVertex};

use super::milliseconds;
use crate::extension::CLOUD_ACCOUNT;

/// The edge from an AWS account to its users and roles.
const CLOUD_ACCOUNT_ACCOUNT: &str = "cloudaccount_account";

/// Emits the AWS account.
pub(crate) fn account(number: &str, out: &mut Records) {
    out.emit(&GenericVertex::new(CLOUD_ACCOUNT, number).with("name", number));
}

fn belongs(number: &str, arn: &str, out: &mut Records) {
    out.emit(&GenericEdge::new(
        CLOUD_ACCOUNT_ACCOUNT,
        EndRef::ExternalId(number.to_owned()),
        EndRef::ExternalId(arn.to_owned()),
    ));
}

/// Emits a user: the account, and who uses it.
pub(crate) fn user(number: &str, user: &UserDetail, out: &mut Records) {
    let (Some(arn), Some(name)) = (user.arn(), user.user_name()) else {
        return;
    };
    out.emit(&Account {
        created: user.create_date().and_then(milliseconds),
        ..Account::new(arn, name)
    });
    out.emit(&User {
        username: Some(name.to_owned()),
        name: Some(name.to_owned()),
        user_category: Some("IAM user".to_owned()),
        ..User::new(arn)
    });
    out.emit(&UserAccount::new(arn, arn));
    belongs(number, arn, out);
}

/// Emits a role: an account that many may use.
pub(crate) fn role(number: &str, role: &RoleDetail, out: &mut Records) {
    let (Some(arn), Some(name)) = (role.arn(), role.role_name()) else {
        return;
    };
    out.emit(&Account {
        created: role.create_date().and_then(milliseconds),
        ..Account::new(arn, name)
    });
    belongs(number, arn, out);
}
