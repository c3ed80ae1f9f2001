use crate::{
    config::Config,
    domain::{ApiKeyGrant, Application},
};

/// What a reload from `old` to `new` changes, each in a few words for the audit log: names and labels, never a value.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = of_applications(&old.applications, &new.applications);
    if old.templates != new.templates {
        changes.push("templates changed".to_owned());
    }
    if old.trusted_proxies != new.trusted_proxies {
        changes.push("trusted proxies changed".to_owned());
    }
    if old.assertions != new.assertions {
        changes.push("assertions changed".to_owned());
    }
    if old.tls != new.tls {
        changes.push("certificate changed".to_owned());
    }
    changes
}

fn of_applications(old: &[Application], new: &[Application]) -> Vec<String> {
    let named = |applications: &[Application], one: &Application| applications.iter().find(|it| it.name == one.name).cloned();
    let mut changes = Vec::new();
    for gone in old.iter().filter(|one| named(new, one).is_none()) {
        changes.push(format!("application {} removed", gone.name));
    }
    for application in new {
        match named(old, application) {
            None => changes.push(format!("application {} added", application.name)),
            Some(before) => changes.extend(of_one(&before, application)),
        }
    }
    changes
}

fn of_one(old: &Application, new: &Application) -> Vec<String> {
    let name = &new.name;
    let mut changes: Vec<String> = of_keys(&old.keys, &new.keys).map(|change| format!("application {name}: {change}")).collect();
    let is_otherwise_equal = Application { keys: old.keys.clone(), ..new.clone() } == *old;
    if !is_otherwise_equal {
        changes.push(format!("application {name} changed"));
    }
    changes
}

fn of_keys(old: &[ApiKeyGrant], new: &[ApiKeyGrant]) -> impl Iterator<Item = String> {
    let same = |keys: &[ApiKeyGrant], one: &ApiKeyGrant| keys.iter().find(|key| key.hash == one.hash).cloned();
    let gone = old.iter().filter(move |key| same(new, key).is_none()).map(|key| format!("key {} removed", key.label()));
    let come = new.iter().filter_map(move |key| match same(old, key) {
        None => Some(format!("key {} added", key.label())),
        Some(before) => (before != *key).then(|| format!("key {} changed", key.label())),
    });
    gone.chain(come)
}
