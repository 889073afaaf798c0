//! The states of `states.toml`, and the scenes that come of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::{HttpTokens, Instance, InstanceId, Role, UserData};
use toml::{Table, Value};

use crate::target::{Profile, Scene};

/// A change of an instance, as a case words it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Patch {
    /// Named states, in order.
    States(Vec<String>),
    /// A table of its own.
    Table(Table),
}

/// The named states.
#[derive(Debug)]
pub(crate) struct States {
    named: BTreeMap<String, Table>,
    bodies: PathBuf,
}

impl States {
    /// Reads `states.toml`; `bodies` is the directory of the files that states name.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or holds something other than tables.
    pub(crate) fn load(file: &Path, bodies: &Path) -> Result<Self, String> {
        let named = fs::read_to_string(file)
            .map_err(|source| source.to_string())
            .and_then(|text| toml::from_str(&text).map_err(|source| source.to_string()))
            .map_err(|source| format!("{}: {source}", file.display()))?;
        Ok(Self { named, bodies: bodies.to_owned() })
    }

    /// No states at all.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self { named: BTreeMap::new(), bodies: PathBuf::new() }
    }

    /// Returns what a service is set up with for a case that gives these states.
    ///
    /// # Errors
    ///
    /// A state is unknown, or what comes of them is not a sound instance.
    pub(crate) fn scene(&self, profile: Profile, given: &[String]) -> Result<Scene, String> {
        let mut roles = BTreeMap::new();
        let standard: Role = from_table(toml::toml! {
            name = "example-role"
            source = "built-in"
        })?;
        roles.insert(standard.name.clone(), standard);
        for name in &self.expanded(given)? {
            for role in
                self.named(name)?.get("role").and_then(Value::as_array).into_iter().flatten()
            {
                let role: Role = role.clone().try_into().map_err(|e| format!("{name}: {e}"))?;
                roles.insert(role.name.clone(), role);
            }
        }
        let instance = self.patched(&standard_instance(), &Patch::States(given.to_vec()))?;
        Ok(Scene {
            profile,
            instance,
            other: other_instance()?,
            roles: roles.into_values().collect(),
        })
    }

    /// Returns `instance` with `patch` merged into it.
    ///
    /// # Errors
    ///
    /// A state is unknown, or what comes of it is not a sound instance.
    pub(crate) fn patched(&self, instance: &Instance, patch: &Patch) -> Result<Instance, String> {
        let mut written = Table::try_from(instance).map_err(|source| source.to_string())?;
        match patch {
            Patch::States(names) => {
                for name in &self.expanded(names)? {
                    self.merge_into(&mut written, self.named(name)?.clone())?;
                }
            }
            Patch::Table(table) => self.merge_into(&mut written, table.clone())?,
        }
        let patched: Instance = from_table(written)?;
        patched.check().map_err(|refusal| refusal.to_string())?;
        Ok(patched)
    }

    /// Puts the states that each state includes in front of it.
    fn expanded(&self, names: &[String]) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for name in names {
            if let Some(included) = self.named(name)?.get("include") {
                let included: Vec<String> = included
                    .clone()
                    .try_into()
                    .map_err(|source| format!("{name}: include: {source}"))?;
                all.extend(included);
            }
            all.push(name.clone());
        }
        Ok(all)
    }

    fn named(&self, name: &str) -> Result<&Table, String> {
        self.named.get(name).ok_or_else(|| format!("`{name}` is not a state of states.toml"))
    }

    fn merge_into(&self, written: &mut Table, mut patch: Table) -> Result<(), String> {
        patch.remove("include");
        patch.remove("role");
        if let Some(removed) = patch.remove("remove") {
            let paths: Vec<String> = removed.try_into().map_err(|e| format!("remove: {e}"))?;
            for path in paths {
                remove(written, &path)?;
            }
        }
        if let Some(file) = patch.remove("user_data_file") {
            let file: String = file.try_into().map_err(|e| format!("user_data_file: {e}"))?;
            let data = fs::read(self.bodies.join(&file))
                .map_err(|source| source.to_string())
                .and_then(|bytes| UserData::new(bytes).map_err(|source| source.to_string()))
                .map_err(|source| format!("{file}: {source}"))?;
            let data = Value::try_from(data).map_err(|source| source.to_string())?;
            written.insert("user_data".to_owned(), data);
        }
        merge(written, patch);
        Ok(())
    }
}

/// The instance that cases speak for: the default one, with tokens optional (data plane, 11).
fn standard_instance() -> Instance {
    let mut instance = Instance::default_instance();
    instance.options.http_tokens = HttpTokens::Optional;
    instance
}

/// The second instance. Its id sorts after the first one's, so that every order of the two agrees.
fn other_instance() -> Result<Instance, String> {
    let id: InstanceId = "i-2fedcba0987654321".parse().map_err(|e| format!("{e}"))?;
    let mut other = Instance::described(id);
    other.options.http_tokens = HttpTokens::Optional;
    Ok(other)
}

fn from_table<T: serde::de::DeserializeOwned>(table: Table) -> Result<T, String> {
    table.try_into().map_err(|source: toml::de::Error| source.to_string())
}

/// Tables merge; everything else replaces.
fn merge(into: &mut Table, patch: Table) {
    for (key, value) in patch {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Removes a key, written as `a.b.c`.
fn remove(from: &mut Table, path: &str) -> Result<(), String> {
    let gone = match path.split_once('.') {
        None => from.remove(path).is_some(),
        Some((key, rest)) => match from.get_mut(key) {
            Some(Value::Table(table)) => return remove(table, rest),
            _ => false,
        },
    };
    if gone { Ok(()) } else { Err(format!("there is no `{path}` to remove")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(text: &str) -> States {
        States { named: toml::from_str(text).unwrap(), bodies: PathBuf::new() }
    }

    fn scene(text: &str, given: &[&str]) -> Result<Scene, String> {
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        states(text).scene(Profile::Nitro, &given)
    }

    #[test]
    fn the_standard_scene_is_the_default_instance_with_tokens_optional() {
        let scene = scene("", &[]).unwrap();
        assert_eq!(scene.instance.options.http_tokens, HttpTokens::Optional);
        assert_eq!(scene.instance.interfaces, Instance::default_instance().interfaces);
        assert_eq!(scene.roles.len(), 1);
        assert!(scene.other.id > scene.instance.id);
        assert_eq!(scene.other.check(), Ok(()));
    }

    #[test]
    fn tables_merge_and_lists_replace_in_the_order_given() {
        let text = r#"
            [one]
            options.http_tokens = "required"
            tags = { Name = "one", Other = "x" }
            [two]
            options.http_put_response_hop_limit = 3
            tags.Name = "two"
            block_devices = []
        "#;
        let instance = scene(text, &["one", "two"]).unwrap().instance;
        assert_eq!(instance.options.http_tokens, HttpTokens::Required);
        assert_eq!(instance.options.http_put_response_hop_limit.as_hops(), 3);
        assert_eq!(instance.tags.len(), 2);
        assert_eq!(instance.tags.values().next().map(|value| &**value), Some("two"));
        assert!(instance.block_devices.is_empty());
    }

    #[test]
    fn keys_can_be_removed() {
        let text = "[bare]\nremove = ['key_pair', 'instance_profile.role']";
        let instance = scene(text, &["bare"]).unwrap().instance;
        assert_eq!(instance.key_pair, None);
        assert_eq!(instance.instance_profile.unwrap().role, None);
        let refusal = scene("[bare]\nremove = ['keypair']", &["bare"]).unwrap_err();
        assert_eq!(refusal, "there is no `keypair` to remove");
    }

    #[test]
    fn roles_replace_those_of_the_same_name() {
        let text = r#"
            [[broken.role]]
            name = "example-role"
            source = "error"
            code = "Failed"
            message = "no"
            [[broken.role]]
            name = "second"
            source = "built-in"
        "#;
        let roles = scene(text, &["broken"]).unwrap().roles;
        assert_eq!(roles.len(), 2);
        assert!(matches!(roles[0].credentials, model::CredentialSource::Error { .. }));
    }

    #[test]
    fn what_makes_no_sound_instance_is_refused() {
        assert!(scene("", &["unheard-of"]).unwrap_err().contains("unheard-of"));
        assert!(scene("[x]\nregoin = 'y'", &["x"]).unwrap_err().contains("regoin"));
        assert!(
            scene("[x]\ninterfaces = []", &["x"]).unwrap_err().contains("no network interface")
        );
    }
}
