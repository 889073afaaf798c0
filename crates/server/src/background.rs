//! Work that goes on beside the guest path: rotating token keys.

use std::sync::Arc;
use std::time::Duration;

use store::Store;

use crate::clock::Clock;
use crate::run::{Notice, Notices};

/// How often it is looked whether the token key is due for rotation.
const ROTATION_CHECK: Duration = Duration::from_secs(10);

/// Rotates the key of session tokens when it is due, and follows the wall clock.
pub(crate) async fn rotate_token_keys(
    store: Arc<Store>,
    clock: Clock,
    period_seconds: i64,
    notices: Notices,
) {
    let mut told = None;
    loop {
        tokio::time::sleep(ROTATION_CHECK).await;
        clock.follow_wall();
        let mut secret = [0; 32];
        if getrandom::fill(&mut secret).is_err() {
            continue;
        }
        let (store, now) = (Arc::clone(&store), clock.now().steady);
        let rotate = move || {
            store.transact(|snapshot| {
                control::keys::rotate_token_keys(snapshot, secret, now, period_seconds)
            })
        };
        let rotated = tokio::task::spawn_blocking(rotate).await;
        let reason = match rotated {
            Ok(Err(fault)) => Some(control::native::describe_fault(&fault)),
            Ok(Ok(())) | Err(_) => None,
        };
        // A full disk stays full for a while: it is told once.
        if let Some(reason) = reason.clone().filter(|_| reason != told) {
            notices.tell(Notice::KeyNotRotated(reason));
        }
        told = reason;
    }
}
