//! Which crate may depend on which.
//!
//! The model knows nothing, the framework and the service know only the model, connectors know
//! the framework, and what tests share never gets into a program. So a connector cannot lean on
//! our service, and the service cannot lean on a connector.

use super::{Layer, Workspace};

/// Names every dependency inside the workspace that goes in a wrong direction.
#[must_use]
pub fn violations(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in &workspace.members {
        let Some(from) = member.layer() else {
            found.push(format!(
                "{} in {} is no known part of the workspace: give it a layer in \
                 xtask/src/rules/workspace.rs",
                member.name, member.folder
            ));
            continue;
        };
        for need in &member.needs {
            let other = workspace
                .members
                .iter()
                .find(|other| other.name == need.name);
            let Some(to) = other.and_then(super::Member::layer) else {
                continue;
            };
            if !may_use(from, to, need.only_tests) {
                let how = if need.only_tests {
                    "in its tests"
                } else {
                    "in its program"
                };
                found.push(format!(
                    "{} must not depend on {} {how}",
                    member.name, need.name
                ));
            }
        }
    }
    found
}

/// Whether a crate of one layer may depend on one of another.
fn may_use(from: Layer<'_>, to: Layer<'_>, only_tests: bool) -> bool {
    let in_program = match from {
        Layer::Schema => false,
        Layer::Core | Layer::Service | Layer::Server(_) => to == Layer::Schema,
        Layer::Engine => matches!(to, Layer::Schema | Layer::Core),
        Layer::Connector(_) => matches!(to, Layer::Schema | Layer::Core | Layer::Engine),
        Layer::Testkit => {
            matches!(
                to,
                Layer::Schema | Layer::Core | Layer::Service | Layer::Server(_)
            )
        }
        Layer::Bench | Layer::Fuzz | Layer::Xtask => {
            !matches!(to, Layer::Bench | Layer::Fuzz | Layer::Xtask)
        }
    };
    in_program || (only_tests && tests_may_use(from, to))
}

/// Whether the tests of a crate may use more than its program.
fn tests_may_use(from: Layer<'_>, to: Layer<'_>) -> bool {
    match from {
        Layer::Core | Layer::Service | Layer::Engine => to == Layer::Testkit,
        Layer::Connector(_) => matches!(to, Layer::Testkit | Layer::Server(_)),
        Layer::Schema
        | Layer::Server(_)
        | Layer::Testkit
        | Layer::Bench
        | Layer::Fuzz
        | Layer::Xtask => false,
    }
}
