//! Client tokens: the same request twice does what it asks for once (control plane, 1.9).

use model::{Idempotency, Line, Resource};
use sha2::{Digest as _, Sha256};
use store::{Change, Snapshot};

use super::Desk;
use crate::api::ApiFault;

/// LIMIT: the length of a client token, as EC2 documents it.
const CHARACTERS_MAX: usize = 64;

/// Reads a client token.
///
/// # Errors
///
/// `InvalidParameterValue` if it is none.
pub(crate) fn parse(text: &str) -> Result<Line, ApiFault> {
    let line = text.parse().ok().filter(|_| text.is_ascii() && text.len() <= CHARACTERS_MAX);
    line.ok_or_else(|| {
        ApiFault::invalid_value_for(text, "clientToken", "Use at most 64 ASCII characters.")
    })
}

/// What a request with a client token is to do.
pub(crate) enum Once {
    /// It has been done, and this is what it made.
    Done(Vec<Line>),
    /// It has not. What it makes is to be kept under the token, if it has one.
    New(Option<Line>),
}

impl Desk<'_> {
    /// Looks up what a client token stands for.
    ///
    /// # Errors
    ///
    /// `InvalidParameterValue` if it is none, `IdempotentParameterMismatch` if it came with other
    /// parameters before.
    pub(crate) fn once(
        &self,
        snapshot: &Snapshot,
        action: &str,
        client_token: Option<&str>,
    ) -> Result<Once, ApiFault> {
        let Some(token) = client_token.map(parse).transpose()? else {
            return Ok(Once::New(None));
        };
        match snapshot.idempotency(&self.scope, action_name(action)?, token.clone()) {
            None => Ok(Once::New(Some(token))),
            Some(made) if *made.digest == *self.digest() => Ok(Once::Done(made.outcome.clone())),
            Some(_) => Err(ApiFault::idempotent_mismatch()),
        }
    }

    /// Keeps what a request with a client token made.
    ///
    /// # Errors
    ///
    /// An internal error if the outcome has no written form.
    pub(crate) fn done(
        &self,
        action: &str,
        client_token: Option<Line>,
        outcome: impl IntoIterator<Item = String>,
    ) -> Result<Option<Change>, ApiFault> {
        let Some(client_token) = client_token else {
            return Ok(None);
        };
        let outcome = outcome.into_iter().map(|id| id.parse().map_err(|_| ApiFault::internal()));
        Ok(Some(self.put(Resource::Idempotency(Idempotency {
            action: action_name(action)?,
            client_token,
            digest: self.digest().parse().map_err(|_| ApiFault::internal())?,
            outcome: outcome.collect::<Result<_, _>>()?,
            made: self.now,
        }))))
    }

    /// A digest of the parameters, the client token aside.
    fn digest(&self) -> String {
        use std::fmt::Write as _;
        let digest = Sha256::digest(self.parameters.canonical());
        digest.iter().fold(String::new(), |mut text, byte| {
            // A string takes whatever is written.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn action_name(action: &str) -> Result<Line, ApiFault> {
    action.parse().map_err(|_| ApiFault::internal())
}
