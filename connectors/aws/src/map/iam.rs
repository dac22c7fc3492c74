//! Users and roles of IAM as accounts.

use aws_sdk_iam::types::{RoleDetail, UserDetail};
use car_core::record::Records;
use car_schema::edges::UserAccount;
use car_schema::vertices::{Account, User};

use super::milliseconds;

/// Emits a user: the account, and who uses it.
pub(crate) fn user(user: &UserDetail, out: &mut Records) {
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
}

/// Emits a role: an account that many may use.
pub(crate) fn role(role: &RoleDetail, out: &mut Records) {
    let (Some(arn), Some(name)) = (role.arn(), role.role_name()) else {
        return;
    };
    out.emit(&Account {
        created: role.create_date().and_then(milliseconds),
        ..Account::new(arn, name)
    });
}
