//! How much there may be: what callers have kept is in the memory of the server, so no caller may
//! have any amount of it kept.

use std::collections::{BTreeMap, BTreeSet};

use model::{ResourceKind, Scope};
use store::{Change, Snapshot};

use crate::api::ApiFault;

/// LIMIT: instances of a server, those that are gone and still shown among them.
const INSTANCES_MAX: usize = 1_000_000;

/// LIMIT: regions in which an account has anything. AWS has fewer; here any name of the right form is
/// a region.
const REGIONS_MAX: usize = 64;

/// LIMIT: what an account has in a region, by kind, and what it is called. EC2 documents the number
/// of launch templates; the others are ten times what its quotas begin with, or more.
const fn most_of(kind: ResourceKind) -> Option<(usize, &'static str)> {
    match kind {
        ResourceKind::Idempotency => Some((250_000, "client tokens of the last 24 hours")),
        ResourceKind::Image => Some((10_000, "images")),
        ResourceKind::KeyPair => Some((5000, "key pairs")),
        ResourceKind::LaunchTemplate => Some((5000, "launch templates")),
        ResourceKind::LaunchTemplateVersion => Some((20_000, "versions of launch templates")),
        ResourceKind::SecurityGroup => Some((10_000, "security groups")),
        ResourceKind::Subnet => Some((10_000, "subnets")),
        ResourceKind::Tags => Some((100_000, "tagged resources that are no instances")),
        ResourceKind::Vpc => Some((1000, "VPCs")),
        // A scope has one; and an instance that is gone was one of those that are counted.
        ResourceKind::MetadataDefaults | ResourceKind::TerminatedInstance => None,
    }
}

/// Sees that changes to a scope leave no more than there may be.
///
/// # Errors
///
/// `InstanceLimitExceeded` or `ResourceLimitExceeded`.
pub(crate) fn check(
    snapshot: &Snapshot,
    scope: &Scope,
    changes: &[Change],
) -> Result<(), ApiFault> {
    let mut instances = 0;
    let mut added = BTreeMap::<ResourceKind, usize>::new();
    for change in changes {
        if let Change::PutInstance(instance, _) = change {
            instances += usize::from(snapshot.instance(instance.id).is_none());
        } else if let Change::PutResource(scope, resource) = change {
            let key = resource.key();
            let is_new = !snapshot.has_resource(scope, &key);
            *added.entry(key.kind()).or_default() += usize::from(is_new);
        }
    }
    if instances > 0 {
        let gone = snapshot.resource_count(None, ResourceKind::TerminatedInstance);
        if snapshot.instance_count() + gone + instances > INSTANCES_MAX {
            return Err(ApiFault::instance_limit_exceeded(format!(
                "There may be {INSTANCES_MAX} instances, and those that have been terminated in the \
                 last hour are among them."
            )));
        }
    }
    added.retain(|_, count| *count > 0);
    for (kind, count) in &added {
        let Some((most, what)) = most_of(*kind) else { continue };
        if snapshot.resource_count(Some(scope), *kind) + count > most {
            return Err(ApiFault::resource_limit_exceeded(format!(
                "There may be {most} {what} in a region."
            )));
        }
    }
    if instances > 0 || !added.is_empty() { check_regions(snapshot, scope) } else { Ok(()) }
}

fn check_regions(snapshot: &Snapshot, scope: &Scope) -> Result<(), ApiFault> {
    let own = |other: &&Scope| other.account_id == scope.account_id;
    let mut regions: BTreeSet<_> =
        snapshot.scopes_with_resources().filter(own).map(|other| &other.region).collect();
    if regions.contains(&scope.region) {
        return Ok(());
    }
    for (instance, _) in snapshot.instances() {
        if instance.account_id == scope.account_id && !regions.contains(&instance.region) {
            regions.insert(&instance.region);
        }
    }
    if regions.contains(&scope.region) || regions.len() < REGIONS_MAX {
        return Ok(());
    }
    Err(ApiFault::resource_limit_exceeded(format!(
        "An account may have something in {REGIONS_MAX} regions."
    )))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use model::{MetadataDefaults, RegisteredKeyPair, Resource};

    use super::*;
    use crate::ec2::site::{NOW, Site};

    fn keep(site: &Site, changes: Vec<Change>) {
        site.store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
    }

    #[test]
    fn a_region_has_only_so_many_of_a_kind() {
        let mut site = Site::new();
        let pair = |number| RegisteredKeyPair {
            name: format!("key-{number}").parse().unwrap(),
            public_key: None,
            created: NOW,
        };
        let put = |pair| Change::PutResource(site.scope.clone(), Arc::new(Resource::KeyPair(pair)));
        keep(&site, (0..5000).map(|number| put(pair(number))).collect());
        let launch = |key: &str| {
            format!(
                "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-0abcdef1234567890&KeyName={key}"
            )
        };
        let expected = "There may be 5000 key pairs in a region.".to_owned();
        assert_eq!(
            site.refusal(&launch("another")),
            ("ResourceLimitExceeded".to_owned(), expected)
        );
        site.ask(&launch("key-7")).expect("nothing is added");
        site.scope.region = "eu-west-1".parse().unwrap();
        site.ask(&launch("another")).expect("another region has its own");
    }

    #[test]
    fn an_account_has_something_in_only_so_many_regions() {
        let mut site = Site::new();
        let in_region = |region: String| Scope {
            region: region.parse().unwrap(),
            account_id: site.scope.account_id,
        };
        let defaults = Arc::new(Resource::MetadataDefaults(MetadataDefaults::default()));
        let put = |number| {
            Change::PutResource(in_region(format!("xx-west-{number}")), Arc::clone(&defaults))
        };
        // The default instance is in one more.
        let changes = (1..REGIONS_MAX).map(put).collect();
        let [known, unknown] = ["xx-west-1", "xx-east-1"].map(|name| in_region(name.to_owned()));
        keep(&site, changes);
        let modify = "Action=ModifyInstanceMetadataDefaults&HttpTokens=required";
        site.ask(modify).expect("an instance is here");
        site.scope = known;
        site.ask(modify).expect("something is here");
        site.scope = unknown;
        assert_eq!(site.refusal(modify).0, "ResourceLimitExceeded");
    }
}
