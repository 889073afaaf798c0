//! What is asked: who wants to do what, with what, and everything known about it.

use std::net::IpAddr;

use model::{AccountId, Timestamp};

use crate::statement::Services;
use crate::value::Decimal;

// LIMIT: the richest context of a documented action has some sixty keys, tags included.
/// How many keys a context may have.
pub const CONTEXT_KEYS_MAX: usize = 512;
// LIMIT: a request may name fifty tags, and a principal's organization path has few steps.
/// How many values a key may have.
pub const KEY_VALUES_MAX: usize = 256;
// LIMIT: longer than any ARN and any tag; a user agent is cut by whoever gives it.
/// How many bytes a value, an action or a resource may have.
pub const VALUE_BYTES_MAX: usize = 4096;

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
    /// More values than [`KEY_VALUES_MAX`].
    #[error("`{0}` has more than {KEY_VALUES_MAX} values")]
    Values(String),
}

/// A value of a condition key: its text, and what it was before it was a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    text: Box<str>,
    pub(crate) typed: Typed,
    /// The number that a text is, read once for all that ask.
    pub(crate) number: Option<Decimal>,
}

/// What a value was. A text may be read as anything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Text,
    Number(Decimal),
    Time(Timestamp),
    Bool(bool),
    Address(IpAddr),
    /// The text is their base64.
    Bytes,
}

impl Value {
    /// A text, an ARN, or what is only known as a text.
    pub fn text(text: &str) -> Self {
        Self { text: text.into(), typed: Typed::Text, number: Decimal::parse(text) }
    }

    /// A whole number.
    pub fn number(number: i64) -> Self {
        let text = number.to_string().into();
        let number = Decimal::from(number);
        Self { text, typed: Typed::Number(number), number: Some(number) }
    }

    /// A point in time.
    pub fn time(time: Timestamp) -> Self {
        let number = Some(Decimal::from(time.as_seconds()));
        Self { text: time.to_string().into(), typed: Typed::Time(time), number }
    }

    /// Yes or no.
    pub fn bool(value: bool) -> Self {
        Self {
            text: if value { "true" } else { "false" }.into(),
            typed: Typed::Bool(value),
            number: None,
        }
    }

    /// An address. One of IPv4 within IPv6 is taken for the former.
    pub fn address(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { text: address.to_string().into(), typed: Typed::Address(address), number: None }
    }

    /// Bytes. Their text is their base64.
    pub fn bytes(bytes: &[u8]) -> Self {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes).into();
        Self { text, typed: Typed::Bytes, number: None }
    }

    /// Returns the value as text.
    pub fn as_text(&self) -> &str {
        &self.text
    }
}

/// The name of a condition key, as it is looked up: the case of its letters means nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// A number that two names seldom share. Its first bits are the drawer of a context.
    number: u64,
    /// In lower case.
    name: Box<str>,
}

impl Key {
    pub(crate) fn of(name: &str) -> Self {
        let name = name.to_lowercase().into_boxed_str();
        // FNV-1a. Names may be made to share a number: then they are compared.
        let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { number: name.bytes().fold(0xcbf2_9ce4_8422_2325, add), name }
    }

    fn drawer(&self) -> usize {
        // As many bits as `DRAWERS` has values.
        (self.number >> 58) as usize
    }
}

// LIMIT: the keys of the richest context seldom share a drawer of so many.
const DRAWERS: usize = 64;

/// What is known about a request: condition keys and their values.
///
/// INVARIANT: the keys are in order, by their numbers, and none stands there twice; those of a
/// drawer begin at the place that it says, and are followed by those of the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    keys: Vec<(Key, Vec<Value>)>,
    drawers: [u16; DRAWERS],
}

impl Default for Context {
    fn default() -> Self {
        Self { keys: Vec::new(), drawers: [0; DRAWERS] }
    }
}

impl Context {
    /// Sets a key, whatever the case of its letters. A key without values is there, and empty.
    ///
    /// # Errors
    ///
    /// [`RequestRefusal::Keys`], [`RequestRefusal::Values`] or [`RequestRefusal::Long`] beyond the
    /// limits of those names.
    pub fn insert(&mut self, key: &str, values: Vec<Value>) -> Result<(), RequestRefusal> {
        check_length(key)?;
        if values.len() > KEY_VALUES_MAX {
            return Err(RequestRefusal::Values(crate::json::quoted(key)));
        }
        for value in &values {
            check_length(&value.text)?;
        }
        let key = Key::of(key);
        match self.keys.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => {
                if let Some((_, known)) = self.keys.get_mut(at) {
                    *known = values;
                }
            }
            Err(_) if self.keys.len() >= CONTEXT_KEYS_MAX => return Err(RequestRefusal::Keys),
            Err(at) => {
                self.drawers.iter_mut().skip(key.drawer() + 1).for_each(|start| *start += 1);
                self.keys.insert(at, (key, values));
            }
        }
        Ok(())
    }

    /// Sets `aws:CurrentTime` and `aws:EpochTime`.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn insert_time(&mut self, now: Timestamp) -> Result<(), RequestRefusal> {
        self.insert("aws:CurrentTime", vec![Value::time(now)])?;
        self.insert("aws:EpochTime", vec![Value::number(now.as_seconds())])
    }

    /// Returns every key, in lower case, with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Value])> {
        self.keys.iter().map(|(key, values)| (&*key.name, &**values))
    }

    /// Returns the values of a key: none if it is not there.
    pub(crate) fn values(&self, key: &Key) -> &[Value] {
        let start = self.drawers.get(key.drawer()).copied().unwrap_or_default();
        let keys = self.keys.get(usize::from(start)..).unwrap_or_default().iter();
        keys.take_while(|(known, _)| known.number <= key.number)
            .find(|(known, _)| known == key)
            .map_or(&[], |(_, values)| values)
    }

    /// Returns the text of a key that has one value.
    pub(crate) fn single(&self, key: &Key) -> Option<&str> {
        match self.values(key) {
            [only] => Some(only.as_text()),
            [] | [_, ..] => None,
        }
    }
}

fn check_length(text: &str) -> Result<(), RequestRefusal> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(RequestRefusal::Long(crate::json::quoted(text)));
    }
    Ok(())
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
