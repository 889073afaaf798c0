//! What the API has the server do, and learns from it.

use model::{Attachment, Generation, Instance, InstanceId};
use store::Snapshot;

use super::views::{AttachmentView, Diagnosis};
use crate::{LaunchSettings, References};

/// What the server knows and does besides the store.
pub trait Surroundings {
    /// URLs at which an instance reaches the service.
    fn endpoints(&self, instance: &Instance) -> Vec<String>;

    /// The attachments of an instance, and whether they serve.
    fn attached(&self, instance: &Instance) -> Vec<AttachmentView>;

    /// How instances are attached, and what went wrong.
    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis;

    /// Sees whether an attachment would serve. What comes back says what is missing, and the cure.
    ///
    /// # Errors
    ///
    /// In words, if it would not.
    fn try_attachment(&self, attachment: &Attachment) -> Result<(), String>;

    /// Waits until the data plane serves what the store holds at `generation`. Returns false if it
    /// takes too long.
    fn settles(&self, generation: Generation) -> bool;

    /// The newest generation that the data plane has in force.
    fn in_force(&self) -> Generation;

    /// A random number: ids and addresses that nobody has had are made of it.
    ///
    /// # Errors
    ///
    /// In words, if the system gives no random bytes.
    fn fresh_number(&self) -> Result<u128, String>;

    /// Waits until the drivers of these instances have done all that is due, or have failed. Returns
    /// false if something is due still.
    fn settles_states(&self, instances: &[InstanceId]) -> bool;

    /// Tells the operator why a change could not be stored that the EC2 API was asked for: its callers
    /// are told nothing of our disks.
    fn tell_unstored(&self, reason: &str);

    /// What the operator says of launches through the EC2 API.
    fn launch_settings(&self) -> &LaunchSettings;

    /// The instance that the `--listen` addresses serve.
    fn default_instance(&self) -> InstanceId;

    /// URL of the management APIs.
    fn management_endpoint(&self) -> String;

    /// Name and PEM text of each certificate that verifies identity documents, once made.
    fn certificates(&self) -> Option<Vec<(String, String)>>;
}

/// A store that no server serves: what is planned is kept, and nobody is attached.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServer;

impl Surroundings for NoServer {
    fn endpoints(&self, _: &Instance) -> Vec<String> {
        Vec::new()
    }

    fn attached(&self, _: &Instance) -> Vec<AttachmentView> {
        Vec::new()
    }

    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
        Diagnosis {
            place: None,
            default_instance: self.default_instance(),
            listen: Vec::new(),
            shared_listen: Vec::new(),
            sources: snapshot.source_count(),
            attached: Vec::new(),
            instances: Vec::new(),
            undelivered: Vec::new(),
        }
    }

    fn try_attachment(&self, _: &Attachment) -> Result<(), String> {
        Ok(())
    }

    fn settles(&self, _: Generation) -> bool {
        true
    }

    fn in_force(&self) -> Generation {
        Generation::default()
    }

    fn fresh_number(&self) -> Result<u128, String> {
        // Nobody is served by what is made of it.
        Ok(0x5eed)
    }

    fn settles_states(&self, _: &[InstanceId]) -> bool {
        false
    }

    fn tell_unstored(&self, _: &str) {}

    fn launch_settings(&self) -> &LaunchSettings {
        static UNSET: LaunchSettings = LaunchSettings {
            driver: None,
            references: References::Adopt,
            tokens_required_types: Vec::new(),
        };
        &UNSET
    }

    fn default_instance(&self) -> InstanceId {
        Instance::default_id()
    }

    fn management_endpoint(&self) -> String {
        String::new()
    }

    fn certificates(&self) -> Option<Vec<(String, String)>> {
        None
    }
}
