//! What is done with the machines of instances: by the server itself, or by a program of the
//! operator's.
//!
//! Everything here can be done twice: after a crash, whatever was under way is done once more.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use control::lifecycle::Outcome;
use model::{Attachment, Driver, Instance, Interface, LifecycleEvent, Timestamp};
use serde::{Deserialize, Serialize};

use crate::hosts::Hosts;
use crate::program::{Ended, NotEnded, Program};
use crate::surroundings::NO_SHARED_LISTENER;

/// LIMIT: how long a machine program may run. A virtual machine is made in seconds; one that waits
/// for another system takes minutes.
pub(crate) const PROGRAM_DEADLINE: Duration = Duration::from_mins(5);

/// LIMIT: what a machine program may print: a few attachments.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// What makes the machines of one server.
#[derive(Clone, Debug)]
pub(crate) struct Drivers {
    /// The network namespaces.
    pub(crate) hosts: Arc<Hosts>,
    /// The machine program and its arguments; empty if there is none.
    pub(crate) program: Arc<[String]>,
    /// How long it may run.
    pub(crate) program_deadline: Duration,
    /// Whether there is an address for instances that are told by their source.
    pub(crate) has_shared_listener: bool,
}

/// What a machine program finds on standard input.
#[derive(Serialize)]
struct Told<'a> {
    event: LifecycleEvent,
    time: Timestamp,
    instance: &'a Instance,
}

/// What a machine program may print.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    #[serde(default)]
    attachments: Option<Vec<String>>,
}

impl Drivers {
    /// Returns what comes of an event for which there is nothing to do but to say so.
    pub(crate) fn at_once(&self, instance: &Instance, event: LifecycleEvent) -> Option<Outcome> {
        let is_launch = event == LifecycleEvent::Launch;
        match instance.attributes.driver {
            Some(Driver::Exec) => None,
            // A machine may have been made for it before instances knew their drivers.
            _ if event == LifecycleEvent::Terminate => {
                (!self.hosts.has(instance.id)).then_some(Outcome::Done(None))
            }
            Some(Driver::Netns { .. }) => None,
            Some(Driver::Listener) if is_launch => Some(given("listener=127.0.0.1:0".parse())),
            Some(Driver::Source) if is_launch => Some(given(self.source_of(instance))),
            Some(Driver::Listener | Driver::Source) | None => Some(Outcome::Done(None)),
        }
    }

    fn source_of(&self, instance: &Instance) -> Result<Attachment, String> {
        if !self.has_shared_listener {
            return Err(NO_SHARED_LISTENER.to_owned());
        }
        let interface = instance.primary_interface();
        let v4 = interface.and_then(Interface::primary_ipv4).map(IpAddr::from);
        let v6 = || interface?.ipv6.first().copied().map(IpAddr::from);
        let address = v4.or_else(v6).ok_or("it has no private address to be told by")?;
        Ok(Attachment::Source { address, mac: None })
    }

    /// Does what is due.
    pub(crate) async fn drive(
        &self,
        instance: Arc<Instance>,
        event: LifecycleEvent,
        now: Timestamp,
    ) -> Outcome {
        let program = match instance.attributes.driver {
            Some(Driver::Exec) => self.tell_program(&instance, event, now).await,
            Some(Driver::Netns { .. } | Driver::Listener | Driver::Source) | None => {
                Outcome::Done(None)
            }
        };
        let hosts = Arc::clone(&self.hosts);
        let hosted =
            tokio::task::spawn_blocking(move || match (event, instance.attributes.driver) {
                (LifecycleEvent::Launch, Some(Driver::Netns { container })) => {
                    given(hosts.ensure(&instance, container))
                }
                (LifecycleEvent::Start, Some(Driver::Netns { container })) => {
                    done(hosts.ensure(&instance, container).map(drop))
                }
                (LifecycleEvent::Terminate, _) => done(hosts.remove(instance.id)),
                _ => Outcome::Done(None),
            });
        match hosted.await {
            // What the program came to says more than that there was no namespace to remove.
            Ok(Outcome::Done(None)) => program,
            Ok(outcome) => outcome,
            Err(fault) => Outcome::Failed(fault.to_string()),
        }
    }

    async fn tell_program(
        &self,
        instance: &Instance,
        event: LifecycleEvent,
        time: Timestamp,
    ) -> Outcome {
        let Some(name) = self.program.first() else {
            return Outcome::Failed(
                "there is no machine program: start the server with launch.command, such as \
                 --launch-command /usr/local/bin/machine"
                    .to_owned(),
            );
        };
        let told = match serde_json::to_vec(&Told { event, time, instance }) {
            Ok(told) => told,
            Err(fault) => return Outcome::Failed(fault.to_string()),
        };
        let program = Program {
            command: &self.program,
            input: Some(told),
            deadline: self.program_deadline,
            output_bytes_max: OUTPUT_BYTES_MAX,
            keeps_complaint: true,
        };
        match program.run().await {
            Ok(ended) => outcome_of(name, event, &ended),
            Err(NotEnded::Empty) => Outcome::Failed("launch.command is empty".to_owned()),
            Err(NotEnded::Slow) => {
                let limit = self.program_deadline;
                Outcome::Failed(format!("`{name}` did not end within {limit:?}, and was killed"))
            }
            Err(NotEnded::Unrunnable(reason)) => {
                Outcome::Failed(format!("`{name}` cannot be run: {reason}"))
            }
        }
    }
}

/// Reads what a machine program came to.
fn outcome_of(name: &str, event: LifecycleEvent, ended: &Ended) -> Outcome {
    let wrong = |reason: &str| {
        Outcome::Failed(format!(
            "`{name}` printed something else than nothing or {{\"attachments\": […]}}: {reason}"
        ))
    };
    if ended.output.len() > OUTPUT_BYTES_MAX {
        return wrong(&format!("it is more than {OUTPUT_BYTES_MAX} bytes"));
    }
    if !ended.status.success() {
        let said = ended.complaint.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        return Outcome::Failed(format!("`{name}` ended with {}{said}", ended.status));
    }
    if ended.output.trim_ascii().is_empty() {
        return Outcome::Done(None);
    }
    let printed: Printed = match serde_json::from_slice(&ended.output) {
        Ok(printed) => printed,
        Err(fault) => return wrong(&fault.to_string()),
    };
    let attachments = printed.attachments.map(|texts| -> Result<Vec<Attachment>, String> {
        texts.iter().map(|text| text.parse()).collect()
    });
    match attachments.transpose() {
        Ok(attachments) if matches!(event, LifecycleEvent::Launch | LifecycleEvent::Start) => {
            Outcome::Done(attachments)
        }
        Ok(_) => Outcome::Done(None),
        Err(refusal) => wrong(&refusal),
    }
}

fn given(attachment: Result<Attachment, String>) -> Outcome {
    match attachment {
        Ok(attachment) => Outcome::Done(Some(vec![attachment])),
        Err(reason) => Outcome::Failed(reason),
    }
}

fn done(result: Result<(), String>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done(None),
        Err(reason) => Outcome::Failed(reason),
    }
}
