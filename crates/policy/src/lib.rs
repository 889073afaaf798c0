//! IAM and organization policies: who may do what, and why not.
//!
//! **What is this?** From documents, compiled once, and a request to a verdict that names the
//! statement that decided it, or what was missing. The whole grammar of policies, every operator of
//! conditions, and the order of evaluation over six layers.
//!
//! **What does it never do?** No sockets, files, clocks, randomness or async; the time of a request
//! is a condition key like any other. It knows no instance, no API and no status code, and it does
//! not find out which policies are in force: whoever asks says so. Deciding allocates nothing.
//!
//! **What is the picture?**
//!
//! ```text
//! text ─ Policy::compile ─▶ Policy ─┐ once
//!                                   │
//!                                Layers      who attached which policy where
//!                                   │
//! Principal, action, resource,      │ decide     resource control ┐ each level must allow
//! Context ─ Request::new ─▶ Request ┤            service control  ┘
//!                                   │            resource         ┐ one must allow within the
//!                                   │            identity         ┘ account, both across accounts
//!                                   │            boundary, session  must allow too
//!                                   ▼
//!                                Verdict     a deny anywhere is final
//! ```
//!
//! What is doubtful is denied: a document with anything unknown in it is refused when it is
//! written, and denies everything if it is in force all the same ([`Policy::compile_or_deny`]).
//!
//! **Where do I start reading?** [`fn@decide`], then [`Statement`], then [`Test`].

mod condition;
mod decide;
mod document;
mod explain;
mod json;
mod kind;
mod operator;
mod pattern;
mod policy;
mod principals;
mod refusal;
mod request;
mod statement;
mod tree;
mod value;
mod verdict;

pub use condition::{Failure, Test};
pub use decide::{Guardrail, Layers, Level, ResourcePolicies, decide};
pub use document::DOCUMENT_BYTES_MAX;
pub use explain::{Branch, Explanation, Leaf, Says, Trial, explain};
pub use kind::DocumentKind;
pub use operator::{Comparison, Missing, OPERATORS, Operator, Order, Polarity, Quantifier};
pub use policy::{Doubt, Policy, Source};
pub use principals::Naming;
pub use refusal::{DocumentRefusal, Wrong};
pub use request::{
    CONTEXT_KEYS_MAX, Context, KEY_VALUES_MAX, Principal, PrincipalKind, Request, RequestRefusal,
    VALUE_BYTES_MAX, Value,
};
pub use statement::{Effect, Match, Statement};
pub use verdict::{Cause, Denial, Grant, Layer, Shortfall, Verdict};
