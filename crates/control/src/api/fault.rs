//! Why a request is not done, with the codes, statuses and texts of AWS.
//!
//! Each fault is one function, so that no action spells a code by itself. Where AWS documents the
//! text, or it was seen on the wire, it is that text; scripts match on some of them.
//!
//! INVARIANT: no message holds a secret, and what it repeats of a request is at most
//! [`ECHO_CHARACTERS_MAX`] characters at a time.

mod iam;
mod network;
mod organization;
mod things;

use std::borrow::Cow;
use std::fmt::Display;

use super::form::FormFault;
use super::route::Service;

/// LIMIT: how much of a value is repeated in a message. The longest id that makes sense has 40
/// characters, and the longest ARN of a user is usually below 128.
pub const ECHO_CHARACTERS_MAX: usize = 128;

/// LIMIT: how many ids of a list are repeated in a message.
const ECHOED_IDS_MAX: usize = 20;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiFault {
    /// What programs tell it by.
    pub code: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What people read.
    pub message: String,
    /// Which of several reasons it is, where a JSON service says so in a member of its own.
    pub reason: Option<&'static str>,
}

/// What a request says, short enough to be repeated.
fn echo(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(ECHO_CHARACTERS_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
    }
}

fn echo_ids(ids: &[impl AsRef<str>]) -> String {
    let mut shown: Vec<_> = ids.iter().take(ECHOED_IDS_MAX).map(|id| echo(id.as_ref())).collect();
    if ids.len() > ECHOED_IDS_MAX {
        shown.push("...".into());
    }
    shown.join(", ")
}

/// Faults of any action.
impl ApiFault {
    /// Makes a fault that has no function of its own.
    pub fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), status, message: message.into(), reason: None }
    }

    fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, 400, message)
    }

    /// EC2: no such action. EC2 documents the code; the text is a choice (control plane, 1.5).
    pub fn invalid_action(action: &str) -> Self {
        let action = echo(action);
        Self::bad(
            "InvalidAction",
            format!("The action {action} is not valid for this web service."),
        )
    }

    /// Query services: no such action, in this version of the API. Seen.
    pub fn operation_not_found(action: &str, version: Option<&str>) -> Self {
        let (action, version) = (echo(action), echo(version.unwrap_or("NO_VERSION_SPECIFIED")));
        Self::bad(
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        )
    }

    /// JSON and CBOR services: no such action. They answer without a text.
    pub fn unknown_operation() -> Self {
        Self::bad("UnknownOperationException", "")
    }

    /// No `Action`. EC2 documents code and text.
    pub fn missing_action() -> Self {
        Self::bad("MissingAction", "The request is missing an action or a required parameter.")
    }

    /// A date that is none of the API's. The code is seen, its text is a choice.
    pub fn no_such_version(version: &str) -> Self {
        let version = echo(version);
        Self::bad("NoSuchVersion", format!("The requested version ({version}) does not exist."))
    }

    /// A required parameter that is not there. Seen.
    pub fn missing_parameter(name: &str) -> Self {
        let name = echo(name);
        Self::bad("MissingParameter", format!("The request must contain the parameter {name}"))
    }

    /// A parameter that the action does not have. EC2 documents the code; the text is a choice.
    pub fn unknown_parameter(name: &str) -> Self {
        let name = echo(name);
        Self::bad("UnknownParameter", format!("The parameter {name} is not recognized"))
    }

    /// A bad value; the texts are those of the actions (control plane, 2.4).
    pub fn invalid_parameter_value(message: impl Into<String>) -> Self {
        Self::bad("InvalidParameterValue", message)
    }

    /// A value that is not one of a few. Seen with two of them.
    pub fn not_one_of(value: &str, name: &str, words: &[&str]) -> Self {
        let value = echo(value);
        let words = match words {
            [one, other] => format!("either '{one}' or '{other}'"),
            words => words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" or "),
        };
        Self::invalid_parameter_value(format!(
            "A value of '{value}' is not valid for {name}. Specify {words} and try again."
        ))
    }

    /// A number outside its bounds, or none. The text is a choice after that of the words.
    pub fn not_between(value: &str, name: &str, min: i64, max: i64) -> Self {
        let value = echo(value);
        Self::invalid_parameter_value(format!(
            "A value of '{value}' is not valid for {name}. Specify a value between {min} and {max} \
             and try again."
        ))
    }

    /// A value that does not do, in EC2's general form. Seen with instance profiles.
    pub fn invalid_value_for(value: &str, name: &str, reason: &str) -> Self {
        let (value, name) = (echo(value), echo(name));
        Self::invalid_parameter_value(format!(
            "Value ({value}) for parameter {name} is invalid. {reason}"
        ))
    }

    /// Parameters that do not go together. EC2 documents the code.
    pub fn invalid_parameter_combination(message: impl Into<String>) -> Self {
        Self::bad("InvalidParameterCombination", message)
    }

    /// A form that cannot be read. Documented for all services.
    pub fn malformed_query_string(message: impl Into<String>) -> Self {
        Self::bad("MalformedQueryString", message)
    }

    /// A dry run that passed. EC2 documents code and text; the status is a choice.
    pub fn dry_run() -> Self {
        Self::new("DryRunOperation", 412, "Request would have succeeded, but DryRun flag is set.")
    }

    /// EC2: not allowed. Seen: the first sentence is always this one, `detail` says more
    /// (control plane, 5.7), and is empty where nothing is known.
    pub fn unauthorized(detail: &str) -> Self {
        let sentence = "You are not authorized to perform this operation.";
        let message =
            if detail.is_empty() { sentence.to_owned() } else { format!("{sentence} {detail}") };
        Self::new("UnauthorizedOperation", 403, message)
    }

    /// Query services: not allowed. JSON services say `AccessDeniedException` (control plane, 5.7).
    pub fn access_denied(detail: impl Into<String>) -> Self {
        Self::new("AccessDenied", 403, detail)
    }

    /// What a request says, short enough to be repeated.
    pub fn echo(text: &str) -> Cow<'_, str> {
        echo(text)
    }

    /// What no policy can be asked about, and so nobody may do. The text is a choice.
    pub fn unaskable(refusal: &policy::RequestRefusal) -> Self {
        Self::invalid_parameter_value(refusal.to_string())
    }

    /// JSON services: not allowed (control plane, 5.7).
    pub fn access_denied_exception(detail: impl Into<String>) -> Self {
        Self::bad("AccessDeniedException", detail)
    }

    /// JSON services: the body cannot be read as the request. The text is a choice; it quotes no value.
    pub fn unread_json(service: Service, fault: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        match fault.classify() {
            Category::Data if service == Service::Organizations => {
                let text = fault.to_string();
                // The words are those of `serde` for a member that is not there.
                let is_missing = text.starts_with("missing field");
                let reason = if is_missing { "INPUT_REQUIRED" } else { "INVALID_PATTERN" };
                Self::invalid_input_exception(reason, echo(&text))
            }
            Category::Data => Self::bad("ValidationException", echo(&fault.to_string())),
            Category::Eof | Category::Io | Category::Syntax => Self::serialization(),
        }
    }

    /// JSON and CBOR services: the body is neither. They answer without a text.
    pub fn serialization() -> Self {
        Self::bad("SerializationException", "")
    }

    /// What the account does not allow. EC2 documents it.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::bad("UnsupportedOperation", message)
    }

    /// What a protection of the thing itself forbids. Seen.
    pub fn operation_not_permitted(message: impl Into<String>) -> Self {
        Self::bad("OperationNotPermitted", message)
    }

    /// The same `ClientToken` with other parameters. EC2 documents the code.
    pub fn idempotent_mismatch() -> Self {
        Self::bad(
            "IdempotentParameterMismatch",
            "The client token was used for a request with other parameters. Use a new client token \
             for a new request.",
        )
    }

    /// A `NextToken` that was not handed out. EC2 documents the code.
    pub fn invalid_next_token() -> Self {
        Self::bad("InvalidNextToken", "The specified next token is not valid.")
    }

    /// `MaxResults` outside its bounds. EC2 documents the code.
    pub fn invalid_max_results(min: usize, max: usize) -> Self {
        Self::bad(
            "InvalidMaxResults",
            format!("The value of MaxResults must be between {min} and {max}."),
        )
    }

    /// More than 50 tags. EC2 documents the code.
    pub fn tag_limit_exceeded() -> Self {
        Self::bad("TagLimitExceeded", "A resource has at most 50 tags.")
    }

    /// More interfaces or volumes than an instance may have. EC2 documents the code.
    pub fn attachment_limit_exceeded(message: impl Into<String>) -> Self {
        Self::bad("AttachmentLimitExceeded", message)
    }

    /// More instances than there may be. EC2 documents the code.
    pub fn instance_limit_exceeded(message: impl Into<String>) -> Self {
        Self::bad("InstanceLimitExceeded", message)
    }

    /// More of something than an account may have. EC2 documents the code.
    pub fn resource_limit_exceeded(message: impl Into<String>) -> Self {
        Self::bad("ResourceLimitExceeded", message)
    }

    /// A filter that the action does not have. Seen.
    pub fn invalid_filter(name: &str) -> Self {
        Self::invalid_parameter_value(format!("The filter '{}' is invalid", echo(name)))
    }

    /// A filter that has a name and nothing else. The text is a choice.
    pub fn filter_without_values(name: &str) -> Self {
        Self::invalid_parameter_value(format!("The filter '{}' has no values", echo(name)))
    }

    /// More filters, or values of one, or longer values, than EC2 takes. EC2 documents the code.
    pub fn filter_limit_exceeded(message: impl Into<String>) -> Self {
        Self::bad("FilterLimitExceeded", message)
    }

    /// A body that is too long. The code is that of the status; the text is a choice.
    pub fn request_entity_too_large(max: usize) -> Self {
        let text = format!("The request is larger than {max} bytes: ask for less at a time.");
        Self::new("RequestEntityTooLarge", 413, text)
    }

    /// A body that does not come. The code is that of the status; the text is a choice.
    pub fn request_timeout() -> Self {
        Self::new("RequestTimeout", 408, "The body of the request did not come in time.")
    }

    /// A failure of ours: what it was is logged, not answered.
    pub fn internal() -> Self {
        Self::new("InternalError", 500, "An internal error has occurred.")
    }

    /// Cannot be done at the moment. EC2 documents the code.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("Unavailable", 503, message)
    }
}

impl From<FormFault> for ApiFault {
    fn from(fault: FormFault) -> Self {
        match fault {
            FormFault::Missing { name } => Self::missing_parameter(&name),
            FormFault::Unknown { name } => Self::unknown_parameter(&name),
            FormFault::Value { name, value: Some(value), reason } => {
                Self::invalid_value_for(&value, &name, &echo(&reason))
            }
            FormFault::Value { name, value: None, reason } => Self::invalid_parameter_value(
                format!("The value for parameter {} is invalid. {}", echo(&name), echo(&reason)),
            ),
            FormFault::Index { name } => Self::invalid_parameter_value(format!(
                "Invalid list index in parameter {}: number the elements from 1 on",
                echo(&name)
            )),
            FormFault::Shape { name, what } => Self::invalid_parameter_value(format!(
                "The parameter {} is {what}: send its parts, and no value",
                echo(&name)
            )),
            FormFault::Contradiction { name } => Self::malformed_query_string(format!(
                "The parameter {} has both a value and parts",
                echo(&name)
            )),
            FormFault::Duplicate { name } => Self::malformed_query_string(format!(
                "The parameter {} is specified more than once",
                echo(&name)
            )),
            FormFault::Name { name } => Self::malformed_query_string(format!(
                "The parameter name {} is not valid",
                echo(&name)
            )),
            fault @ (FormFault::Encoding | FormFault::TooMany) => {
                Self::malformed_query_string(format!("The query string cannot be read: {fault}"))
            }
        }
    }
}

/// Whose fault it is, in the words of the Query protocol.
pub(super) fn culprit(fault: &ApiFault) -> impl Display {
    if fault.status >= 500 { "Receiver" } else { "Sender" }
}

#[cfg(test)]
mod tests;
