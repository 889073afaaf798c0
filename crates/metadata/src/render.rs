//! From a leaf to its bytes.

use std::borrow::Cow;
use std::sync::Arc;

use model::{Instance, RoleDelivery, RoleName, Timestamp};

use crate::credentials::{self, RoleCredentials};
use crate::document;
use crate::issuer::IssuerKey;
use crate::tree::{Leaf, SignatureKind, Value};

/// What the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/octet-stream`: user data.
    Octets,
    /// `text/plain`: everything else, JSON too.
    Text,
}

/// A value, ready to be sent.
#[derive(Debug)]
pub struct Content<'a> {
    /// What it is.
    pub content_type: ContentType,
    /// Its bytes.
    pub body: Cow<'a, [u8]>,
    /// When the instance's metadata changed last.
    pub last_modified: Timestamp,
    /// Remaining life of the token that came with the request, in seconds.
    pub token_ttl_seconds: Option<u32>,
}

/// The signatures over an identity document, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// `signature`: RSA over SHA-256 of the document.
    pub signature: Box<str>,
    /// `pkcs7`: DSA, in CMS.
    pub pkcs7: Box<str>,
    /// `rsa2048`: RSA-2048, in CMS.
    pub rsa2048: Box<str>,
}

/// What rendering draws on besides the instance.
pub trait Sources {
    /// The key of the built-in credential source.
    fn issuer_key(&self) -> &IssuerKey;

    /// What is known now of the credentials of a role that the instance that asks has.
    fn role_credentials(&self, role: &RoleName, delivery: RoleDelivery) -> RoleCredentials;

    /// The signatures over `document`, the identity document of the instance that asks, if they
    /// have been made.
    fn signatures(&self, document: &str) -> Option<Arc<Signatures>>;
}

/// The signatures of the instance have not been made: make them, then render again.
#[derive(Debug)]
pub struct Unsigned {
    /// The identity document to sign.
    pub document: String,
}

/// Renders the bytes of a leaf.
///
/// # Errors
///
/// [`Unsigned`] if the leaf is a signature that [`Sources`] does not have.
pub fn render<'a>(
    leaf: Leaf<'a>,
    sources: &impl Sources,
    now: Timestamp,
) -> Result<Content<'a>, Unsigned> {
    let Leaf { instance, value, delivery, token_ttl_seconds } = leaf;
    let text = |text: String| Cow::Owned(text.into_bytes());
    let (content_type, body) = match value {
        Value::Text(Cow::Borrowed(value)) => (ContentType::Text, Cow::Borrowed(value.as_bytes())),
        Value::Text(Cow::Owned(value)) => (ContentType::Text, text(value)),
        Value::UserData(bytes) => (ContentType::Octets, Cow::Borrowed(bytes)),
        Value::IdentityDocument => (ContentType::Text, text(document::identity_document(instance))),
        Value::Signature(kind) => {
            let document = document::identity_document(instance);
            let Some(signatures) = sources.signatures(&document) else {
                return Err(Unsigned { document });
            };
            let signature = match kind {
                SignatureKind::Pkcs7 => &signatures.pkcs7,
                SignatureKind::Rsa2048 => &signatures.rsa2048,
                SignatureKind::Signature => &signatures.signature,
            };
            (ContentType::Text, text(signature.to_string()))
        }
        Value::InstanceCredentials => {
            let credentials =
                credentials::of_instance(sources.issuer_key(), instance, delivery, now);
            (ContentType::Text, text(credentials::document(&credentials)))
        }
        Value::RoleCredentials(role) => {
            (ContentType::Text, text(role_document(instance, role, sources, delivery, now)))
        }
    };
    Ok(Content {
        content_type,
        body,
        last_modified: instance.last_modified.min(now),
        token_ttl_seconds,
    })
}

fn role_document(
    instance: &Instance,
    role: &RoleName,
    sources: &impl Sources,
    delivery: RoleDelivery,
    now: Timestamp,
) -> String {
    match sources.role_credentials(role, delivery) {
        RoleCredentials::BuiltIn { role, life } => {
            let key = sources.issuer_key();
            let made = credentials::of_role(key, instance, &role, life, delivery, now);
            credentials::document(&made)
        }
        RoleCredentials::Held(held) => credentials::document(&held),
        RoleCredentials::Unavailable { code, message } => {
            credentials::error_document(&code, &message, instance.last_modified)
        }
    }
}
