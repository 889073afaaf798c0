//! Work that goes on beside the guest path: fetching role credentials ahead, rotating token keys.

use std::sync::Arc;
use std::time::Duration;

use model::{CredentialSource, Role, RoleName};
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

/// Fetches the credentials of every role with a program, once, and then keeps them fresh.
pub(crate) async fn fetch_credentials(
    service: &Arc<Service>,
    store: &Store,
    clock: Clock,
    notices: &Notices,
) {
    let snapshot = store.snapshot();
    let mut first = Vec::new();
    for (role, _) in snapshot.roles() {
        if let Role { name, credentials: CredentialSource::Process { command } } = &**role {
            let (name, command) = (name.clone(), command.clone());
            let (service, notices) = (Arc::clone(service), notices.clone());
            let (fetched, done) = oneshot::channel();
            tokio::spawn(keep_fresh(service, name, command, clock, notices, fetched));
            first.push(done);
        }
    }
    for done in first {
        // Ready means that a guest's first question can be answered, or that it has been tried.
        let _ = done.await;
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
        let now = clock.now();
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

pub(crate) async fn rotate_token_keys(
    store: Arc<Store>,
    clock: Clock,
    period_seconds: i64,
    notices: Notices,
) {
    loop {
        tokio::time::sleep(ROTATION_CHECK).await;
        let mut secret = [0; 32];
        if getrandom::fill(&mut secret).is_err() {
            continue;
        }
        let store = Arc::clone(&store);
        let rotate = move || {
            let now = clock.now();
            store.transact(|snapshot| {
                control::keys::rotate_token_keys(snapshot, secret, now, period_seconds)
            })
        };
        if let Ok(Err(fault)) = tokio::task::spawn_blocking(rotate).await {
            let reason = control::native::describe_fault(&fault);
            notices.tell(Notice::KeyNotRotated(reason));
        }
    }
}
