//! What goes back: status, header lines and body, in the protocol of the request.

use serde::Serialize;

use super::Dialect;
use super::fault::{ApiFault, culprit};
use super::route::{Protocol, QueryErrors, Route, Service};
use super::xml::{self, XmlFault};

/// What an action answers.
pub struct Answer(What);

enum What {
    /// A struct, whose fields are the members of the answer.
    Members(Box<dyn Written + Send>),
    /// No members: `<return>true</return>` in EC2, nothing in the others.
    Nothing,
}

/// What goes back to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Makes an answer of a struct that derives `Serialize`: it is written in the protocol of the
    /// request, whichever that is.
    pub fn of(answer: impl Serialize + Send + 'static) -> Self {
        Self(What::Members(Box::new(answer)))
    }

    /// Makes the answer of an action that answers nothing but that it is done.
    pub const fn done() -> Self {
        Self(What::Nothing)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

/// The answer has no form in the protocol of the request.
#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error(transparent)]
    Cbor(#[from] ciborium::ser::Error<std::io::Error>),
    #[error(transparent)]
    CborValue(#[from] ciborium::value::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Xml(#[from] XmlFault),
}

/// What can be written in every protocol.
trait Written {
    fn fields(&self, dialect: Dialect, out: &mut String) -> Result<(), XmlFault>;
    fn json(&self) -> Result<Vec<u8>, Unwritable>;
    fn cbor(&self) -> Result<Vec<u8>, Unwritable>;
}

impl<T: Serialize> Written for T {
    fn fields(&self, dialect: Dialect, out: &mut String) -> Result<(), XmlFault> {
        xml::write_fields(self, dialect, out)
    }

    fn json(&self) -> Result<Vec<u8>, Unwritable> {
        let mut value = serde_json::to_value(self)?;
        leave_out_absent_json(&mut value);
        Ok(serde_json::to_vec(&value)?)
    }

    fn cbor(&self) -> Result<Vec<u8>, Unwritable> {
        let mut value = ciborium::Value::serialized(self)?;
        leave_out_absent_cbor(&mut value);
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes)?;
        Ok(bytes)
    }
}

/// What is `None` is left out, as in XML.
fn leave_out_absent_json(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(leave_out_absent_json);
    } else if let serde_json::Value::Array(elements) = value {
        elements.iter_mut().for_each(leave_out_absent_json);
    }
}

/// As [`leave_out_absent_json`].
fn leave_out_absent_cbor(value: &mut ciborium::Value) {
    if let ciborium::Value::Map(members) = value {
        members.retain(|(_, member)| !member.is_null());
        for (_, member) in members {
            leave_out_absent_cbor(member);
        }
    } else if let ciborium::Value::Array(elements) = value {
        elements.iter_mut().for_each(leave_out_absent_cbor);
    }
}

/// Writes what comes of a request. `request_id` is a UUID.
///
/// An answer that has no form in the protocol becomes an internal error.
pub fn respond(route: &Route, request_id: &str, result: Result<Answer, ApiFault>) -> ApiResponse {
    let written = match result {
        Ok(answer) => write_answer(route, request_id, &answer).map(|body| (200, body, None)),
        Err(fault) => Err(fault),
    };
    let (status, body, query_error) = written.unwrap_or_else(|fault| {
        let status = status_of(route, &fault);
        let header = format!("{};{}", fault.code, culprit(&fault));
        (status, write_fault(route, request_id, &fault), Some(header))
    });
    let mut headers = vec![
        ("x-amzn-requestid", request_id.to_owned()),
        ("content-type", content_type(route.protocol).to_owned()),
        ("cache-control", "no-cache, no-store".to_owned()),
    ];
    if route.protocol == Protocol::Cbor {
        headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
    }
    let tells_code = !matches!(route.protocol, Protocol::Form(_))
        && route.service == Service::CloudWatch
        && route.query_errors == QueryErrors::Wanted;
    if let Some(header) = query_error.filter(|_| tells_code) {
        headers.push(("x-amzn-query-error", header));
    }
    ApiResponse { status, headers, body }
}

const fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Cbor => "application/cbor",
        Protocol::Form(Dialect::Ec2) => "text/xml;charset=UTF-8",
        Protocol::Form(Dialect::Query) => "text/xml",
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
    }
}

/// JSON and CBOR say 400 for whatever the caller has to mend, unless the client speaks Query too. What
/// is wrong with the body as such, whatever it says, has the status of HTTP.
fn status_of(route: &Route, fault: &ApiFault) -> u16 {
    let is_form = matches!(route.protocol, Protocol::Form(_));
    let is_of_body = matches!(fault.status, 408 | 413);
    let keeps = is_form || is_of_body || route.query_errors == QueryErrors::Wanted;
    if keeps || fault.status >= 500 { fault.status } else { 400 }
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn write_answer(route: &Route, request_id: &str, answer: &Answer) -> Result<Vec<u8>, ApiFault> {
    let written = match (route.protocol, &answer.0) {
        (Protocol::Form(dialect), what) => write_xml(route, dialect, request_id, what),
        (Protocol::Cbor, What::Members(members)) => members.cbor(),
        (Protocol::Cbor, What::Nothing) => Empty {}.cbor(),
        (Protocol::Json10 | Protocol::Json11, What::Members(members)) => members.json(),
        (Protocol::Json10 | Protocol::Json11, What::Nothing) => Empty {}.json(),
    };
    written.map_err(|_| ApiFault::internal())
}

/// No members.
#[derive(Serialize)]
struct Empty {}

fn write_xml(
    route: &Route,
    dialect: Dialect,
    request_id: &str,
    what: &What,
) -> Result<Vec<u8>, Unwritable> {
    let action = &route.action;
    let mut out = String::from(DECLARATION);
    out.extend(["<", action, "Response xmlns=\"", route.service.namespace(), "\">"]);
    match (dialect, what) {
        (Dialect::Ec2, What::Members(members)) => {
            xml::write_element("requestId", request_id, &mut out);
            members.fields(dialect, &mut out)?;
        }
        (Dialect::Ec2, What::Nothing) => {
            xml::write_element("requestId", request_id, &mut out);
            xml::write_element("return", "true", &mut out);
        }
        (Dialect::Query, what) => {
            if let What::Members(members) = what {
                out.extend(["<", action, "Result>"]);
                members.fields(dialect, &mut out)?;
                out.extend(["</", action, "Result>"]);
            }
            out.push_str("<ResponseMetadata>");
            xml::write_element("RequestId", request_id, &mut out);
            out.push_str("</ResponseMetadata>");
        }
    }
    out.extend(["</", action, "Response>"]);
    Ok(out.into_bytes())
}

/// The body of an error in JSON and CBOR.
#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// As Organizations spells it.
    #[serde(rename = "Message", skip_serializing_if = "Option::is_none")]
    capital_message: Option<&'a str>,
    #[serde(rename = "Reason", skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

fn write_fault(route: &Route, request_id: &str, fault: &ApiFault) -> Vec<u8> {
    let error = || {
        let text = Some(&*fault.message).filter(|text| !text.is_empty());
        let is_capital = route.service == Service::Organizations;
        ErrorBody {
            kind: format!("{}#{}", route.service.error_namespace(), fault.code),
            message: text.filter(|_| !is_capital),
            capital_message: text.filter(|_| is_capital),
            reason: fault.reason,
        }
    };
    match route.protocol {
        // A few texts: none can fail to be written.
        Protocol::Cbor => error().cbor().unwrap_or_default(),
        Protocol::Json10 | Protocol::Json11 => error().json().unwrap_or_default(),
        Protocol::Form(Dialect::Ec2) => {
            let mut out = String::from(DECLARATION);
            out.push_str("<Response><Errors><Error>");
            xml::write_element("Code", &fault.code, &mut out);
            xml::write_element("Message", &fault.message, &mut out);
            out.push_str("</Error></Errors>");
            // EC2: capital letters here, and in no other place (control plane, 1.5).
            xml::write_element("RequestID", request_id, &mut out);
            out.push_str("</Response>");
            out.into_bytes()
        }
        Protocol::Form(Dialect::Query) => {
            let mut out = String::from(DECLARATION);
            let namespace = route.service.namespace();
            out.extend(["<ErrorResponse xmlns=\"", namespace, "\"><Error>"]);
            xml::write_element("Type", &culprit(fault).to_string(), &mut out);
            xml::write_element("Code", &fault.code, &mut out);
            xml::write_element("Message", &fault.message, &mut out);
            out.push_str("</Error>");
            xml::write_element("RequestId", request_id, &mut out);
            out.push_str("</ErrorResponse>");
            out.into_bytes()
        }
    }
}

#[cfg(test)]
mod tests;
