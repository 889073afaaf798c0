//! The documents that are in force, read and compiled.

use std::io::Read as _;

use policy::{
    DOCUMENT_BYTES_MAX, DocumentKind, DocumentRefusal, Guardrail, Layers, Level, Policy,
    PrincipalKind, ResourcePolicies,
};

use crate::command::policy::question::{Members, Question};
use crate::fault::Fault;

/// What a document is named that is read from standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// What Organizations attaches to every level by itself, under the names that it has there.
const FULL_ACCESS: [(&str, &str); 2] = [
    (
        "FullAWSAccess",
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
    ),
    (
        "RCPFullAWSAccess",
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}"#,
    ),
];

/// Everything that is in force for who asks, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct InForce {
    pub(crate) identity: Vec<Policy>,
    pub(crate) boundary: Option<Policy>,
    /// `None` of a session that was asked for without policies.
    pub(crate) session: Option<Vec<Policy>>,
    pub(crate) resource: Vec<Policy>,
    pub(crate) trust: Option<Policy>,
    pub(crate) scp: Control,
    pub(crate) rcp: Control,
    /// What is known of who asks besides: tags, and condition keys.
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) keys: Vec<(String, String)>,
}

/// The control policies of one type.
#[derive(Clone, Debug, Default)]
pub(crate) enum Control {
    /// Levels from the root.
    Levels(Vec<Attached>),
    ManagementAccount,
    #[default]
    NotInForce,
}

/// The documents of a level of an organization.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) level: String,
    pub(crate) policies: Vec<Policy>,
}

impl InForce {
    /// Reads the files that a question names.
    pub(crate) fn read(question: &Question) -> Result<Self, Fault> {
        let one =
            |kind, name: &Option<String>| name.as_ref().map(|name| compile(kind, name)).transpose();
        let all = |kind, names: &[String]| {
            names.iter().map(|name| compile(kind, name)).collect::<Result<Vec<_>, _>>()
        };
        let session = all(DocumentKind::Session, &question.session_policy.0)?;
        let in_force = Self {
            identity: all(DocumentKind::Managed, &question.policy.0)?,
            boundary: one(DocumentKind::Managed, &question.boundary)?,
            session: (!session.is_empty()).then_some(session),
            resource: all(DocumentKind::Resource, &question.resource_policy.0)?,
            trust: one(DocumentKind::Trust, &question.trust_policy)?,
            scp: organization(DocumentKind::ServiceControl, &question.scp)?,
            rcp: organization(DocumentKind::ResourceControl, &question.rcp)?,
            tags: Vec::new(),
            keys: Vec::new(),
        };
        in_force.fits(&question.principal()?.kind)?;
        Ok(in_force)
    }

    /// Adds what is in force elsewhere. Where there can be one only, that of the files counts.
    pub(crate) fn add(&mut self, there: Self) {
        self.identity.extend(there.identity);
        self.boundary = self.boundary.take().or(there.boundary);
        if self.resource.is_empty() {
            self.trust = self.trust.take().or(there.trust);
        }
        if matches!(self.scp, Control::NotInForce) {
            self.scp = there.scp;
        }
        if matches!(self.rcp, Control::NotInForce) {
            self.rcp = there.rcp;
        }
        self.tags.extend(there.tags);
        self.keys.extend(there.keys);
    }

    /// Refuses what nobody of this kind can have.
    fn fits(&self, kind: &PrincipalKind) -> Result<(), Fault> {
        let (is_session, is_user) = match kind {
            PrincipalKind::RoleSession { .. } => (true, false),
            PrincipalKind::User { .. } => (false, true),
            PrincipalKind::Anonymous
            | PrincipalKind::Federated { .. }
            | PrincipalKind::Root
            | PrincipalKind::Service { .. }
            | PrincipalKind::ServiceLinkedSession { .. } => (false, false),
        };
        if self.session.is_some() && !is_session {
            return Err(Fault::usage(
                "only the session of a role has session policies: name one with --principal",
            ));
        }
        if self.boundary.is_some() && !is_session && !is_user {
            return Err(Fault::usage(
                "only users and roles have a permissions boundary: name one with --principal",
            ));
        }
        if self.trust.is_some() && !self.resource.is_empty() {
            return Err(Fault::usage(
                "a resource is a role, with --trust-policy, or another, with --resource-policy",
            ));
        }
        Ok(())
    }

    /// Says which values of the documents can match nothing.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let levels = self.scp.levels().iter().chain(self.rcp.levels());
        let levels = levels.flat_map(|level| &level.policies);
        let lists = self.identity.iter().chain(&self.resource).chain(self.session.iter().flatten());
        let all = lists.chain(&self.boundary).chain(&self.trust).chain(levels);
        let of = |policy: &Policy| {
            let name = policy.name().to_owned();
            let say = move |doubt: policy::Doubt<'_>| {
                format!(
                    "{name}, statement {}: {} cannot read `{}`, so this value of {} matches nothing",
                    doubt.statement,
                    doubt.operator,
                    doubt.value.escape_debug(),
                    doubt.key
                )
            };
            policy.doubts().map(say).collect::<Vec<_>>()
        };
        all.flat_map(of).collect()
    }

    /// Lends the documents as the engine takes them.
    pub(crate) fn with_layers<T>(&self, then: impl FnOnce(&Layers<'_>) -> T) -> T {
        let (identity, resource) = (borrowed(&self.identity), borrowed(&self.resource));
        let session = self.session.as_deref().map(borrowed);
        let (scp, rcp) = (by_level(self.scp.levels()), by_level(self.rcp.levels()));
        let (scp, rcp) = (levels(self.scp.levels(), &scp), levels(self.rcp.levels(), &rcp));
        then(&Layers {
            resource_control: self.rcp.guardrail(&rcp),
            service_control: self.scp.guardrail(&scp),
            resource: match &self.trust {
                Some(policy) => ResourcePolicies::Decisive(policy),
                None if resource.is_empty() => ResourcePolicies::None,
                None => ResourcePolicies::Attached(&resource),
            },
            identity: &identity,
            boundary: self.boundary.as_ref(),
            session: session.as_deref(),
        })
    }
}

fn borrowed(policies: &[Policy]) -> Vec<&Policy> {
    policies.iter().collect()
}

impl Control {
    fn levels(&self) -> &[Attached] {
        match self {
            Self::Levels(levels) => levels,
            Self::ManagementAccount | Self::NotInForce => &[],
        }
    }

    fn guardrail<'l>(&self, levels: &'l [Level<'l>]) -> Guardrail<'l> {
        match self {
            Self::Levels(_) => Guardrail::Levels(levels),
            Self::ManagementAccount => Guardrail::ManagementAccount,
            Self::NotInForce => Guardrail::NotInForce,
        }
    }
}

fn by_level(levels: &[Attached]) -> Vec<Vec<&Policy>> {
    levels.iter().map(|attached| borrowed(&attached.policies)).collect()
}

fn levels<'p>(levels: &'p [Attached], policies: &'p [Vec<&'p Policy>]) -> Vec<Level<'p>> {
    let level = |(attached, policies): (&'p Attached, &'p Vec<&'p Policy>)| Level {
        name: &attached.level,
        policies,
    };
    levels.iter().zip(policies).map(level).collect()
}

fn organization(kind: DocumentKind, members: &Members) -> Result<Control, Fault> {
    if members.0.is_empty() {
        return Ok(Control::NotInForce);
    }
    let mut levels = Vec::new();
    for (level, names) in &members.0 {
        // An empty name is none: a level without policies is written so.
        let names = names.0.iter().filter(|name| !name.is_empty());
        let policies = names.map(|name| compile(kind, name)).collect::<Result<_, _>>()?;
        levels.push(Attached { level: level.clone(), policies });
    }
    Ok(Control::Levels(levels))
}

fn compile(kind: DocumentKind, name: &str) -> Result<Policy, Fault> {
    let text = match full_access(name) {
        Some(text) => text.to_owned(),
        None => text(name)?,
    };
    let compiled = match Policy::compile(name, kind, &text) {
        // An inline policy of a role may be longer than a managed one.
        Err(DocumentRefusal::TooLong { .. }) if kind == DocumentKind::Managed => {
            Policy::compile(name, DocumentKind::RoleInline, &text)
        }
        compiled => compiled,
    };
    compiled.map_err(|refusal| Fault::usage(format!("{}: {refusal}", shown(name))))
}

/// The document of this name that Organizations has.
pub(crate) fn full_access(name: &str) -> Option<&'static str> {
    FULL_ACCESS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Reads a file, or standard input.
pub(crate) fn text(file: &str) -> Result<String, Fault> {
    let fault = |fault| Fault::usage(format!("{} cannot be read: {fault}", shown(file)));
    let most = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if file == STANDARD_INPUT {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(fault)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(Fault::usage(format!(
            "{} has more than {DOCUMENT_BYTES_MAX} bytes, white space included: shorten it",
            shown(file)
        )));
    }
    String::from_utf8(bytes)
        .map_err(|_| Fault::usage(format!("{} is not UTF-8: save it so", shown(file))))
}

fn shown(file: &str) -> &str {
    if file == STANDARD_INPUT { "standard input" } else { file }
}
