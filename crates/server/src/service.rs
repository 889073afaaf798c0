//! What all drivers share: settings of the wire, and caches that the guest path only reads.

use metadata::{Profile, TokenFormat};

use crate::answer::Wire;
use crate::credentials::HeldCredentials;
use crate::signatures::SignatureCache;
use crate::throttle::Throttle;

/// How requests are answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceSettings {
    /// What is refused beyond what EC2 refuses.
    pub profile: Profile,
    /// What answers look like.
    pub wire: Wire,
    /// Requests that an instance may make in a second; no bound if none is given.
    pub requests_per_second: Option<u32>,
}

impl ServiceSettings {
    pub(crate) fn token_format(&self) -> TokenFormat {
        match self.wire {
            Wire::Legacy => TokenFormat::Legacy,
            Wire::Nitro => TokenFormat::Nitro,
        }
    }
}

/// What all drivers share.
#[derive(Debug, Default)]
pub struct Service {
    pub(crate) settings: ServiceSettings,
    pub(crate) credentials: HeldCredentials,
    pub(crate) signatures: SignatureCache,
    pub(crate) throttle: Throttle,
}

impl Service {
    /// Makes a service with empty caches.
    pub fn new(settings: ServiceSettings) -> Self {
        let throttle = Throttle::new(settings.requests_per_second);
        Self { settings, throttle, ..Self::default() }
    }

    /// Returns the credentials that were fetched for roles.
    pub fn credentials(&self) -> &HeldCredentials {
        &self.credentials
    }

    /// Returns the signatures that have been made.
    pub fn signatures(&self) -> &SignatureCache {
        &self.signatures
    }
}
