//! The units of a description, each in its place.

use std::collections::{BTreeMap, BTreeSet};

use model::{Organization, OrganizationalUnit, OrganizationalUnitId, RootId};

use super::{DescribedUnit, OrganizationRefusal, OrganizationTable, Refused, drawn};

/// Where each unit is, and how it may be named.
#[derive(Debug)]
pub(super) struct Tree(Vec<Placed>);

#[derive(Debug)]
struct Placed {
    id: OrganizationalUnitId,
    name: String,
    /// Names from the root down, with `/` between them.
    path: String,
    parent: Option<OrganizationalUnitId>,
    depth: usize,
}

/// What a name comes to.
enum Found {
    Root,
    Unit(usize),
}

impl Tree {
    /// Puts units in their places, from the root down. A unit that is there already keeps its id.
    pub(super) fn of(
        units: &[DescribedUnit],
        root: &RootId,
        old: Option<&Organization>,
    ) -> Result<Self, Refused> {
        let mut placed: BTreeMap<usize, Placed> = BTreeMap::new();
        // Each turn places at least one unit, or says why none can be.
        while placed.len() < units.len() {
            let before = placed.len();
            for (place, unit) in units.iter().enumerate() {
                if placed.contains_key(&place) {
                    continue;
                }
                let at = |reason| (OrganizationTable::Unit(place), reason);
                let parent = match named(units, &placed, unit.parent.as_deref()) {
                    Some(Found::Root) => None,
                    Some(Found::Unit(parent)) => match placed.get(&parent) {
                        Some(parent) => Some(parent),
                        None => continue,
                    },
                    None => continue,
                };
                let one = place_below(unit, parent, root, old).map_err(at)?;
                check_alone(&placed, &one).map_err(at)?;
                placed.insert(place, one);
            }
            if placed.len() == before {
                return Err(misplaced(units, &placed));
            }
        }
        Ok(Self(placed.into_values().collect()))
    }

    /// The units as the organization keeps them. Their tags are those that an API gave them.
    pub(super) fn units(
        &self,
        described: &[DescribedUnit],
        old: Option<&Organization>,
    ) -> BTreeMap<OrganizationalUnitId, OrganizationalUnit> {
        let both = self.0.iter().zip(described);
        let unit = |(placed, described): (&Placed, &DescribedUnit)| {
            let (name, parent) = (described.name.clone(), placed.parent.clone());
            let before = old.and_then(|old| old.units.get(&placed.id));
            let tags = before.map(|unit| unit.tags.clone()).unwrap_or_default();
            (placed.id.clone(), OrganizationalUnit { name, parent, tags, described: true })
        };
        both.map(unit).collect()
    }

    /// Finds what something is in: none is the root.
    pub(super) fn parent(
        &self,
        named: Option<&str>,
    ) -> Result<Option<OrganizationalUnitId>, OrganizationRefusal> {
        let Some(text) = named.filter(|text| !is_root(text)) else { return Ok(None) };
        let is_it = |unit: &&Placed| unit.id.as_str() == text || unit.path == text;
        if let Some(unit) = self.0.iter().find(is_it) {
            return Ok(Some(unit.id.clone()));
        }
        let mut of_name = self.0.iter().filter(|unit| unit.name == text);
        match (of_name.next(), of_name.next()) {
            (Some(unit), None) => Ok(Some(unit.id.clone())),
            (Some(_), Some(_)) => Err(OrganizationRefusal::Ambiguous(text.to_owned())),
            (None, _) => Err(OrganizationRefusal::NoUnit(text.to_owned())),
        }
    }
}

fn is_root(text: &str) -> bool {
    text.eq_ignore_ascii_case("root")
}

/// Finds the unit of a name, id or path; none if it may be the path of one that is not placed yet.
fn named(
    units: &[DescribedUnit],
    placed: &BTreeMap<usize, Placed>,
    text: Option<&str>,
) -> Option<Found> {
    let Some(text) = text.filter(|text| !is_root(text)) else { return Some(Found::Root) };
    let is_id = |unit: &DescribedUnit| unit.id.as_ref().is_some_and(|id| id.as_str() == text);
    if let Some(place) = units.iter().position(is_id) {
        return Some(Found::Unit(place));
    }
    if let Some((place, _)) = placed.iter().find(|(_, unit)| unit.path == text) {
        return Some(Found::Unit(*place));
    }
    let mut of_name = units.iter().enumerate().filter(|(_, unit)| &*unit.name == text);
    match (of_name.next(), of_name.next()) {
        (Some((place, _)), None) => Some(Found::Unit(place)),
        // One of them may stand at the root, and then the name is its path.
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// Why no unit that is left can be placed: a name that is none, or a circle.
fn misplaced(units: &[DescribedUnit], placed: &BTreeMap<usize, Placed>) -> Refused {
    let left = || units.iter().enumerate().filter(|(place, _)| !placed.contains_key(place));
    for (place, unit) in left() {
        let at = |reason| (OrganizationTable::Unit(place), reason);
        let Some(text) = unit.parent.as_deref() else { continue };
        let count = units.iter().filter(|unit| &*unit.name == text).count();
        if named(units, placed, Some(text)).is_none() {
            let text = text.to_owned();
            return at(if count > 1 {
                OrganizationRefusal::Ambiguous(text)
            } else {
                OrganizationRefusal::NoUnit(text)
            });
        }
    }
    // Every name is one, so whoever is followed long enough stands in the circle.
    let mut place = left().next().map_or(0, |(place, _)| place);
    for _ in units {
        let parent = units.get(place).and_then(|unit| unit.parent.as_deref());
        if let Some(Found::Unit(parent)) = named(units, placed, parent) {
            place = parent;
        }
    }
    let table = OrganizationTable::Unit(place);
    match units.get(place) {
        Some(unit) => (table, OrganizationRefusal::Circle(unit.name.clone())),
        None => (OrganizationTable::Head, OrganizationRefusal::NoUnit(String::new())),
    }
}

fn place_below(
    unit: &DescribedUnit,
    parent: Option<&Placed>,
    root: &RootId,
    old: Option<&Organization>,
) -> Result<Placed, OrganizationRefusal> {
    let depth = parent.map_or(1, |parent| parent.depth + 1);
    if depth > Organization::DEPTH_MAX {
        return Err(OrganizationRefusal::TooDeep(unit.name.clone()));
    }
    let name = unit.name.to_string();
    let path = parent.map_or_else(|| name.clone(), |parent| format!("{}/{name}", parent.path));
    let prefix = format!("ou-{}-", root.as_str().trim_start_matches("r-"));
    let is_of_root = |id: &OrganizationalUnitId| id.as_str().starts_with(&prefix);
    let parent = parent.map(|parent| parent.id.clone());
    let there = old.and_then(|old| {
        let is_it = |kept: &&OrganizationalUnit| kept.name == unit.name && kept.parent == parent;
        let found = old.units.iter().find(|(id, kept)| is_of_root(id) && is_it(kept));
        found.map(|(id, _)| id.clone())
    });
    let id = match (&unit.id, there) {
        (Some(id), _) if !is_of_root(id) => {
            let (unit, root) = (id.clone(), root.clone());
            return Err(OrganizationRefusal::OtherRoot { unit, root });
        }
        (Some(id), _) => id.clone(),
        (None, Some(id)) => id,
        (None, None) =>
        {
            #[expect(clippy::expect_used, reason = "made of the digits that ids have")]
            format!("{prefix}{}", drawn(&format!("{prefix}{path}"), 8)).parse().expect("an id")
        }
    };
    Ok(Placed { id, name, path, parent, depth })
}

/// Sees that no other unit has the id, or the name in this place.
fn check_alone(placed: &BTreeMap<usize, Placed>, one: &Placed) -> Result<(), OrganizationRefusal> {
    let ids: BTreeSet<_> = placed.values().map(|unit| &unit.id).collect();
    if ids.contains(&one.id) {
        return Err(OrganizationRefusal::Twice(format!("the unit `{}`", one.id)));
    }
    let is_same = |unit: &Placed| unit.parent == one.parent && unit.name == one.name;
    if placed.values().any(is_same) {
        return Err(OrganizationRefusal::Twice(format!("the unit `{}`", one.path)));
    }
    Ok(())
}
