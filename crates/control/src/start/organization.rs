//! The organization that the config file describes.
//!
//! The file has the say on what it describes, at every start. What an API added to it stays: units,
//! accounts, policies, and what was attached where.

mod described;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    AccountId, ControlPolicy, Line, Member, Organization, OrganizationalUnit, OrganizationalUnitId,
    PolicyId, PolicyType, Target, Timestamp, spread,
};
use store::{Change, Origin, Snapshot};

pub use self::described::{
    DescribedAccount, DescribedOrganization, DescribedPolicy, DescribedUnit, OrganizationRefusal,
    OrganizationTable,
};
use self::tree::Tree;
use super::StartRefusal;
use crate::declarative::Content;
use crate::organizations::full_access;

/// What must change for the store to keep the organization that is described.
pub(super) fn organization_changes(
    snapshot: &Snapshot,
    described: Option<DescribedOrganization>,
    now: Timestamp,
) -> Result<Vec<Change>, StartRefusal> {
    let Some(described) = described else { return Ok(gone(snapshot)) };
    let old = snapshot.organization().map(|organization| &**organization);
    let refused = |(table, reason)| StartRefusal::Organization { table, reason };
    if let Some(old) = old {
        refuse_to_free(&described, old).map_err(refused)?;
    }
    let (organization, tree) = whole(&described, old, now).map_err(refused)?;
    let policies = policies(&described, &organization, &tree, snapshot).map_err(refused)?;
    let mut changes = Vec::new();
    let is_same =
        old == Some(&organization) && snapshot.organization_origin() == Some(Origin::Config);
    for (kept, _) in snapshot.control_policies() {
        if !policies.contains_key(&kept.id) {
            changes.push(Change::DeleteControlPolicy(kept.id.clone()));
        }
    }
    if !is_same {
        changes.push(Change::PutOrganization(Arc::new(organization), Origin::Config));
    }
    let is_kept = |policy: &ControlPolicy, origin| {
        snapshot.control_policies().any(|(old, of)| **old == *policy && of == origin)
    };
    let new = policies.into_values().filter(|(policy, origin)| !is_kept(policy, *origin));
    changes.extend(new.map(|(policy, of)| Change::PutControlPolicy(Arc::new(policy), of)));
    Ok(changes)
}

/// What was described goes with the file, and policies with their organization.
fn gone(snapshot: &Snapshot) -> Vec<Change> {
    let is_gone = snapshot.organization_origin() == Some(Origin::Config);
    let gone = snapshot.control_policies();
    let gone = gone.filter(|(_, origin)| is_gone || *origin == Origin::Config);
    let mut changes: Vec<_> =
        gone.map(|(policy, _)| Change::DeleteControlPolicy(policy.id.clone())).collect();
    changes.extend(is_gone.then_some(Change::DeleteOrganization));
    changes
}

type Refused = (OrganizationTable, OrganizationRefusal);

/// Eight or so digits that always are the same for the same seed.
fn drawn(seed: &str, digits: usize) -> String {
    format!("{:016x}", spread(seed)).chars().take(digits).collect()
}

/// The organization with its units and accounts, and what was there and no file described.
fn whole(
    described: &DescribedOrganization,
    old: Option<&Organization>,
    now: Timestamp,
) -> Result<(Organization, Tree), Refused> {
    let management = described.management_account_id;
    let old = old.filter(|old| old.management_account_id == management);
    let id = described.id.clone().or_else(|| old.map(|old| old.id.clone()));
    let root_id = described.root_id.clone().or_else(|| old.map(|old| old.root_id.clone()));
    let seed = |what: &str| format!("organization/{management}/{what}");
    #[expect(clippy::expect_used, reason = "made of the digits that ids have")]
    let mut organization = Organization {
        id: id.unwrap_or_else(|| format!("o-{}", drawn(&seed("id"), 10)).parse().expect("an id")),
        root_id: root_id
            .unwrap_or_else(|| format!("r-{}", drawn(&seed("root"), 4)).parse().expect("an id")),
        management_account_id: management,
        policy_types: policy_types(described, old),
        units: BTreeMap::new(),
        accounts: BTreeMap::new(),
        account_requests: old.map(|old| old.account_requests.clone()).unwrap_or_default(),
        root_tags: old.map(|old| old.root_tags.clone()).unwrap_or_default(),
    };
    let tree = Tree::of(&described.units, &organization.root_id, old)?;
    organization.units = tree.units(&described.units, old);
    add_accounts(&mut organization, described, &tree, old, now)?;
    if let Some(old) = old.filter(|old| old.root_id == organization.root_id) {
        keep_undescribed(&mut organization, old);
    }
    Ok((organization, tree))
}

/// The types of policies that are in force: those that the file names; or else those of its policies, and
/// those that an API enabled.
fn policy_types(
    described: &DescribedOrganization,
    old: Option<&Organization>,
) -> BTreeSet<PolicyType> {
    let of_policies = || described.policies.iter().map(|policy| policy.type_);
    let enabled = || old.into_iter().flat_map(|old| old.policy_types.iter().copied());
    described.policy_types.clone().unwrap_or_else(|| of_policies().chain(enabled()).collect())
}

/// Refuses what would leave accounts that an API made without the policies that bind them.
fn refuse_to_free(described: &DescribedOrganization, old: &Organization) -> Result<(), Refused> {
    let is_other = described.management_account_id != old.management_account_id
        || described.root_id.as_ref().is_some_and(|id| *id != old.root_id);
    match old.accounts.iter().find(|(_, member)| !member.described) {
        Some((id, _)) if is_other => {
            Err((OrganizationTable::Head, OrganizationRefusal::Frees(*id)))
        }
        Some(_) | None => Ok(()),
    }
}

fn add_accounts(
    organization: &mut Organization,
    described: &DescribedOrganization,
    tree: &Tree,
    old: Option<&Organization>,
    now: Timestamp,
) -> Result<(), Refused> {
    // What the file does not say of an account is as it was.
    let before = |id| {
        let member = old.and_then(|old| old.accounts.get(&id));
        member.map_or_else(|| (now, BTreeMap::new()), |member| (member.joined, member.tags.clone()))
    };
    let mut addresses = BTreeSet::new();
    for (place, account) in described.accounts.iter().enumerate() {
        let at = |reason| (OrganizationTable::Account(place), reason);
        let id = account.id;
        let (joined, tags) = before(id);
        let member = Member {
            name: account.name.clone().unwrap_or_else(|| line(id.as_str())),
            email: account.email.clone().unwrap_or_else(|| address_of(id)),
            parent: tree.parent(account.parent.as_deref()).map_err(at)?,
            joined,
            tags,
            described: true,
        };
        if !addresses.insert(member.email.clone()) {
            let twice = format!("the address `{}`", member.email);
            return Err(at(OrganizationRefusal::Twice(twice)));
        }
        if organization.accounts.insert(id, member).is_some() {
            return Err(at(OrganizationRefusal::Twice(format!("the account {id}"))));
        }
    }
    let management = organization.management_account_id;
    let (joined, tags) = before(management);
    organization.accounts.entry(management).or_insert_with(|| Member {
        name: line("management"),
        email: address_of(management),
        parent: None,
        joined,
        tags,
        described: true,
    });
    Ok(())
}

fn line(plain: &str) -> Line {
    #[expect(clippy::expect_used, reason = "words of letters and digits")]
    plain.parse().expect("is a line")
}

fn address_of(id: AccountId) -> Line {
    line(&format!("aws+{id}@example.com"))
}

/// Keeps the units and accounts that no file described, and the units that those are in.
fn keep_undescribed(organization: &mut Organization, old: &Organization) {
    let mut parents: Vec<&OrganizationalUnitId> = Vec::new();
    for (id, member) in old.accounts.iter().filter(|(_, member)| !member.described) {
        organization.accounts.entry(*id).or_insert_with(|| member.clone());
        parents.extend(&member.parent);
    }
    parents.extend(old.units.iter().filter(|(_, unit)| !unit.described).map(|(id, _)| id));
    while let Some(id) = parents.pop() {
        let Some(unit) = old.units.get(id).filter(|_| !organization.units.contains_key(id)) else {
            continue;
        };
        let unit = OrganizationalUnit { described: false, ..unit.clone() };
        organization.units.insert(id.clone(), unit);
        parents.extend(old.units.get(id).and_then(|unit| unit.parent.as_ref()));
    }
}

/// The policies: those described, those that an API made, and those of AWS.
fn policies(
    described: &DescribedOrganization,
    organization: &Organization,
    tree: &Tree,
    snapshot: &Snapshot,
) -> Result<BTreeMap<PolicyId, (ControlPolicy, Origin)>, Refused> {
    let mut policies = BTreeMap::new();
    for (place, policy) in described.policies.iter().enumerate() {
        let at = |reason| (OrganizationTable::Policy(place), reason);
        let policy = control_policy(policy, organization, tree).map_err(at)?;
        let is_named = |(other, _): &(ControlPolicy, Origin)| {
            (other.type_, &other.name) == (policy.type_, &policy.name)
        };
        let name = policy.name.clone();
        let is_twice = policies.values().any(is_named);
        if policies.insert(policy.id.clone(), (policy, Origin::Config)).is_some() || is_twice {
            return Err(at(OrganizationRefusal::Twice(format!("the policy `{name}`"))));
        }
    }
    for type_ in &organization.policy_types {
        let Some(policy) = full_access::of_type(*type_) else { continue };
        let attached = full_access_targets(organization, snapshot, &policy);
        let policy = ControlPolicy { targets: attached, ..policy };
        policies.entry(policy.id.clone()).or_insert((policy, Origin::Api));
    }
    for (kept, origin) in snapshot.control_policies() {
        let is_described =
            described.policies.iter().any(|of| (of.type_, &of.name) == (kept.type_, &kept.name));
        if origin == Origin::Config || is_described || policies.contains_key(&kept.id) {
            continue;
        }
        let mut kept = (**kept).clone();
        kept.targets.retain(|target| organization.has(target));
        policies.insert(kept.id.clone(), (kept, Origin::Api));
    }
    Ok(policies)
}

/// Where nothing else was said, everything; else what is new, and what it was attached to.
fn full_access_targets(
    organization: &Organization,
    snapshot: &Snapshot,
    policy: &ControlPolicy,
) -> BTreeSet<Target> {
    let kept = snapshot.control_policies().find(|(kept, _)| kept.id == policy.id);
    let kept = kept.filter(|(_, origin)| *origin == Origin::Api).map(|(kept, _)| kept);
    let old = snapshot.organization().filter(|old| old.policy_types.contains(&policy.type_));
    full_access::targets(organization)
        .filter(|target| match (kept, old) {
            (Some(kept), Some(old)) => kept.targets.contains(target) || !old.has(target),
            _ => true,
        })
        .collect()
}

fn control_policy(
    described: &DescribedPolicy,
    organization: &Organization,
    tree: &Tree,
) -> Result<ControlPolicy, OrganizationRefusal> {
    let DescribedPolicy { name, type_, .. } = described;
    let by_aws = full_access::of_type(*type_).filter(|by_aws| by_aws.name == *name);
    let (id, content) = match (by_aws, &described.content) {
        (Some(_), Some(_)) => return Err(OrganizationRefusal::ContentOfAws(name.clone())),
        (Some(by_aws), None) => (by_aws.id, by_aws.content),
        (None, None) => return Err(OrganizationRefusal::NoContent(name.clone())),
        (None, Some(content)) => {
            let seed = format!("{}/{type_}/{name}", organization.id);
            #[expect(clippy::expect_used, reason = "made of the digits that ids have")]
            let drawn = || format!("p-{}", drawn(&seed, 10)).parse().expect("an id");
            (described.id.clone().unwrap_or_else(drawn), content.clone())
        }
    };
    if *type_ == PolicyType::DeclarativePolicyEc2
        && let Err(refusal) = Content::parse(content.as_str())
    {
        return Err(OrganizationRefusal::BadContent(name.clone(), refusal.to_string()));
    }
    if !described.targets.is_empty() && !organization.policy_types.contains(type_) {
        return Err(OrganizationRefusal::TypeNotInForce { name: name.clone(), type_: *type_ });
    }
    let target = |text: &String| match text.parse() {
        Ok(target) if organization.has(&target) => Ok(target),
        _ => match tree.parent(Some(text)) {
            Ok(None) => Ok(Target::Root(organization.root_id.clone())),
            Ok(Some(unit)) => Ok(Target::Unit(unit)),
            Err(OrganizationRefusal::NoUnit(text)) => Err(OrganizationRefusal::NoTarget(text)),
            Err(other) => Err(other),
        },
    };
    Ok(ControlPolicy {
        id,
        name: name.clone(),
        description: described.description.clone(),
        type_: *type_,
        content,
        targets: described.targets.iter().map(target).collect::<Result<_, _>>()?,
        tags: described.tags.clone(),
    })
}

#[cfg(test)]
mod tests;
