//! What a document is attached to, and what its kind asks of it.

/// What a document is attached to. Its size, and which elements it may have, follow from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// Written into a group.
    GroupInline,
    /// A managed policy, and so every permissions boundary.
    Managed,
    /// Attached to a resource other than a role.
    Resource,
    /// A resource control policy of an organization.
    ResourceControl,
    /// Written into a role.
    RoleInline,
    /// A service control policy of an organization.
    ServiceControl,
    /// Given with the request for a session.
    Session,
    /// Who may assume a role.
    Trust,
    /// Written into a user.
    UserInline,
}

/// Whether an element stands in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Forbidden,
    /// `Principal` is required, and is `"*"`.
    Everyone,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::GroupInline,
        Self::Managed,
        Self::Resource,
        Self::ResourceControl,
        Self::RoleInline,
        Self::ServiceControl,
        Self::Session,
        Self::Trust,
        Self::UserInline,
    ];

    /// Returns how many characters a document may have, white space not counted.
    // LIMIT: AWS's for each kind. A resource policy's is its service's; this is the largest of them.
    pub const fn characters_max(self) -> usize {
        match self {
            Self::Resource => 20_480,
            Self::RoleInline | Self::ServiceControl => 10_240,
            Self::Managed => 6144,
            Self::GroupInline | Self::ResourceControl => 5120,
            Self::Session | Self::Trust | Self::UserInline => 2048,
        }
    }

    /// Says what a document of this kind is, with its article.
    pub const fn what(self) -> &'static str {
        match self {
            Self::GroupInline => "an inline policy of a group",
            Self::Managed => "a managed policy",
            Self::Resource => "a resource-based policy",
            Self::ResourceControl => "a resource control policy",
            Self::RoleInline => "an inline policy of a role",
            Self::ServiceControl => "a service control policy",
            Self::Session => "a session policy",
            Self::Trust => "a trust policy",
            Self::UserInline => "an inline policy of a user",
        }
    }

    pub(crate) const fn principal(self) -> Presence {
        match self {
            Self::Resource | Self::Trust => Presence::Required,
            Self::ResourceControl => Presence::Everyone,
            Self::GroupInline
            | Self::Managed
            | Self::RoleInline
            | Self::ServiceControl
            | Self::Session
            | Self::UserInline => Presence::Forbidden,
        }
    }

    pub(crate) const fn resource(self) -> Presence {
        if matches!(self, Self::Trust) { Presence::Forbidden } else { Presence::Required }
    }

    /// Whether the document may have an `Id`.
    pub(crate) const fn has_id(self) -> bool {
        matches!(self, Self::Resource | Self::Trust)
    }

    /// Whether a `Sid` has letters and digits alone.
    pub(crate) const fn has_plain_sids(self) -> bool {
        !matches!(self, Self::Resource)
    }
}
