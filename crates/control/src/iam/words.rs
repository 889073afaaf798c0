//! What requests say: names, paths, texts, tags and documents.

use std::collections::{BTreeMap, BTreeSet};

use model::{IamKey, IamKind, IamName, IamPath, Line, PolicyArn, PolicyDocument, RoleName, TagKey};
use policy::{DocumentKind, DocumentRefusal, Policy};
use serde::Deserialize;

use super::limits;
use crate::api::ApiFault;
use crate::api::xml::is_xml_safe;

/// Tags by their keys.
pub(crate) type Tags = BTreeMap<TagKey, Box<str>>;

/// A tag of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TagParameter {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// What requests call the name of a kind, and how many characters it has at most.
const fn of_name(kind: IamKind) -> (&'static str, usize) {
    match kind {
        IamKind::Group => ("groupName", 128),
        IamKind::InstanceProfile => ("instanceProfileName", 128),
        IamKind::Policy => ("policyName", 128),
        IamKind::Role => ("roleName", 64),
        IamKind::User => ("userName", 64),
    }
}

/// Reads the name of something.
///
/// # Errors
///
/// `ValidationError`.
pub(crate) fn parse_name(kind: IamKind, text: &str) -> Result<IamName, ApiFault> {
    let (parameter, max) = of_name(kind);
    if text.chars().count() > max {
        return Err(too_long(parameter, max));
    }
    let refused = || {
        ApiFault::validation_error(format!(
            "The specified value for {parameter} is invalid. It must contain only alphanumeric \
             characters and/or the following: +=,.@_-"
        ))
    };
    match kind {
        // These can stand in a path of metadata, or in the ARN of a session.
        IamKind::Role | IamKind::User => {
            text.parse::<RoleName>().map(IamName::from).map_err(|_| refused())
        }
        IamKind::Group | IamKind::InstanceProfile | IamKind::Policy => {
            text.parse().map_err(|_| refused())
        }
    }
}

/// Reads the name of a role or a user.
///
/// # Errors
///
/// `ValidationError`.
pub(crate) fn parse_short_name(kind: IamKind, text: &str) -> Result<RoleName, ApiFault> {
    let name = parse_name(kind, text)?;
    name.as_str().parse().map_err(|_| too_long(of_name(kind).0, of_name(kind).1))
}

fn too_long(parameter: &str, max: usize) -> ApiFault {
    ApiFault::validation_error(format!(
        "1 validation error detected: Value at '{parameter}' failed to satisfy constraint: Member \
         must have length less than or equal to {max}"
    ))
}

/// Reads a path: `/` if none is said.
///
/// # Errors
///
/// `ValidationError`.
pub(crate) fn parse_path(text: Option<&str>) -> Result<IamPath, ApiFault> {
    text.map_or_else(|| Ok(IamPath::default()), str::parse).map_err(|_| {
        ApiFault::validation_error(
            "The specified value for path is invalid. It must begin and end with / and contain \
             only alphanumeric characters and/or / characters.",
        )
    })
}

/// Reads what the paths of what is listed start with.
///
/// # Errors
///
/// `ValidationError`.
pub(crate) fn parse_prefix(text: Option<&str>) -> Result<&str, ApiFault> {
    let prefix = text.unwrap_or("/");
    if prefix.starts_with('/') && prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(prefix);
    }
    Err(ApiFault::validation_error(
        "The specified value for pathPrefix is invalid. It must begin with / and contain only \
         alphanumeric characters and/or / characters.",
    ))
}

/// Reads a description: none if it is empty.
///
/// # Errors
///
/// `ValidationError`.
pub(crate) fn parse_description(text: &str) -> Result<Option<Line>, ApiFault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > limits::DESCRIPTION_CHARACTERS_MAX {
        return Err(too_long("description", limits::DESCRIPTION_CHARACTERS_MAX));
    }
    let line = if is_xml_safe(text) { text.parse().ok() } else { None };
    line.map(Some).ok_or_else(|| {
        ApiFault::validation_error(
            "1 validation error detected: Value at 'description' failed to satisfy constraint: \
             Member must be one line without control characters",
        )
    })
}

/// Reads how long sessions of a role may last.
///
/// # Errors
///
/// `ValidationError`.
pub(crate) fn parse_session_duration(seconds: u32) -> Result<u32, ApiFault> {
    let bounds = limits::SESSION_SECONDS;
    if bounds.contains(&seconds) {
        return Ok(seconds);
    }
    let (than, bound) = if seconds < *bounds.start() {
        ("greater", bounds.start())
    } else {
        ("less", bounds.end())
    };
    Err(ApiFault::validation_error(format!(
        "1 validation error detected: Value '{seconds}' at 'maxSessionDuration' failed to satisfy \
         constraint: Member must have value {than} than or equal to {bound}"
    )))
}

/// Reads the ARN of a managed policy.
///
/// # Errors
///
/// `InvalidInput`.
pub(crate) fn parse_policy_arn(text: &str) -> Result<PolicyArn, ApiFault> {
    text.parse().map_err(|_| ApiFault::invalid_input(format!("ARN {text} is not valid.")))
}

/// Reads tags that are to be set. Keys that differ in case alone are one key to IAM.
///
/// # Errors
///
/// `InvalidInput`, or `ValidationError` for more than there may be.
pub(crate) fn parse_tags(parameters: &[TagParameter]) -> Result<Tags, ApiFault> {
    if parameters.len() > limits::TAGS_MAX {
        return Err(too_long("tags", limits::TAGS_MAX));
    }
    let (mut tags, mut folded) = (Tags::new(), BTreeSet::new());
    for TagParameter { key, value } in parameters {
        if !folded.insert(key.to_lowercase()) {
            return Err(ApiFault::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert(parse_tag_key(key)?, parse_tag_value(value)?);
    }
    Ok(tags)
}

/// What may stand in the keys and values of tags, besides letters and digits of any script.
const TAG_SIGNS: &str = " _.:/=+-@";

/// Reads the key of a tag.
///
/// # Errors
///
/// `InvalidInput`.
pub(crate) fn parse_tag_key(text: &str) -> Result<TagKey, ApiFault> {
    if text.to_ascii_lowercase().starts_with("aws:") {
        return Err(ApiFault::invalid_input(
            "System tags cannot be added/updated/deleted: keys that start with aws: are reserved.",
        ));
    }
    let key = text.parse().ok().filter(|_| text.chars().all(is_of_tags));
    key.ok_or_else(|| {
        ApiFault::invalid_input(
            "Tag keys have 1 to 128 letters, digits, spaces and the following: _.:/=+-@",
        )
    })
}

fn parse_tag_value(text: &str) -> Result<Box<str>, ApiFault> {
    if text.chars().count() <= 256 && text.chars().all(is_of_tags) {
        return Ok(text.into());
    }
    Err(ApiFault::invalid_input(
        "Tag values have at most 256 letters, digits, spaces and the following: _.:/=+-@",
    ))
}

fn is_of_tags(c: char) -> bool {
    c.is_alphanumeric() || TAG_SIGNS.contains(c)
}

/// Reads a policy document. What is wrong is said now, and not when it is used.
///
/// # Errors
///
/// `MalformedPolicyDocument`, or `LimitExceeded` if it is too long for its kind.
pub(crate) fn parse_document(kind: DocumentKind, text: &str) -> Result<PolicyDocument, ApiFault> {
    match Policy::compile("document", kind, text) {
        Ok(_) => Ok(PolicyDocument::new(text)),
        Err(DocumentRefusal::TooLong { kind, .. }) => Err(too_long_document(kind)),
        Err(refusal) => Err(ApiFault::malformed_policy_document(&refusal)),
    }
}

fn too_long_document(kind: DocumentKind) -> ApiFault {
    let most = kind.characters_max();
    match kind {
        DocumentKind::Managed => ApiFault::quota_exceeded("PolicySize", most),
        DocumentKind::Trust => ApiFault::quota_exceeded("ACLSizePerRole", most),
        DocumentKind::GroupInline
        | DocumentKind::Resource
        | DocumentKind::ResourceControl
        | DocumentKind::RoleInline
        | DocumentKind::ServiceControl
        | DocumentKind::Session
        | DocumentKind::UserInline => {
            ApiFault::limit_exceeded(format!("Maximum policy size of {most} bytes exceeded"))
        }
    }
}

/// Sees that the inline policies of something are not too long together.
///
/// # Errors
///
/// `LimitExceeded`.
pub(crate) fn check_inline_size<'d>(
    kind: DocumentKind,
    key: &IamKey,
    documents: impl Iterator<Item = &'d PolicyDocument>,
) -> Result<(), ApiFault> {
    let length = |document: &PolicyDocument| {
        document.as_str().chars().filter(|c| !c.is_whitespace()).count()
    };
    let most = kind.characters_max();
    if documents.map(length).sum::<usize>() <= most {
        return Ok(());
    }
    let IamKey { kind, name, .. } = key;
    Err(ApiFault::limit_exceeded(format!(
        "Maximum policy size of {most} bytes exceeded for {kind} {name}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_lengths_and_letters_of_their_kinds() {
        let long = "x".repeat(65);
        for (kind, text, good) in [
            (IamKind::User, "dev", true),
            (IamKind::User, &*long, false),
            (IamKind::Group, &*long, true),
            (IamKind::Group, &*"x".repeat(129), false),
            (IamKind::Role, "..", false),
            (IamKind::Role, "a/b", false),
            (IamKind::InstanceProfile, "", false),
        ] {
            assert_eq!(parse_name(kind, text).is_ok(), good, "{kind} {text}");
        }
        let fault = parse_name(IamKind::Role, "a b").unwrap_err();
        assert_eq!(
            fault.message,
            "The specified value for roleName is invalid. It must contain only alphanumeric \
             characters and/or the following: +=,.@_-"
        );
    }

    #[test]
    fn tags_are_told_apart_without_their_case() {
        let tag = |key: &str, value: &str| TagParameter { key: key.into(), value: value.into() };
        assert!(parse_tags(&[tag("team", ""), tag("cost center", "a/b@c")]).is_ok());
        for bad in [
            vec![tag("team", "a"), tag("Team", "b")],
            vec![tag("", "a")],
            vec![tag("aws:x", "a")],
            vec![tag("AWS:x", "a")],
            vec![tag("a", "b\u{7}")],
            vec![tag("a<", "b")],
            vec![tag("a", &"x".repeat(257))],
        ] {
            assert_eq!(parse_tags(&bad).unwrap_err().code, "InvalidInput", "{bad:?}");
        }
    }

    #[test]
    fn a_document_that_is_too_long_exceeds_a_quota() {
        let long = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::{}"}}}}"#,
            "x".repeat(6200)
        );
        for (kind, message) in [
            (DocumentKind::Managed, "Cannot exceed quota for PolicySize: 6144"),
            (DocumentKind::Trust, "Cannot exceed quota for ACLSizePerRole: 2048"),
            (DocumentKind::UserInline, "Maximum policy size of 2048 bytes exceeded"),
        ] {
            let fault = parse_document(kind, &long).unwrap_err();
            assert_eq!(
                (&*fault.code, fault.status, &*fault.message),
                ("LimitExceeded", 409, message)
            );
        }
        assert!(parse_document(DocumentKind::RoleInline, &long).is_ok());
    }
}
