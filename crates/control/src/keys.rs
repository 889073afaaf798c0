//! Rotation of the keys of session tokens.

use std::convert::Infallible;
use std::sync::Arc;

use model::Timestamp;
use store::{Change, Snapshot};

/// Plans a new key for session tokens, if the newest is older than `period_seconds`.
///
/// # Errors
///
/// None: there is always a next key.
pub fn rotate_token_keys(
    snapshot: &Snapshot,
    secret: [u8; 32],
    now: Timestamp,
    period_seconds: i64,
) -> Result<(Vec<Change>, ()), Infallible> {
    let due = snapshot
        .token_key_ring()
        // A key from the future was made before the clock was set back: it is due as well.
        .filter(|ring| {
            let made = ring.rotated_at();
            made > now || made.plus_seconds(period_seconds) <= now
        })
        .map(|ring| Change::PutTokenKeys(Arc::new(ring.rotated(secret, now))));
    Ok((due.into_iter().collect(), ()))
}
