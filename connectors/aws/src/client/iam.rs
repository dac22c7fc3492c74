//! IAM: users and roles of an account.

use std::collections::BTreeSet;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{EntityType, RoleDetail, UserDetail};
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;

/// Most users and roles that are listed in one call.
const MOST: u32 = 1000;

/// A user or a role.
pub(crate) enum Principal {
    User(Box<UserDetail>),
    Role(Box<RoleDetail>),
}

impl Principal {
    fn arn(&self) -> Option<&str> {
        match self {
            Self::User(user) => user.arn(),
            Self::Role(role) => role.arn(),
        }
    }
}

impl Site {
    /// Reads a page of all users and roles.
    pub(crate) async fn principals(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<Principal>, Option<Cursor>), Failure> {
        let client = Client::new(self.config());
        self.page(
            actions::GET_ACCOUNT_AUTHORIZATION_DETAILS,
            cursor,
            |marker| {
                let call = client
                    .get_account_authorization_details()
                    .filter(EntityType::User)
                    .filter(EntityType::Role)
                    .max_items(self.page_size(MOST))
                    .set_marker(marker)
                    .send();
                async move {
                    let page = call.await?;
                    let users = page.user_detail_list.unwrap_or_default().into_iter();
                    let roles = page.role_detail_list.unwrap_or_default().into_iter();
                    Ok(Listed {
                        items: users
                            .map(|user| Principal::User(Box::new(user)))
                            .chain(roles.map(|role| Principal::Role(Box::new(role))))
                            .collect(),
                        next: page.marker.filter(|_| page.is_truncated),
                    })
                }
            },
        )
        .await
    }

    /// Returns the ARNs of all users and roles; asked for once in a run.
    pub(crate) async fn principal_arns(&self) -> Result<&BTreeSet<String>, Failure> {
        self.memory
            .principals
            .get_or_try_init(|| async {
                let mut arns = BTreeSet::new();
                let mut cursor = None;
                loop {
                    let (page, next) = self.principals(cursor.as_ref()).await?;
                    arns.extend(page.iter().filter_map(|one| one.arn().map(str::to_owned)));
                    cursor = next;
                    if cursor.is_none() {
                        return Ok(arns);
                    }
                }
            })
            .await
    }
}
