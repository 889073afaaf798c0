//! The documents that a server has in force, or that its state says it would.

use std::path::PathBuf;

use clap::ArgMatches;
use control::native::{
    ControlView, NamedDocument, NoServer, PoliciesInForce, PolicyQuestion, Request, handle,
};
use model::{AccountId, IamKind, RoleName};
use policy::{DocumentKind, Policy, Principal, PrincipalKind};
use server::{AskFault, Clock};
use store::{Redb, Store};

use crate::command::policy::documents::{Attached, Control, InForce};
use crate::command::{named_directory, state_directory, understood};
use crate::fault::Fault;

/// Where documents come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A server that runs, by its state directory.
    Running(PathBuf),
    /// The state of one that does not.
    Stored(Box<Store>),
}

impl Source {
    /// Finds the server that the arguments lead to, or else its state.
    pub(crate) fn open(matches: &ArgMatches) -> Result<Self, Fault> {
        let directory = state_directory(named_directory(matches))?;
        let state = directory.join("state.redb");
        match server::ask(&directory, &Request::Environment {}) {
            Err(AskFault::NoServer(_)) if state.exists() => {
                let backend = Redb::open(&state).map_err(|fault| Fault::failed(&fault))?;
                let store =
                    Store::open(Box::new(backend)).map_err(|fault| Fault::failed(&fault))?;
                Ok(Self::Stored(Box::new(store)))
            }
            Err(fault @ (AskFault::NoServer(_) | AskFault::NotPermitted(_))) => {
                Err(Fault::failed(&fault))
            }
            Ok(_) | Err(AskFault::Broken { .. } | AskFault::Refused(_)) => {
                Ok(Self::Running(directory))
            }
        }
    }

    /// Asks what is in force for a principal that asks for something.
    pub(crate) fn in_force(
        &self,
        principal: &Principal,
        action: &str,
        resource: &str,
        resource_account_id: AccountId,
    ) -> Result<InForce, Fault> {
        let role = action.eq_ignore_ascii_case("sts:AssumeRole").then(|| role_of(resource));
        let request = Request::PoliciesInForce(Box::new(PolicyQuestion {
            account_id: principal.account,
            principal: kept(principal)?,
            asked: action.to_owned(),
            role: role.flatten(),
            resource_account_id,
        }));
        let answer = match self {
            Self::Running(directory) => {
                server::ask(directory, &request).map_err(|fault| Fault::failed(&fault))?
            }
            Self::Stored(store) => {
                let now = Clock::start().now().wall;
                handle(request, store, &NoServer, now).map_err(|fault| Fault::failed(&fault))?
            }
        };
        Ok(compiled(understood(answer)?))
    }
}

/// The user or the role whose policies count.
fn kept(principal: &Principal) -> Result<Option<(IamKind, RoleName)>, Fault> {
    let name = |text: &str| {
        let name = text.rsplit('/').next().unwrap_or(text);
        name.parse::<RoleName>().map_err(Fault::usage)
    };
    match &principal.kind {
        PrincipalKind::RoleSession { role } | PrincipalKind::ServiceLinkedSession { role } => {
            Ok(Some((IamKind::Role, name(role)?)))
        }
        PrincipalKind::User { name: user } => Ok(Some((IamKind::User, name(user)?))),
        PrincipalKind::Anonymous
        | PrincipalKind::Federated { .. }
        | PrincipalKind::Root
        | PrincipalKind::Service { .. } => Ok(None),
    }
}

/// The role that an ARN names.
fn role_of(resource: &str) -> Option<RoleName> {
    let (_, path) = resource.split_once(":role/")?;
    path.rsplit('/').next()?.parse().ok()
}

/// What is in force was accepted once: what cannot be read denies, as it does there.
fn compiled(found: PoliciesInForce) -> InForce {
    // An inline policy of a role may be the longest.
    let one = |kind, document: NamedDocument| {
        Policy::compile_or_deny(&document.name, kind, &document.text)
    };
    let control = |kind, view| match view {
        ControlView::Levels(levels) => {
            let level = |(level, documents): (String, Vec<NamedDocument>)| Attached {
                level,
                policies: documents.into_iter().map(|document| one(kind, document)).collect(),
            };
            Control::Levels(levels.into_iter().map(level).collect())
        }
        ControlView::ManagementAccount => Control::ManagementAccount,
        ControlView::NotInForce => Control::NotInForce,
    };
    let identity = found.identity.into_iter();
    InForce {
        identity: identity.map(|document| one(DocumentKind::RoleInline, document)).collect(),
        boundary: found.boundary.map(|document| one(DocumentKind::Managed, document)),
        session: None,
        resource: Vec::new(),
        trust: found.trust.map(|document| one(DocumentKind::Trust, document)),
        scp: control(DocumentKind::ServiceControl, found.service_control),
        rcp: control(DocumentKind::ResourceControl, found.resource_control),
        tags: found.tags.into_iter().map(|(key, value)| (key.to_string(), value.into())).collect(),
        keys: found.keys,
    }
}
