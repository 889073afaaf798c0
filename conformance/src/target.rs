//! What a service under test must offer so that cases can be played against it.

use std::time::Duration;

use model::{Instance, Role};

/// The two wire personalities (data plane, 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// The older one.
    Legacy,
    /// The default.
    Nitro,
}

/// What a service is set up with.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// How its answers look.
    pub profile: Profile,
    /// The instance that cases speak for.
    pub instance: Instance,
    /// A second instance, with an address of its own.
    pub other: Instance,
    /// The roles whose credentials it has.
    pub roles: Vec<Role>,
}

/// The address family of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Whose address a connection goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The address of the instance that cases speak for.
    Instance,
    /// The address of [`Scene::other`].
    Other,
}

/// Whether the sender ends its half of the connection after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// It does.
    Ends,
    /// It keeps it open, as ordinary clients do.
    Stays,
}

/// One connection: all that the client sends on it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Over which family.
    pub over: Family,
    /// To whom.
    pub to: Whom,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What follows them.
    pub sender: Sender,
}

/// How the service's half of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Orderly, or the connection was never accepted.
    Closed,
    /// By a reset.
    Reset,
    /// Not before the runner lost patience.
    Silent,
}

/// All that came back on one connection.
#[derive(Clone, Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What followed them.
    pub end: End,
}

/// A running service in one state.
pub trait Target: Sync {
    /// Opens a connection, sends all of `sent`, and returns all that comes back.
    fn exchange(&self, sent: &Sent) -> Received;

    /// Moves the clock. Called only where [`Stage::moves_time`].
    ///
    /// # Errors
    ///
    /// Why the clock cannot be moved.
    fn advance(&mut self, by: Duration) -> Result<(), String>;

    /// Replaces the instance; requests that start after this see the new one.
    ///
    /// # Errors
    ///
    /// What the service says against it.
    fn change(&mut self, instance: &Instance) -> Result<(), String>;

    /// Returns the PEM certificates that verify identity documents: `signature`, `pkcs7` and
    /// `rsa2048`.
    ///
    /// # Errors
    ///
    /// Why there are none.
    fn certificates(&self) -> Result<Vec<(String, String)>, String>;
}

/// Where cases are played.
pub trait Stage: Sync {
    /// Names the place: `in process`, `over the wire`.
    fn name(&self) -> &'static str;

    /// Whether its targets have a clock that can be moved; if not, cases that move it are left out.
    fn moves_time(&self) -> bool;

    /// Starts a service.
    ///
    /// # Errors
    ///
    /// Why it does not start.
    fn set(&self, scene: &Scene) -> Result<Box<dyn Target>, String>;
}
