//! What one request was, and what became of it.

use std::net::IpAddr;

use crate::serial::spelled;
use crate::{HopLimit, InstanceId};

spelled! {
    /// The version of the protocol that a request spoke.
    ///
    /// EC2: the presence of the token headers decides, not the outcome (data plane, 3.3).
    RequestVersion, "a request version" {
        /// Not understood, so of no version.
        None = "none",
        /// A token request.
        Token = "token",
        /// A request without a token: `IMDSv1`.
        V1 = "v1",
        /// A request with a token, good or bad: `IMDSv2`.
        V2 = "v2",
    }
}

spelled! {
    /// What a request came to, in as many words as a metric label may have.
    Outcome, "an outcome" {
        /// Not understood, or a bad token lifetime.
        BadRequest = "bad_request",
        /// The endpoint is off, or a proxy stood between.
        Forbidden = "forbidden",
        /// The method has no business on the path.
        MethodNotAllowed = "method_not_allowed",
        /// Nothing at that path.
        NotFound = "not_found",
        /// Served.
        Ok = "ok",
        /// Over the instance's request rate.
        Throttled = "throttled",
        /// No token, or none that is good.
        Unauthorized = "unauthorized",
        /// A fault of ours.
        Unavailable = "unavailable",
    }
}

spelled! {
    /// How an answer to a token request was lost.
    UndeliveredReason, "a reason" {
        /// It may not travel as far as the caller is.
        HopLimit = "hop_limit",
        /// The caller closed, or was gone.
        Reset = "reset",
        /// Nobody acknowledged it.
        Timeout = "timeout",
    }
}

/// A token that did not arrive. The request itself was observed as it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenUndelivered {
    /// The instance that asked.
    pub instance: InstanceId,
    /// Where the request came from.
    pub source: IpAddr,
    /// How it was lost.
    pub reason: UndeliveredReason,
    /// How many hops away the source is, if its packets tell.
    pub hops: Option<u8>,
    /// How many hops the answer was to travel.
    pub hop_limit: HopLimit,
}

/// What one request was, and what became of it. Every request yields exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The instance that asked; none for a caller that is attached to no instance.
    pub instance: Option<InstanceId>,
    /// The version it spoke.
    pub version: RequestVersion,
    /// What became of it.
    pub outcome: Outcome,
}
