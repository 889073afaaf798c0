//! Whether a text can be the content of a policy.

use model::{Line, PolicyType};
use policy::{DocumentKind, DocumentRefusal, Policy};

use crate::api::ApiFault;
use crate::declarative;

/// Sees that a text can be the content of a policy of a type.
///
/// # Errors
///
/// `MalformedPolicyDocumentException` says what is wrong with it, and where;
/// `ConstraintViolationException` if it is too long.
pub(super) fn check(type_: PolicyType, name: &Line, content: &str) -> Result<(), ApiFault> {
    let kind = match type_ {
        PolicyType::DeclarativePolicyEc2 => {
            let read = declarative::Content::parse(content);
            return read.map(drop).map_err(|refusal| match refusal {
                declarative::ContentRefusal::TooLong { .. } => too_long(&refusal),
                declarative::ContentRefusal::At { .. }
                | declarative::ContentRefusal::NotJson(_) => ApiFault::malformed_policy_document_exception(refusal.to_string()),
            });
        }
        PolicyType::ResourceControlPolicy => DocumentKind::ResourceControl,
        PolicyType::ServiceControlPolicy => DocumentKind::ServiceControl,
    };
    Policy::compile(name, kind, content).map(drop).map_err(|refusal| match refusal {
        DocumentRefusal::TooLong { .. } | DocumentRefusal::TooManyBytes { .. } => {
            too_long(&refusal)
        }
        DocumentRefusal::NotJson(_) | DocumentRefusal::At { .. } => {
            ApiFault::malformed_policy_document_exception(refusal.to_string())
        }
    })
}

fn too_long(refusal: &impl ToString) -> ApiFault {
    ApiFault::constraint_violation("POLICY_CONTENT_LIMIT_EXCEEDED", refusal.to_string())
}
