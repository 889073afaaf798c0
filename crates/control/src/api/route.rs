//! Which service a request is for, and in which protocol.
//!
//! One listener serves every service (control plane, 1.2), and the host name says nothing: the path
//! tells CBOR, a header tells JSON, and a form tells by its `Version`, or by the service in the
//! scope of its signature.

use serde::de::DeserializeOwned;

use super::fault::ApiFault;
use super::form::{Common, Tree};
use super::{ApiRequest, Dialect};

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `CloudWatch`.
    CloudWatch,
    /// EC2.
    Ec2,
    /// IAM.
    Iam,
    /// Organizations.
    Organizations,
    /// STS.
    Sts,
}

/// How a request and its answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Smithy RPC v2 with CBOR.
    Cbor,
    /// A form, answered in XML.
    Form(Dialect),
    /// JSON 1.0.
    Json10,
    /// JSON 1.1.
    Json11,
}

/// Whether the client of a JSON or CBOR request wants the codes of the Query protocol too
/// (`x-amzn-query-mode: true`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryErrors {
    /// Wanted: a header has the code, and the status is the one of the code.
    Wanted,
    /// Not wanted: whatever the caller has to mend is status 400.
    Unwanted,
}

/// What a request asks for, and how it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The service.
    pub service: Service,
    /// The protocol.
    pub protocol: Protocol,
    /// The action.
    pub action: String,
    /// How errors are shown.
    pub query_errors: QueryErrors,
}

/// A request that found its service.
#[derive(Debug)]
pub struct Arrival {
    /// What it asks for.
    pub route: Route,
    /// What every form has; `action` is in the route.
    pub common: Common,
    /// The other parameters. Empty for JSON and CBOR, which have theirs in the body.
    pub parameters: Tree,
    /// The body of a JSON or CBOR request; empty for forms, which have been read.
    pub body: Vec<u8>,
}

impl Arrival {
    /// Reads the request of an action.
    ///
    /// # Errors
    ///
    /// [`ApiFault`] in the words of the protocol.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ApiFault> {
        match self.route.protocol {
            Protocol::Form(dialect) => Ok(self.parameters.read(dialect)?),
            Protocol::Json10 | Protocol::Json11 => {
                // A request without members may have no body.
                let body = if self.body.is_empty() { &b"{}"[..] } else { &self.body };
                let service = self.route.service;
                serde_json::from_slice(body).map_err(|fault| ApiFault::unread_json(service, &fault))
            }
            Protocol::Cbor => {
                ciborium::from_reader(&*self.body).map_err(|_| ApiFault::serialization())
            }
        }
    }
}

/// A request that did not, and how to say so.
#[derive(Debug)]
pub struct Misrouted {
    /// How it is answered; the action is empty if it has none.
    pub route: Route,
    /// Why.
    pub fault: ApiFault,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 5] =
        [Self::CloudWatch, Self::Ec2, Self::Iam, Self::Organizations, Self::Sts];

    /// The service in the scope of signatures.
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::CloudWatch => "monitoring",
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Organizations => "organizations",
            Self::Sts => "sts",
        }
    }

    /// The date of the API.
    pub const fn version(self) -> &'static str {
        match self {
            Self::CloudWatch => "2010-08-01",
            Self::Ec2 => "2016-11-15",
            Self::Iam => "2010-05-08",
            Self::Organizations => "2016-11-28",
            Self::Sts => "2011-06-15",
        }
    }

    /// The namespace of its XML; Organizations has none, and no XML.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::CloudWatch => "http://monitoring.amazonaws.com/doc/2010-08-01/",
            Self::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Organizations => "",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    /// What stands before the colon in the names of its actions in policies.
    pub const fn action_prefix(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Organizations => "organizations",
            Self::Sts => "sts",
        }
    }

    /// What stands before `#` in the type of a JSON or CBOR error.
    pub const fn error_namespace(self) -> &'static str {
        match self {
            Self::CloudWatch => "com.amazonaws.cloudwatch.v2010_08_01",
            Self::Organizations => "com.amazonaws.organizations.v20161128",
            Self::Ec2 | Self::Iam | Self::Sts => "com.amazon.coral.service",
        }
    }

    /// How far a signature's time may be off, in seconds. EC2 documents 15 minutes, the others 5.
    pub const fn skew_seconds(self) -> u32 {
        match self {
            Self::Ec2 => 15 * 60,
            Self::CloudWatch | Self::Iam | Self::Organizations | Self::Sts => 5 * 60,
        }
    }

    /// The dialect of its forms and XML.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Ec2 => Dialect::Ec2,
            Self::CloudWatch | Self::Iam | Self::Organizations | Self::Sts => Dialect::Query,
        }
    }

    /// The services whose requests are forms; Organizations takes none.
    fn of_forms() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|service| *service != Self::Organizations)
    }
}

/// The path of CBOR requests, up to the action.
const CBOR_PATH: &str = "/service/GraniteServiceVersion20100801/operation/";

/// What stands before the dot in `X-Amz-Target`.
const TARGETS: [(&str, Service, Protocol); 2] = [
    ("GraniteServiceVersion20100801", Service::CloudWatch, Protocol::Json10),
    ("AWSOrganizationsV20161128", Service::Organizations, Protocol::Json11),
];

/// LIMIT: the longest name of an action; the longest of AWS has fewer than 100 characters.
const ACTION_BYTES_MAX: usize = 128;

/// Finds out what a request asks for.
///
/// # Errors
///
/// [`Misrouted`], with the form in which to answer it.
pub fn route(request: &ApiRequest<'_>) -> Result<Arrival, Box<Misrouted>> {
    let query_errors = match request.header("x-amzn-query-mode") {
        Some("true") => QueryErrors::Wanted,
        _ => QueryErrors::Unwanted,
    };
    let misrouted = |(service, protocol, fault)| {
        let route = Route { service, protocol, action: String::new(), query_errors };
        Box::new(Misrouted { route, fault })
    };
    let (service, protocol, action, common, parameters) = if request.path.starts_with("/service/") {
        let action = cbor_action(request).map_err(misrouted)?;
        (Service::CloudWatch, Protocol::Cbor, action, Common::default(), Tree::default())
    } else if let Some(target) = request.header("x-amz-target") {
        let (service, protocol, action) = json_action(request, target).map_err(misrouted)?;
        (service, protocol, action, Common::default(), Tree::default())
    } else {
        let (service, action, common, tree) = form_action(request).map_err(misrouted)?;
        (service, Protocol::Form(service.dialect()), action, common, tree)
    };
    let route = Route { service, protocol, action, query_errors };
    let body = match protocol {
        Protocol::Form(_) => Vec::new(),
        Protocol::Cbor | Protocol::Json10 | Protocol::Json11 => request.body.to_vec(),
    };
    Ok(Arrival { route, common, parameters, body })
}

type Lost = (Service, Protocol, ApiFault);

fn cbor_action(request: &ApiRequest<'_>) -> Result<String, Lost> {
    let action = request.path.strip_prefix(CBOR_PATH).filter(|_| request.method == "POST");
    action
        .filter(|action| is_action(action))
        .map(str::to_owned)
        .ok_or_else(|| (Service::CloudWatch, Protocol::Cbor, ApiFault::unknown_operation()))
}

fn json_action(
    request: &ApiRequest<'_>,
    target: &str,
) -> Result<(Service, Protocol, String), Lost> {
    let (prefix, action) = target.split_once('.').unwrap_or((target, ""));
    let found = TARGETS.into_iter().find(|(known, _, _)| *known == prefix);
    let Some((_, service, protocol)) = found else {
        let content_type = request.header("content-type").unwrap_or_default();
        let is_cloudwatch = content_type.starts_with("application/x-amz-json-1.0");
        let [(_, cloudwatch, json10), (_, organizations, json11)] = TARGETS;
        let (service, protocol) =
            if is_cloudwatch { (cloudwatch, json10) } else { (organizations, json11) };
        return Err((service, protocol, ApiFault::unknown_operation()));
    };
    if request.method == "POST" && is_action(action) {
        Ok((service, protocol, action.to_owned()))
    } else {
        Err((service, protocol, ApiFault::unknown_operation()))
    }
}

fn form_action(request: &ApiRequest<'_>) -> Result<(Service, String, Common, Tree), Lost> {
    let signed = signed_service(request);
    let guess = signed.unwrap_or(Service::Ec2);
    let lost = |service: Service, fault| (service, Protocol::Form(service.dialect()), fault);
    let body = if request.method == "POST" { request.body } else { &[] };
    let mut tree = Tree::parse_parts([request.query.as_bytes(), body])
        .map_err(|fault| lost(guess, fault.into()))?;
    let version = tree.text("Version").map(str::to_owned);
    let dated = Service::of_forms().find(|service| Some(service.version()) == version.as_deref());
    let service = dated.unwrap_or(guess);
    let common = tree.take_common().map_err(|fault| lost(service, fault.into()))?;
    let Some(action) = common.action.clone().filter(|action| !action.is_empty()) else {
        return Err(lost(service, ApiFault::missing_action()));
    };
    let fault = match (service.dialect(), dated, version.as_deref()) {
        (_, Some(_), _) if is_action(&action) => return Ok((service, action, common, tree)),
        (Dialect::Ec2, Some(_), _) => ApiFault::invalid_action(&action),
        (Dialect::Ec2, None, None) => ApiFault::missing_parameter("Version"),
        (Dialect::Ec2, None, Some(version)) => ApiFault::no_such_version(version),
        (Dialect::Query, _, version) => ApiFault::operation_not_found(&action, version),
    };
    Err(lost(service, fault))
}

/// Whether a text can name an action: its name becomes that of an element.
fn is_action(action: &str) -> bool {
    action.len() <= ACTION_BYTES_MAX
        && action.starts_with(|first: char| first.is_ascii_uppercase())
        && action.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The form service in the scope of the signature, wherever that stands: nothing is verified here.
fn signed_service(request: &ApiRequest<'_>) -> Option<Service> {
    let in_header = |header: &str| {
        let (_, credential) = header.split_once("Credential=")?;
        credential.split([',', ' ']).next().map(str::to_owned)
    };
    let in_query = || {
        let mut pairs = request.query.split('&');
        let credential = pairs.find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
        Some(credential.replace("%2F", "/").replace("%2f", "/"))
    };
    let credential = request.header("authorization").map_or_else(in_query, in_header)?;
    let name = credential.rsplit('/').nth(1)?;
    Service::of_forms().find(|service| service.signing_name() == name)
}

/// The answer to an action that the service does not have, as its protocol gives it.
pub fn unknown_action(route: &Route) -> ApiFault {
    match route.protocol {
        Protocol::Cbor | Protocol::Json10 | Protocol::Json11 => ApiFault::unknown_operation(),
        Protocol::Form(Dialect::Ec2) => ApiFault::invalid_action(&route.action),
        Protocol::Form(Dialect::Query) => {
            ApiFault::operation_not_found(&route.action, Some(route.service.version()))
        }
    }
}

#[cfg(test)]
mod tests;
