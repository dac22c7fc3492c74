//! What is wrong with bindings, found before anything is made.

use std::collections::{HashMap, HashSet};

use super::error::ContainerError;
use super::{Binding, Key, Lifetime};

/// Checks that everything that is needed is there, lives long enough, and that nothing needs
/// itself.
pub(super) fn check(bindings: &HashMap<Key, Binding>, order: &[Key]) -> Result<(), ContainerError> {
    let needed: HashSet<Key> = bindings
        .values()
        .flat_map(|binding| binding.needs.iter().map(|need| need.key))
        .collect();
    // From those that nobody needs, so that a path is shown from its beginning.
    let (inner, tops): (Vec<Key>, Vec<Key>) = order.iter().partition(|key| needed.contains(*key));
    let mut fine = HashSet::new();
    for key in tops.iter().chain(&inner) {
        visit(bindings, *key, &mut Vec::new(), &mut fine)?;
    }
    Ok(())
}

fn visit(
    bindings: &HashMap<Key, Binding>,
    key: Key,
    path: &mut Vec<Key>,
    fine: &mut HashSet<Key>,
) -> Result<(), ContainerError> {
    let names = |path: &[Key]| path.iter().map(ToString::to_string).collect();
    if let Some(begin) = path.iter().position(|other| *other == key) {
        path.push(key);
        return Err(ContainerError::Cycle(names(
            path.get(begin..).unwrap_or_default(),
        )));
    }
    if fine.contains(&key) {
        return Ok(());
    }
    path.push(key);
    let Some(binding) = bindings.get(&key) else {
        return Err(ContainerError::Missing(names(path)));
    };
    for need in &binding.needs {
        let there = bindings.get(&need.key);
        if need.optional && there.is_none() {
            continue;
        }
        if binding.lifetime == Lifetime::Singleton
            && there.is_some_and(|there| there.lifetime != Lifetime::Singleton)
        {
            path.push(need.key);
            return Err(ContainerError::TooShort(names(path)));
        }
        visit(bindings, need.key, path, fine)?;
    }
    path.pop();
    fine.insert(key);
    Ok(())
}
