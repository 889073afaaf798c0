//! Organizational units.

use model::{Line, OrganizationalUnit, OrganizationalUnitId, Target};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::arns::Arns;
use super::pages::{listing, page};
use super::standing::{
    Parent, TagMember, Tags, ask_on, managed, put, set_tags, with_requested_tags,
};
use super::{full_access, ids};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: units of an organization, as AWS documents it.
const UNITS_MAX: usize = 2000;

/// LIMIT: the length of a unit's name, as AWS documents it.
const NAME_CHARACTERS_MAX: usize = 128;

/// Makes a unit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateOrganizationalUnit {
    parent_id: Target,
    name: Line,
    #[serde(default)]
    tags: Vec<TagMember>,
}

/// Shows a unit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeOrganizationalUnit {
    organizational_unit_id: OrganizationalUnitId,
}

/// Gives a unit another name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateOrganizationalUnit {
    organizational_unit_id: OrganizationalUnitId,
    name: Option<Line>,
}

/// Ends a unit that nothing is in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteOrganizationalUnit {
    organizational_unit_id: OrganizationalUnitId,
}

listing! {
    /// Lists the units of a parent.
    ListOrganizationalUnitsForParent { parent_id: Target }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UnitAnswer {
    organizational_unit: UnitMember,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UnitsAnswer {
    organizational_units: Vec<UnitMember>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UnitMember {
    id: String,
    arn: String,
    name: String,
}

impl UnitMember {
    fn new(arns: Arns<'_>, id: &OrganizationalUnitId, unit: &OrganizationalUnit) -> Self {
        Self { id: id.to_string(), arn: arns.unit(id), name: unit.name.to_string() }
    }
}

/// Sees that a name does, and that no other unit of the parent has it.
fn check_name(
    organization: &model::Organization,
    parent: &Parent,
    own: Option<&OrganizationalUnitId>,
    name: &Line,
) -> Result<(), ApiFault> {
    if name.chars().count() > NAME_CHARACTERS_MAX {
        let text = "the name of a unit has at most 128 characters";
        return Err(ApiFault::invalid_input_exception("MAX_LENGTH_EXCEEDED", text));
    }
    let is_taken = |(id, unit): (&OrganizationalUnitId, &OrganizationalUnit)| {
        unit.name == *name && Some(id) != own
    };
    if parent.units(organization).any(is_taken) {
        return Err(ApiFault::duplicate_unit());
    }
    Ok(())
}

impl Action for CreateOrganizationalUnit {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![with_requested_tags(ask_on(desk, snapshot, &self.parent_id), &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self { parent_id, name, tags: set } = self;
        let mut tags = Tags::new();
        set_tags(&mut tags, &set)?;
        let answer = desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            let parent = Parent::of_target(&organization, &parent_id);
            let parent = parent.ok_or_else(ApiFault::parent_not_found)?;
            if organization.units.len() >= UNITS_MAX {
                let text = "The organization has as many organizational units as it may have.";
                return Err(ApiFault::constraint_violation("OU_NUMBER_LIMIT_EXCEEDED", text));
            }
            if parent.depth(&organization) >= model::Organization::DEPTH_MAX {
                let text = "At most five organizational units are below each other.";
                return Err(ApiFault::constraint_violation("OU_DEPTH_LIMIT_EXCEEDED", text));
            }
            check_name(&organization, &parent, None, &name)?;
            let prefix = organization.root_id.as_str().replacen("r-", "ou-", 1);
            let is_used = |id: &OrganizationalUnitId| organization.units.contains_key(id);
            let id = ids::draw(desk, &format!("{prefix}-"), 8, is_used)?;
            let unit = OrganizationalUnit { name, parent: parent.0, tags, described: false };
            let member = UnitMember::new(Arns::new(desk, &organization), &id, &unit);
            organization.units.insert(id.clone(), unit);
            let target = Target::Unit(id);
            let mut changes: Vec<_> =
                full_access::welcome(snapshot, &organization, &target).collect();
            changes.push(put(snapshot, organization));
            Ok((changes, UnitAnswer { organizational_unit: member }))
        })?;
        Ok(Answer::of(answer))
    }
}

impl Action for DescribeOrganizationalUnit {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let target = Target::Unit(self.organizational_unit_id.clone());
        Ok(vec![ask_on(desk, snapshot, &target)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let id = &self.organizational_unit_id;
        let unit = organization.units.get(id).ok_or_else(ApiFault::unit_not_found)?;
        let member = UnitMember::new(Arns::new(desk, organization), id, unit);
        Ok(Answer::of(UnitAnswer { organizational_unit: member }))
    }
}

impl Action for UpdateOrganizationalUnit {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let target = Target::Unit(self.organizational_unit_id.clone());
        Ok(vec![ask_on(desk, snapshot, &target)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self { organizational_unit_id: id, name } = self;
        let answer = desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            let unit = organization.units.get(&id).ok_or_else(ApiFault::unit_not_found)?;
            let mut unit = unit.clone();
            if let Some(name) = name {
                check_name(&organization, &Parent(unit.parent.clone()), Some(&id), &name)?;
                unit.name = name;
            }
            let member = UnitMember::new(Arns::new(desk, &organization), &id, &unit);
            organization.units.insert(id, unit);
            Ok((vec![put(snapshot, organization)], UnitAnswer { organizational_unit: member }))
        })?;
        Ok(Answer::of(answer))
    }
}

impl Action for DeleteOrganizationalUnit {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let target = Target::Unit(self.organizational_unit_id.clone());
        Ok(vec![ask_on(desk, snapshot, &target)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = self.organizational_unit_id;
        desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            if organization.units.remove(&id).is_none() {
                return Err(ApiFault::unit_not_found());
            }
            let inside = Parent(Some(id.clone()));
            if inside.units(&organization).next().is_some()
                || inside.accounts(&organization).next().is_some()
            {
                return Err(ApiFault::unit_not_empty());
            }
            let mut changes = full_access::forget(snapshot, &Target::Unit(id));
            changes.push(put(snapshot, organization));
            Ok((changes, ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for ListOrganizationalUnitsForParent {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on(desk, snapshot, &self.parent_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let parent = Parent::of_target(organization, &self.parent_id);
        let parent = parent.ok_or_else(ApiFault::parent_not_found)?;
        let arns = Arns::new(desk, organization);
        let units = parent.units(organization);
        let units = units.map(|(id, unit)| (id.to_string(), UnitMember::new(arns, id, unit)));
        let page = page(self.turn(), units)?;
        let (organizational_units, next_token) = (page.items, page.next_token);
        Ok(Answer::of(UnitsAnswer { organizational_units, next_token }))
    }
}
