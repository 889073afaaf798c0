//! How much IAM keeps of each kind: what callers have kept is in the memory of the server.

use model::IamKind;

/// How many of a kind there may be, and the name of that quota.
pub(crate) struct Quota {
    pub(crate) name: &'static str,
    pub(crate) most: usize,
}

/// LIMIT: what an account may have. These are the quotas that IAM documents.
pub(crate) const fn of_account(kind: IamKind) -> Quota {
    let (name, most) = match kind {
        IamKind::Group => ("GroupsPerAccount", 300),
        IamKind::InstanceProfile => ("InstanceProfilesPerAccount", 1000),
        IamKind::Policy => ("PoliciesPerAccount", 1500),
        IamKind::Role => ("RolesPerAccount", 1000),
        IamKind::User => ("UsersPerAccount", 5000),
    };
    Quota { name, most }
}

/// LIMIT: managed policies that are attached to one thing. IAM documents it.
pub(crate) const fn attached(kind: IamKind) -> Quota {
    let name = match kind {
        IamKind::Group => "PoliciesPerGroup",
        IamKind::Role => "PoliciesPerRole",
        IamKind::InstanceProfile | IamKind::Policy | IamKind::User => "PoliciesPerUser",
    };
    Quota { name, most: 10 }
}

/// LIMIT: groups of a user. IAM documents it.
pub(crate) const GROUPS_OF_USER: Quota = Quota { name: "GroupsPerUser", most: 10 };

/// LIMIT: keys of a user. IAM documents it.
pub(crate) const KEYS_OF_USER: Quota = Quota { name: "AccessKeysPerUser", most: 2 };

/// LIMIT: roles of an instance profile. IAM documents it.
pub(crate) const ROLES_OF_PROFILE: Quota =
    Quota { name: "InstanceSessionsPerInstanceProfile", most: 1 };

/// LIMIT: versions of a managed policy. IAM documents it.
pub(crate) const VERSIONS_MAX: usize = 5;

/// LIMIT: tags of one thing. IAM documents it.
pub(crate) const TAGS_MAX: usize = 50;

/// LIMIT: characters of a description. IAM documents it.
pub(crate) const DESCRIPTION_CHARACTERS_MAX: usize = 1000;

/// LIMIT: how long sessions of a role may be let last, in seconds. IAM documents both.
pub(crate) const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 3600..=43_200;
