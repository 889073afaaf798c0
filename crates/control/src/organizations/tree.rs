//! What is in what.

use model::Target;
use serde::Serialize;
use store::Snapshot;

use super::pages::{listing, page};
use super::standing::{Parent, ask_on, managed};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

listing! {
    /// Lists the accounts or the units of a parent.
    ListChildren { parent_id: Target, child_type: String }
}

listing! {
    /// Lists the parent of an account or a unit: there is one.
    ListParents { child_id: Target }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListChildrenAnswer {
    children: Vec<Placed>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListParentsAnswer {
    parents: Vec<Placed>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Placed {
    id: String,
    #[serde(rename = "Type")]
    type_: &'static str,
}

impl Placed {
    fn new(target: &Target) -> Self {
        let type_ = match target {
            Target::Account(_) => "ACCOUNT",
            Target::Root(_) => "ROOT",
            Target::Unit(_) => "ORGANIZATIONAL_UNIT",
        };
        Self { id: target.to_string(), type_ }
    }
}

impl Action for ListChildren {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on(desk, snapshot, &self.parent_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let parent = Parent::of_target(organization, &self.parent_id);
        let parent = parent.ok_or_else(ApiFault::parent_not_found)?;
        let children: Vec<Target> = match self.child_type.as_str() {
            "ACCOUNT" => {
                parent.accounts(organization).map(|(id, _)| Target::Account(*id)).collect()
            }
            "ORGANIZATIONAL_UNIT" => {
                parent.units(organization).map(|(id, _)| Target::Unit(id.clone())).collect()
            }
            _ => {
                let text = "the type of a child is ACCOUNT or ORGANIZATIONAL_UNIT";
                return Err(ApiFault::invalid_input_exception("INVALID_ENUM", text));
            }
        };
        let children = children.iter().map(|child| (child.to_string(), Placed::new(child)));
        let page = page(self.turn(), children)?;
        Ok(Answer::of(ListChildrenAnswer { children: page.items, next_token: page.next_token }))
    }
}

impl Action for ListParents {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on(desk, snapshot, &self.child_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let parent = match &self.child_id {
            Target::Account(id) => organization.accounts.get(id).map(|of| of.parent.clone()),
            Target::Root(_) => None,
            Target::Unit(id) => organization.units.get(id).map(|of| of.parent.clone()),
        };
        let parent = Parent(parent.ok_or_else(ApiFault::child_not_found)?).target(organization);
        let page = page(self.turn(), [(parent.to_string(), Placed::new(&parent))])?;
        Ok(Answer::of(ListParentsAnswer { parents: page.items, next_token: page.next_token }))
    }
}
