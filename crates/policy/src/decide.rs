//! The order of evaluation: what denies whom, and what must allow.
//!
//! INVARIANT: deciding allocates nothing.

use crate::policy::{Finding, Policy};
use crate::principals::Naming;
use crate::request::{PrincipalKind, Request};
use crate::verdict::{Cause, Denial, Grant, Layer, Shortfall, Verdict};

/// Everything that is in force for a request.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'p> {
    /// Resource control policies on the way to the account of the resource.
    pub resource_control: Guardrail<'p>,
    /// Service control policies on the way to the account of who asks.
    pub service_control: Guardrail<'p>,
    /// What is attached to the resource.
    pub resource: ResourcePolicies<'p>,
    /// What is attached to who asks, to its groups or its role.
    pub identity: &'p [&'p Policy],
    /// The permissions boundary of the user or the role.
    pub boundary: Option<&'p Policy>,
    /// The policies that the session was asked for with. An empty list allows nothing.
    pub session: Option<&'p [&'p Policy]>,
}

/// Control policies of one type.
#[derive(Clone, Copy, Debug)]
pub enum Guardrail<'p> {
    /// From the root, by the organizational units, to the account. Each level must allow, and an
    /// empty one does not.
    Levels(&'p [Level<'p>]),
    /// It is the management account, which none of them binds.
    ManagementAccount,
    /// There is no organization, or it does not use this type, or the service does not.
    NotInForce,
}

/// A level of an organization.
#[derive(Clone, Copy, Debug)]
pub struct Level<'p> {
    /// What verdicts call it, such as `r-ab12` or `ou-ab12-cd34`.
    pub name: &'p str,
    /// What is attached to it.
    pub policies: &'p [&'p Policy],
}

/// What is attached to a resource.
#[derive(Clone, Copy, Debug)]
pub enum ResourcePolicies<'p> {
    /// It can have policies, and these may allow by themselves within the account.
    Attached(&'p [&'p Policy]),
    /// It must allow, also within the account, as the trust policy of a role does.
    Decisive(&'p Policy),
    /// It has none, or resources of its kind cannot have any.
    None,
}

/// Actions that nobody needs a permission for, and that nothing can deny; in lower case.
const FREE_ACTIONS: [&str; 1] = ["sts:getcalleridentity"];

impl Layers<'_> {
    /// No layer at all: only the root user may do anything in its own account.
    pub const EMPTY: Self = Self {
        resource_control: Guardrail::NotInForce,
        service_control: Guardrail::NotInForce,
        resource: ResourcePolicies::None,
        identity: &[],
        boundary: None,
        session: None,
    };
}

impl<'p> Guardrail<'p> {
    pub(crate) fn levels(self) -> &'p [Level<'p>] {
        match self {
            Self::Levels(levels) => levels,
            Self::ManagementAccount | Self::NotInForce => &[],
        }
    }

    /// The first level that denies, and the first that does not allow.
    fn survey(self, layer: Layer, request: &Request) -> Survey<'p> {
        let mut survey = Survey::default();
        for level in self.levels() {
            let finding = Finding::of(level.policies, request);
            if survey.denial.is_none() {
                survey.denial = finding.denial(layer, Some(level.name));
            }
            if survey.shortfall.is_none() && finding.allow.is_none() {
                let is_empty = level.policies.is_empty();
                survey.shortfall = Some(finding.shortfall(layer, Some(level.name), is_empty));
            }
        }
        survey
    }
}

#[derive(Default)]
struct Survey<'p> {
    denial: Option<Denial<'p>>,
    shortfall: Option<Shortfall<'p>>,
}

/// Decides a request. The verdict says which statement decided it, or what was missing.
pub fn decide<'p>(layers: &Layers<'p>, request: &Request) -> Verdict<'p> {
    if FREE_ACTIONS.contains(&request.plain_action.as_str()) {
        return Verdict::Allowed(Grant::NoPermissionNeeded);
    }
    let resource_control = layers.resource_control.survey(Layer::ResourceControl, request);
    let service_control = if is_bound_by_service_control(request) {
        layers.service_control.survey(Layer::ServiceControl, request)
    } else {
        Survey::default()
    };
    let resource = match &layers.resource {
        ResourcePolicies::Attached(policies) => Finding::of(policies, request),
        ResourcePolicies::Decisive(policy) => Finding::of(std::slice::from_ref(policy), request),
        ResourcePolicies::None => Finding::default(),
    };
    let identity = Finding::of(layers.identity, request);
    let boundary = layers.boundary.map(|policy| Finding::of(&[policy], request));
    let session = layers.session.map(|policies| Finding::of(policies, request));

    let denial = (resource_control.denial)
        .or(service_control.denial)
        .or_else(|| resource.denial(Layer::Resource, None))
        .or_else(|| identity.denial(Layer::Identity, None))
        .or_else(|| boundary.and_then(|finding| finding.denial(Layer::Boundary, None)))
        .or_else(|| session.and_then(|finding| finding.denial(Layer::Session, None)));
    if let Some(denial) = denial {
        return Verdict::ExplicitDeny(denial);
    }
    if let Some(shortfall) = resource_control.shortfall.or(service_control.shortfall) {
        return Verdict::ImplicitDeny(shortfall);
    }
    let own = Own { identity, boundary, session, layers };
    permit(&own, &resource, request)
}

/// What who asks brings along.
struct Own<'a, 'p> {
    identity: Finding<'p>,
    boundary: Option<Finding<'p>>,
    session: Option<Finding<'p>>,
    layers: &'a Layers<'p>,
}

/// Whether what must allow does, once nothing denies.
fn permit<'p>(own: &Own<'_, 'p>, resource: &Finding<'p>, request: &Request) -> Verdict<'p> {
    let layers = own.layers;
    let lacks_resource = || {
        let is_none = match layers.resource {
            ResourcePolicies::Attached(policies) => policies.is_empty(),
            ResourcePolicies::Decisive(_) => false,
            ResourcePolicies::None => true,
        };
        Verdict::ImplicitDeny(resource.shortfall(Layer::Resource, None, is_none))
    };
    let granted = resource.allow.map(|(source, naming)| {
        (Verdict::Allowed(Grant::Statement { layer: Layer::Resource, source }), naming)
    });
    if !has_identity(request) {
        // Nobody's account stands for it: only the resource can let it in.
        return granted.map_or_else(lacks_resource, |(verdict, _)| verdict);
    }
    let is_same_account = request.principal.account == Some(request.resource_account);
    let is_decisive = matches!(layers.resource, ResourcePolicies::Decisive(_));
    if granted.is_none() && (is_decisive || !is_same_account) {
        return lacks_resource();
    }
    // The account's own name leaves it to identity policies; any other name allows by itself.
    let alone = granted.filter(|(_, naming)| is_same_account && *naming > Naming::Account);
    if alone.is_none()
        && request.principal.kind != PrincipalKind::Root
        && own.identity.allow.is_none()
    {
        let is_none = layers.identity.is_empty();
        return Verdict::ImplicitDeny(own.identity.shortfall(Layer::Identity, None, is_none));
    }
    let naming = alone.map(|(_, naming)| naming);
    let spares_boundary = matches!(naming, Some(Naming::User | Naming::Session));
    if let Some(boundary) = own.boundary.filter(|finding| finding.allow.is_none())
        && !spares_boundary
    {
        return Verdict::ImplicitDeny(boundary.shortfall(Layer::Boundary, None, false));
    }
    if let Some(session) = own.session.filter(|finding| finding.allow.is_none())
        && naming != Some(Naming::Session)
    {
        let is_none = layers.session.is_some_and(<[_]>::is_empty);
        return Verdict::ImplicitDeny(session.shortfall(Layer::Session, None, is_none));
    }
    match (own.identity.allow, alone) {
        (_, Some((verdict, Naming::User | Naming::Session))) | (None, Some((verdict, _))) => {
            verdict
        }
        (Some((source, _)), _) => {
            Verdict::Allowed(Grant::Statement { layer: Layer::Identity, source })
        }
        (None, None) => Verdict::Allowed(Grant::RootUser),
    }
}

/// Service control policies bind users and roles, the root user too, but not services themselves,
/// nor the roles that those made for themselves.
pub(crate) fn is_bound_by_service_control(request: &Request) -> bool {
    match request.principal.kind {
        PrincipalKind::Root | PrincipalKind::RoleSession { .. } | PrincipalKind::User { .. } => {
            true
        }
        PrincipalKind::Anonymous
        | PrincipalKind::Federated { .. }
        | PrincipalKind::Service { .. }
        | PrincipalKind::ServiceLinkedSession { .. } => false,
    }
}

/// Whether there can be identity policies.
fn has_identity(request: &Request) -> bool {
    match request.principal.kind {
        PrincipalKind::Root
        | PrincipalKind::RoleSession { .. }
        | PrincipalKind::ServiceLinkedSession { .. }
        | PrincipalKind::User { .. } => request.principal.account.is_some(),
        PrincipalKind::Anonymous
        | PrincipalKind::Federated { .. }
        | PrincipalKind::Service { .. } => false,
    }
}

impl<'p> Finding<'p> {
    fn denial(&self, layer: Layer, level: Option<&'p str>) -> Option<Denial<'p>> {
        self.deny.map(|source| Denial { layer, level, source })
    }

    fn shortfall(&self, layer: Layer, level: Option<&'p str>, is_none: bool) -> Shortfall<'p> {
        let cause = match self.miss {
            _ if is_none => Cause::NoPolicy,
            Some((source, test, failure)) => Cause::Condition { source, test, failure },
            None => Cause::NoStatement,
        };
        Shortfall { layer, level, cause }
    }
}
