//! One connection as a pure state machine: bytes and time in; bytes, socket options and close out.
//!
//! A driver owns the socket. It feeds what it reads to [`Connection::receive`] and does what the
//! [`Step`] says; see `driver`. No socket, clock or randomness in here, so that any driver, and the
//! conformance suite with its virtual time, run the same protocol.
//!
//! ```text
//!            ┌──── Read ◀───┐
//!            ▼              │ more bytes
//!         receive ──────────┘
//!            │ head (and an empty chunked body) complete
//!            ├──── Sign ──▶ driver has the signatures made ──▶ resume
//!            ▼                                                   │
//!          Write ◀───────────────────────────────────────────────┘
//!            │ all bytes written
//!            ▼
//!    Ending::Close, or Ending::Drain where bytes may be under way that nobody will read
//! ```
//!
//! INVARIANT: a connection answers one request and ends. Nothing behind that request is read as
//! one, so no bytes that an attacker smuggles into a body or behind an error are ever answered.

use metadata::{Body, Malformed, Method, Parsed, Refusal, Request, Signatures};
use model::{HopLimit, InstanceId, Observation, Outcome, RequestVersion, Timestamp};

use crate::counters::Limit;
use crate::exchange::{Exchange, Signed, Unready};

/// LIMIT: how long a caller may take to send its request. EC2's own is not published; clients send
/// theirs in one packet (data plane, 9).
pub const HEAD_DEADLINE_MILLIS: i64 = 5_000;

/// The end of a chunked body that holds nothing.
const EMPTY_CHUNKED_BODY: &[u8] = b"0\r\n\r\n";

/// Reads one request and answers it.
#[derive(Debug)]
pub struct Connection {
    /// Bytes of an incomplete request; most requests come whole and are never copied here.
    held: Vec<u8>,
    deadline: Timestamp,
}

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Close at once, without an answer.
    Close(Unanswered),
    /// Read more, until the deadline.
    Read,
    /// Have the identity document signed, then call [`Connection::resume`].
    Sign {
        /// The instance whose document it is.
        instance: InstanceId,
        /// The document.
        document: String,
    },
    /// Set the socket options, write the bytes, then end.
    Write(Sending),
}

/// Why a connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The instance takes no IPv6.
    Ipv6Disabled,
    /// The kernel does not know the MAC that the connection came from, as when it was made with a
    /// SYN cookie, and the instance is told by it.
    MacUnknown,
    /// It came in where an instance is attached, from a MAC or an address that is not its own.
    NotItsAddress,
    /// The instance is stopped, or ends.
    NotRunning,
    /// Nobody is attached there.
    Unattached,
}

impl Unanswered {
    pub(crate) const ALL: [Self; 5] = [
        Self::Ipv6Disabled,
        Self::MacUnknown,
        Self::NotItsAddress,
        Self::NotRunning,
        Self::Unattached,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv6Disabled => "ipv6_disabled",
            Self::MacUnknown => "mac_unknown",
            Self::NotItsAddress => "not_its_address",
            Self::NotRunning => "not_running",
            Self::Unattached => "unattached",
        }
    }
}

/// How the bytes of an answer are to be sent.
#[derive(Debug)]
pub struct Sending {
    /// The IP TTL, or IPv6 hop limit, of every packet from the first byte on. It must be set before
    /// that byte and never be raised: a retransmission would carry the token further than allowed.
    pub hop_limit: Option<HopLimit>,
    /// What follows the last byte.
    pub ending: Ending,
    /// What became of the request.
    pub observation: Observation,
    /// The limit that it went over.
    pub limit: Option<Limit>,
}

/// What follows the last byte of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Close: everything that the peer sent has been read.
    Close,
    /// Close for writing, read and forget a bounded amount, close. Closing with unread bytes would
    /// send a reset, which can destroy the answer on its way.
    Drain,
}

impl Connection {
    /// Starts at `now`.
    pub fn new(now: Timestamp) -> Self {
        let deadline = Timestamp::from_millis(now.as_millis().saturating_add(HEAD_DEADLINE_MILLIS));
        Self { held: Vec::new(), deadline }
    }

    /// Returns when the driver must give up [reading](Step::Read).
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Takes bytes that the peer sent. An answer is written to the end of `out`.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        exchange: &mut Exchange<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        if self.held.is_empty() {
            let step = advance(bytes, exchange, Signed::NotAsked, out);
            if matches!(step, Step::Read | Step::Sign { .. }) {
                self.held.extend_from_slice(bytes);
            }
            step
        } else {
            self.held.extend_from_slice(bytes);
            advance(&self.held, exchange, Signed::NotAsked, out)
        }
    }

    /// Goes on after [`Step::Sign`], with the signatures, or none if they could not be made.
    pub fn resume(
        &mut self,
        signatures: Option<&Signatures>,
        exchange: &mut Exchange<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let signed = signatures.map_or(Signed::Failed, Signed::Done);
        advance(&self.held, exchange, signed, out)
    }
}

/// Reads a request from everything received so far, and answers it once it is complete.
fn advance(
    bytes: &[u8],
    exchange: &mut Exchange<'_>,
    signed: Signed<'_>,
    out: &mut Vec<u8>,
) -> Step {
    if let Some(unanswered) = exchange.refuses_to_answer() {
        return Step::Close(unanswered);
    }
    let (request, rest) = match Request::parse(bytes) {
        Ok(Parsed::Incomplete) => return Step::Read,
        Ok(Parsed::Complete(request, head_bytes)) => {
            (request, bytes.get(head_bytes..).unwrap_or_default())
        }
        Err(malformed) => {
            return refuse(malformed, (RequestVersion::None, Method::Other), exchange, out);
        }
    };
    let body_refused = (RequestVersion::None, request.method());
    let ending = match body_state(&request, rest) {
        BodyState::Read => Ending::Close,
        BodyState::Unread => Ending::Drain,
        // A head and at most four bytes: nothing else need bound it.
        BodyState::Awaited => return Step::Read,
        BodyState::Refused => return refuse(Malformed::ChunkedBody, body_refused, exchange, out),
    };
    match exchange.answer(&request, signed, out) {
        Ok(observation) => {
            let hop_limit = (request.method() == Method::Put).then(|| exchange.hop_limit());
            let limit = (observation.outcome == Outcome::Throttled).then_some(Limit::RequestRate);
            Step::Write(Sending { hop_limit, ending, observation, limit })
        }
        Err(Unready { instance, document }) => Step::Sign { instance, document },
    }
}

fn refuse(
    malformed: Malformed,
    (version, method): (RequestVersion, Method),
    exchange: &mut Exchange<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let observation = exchange.refuse(Refusal::Malformed(malformed), (version, method), out);
    let limit = match malformed {
        Malformed::HeadTooLong => Some(Limit::HeadBytes),
        Malformed::TooManyFields => Some(Limit::HeaderFields),
        Malformed::BareLineFeed
        | Malformed::ChunkedBody
        | Malformed::ConflictingFraming
        | Malformed::ContentLength
        | Malformed::Field
        | Malformed::RepeatedHost
        | Malformed::RequestLine
        | Malformed::Target
        | Malformed::TransferEncoding
        | Malformed::Version => None,
    };
    // What else the peer sends is not known to be anything.
    let hop_limit = (method == Method::Put).then(|| exchange.hop_limit());
    Step::Write(Sending { hop_limit, ending: Ending::Drain, observation, limit })
}

/// How much of a request's body is there.
enum BodyState {
    /// An empty chunked body has not ended yet.
    Awaited,
    /// All of it, and nothing more.
    Read,
    /// A chunked body that is not empty.
    Refused,
    /// Less than all, or more: there is something to drain.
    Unread,
}

fn body_state(request: &Request<'_>, rest: &[u8]) -> BodyState {
    match request.body() {
        Body::Absent if rest.is_empty() => BodyState::Read,
        Body::Sized(bytes) if u64::try_from(rest.len()) == Ok(bytes) => BodyState::Read,
        Body::Absent | Body::Sized(_) => BodyState::Unread,
        // A sender that waits for `100 Continue` gets its answer instead, and its body is not read:
        // had it come a packet later, nobody would have seen it.
        Body::Chunked if request.expects_continue() => BodyState::Unread,
        Body::Chunked if rest == EMPTY_CHUNKED_BODY => BodyState::Read,
        Body::Chunked if EMPTY_CHUNKED_BODY.starts_with(rest) => BodyState::Awaited,
        Body::Chunked if rest.starts_with(EMPTY_CHUNKED_BODY) => BodyState::Unread,
        Body::Chunked => BodyState::Refused,
    }
}
