//! Keys and their keeper.

use std::collections::BTreeSet;

use metadata::{TokenKey, TokenKeys};
use model::{AccessKey, AccountId, Line, RoleName, Secret, Timestamp, TokenTtl, User};

/// A key of session tokens, and when it was made.
#[derive(Clone, Debug)]
pub struct RingKey {
    /// The key.
    pub key: TokenKey,
    /// When it was made, and so when the key before it minted its last token.
    pub created: Timestamp,
}

/// The keys of session tokens, oldest first; the last one mints.
///
/// INVARIANT: never empty, and no two keys have the same id.
#[derive(Clone, Debug)]
pub struct TokenKeyRing {
    older: Vec<RingKey>,
    newest: RingKey,
}

impl TokenKeyRing {
    /// LIMIT: ids are one byte, and the next key must find a free one.
    const KEYS_MAX: usize = 200;

    /// Starts a ring with one key.
    pub fn new(secret: [u8; 32], now: Timestamp) -> Self {
        Self { older: Vec::new(), newest: RingKey { key: TokenKey::new(0, secret), created: now } }
    }

    /// Puts a ring together again from its keys, oldest first; none from no keys, or from two with
    /// one id.
    pub fn try_from_keys(mut keys: Vec<RingKey>) -> Option<Self> {
        let ids: BTreeSet<_> = keys.iter().map(|key| key.key.id()).collect();
        let newest = keys.pop().filter(|_| ids.len() == keys.len() + 1)?;
        Some(Self { older: keys, newest })
    }

    /// Returns the keys, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &RingKey> {
        self.older.iter().chain([&self.newest])
    }

    /// Returns the ring with a new key, without those keys that no living token can be sealed
    /// with: those replaced longer ago than the longest life of a token.
    #[must_use]
    pub fn rotated(&self, secret: [u8; 32], now: Timestamp) -> Self {
        let id = self.newest.key.id().wrapping_add(1);
        let newest = RingKey { key: TokenKey::new(id, secret), created: now };
        let replaced_at = self.keys().skip(1).map(|key| key.created).chain([now]);
        let older: Vec<_> = self
            .keys()
            .zip(replaced_at)
            .filter(|(key, replaced)| {
                // Ten minutes more, for clocks of nodes that do not agree.
                let forgotten = replaced.plus_seconds(i64::from(TokenTtl::MAX.as_seconds()) + 600);
                // INVARIANT: also of a ring whose ids do not follow each other.
                forgotten > now && key.key.id() != id
            })
            .map(|(key, _)| key.clone())
            .collect();
        let surplus = older.len().saturating_sub(Self::KEYS_MAX);
        Self { older: older.into_iter().skip(surplus).collect(), newest }
    }

    /// Returns when the newest key was made.
    pub fn rotated_at(&self) -> Timestamp {
        self.newest.created
    }

    /// Returns the keys in the form that tokens are made and verified with.
    pub fn token_keys(&self) -> TokenKeys {
        // The latest of the older keys first: most tokens in use are young.
        let older = self.older.iter().rev().map(|ring| ring.key.clone()).collect();
        TokenKeys::new(self.newest.key.clone(), older)
    }
}

/// The administrator of the account: the first caller of the management APIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// The account.
    pub account_id: AccountId,
    /// The access key id.
    pub access_key_id: Line,
    /// The secret access key.
    pub secret_access_key: Secret<String>,
}

impl Administrator {
    /// The administrator's user name.
    pub const NAME: &str = "admin";

    /// The managed policy that lets the administrator do everything.
    pub const POLICY: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

    /// Returns the administrator as a user of the account.
    pub fn user(&self) -> User {
        #[expect(clippy::expect_used, reason = "a constant that the tests parse")]
        let name: RoleName = Self::NAME.parse().expect("is a name");
        let (id, secret) = (self.access_key_id.clone(), self.secret_access_key.clone());
        let mut user = User::described(self.account_id, name);
        user.access_keys.push(AccessKey::new(id, secret, Timestamp::default()));
        user.permissions.attached.extend(Self::POLICY.parse());
        user
    }
}

/// The keys that sign identity documents, with their certificates, as `server` writes them down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityKeyRecord(pub Secret<String>);

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_741_082_400);

    fn ids(ring: &TokenKeyRing) -> Vec<u8> {
        ring.keys().map(|key| key.key.id()).collect()
    }

    #[test]
    fn a_replaced_key_is_kept_for_as_long_as_a_token_lives() {
        let ring = TokenKeyRing::new([0; 32], START);
        let day = START.plus_seconds(86_400);
        let ring = ring.rotated([1; 32], day);
        assert_eq!(ids(&ring), [0, 1], "the key minted tokens until now");
        let soon = ring.rotated([2; 32], day.plus_seconds(6 * 3600));
        assert_eq!(ids(&soon), [0, 1, 2]);
        let later = ring.rotated([2; 32], day.plus_seconds(7 * 3600));
        assert_eq!(ids(&later), [1, 2]);
    }

    #[test]
    fn ids_wrap_and_never_collide() {
        let mut ring = TokenKeyRing::new([0; 32], START);
        for round in 1..1000 {
            ring = ring.rotated([7; 32], START.plus_seconds(round * 30));
            let mut ids = ids(&ring);
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), ring.keys().count());
            assert!(ids.len() <= 256);
        }
    }
}
