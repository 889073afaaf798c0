//! The tables of what IAM keeps: `[[group]]`, `[[instance_profile]]`, `[[policy]]`, `[[role]]` and
//! `[[user]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use model::{
    AccessKey, AccountId, Group, Iam, IamKey, IamName, IamPath, Instance, Line, ManagedPolicy,
    Permissions, PolicyArn, PolicyDocument, PolicyVersion, RegisteredInstanceProfile, Role,
    RoleName, TagKey, Timestamp, User,
};
use policy::DocumentKind;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::documents::Wanted;
use super::{FileRefusal, Source, plain};
use crate::settings::role_tables::{BuiltInRole, ErrorRole, ProcessRole, StaticRole, StsRole};

/// What every role may say, wherever its credentials come from.
const OF_ROLES: [&str; 10] = [
    "account_id",
    "assume_role_policy",
    "description",
    "inline_policies",
    "max_session_duration",
    "path",
    "permissions_boundary",
    "policies",
    "tags",
    "source",
];

type Tags = BTreeMap<TagKey, Box<str>>;

/// Whether tables of this name describe what IAM keeps.
pub(super) fn is_table(name: &str) -> bool {
    ["group", "instance_profile", "policy", "role", "user"].contains(&name)
}

/// The account of whatever is described without one.
pub(super) fn first_account() -> AccountId {
    Instance::default_instance().account_id
}

/// The managed policies that a file describes, so that others can name them.
#[derive(Debug, Default)]
pub(super) struct ManagedPolicies(BTreeMap<(String, String), String>);

impl ManagedPolicies {
    /// Finds the `[[policy]]` tables. What is wrong with them is told when they are read.
    pub(super) fn of(file: &DeTable<'_>) -> Self {
        let Some(DeValue::Array(tables)) = file.get("policy").map(Spanned::get_ref) else {
            return Self::default();
        };
        let policy = |table: &Spanned<DeValue<'_>>| {
            let DeValue::Table(table) = table.get_ref() else { return None };
            let text = |key: &str| table.get(key).and_then(plain);
            let path = text("path").unwrap_or_else(|| "/".to_owned());
            Some(((account_of(table), text("name")?), path))
        };
        Self(tables.iter().filter_map(policy).collect())
    }

    /// The ARN that a name stands for: of the account's own policy, or of AWS's.
    fn arn(&self, account: &str, name: &str) -> String {
        match self.0.get(&(account.to_owned(), name.to_owned())) {
            Some(path) => format!("arn:aws:iam::{account}:policy{path}{name}"),
            // One of this name in another account is not AWS's: it may be meant, and cannot be had.
            None if self.0.keys().any(|(_, known)| known == name) => {
                format!("arn:aws:iam::{account}:policy/{name}")
            }
            None => format!("arn:aws:iam::aws:policy/{name}"),
        }
    }
}

fn account_of(table: &DeTable<'_>) -> String {
    table.get("account_id").and_then(plain).unwrap_or_else(|| first_account().to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    name: RoleName,
    #[serde(default = "first_account")]
    account_id: AccountId,
    #[serde(default)]
    path: IamPath,
    #[serde(default)]
    access_keys: Vec<AccessKey>,
    #[serde(default)]
    groups: BTreeSet<IamName>,
    #[serde(default)]
    policies: BTreeSet<PolicyArn>,
    #[serde(default)]
    inline_policies: BTreeMap<IamName, PolicyDocument>,
    #[serde(default)]
    permissions_boundary: Option<PolicyArn>,
    #[serde(default)]
    tags: Tags,
}

impl From<UserTable> for Iam {
    fn from(table: UserTable) -> Self {
        let permissions = Permissions {
            attached: table.policies,
            inline: table.inline_policies,
            boundary: table.permissions_boundary,
        };
        Self::from(User {
            path: table.path,
            access_keys: table.access_keys,
            groups: table.groups,
            permissions,
            tags: table.tags,
            ..User::described(table.account_id, table.name)
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupTable {
    name: IamName,
    #[serde(default = "first_account")]
    account_id: AccountId,
    #[serde(default)]
    path: IamPath,
    #[serde(default)]
    policies: BTreeSet<PolicyArn>,
    #[serde(default)]
    inline_policies: BTreeMap<IamName, PolicyDocument>,
}

impl From<GroupTable> for Iam {
    fn from(table: GroupTable) -> Self {
        let GroupTable { name, account_id, path, policies, inline_policies } = table;
        let permissions =
            Permissions { attached: policies, inline: inline_policies, boundary: None };
        let created = Timestamp::default();
        Self::from(Group { name, account_id, path, id: None, created, permissions })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyTable {
    name: IamName,
    #[serde(default = "first_account")]
    account_id: AccountId,
    #[serde(default)]
    path: IamPath,
    #[serde(default)]
    description: Option<Line>,
    document: PolicyDocument,
    #[serde(default)]
    tags: Tags,
}

impl From<PolicyTable> for Iam {
    fn from(table: PolicyTable) -> Self {
        let PolicyTable { name, account_id, path, description, document, tags } = table;
        let created = Timestamp::default();
        Self::from(ManagedPolicy {
            name,
            account_id,
            path,
            id: None,
            description,
            created,
            versions: BTreeMap::from([(1, PolicyVersion { document, created })]),
            default_version: 1,
            last_version: None,
            tags,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileTable {
    name: IamName,
    #[serde(default = "first_account")]
    account_id: AccountId,
    #[serde(default)]
    path: IamPath,
    #[serde(default)]
    role: Option<RoleName>,
    #[serde(default)]
    tags: Tags,
}

impl From<ProfileTable> for Iam {
    fn from(table: ProfileTable) -> Self {
        let ProfileTable { name, account_id, path, role, tags } = table;
        let created = Timestamp::default();
        Self::from(RegisteredInstanceProfile {
            name,
            account_id,
            path,
            id: None,
            created,
            role,
            tags,
        })
    }
}

/// What is said of a role beside its name and where its credentials come from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleTable {
    #[serde(default = "first_account")]
    account_id: AccountId,
    #[serde(default)]
    path: IamPath,
    #[serde(default)]
    description: Option<Line>,
    #[serde(default = "PolicyDocument::trust_of_ec2")]
    assume_role_policy: PolicyDocument,
    #[serde(default)]
    max_session_duration: SessionDuration,
    #[serde(default)]
    policies: BTreeSet<PolicyArn>,
    #[serde(default)]
    inline_policies: BTreeMap<IamName, PolicyDocument>,
    #[serde(default)]
    permissions_boundary: Option<PolicyArn>,
    #[serde(default)]
    tags: Tags,
}

/// How many seconds a session of a role may last.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct SessionDuration(u32);

impl Default for SessionDuration {
    fn default() -> Self {
        Self(3600)
    }
}

impl TryFrom<u32> for SessionDuration {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        // LIMIT: IAM's.
        if (3600..=43_200).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(format!("{seconds} is not a duration of sessions: use 3600 to 43200 seconds"))
        }
    }
}

impl RoleTable {
    fn described(self, role: Role) -> Role {
        Role {
            account_id: self.account_id,
            path: self.path,
            description: self.description,
            assume_role_policy_document: self.assume_role_policy,
            max_session_duration: self.max_session_duration.0,
            permissions: Permissions {
                attached: self.policies,
                inline: self.inline_policies,
                boundary: self.permissions_boundary,
            },
            tags: self.tags,
            ..role
        }
    }
}

impl<'t> Source<'t> {
    /// Reads a table of something that IAM keeps.
    pub(super) fn iam_table(
        &self,
        (name, table): (&str, Spanned<DeTable<'t>>),
        managed: &ManagedPolicies,
        lines: &mut BTreeMap<IamKey, usize>,
    ) -> Result<Iam, FileRefusal> {
        let (span, mut table) = (table.span(), table.into_inner());
        let name_span = table.get("name").map_or(span.clone(), Spanned::span);
        name_policies(&mut table, managed);
        let inline = match name {
            "group" => DocumentKind::GroupInline,
            "role" => DocumentKind::RoleInline,
            _ => DocumentKind::UserInline,
        };
        self.include_inline_policies(&mut table, inline)?;
        let trust = Wanted::Policy(DocumentKind::Trust);
        self.include_document_of(&mut table, "assume_role_policy", trust)?;
        self.include_document_of(&mut table, "document", Wanted::Policy(DocumentKind::Managed))?;
        let table = Spanned::new(span.clone(), table);
        let whole = |table: Spanned<DeTable<'t>>| {
            Spanned::new(table.span(), DeValue::Table(table.into_inner()))
        };
        let kept = match name {
            "group" => self.deserialize::<GroupTable>(whole(table))?.into(),
            "instance_profile" => self.deserialize::<ProfileTable>(whole(table))?.into(),
            "policy" => self.deserialize::<PolicyTable>(whole(table))?.into(),
            "role" => self.role(table)?.into(),
            _ => self.deserialize::<UserTable>(whole(table))?.into(),
        };
        // Of users the whole table is meant, of whatever may have a long one its name.
        self.place(kept, if name == "user" { &span } else { &name_span }, lines)
    }

    fn role(&self, table: Spanned<DeTable<'t>>) -> Result<Role, FileRefusal> {
        const SOURCES: &str = "\"built-in\", \"static\", \"process\", \"sts\" or \"error\"";
        let (span, mut table) = (table.span(), table.into_inner());
        let Some(source) = table.remove("source") else {
            return Err(
                self.wrong(format!("the role has no `source`: add source = {SOURCES}"), &span)
            );
        };
        let mut said = DeTable::new();
        for key in OF_ROLES {
            if let Some((key, value)) = table.remove_entry(key) {
                said.insert(key, value);
            }
        }
        let said = Spanned::new(span.clone(), DeValue::Table(said));
        // The rest of the table is read as what its source needs, so that a mistake has its line.
        let rest = Spanned::new(span.clone(), DeValue::Table(table));
        let beside = &OF_ROLES;
        let role = match plain(&source).as_deref() {
            Some("built-in") => Role::from(self.deserialize_beside::<BuiltInRole>(rest, beside)?),
            Some("error") => Role::from(self.deserialize_beside::<ErrorRole>(rest, beside)?),
            Some("process") => Role::from(self.deserialize_beside::<ProcessRole>(rest, beside)?),
            Some("static") => Role::from(self.deserialize_beside::<StaticRole>(rest, beside)?),
            Some("sts") => {
                let read = self.deserialize_beside::<StsRole>(rest, beside)?;
                Role::try_from(read).map_err(|reason| self.wrong(reason.to_owned(), &span))?
            }
            other => {
                let other = other.unwrap_or("this").escape_debug();
                let message = format!("`source`: `{other}` is not a source: use {SOURCES}");
                return Err(self.wrong(message, &source.span()));
            }
        };
        Ok(self.deserialize::<RoleTable>(said)?.described(role))
    }

    /// Puts texts in place of what says the inline policies.
    fn include_inline_policies(
        &self,
        table: &mut DeTable<'t>,
        kind: DocumentKind,
    ) -> Result<(), FileRefusal> {
        let Some(value) = table.get_mut("inline_policies") else { return Ok(()) };
        let span = value.span();
        let DeValue::Table(policies) = value.get_mut() else {
            let message = "`inline_policies`: write a table of names and documents, such as \
                           { launch = { file = \"launch.json\" } }";
            return Err(self.wrong(message.to_owned(), &span));
        };
        for (name, document) in policies.iter_mut() {
            let what = format!("the inline policy `{}`", name.get_ref().escape_debug());
            self.include_document(&what, Wanted::Policy(kind), document)?;
        }
        Ok(())
    }

    /// Notes where something is described that IAM keeps, and that it is so once.
    fn place(
        &self,
        kept: Iam,
        span: &Range<usize>,
        lines: &mut BTreeMap<IamKey, usize>,
    ) -> Result<Iam, FileRefusal> {
        let key = kept.key();
        match lines.insert(key.clone(), self.line(span)) {
            None => Ok(kept),
            Some(_) => Err(self.twice(key.name.as_str(), span)),
        }
    }
}

/// Puts ARNs in place of the names of managed policies.
fn name_policies(table: &mut DeTable<'_>, managed: &ManagedPolicies) {
    let account = account_of(table);
    let name = |value: &mut Spanned<DeValue<'_>>| {
        if let DeValue::String(text) = value.get_mut()
            && !text.is_empty()
            && !text.contains(':')
        {
            *text = managed.arn(&account, text).into();
        }
    };
    if let Some(DeValue::Array(names)) = table.get_mut("policies").map(Spanned::get_mut) {
        names.iter_mut().for_each(name);
    }
    if let Some(boundary) = table.get_mut("permissions_boundary") {
        name(boundary);
    }
}
