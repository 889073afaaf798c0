//! Work that goes on beside the guest path: fetching role credentials ahead, rotating token keys.

use std::sync::Arc;
use std::time::Duration;

use model::{CredentialSource, Iam, Role, RoleName};
use store::Store;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::credentials;
use crate::run::{Notice, Notices};
use crate::service::Service;

/// How often it is looked whether the token key is due for rotation.
const ROTATION_CHECK: Duration = Duration::from_secs(10);

/// How long after a credential program failed it is run again.
const PROGRAM_RETRY: Duration = Duration::from_secs(15);

/// Fetches the credentials of every role with a program, and keeps them fresh. What comes back
/// ends when each has been tried once.
pub(crate) fn fetch_credentials(
    service: &Arc<Service>,
    store: &Store,
    clock: &Clock,
    notices: &Notices,
) -> impl Future<Output = ()> + use<> {
    let snapshot = store.snapshot();
    let mut first = Vec::new();
    for (kept, _) in snapshot.iam() {
        let Iam::Role(role) = kept else { continue };
        if let Role { name, credentials: CredentialSource::Process { command }, .. } = &**role {
            let (name, command) = (name.clone(), command.clone());
            let (service, clock, notices) = (Arc::clone(service), clock.clone(), notices.clone());
            let (fetched, done) = oneshot::channel();
            tokio::spawn(keep_fresh(service, name, command, clock, notices, fetched));
            first.push(done);
        }
    }
    async move {
        for done in first {
            // Fetched or failed: either way it has been tried.
            let _ = done.await;
        }
    }
}

async fn keep_fresh(
    service: Arc<Service>,
    role: RoleName,
    command: Vec<String>,
    clock: Clock,
    notices: Notices,
    fetched: oneshot::Sender<()>,
) {
    let mut fetched = Some(fetched);
    loop {
        let now = clock.now().wall;
        let pause = match credentials::run_program(&command, now).await {
            Ok(credentials) => {
                let refresh = credentials::refresh_at(&credentials, now);
                service.credentials().keep(&role, credentials);
                let seconds = refresh.as_seconds().saturating_sub(now.as_seconds());
                Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
            }
            Err(fault) => {
                notices.tell(Notice::CredentialsNotFetched { role: role.clone(), fault });
                PROGRAM_RETRY
            }
        };
        if let Some(fetched) = fetched.take() {
            let _ = fetched.send(());
        }
        tokio::time::sleep(pause).await;
    }
}

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
