//! Faults of signatures.
//!
//! The codes are documented; which service uses which of them is a choice (control plane, 1.5 and
//! 1.8).

use super::ApiFault;

impl ApiFault {
    /// EC2: an unknown key, a wrong signature, or no session token. The text is seen.
    pub fn auth_failure() -> Self {
        Self::new(
            "AuthFailure",
            401,
            "AWS was not able to validate the provided access credentials",
        )
    }

    /// EC2: a signature that cannot be read. The text is seen.
    pub fn auth_malformed() -> Self {
        Self::new(
            "AuthFailure",
            401,
            "Authorization header or parameters are not formatted correctly.",
        )
    }

    /// EC2: signed too long ago, or with credentials that are no longer good. The text is seen.
    pub fn request_expired() -> Self {
        Self::bad("RequestExpired", "Request has expired.")
    }

    /// No signature. Code documented, text and status are choices.
    pub fn missing_authentication_token() -> Self {
        Self::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
    }

    /// The other services: an unknown key, or no session token.
    pub fn invalid_client_token_id() -> Self {
        Self::new(
            "InvalidClientTokenId",
            403,
            "The security token included in the request is invalid.",
        )
    }

    /// The other services: a wrong signature.
    pub fn signature_does_not_match() -> Self {
        Self::new(
            "SignatureDoesNotMatch",
            403,
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details.",
        )
    }

    /// The other services: signed too long ago. `text` is that of the control plane, 1.8, point 8.
    pub fn signature_expired(text: impl Into<String>) -> Self {
        Self::new("SignatureDoesNotMatch", 403, text)
    }

    /// The other services: session credentials that are no longer good.
    pub fn expired_token() -> Self {
        Self::new("ExpiredToken", 403, "The security token included in the request is expired")
    }

    /// The other services: a signature that cannot be read. `message` says what it lacks, and
    /// repeats nothing of it.
    pub fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::bad("IncompleteSignature", message)
    }
}
