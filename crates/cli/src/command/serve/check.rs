//! `imds serve --check`: what holds, who said so, and what is described.

use std::path::Path;

use control::start::{Configured, Described, DescribedOrganization, DescribedPolicy};
use model::{Iam, IamKey, Permissions};

use crate::settings::register::Setting;
use crate::settings::written::{Given, Written};

/// Writes each setting with the layer that set it, and what the file describes.
pub(super) fn report(written: &Written, configured: &Configured, data_dir: &Path) -> String {
    let setting = |(setting, given): (&Setting, &Given)| {
        let value = match (given.values.as_slice(), setting.name) {
            ([], "data_dir") => data_dir.display().to_string(),
            ([], _) => "(unset)".to_owned(),
            (values, _) => values.join(", "),
        };
        format!("{:<28} {value:<32} {}\n", setting.key(), given.layer)
    };
    let instance = |described: &Described| format!("[[instance]] {}\n", described.instance.id);
    written
        .iter()
        .map(setting)
        .chain(configured.instances.iter().map(instance))
        .chain(configured.iam.iter().map(iam))
        .chain(configured.organization.iter().flat_map(organization))
        .collect()
}

/// A line about something that IAM keeps: its name, and who may what.
fn iam(kept: &Iam) -> String {
    let IamKey { account_id, kind, name } = kept.key();
    let more = match kept {
        Iam::Group(group) => policies(&group.permissions),
        Iam::InstanceProfile(profile) => {
            profile.role.iter().map(|role| format!("role {role}")).collect()
        }
        Iam::Policy(_) => Vec::new(),
        Iam::Role(role) => policies(&role.permissions),
        Iam::User(user) => {
            let keys = user.access_keys.iter().map(|key| key.id.to_string());
            let groups = user.groups.iter().map(|group| format!("group {group}"));
            keys.chain(groups).chain(policies(&user.permissions)).collect()
        }
    };
    let table = kind.as_str().replace('-', "_");
    line(&format!("[[{table}]] {account_id}/{name}"), &more)
}

fn policies(permissions: &Permissions) -> Vec<String> {
    let attached = permissions.attached.iter().map(|arn| format!("policy {arn}"));
    let inline = permissions.inline.keys().map(|name| format!("inline {name}"));
    let boundary = permissions.boundary.iter().map(|arn| format!("boundary {arn}"));
    attached.chain(inline).chain(boundary).collect()
}

fn organization(described: &DescribedOrganization) -> Vec<String> {
    let in_it = |parent: &Option<String>| format!("in {}", parent.as_deref().unwrap_or("root"));
    let head = format!("[organization] of {}\n", described.management_account_id);
    let units = described
        .units
        .iter()
        .map(|unit| line(&format!("[[organization.unit]] {}", unit.name), &[in_it(&unit.parent)]));
    let accounts = described.accounts.iter().map(|account| {
        line(&format!("[[organization.account]] {}", account.id), &[in_it(&account.parent)])
    });
    let policy = |policy: &DescribedPolicy| {
        let targets = policy.targets.iter().map(|target| format!("at {target}"));
        let more: Vec<_> = std::iter::once(policy.type_.to_string()).chain(targets).collect();
        line(&format!("[[organization.policy]] {}", policy.name), &more)
    };
    let policies = described.policies.iter().map(policy);
    std::iter::once(head).chain(units).chain(accounts).chain(policies).collect()
}

fn line(what: &str, more: &[String]) -> String {
    let more = more.join(", ");
    if more.is_empty() { format!("{what}\n") } else { format!("{what} {more}\n") }
}
