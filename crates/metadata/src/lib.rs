//! The EC2 Instance Metadata Service as a pure function.
//!
//! **What is this?** From a request, an instance, keys, a time and a nonce to an answer or a
//! refusal. Both versions of the protocol, the session tokens and the whole metadata tree.
//!
//! **What does it never do?** No sockets, files, clocks, randomness or async; no status codes and
//! no response bytes. Those are `server`'s.
//!
//! **What is the picture?** Each phase consumes the value of the one before it, so that none can
//! be left out:
//!
//! ```text
//! bytes ─ Request::parse ─▶ Request
//!                             │ admit        endpoint, method, proxy headers
//!             ┌───────────────┼──────────────┐
//!             ▼               ▼              ▼
//!        TokenRequest    ReadRequest       Allow (OPTIONS)
//!             │ issue         │ authorize    token, or v1 where that is allowed
//!             ▼               ▼
//!           Grant         Authorized
//!                             │ resolve      canonical path, version, tree
//!                             ▼
//!                            Leaf
//!                             │ render       the bytes of the value
//!                             ▼
//!                           Content
//! ```
//!
//! **Where do I start reading?** [`fn@admit`], then [`tree`] for what there is to ask for.

mod admit;
mod authorize;
mod canonical;
mod credentials;
mod document;
mod issuer;
mod json;
mod refusal;
mod render;
mod request;
pub mod session;
mod token;
pub mod tree;
mod version;
pub mod wire;

pub use admit::{Admitted, Allow, Profile, ReadRequest, TokenRequest, admit};
pub use authorize::{Authorized, Grant, authorize, issue};
pub use canonical::{Path, PathRefusal};
pub use credentials::{Credentials, RoleCredentials};
pub use document::identity_document;
pub use issuer::IssuerKey;
pub use refusal::{Refusal, TokenRefusal};
pub use render::{Content, ContentType, Signatures, Sources, Unsigned, render};
pub use request::{
    Body, FIELDS_MAX, HEAD_BYTES_MAX, HttpVersion, Malformed, Method, Parsed, Request,
};
pub use token::{NONCE_BYTES, TOKEN_CHARACTERS, Token, TokenFormat, TokenKey, TokenKeys};
pub use tree::{Leaf, resolve};
pub use version::Version;
