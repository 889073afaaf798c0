//! What is asked: who wants to do what with what.

use model::AccountId;

use crate::context::{
    CONTEXT_KEYS_MAX, Context, KEY_VALUES_MAX, VALUE_BYTES_MAX, Value, check_length,
};
use crate::statement::Services;

/// Why something cannot be asked. Whoever meets it denies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefusal {
    /// An action is not `service:Name`.
    #[error("`{0}` is not an action: use `service:Name`")]
    Action(String),
    /// More keys than [`CONTEXT_KEYS_MAX`].
    #[error("a request has at most {CONTEXT_KEYS_MAX} condition keys")]
    Keys,
    /// A text longer than [`VALUE_BYTES_MAX`].
    #[error("`{0}` has more than {VALUE_BYTES_MAX} bytes: shorten it")]
    Long(String),
    /// A key that is there twice, but for the case of its letters.
    #[error("`{0}` is there twice, but for the case of its letters: condition keys know no case")]
    Twins(String),
    /// More values than [`KEY_VALUES_MAX`].
    #[error("`{0}` has more than {KEY_VALUES_MAX} values")]
    Values(String),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Its kind, with what only that kind has.
    pub kind: PrincipalKind,
    /// The account that it belongs to. A service and a stranger have none.
    pub account: Option<AccountId>,
    /// Its ARN. For a session that is the session's, not the role's.
    pub arn: String,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

/// The kinds of principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Nobody: the request is not signed.
    Anonymous,
    /// Somebody whom a provider vouches for.
    Federated {
        /// The provider: a host name, or the ARN of a provider.
        provider: String,
    },
    /// The root user of an account. It needs no identity policy.
    Root,
    /// A session of a role.
    RoleSession {
        /// The ARN of the role.
        role: String,
    },
    /// A service of AWS's.
    Service {
        /// Its name, such as `ec2.amazonaws.com`.
        name: String,
    },
    /// A session of a role that a service made for itself. No service control policy binds it.
    ServiceLinkedSession {
        /// The ARN of the role.
        role: String,
    },
    /// A user.
    User {
        /// Its name, which `aws:username` has.
        name: String,
    },
}

impl Principal {
    /// The ARN of the role of a session, and of anybody else its own: `aws:PrincipalArn`.
    pub fn lasting_arn(&self) -> &str {
        self.role().unwrap_or(&self.arn)
    }

    pub(crate) fn role(&self) -> Option<&str> {
        match &self.kind {
            PrincipalKind::RoleSession { role } | PrincipalKind::ServiceLinkedSession { role } => {
                Some(role)
            }
            PrincipalKind::Anonymous
            | PrincipalKind::Federated { .. }
            | PrincipalKind::Root
            | PrincipalKind::Service { .. }
            | PrincipalKind::User { .. } => None,
        }
    }

    /// Sets the keys that follow from who asks.
    fn describe(&self, context: &mut Context) -> Result<(), RequestRefusal> {
        let type_ = match &self.kind {
            PrincipalKind::Anonymous => "Anonymous",
            PrincipalKind::Federated { .. } => "FederatedUser",
            PrincipalKind::Root => "Account",
            PrincipalKind::RoleSession { .. } | PrincipalKind::ServiceLinkedSession { .. } => {
                "AssumedRole"
            }
            PrincipalKind::Service { .. } => "Service",
            PrincipalKind::User { .. } => "User",
        };
        context.insert("aws:PrincipalType", vec![Value::text(type_)])?;
        if let Some(account) = &self.account {
            context.insert("aws:PrincipalArn", vec![Value::text(self.lasting_arn())])?;
            context.insert("aws:PrincipalAccount", vec![Value::text(account.as_str())])?;
        }
        if let PrincipalKind::User { name } = &self.kind {
            context.insert("aws:username", vec![Value::text(name)])?;
        }
        for (key, value) in &self.tags {
            context.insert(&format!("aws:PrincipalTag/{key}"), vec![Value::text(value)])?;
        }
        Ok(())
    }
}

/// One action on one resource. A call over several resources is several of these.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub(crate) principal: Principal,
    action: String,
    /// The action in lower case, as it is compared.
    pub(crate) plain_action: String,
    /// The service of the action.
    pub(crate) service: Services,
    pub(crate) resource: String,
    pub(crate) resource_account: AccountId,
    pub(crate) context: Context,
}

impl Request {
    /// Puts a request together, and sets what keys follow from the principal.
    ///
    /// `action` is `service:Name`; `resource` an ARN, or `*` for an action without resource types;
    /// `resource_account` the account that the resource belongs to, for `*` the caller's.
    ///
    /// # Errors
    ///
    /// [`RequestRefusal::Action`] unless the action is one, and as [`Context::insert`].
    pub fn new(
        principal: Principal,
        action: &str,
        resource: &str,
        resource_account: AccountId,
        mut context: Context,
    ) -> Result<Self, RequestRefusal> {
        check_length(action)?;
        check_length(resource)?;
        check_length(&principal.arn)?;
        let (service, name) = action.split_once(':').unwrap_or_default();
        if service.is_empty() || name.is_empty() || action.contains(['*', '?']) {
            return Err(RequestRefusal::Action(crate::json::quoted(action)));
        }
        principal.describe(&mut context)?;
        Ok(Self {
            principal,
            action: action.to_owned(),
            plain_action: action.to_ascii_lowercase(),
            service: Services::of_action(action),
            resource: resource.to_owned(),
            resource_account,
            context,
        })
    }

    /// Returns who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the action, as it was given.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Returns the resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Returns everything that conditions can ask about.
    pub fn context(&self) -> &Context {
        &self.context
    }
}
