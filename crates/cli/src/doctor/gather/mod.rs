//! Gathers the facts: everything that is asked of the server, the kernel and the endpoints.

mod ask;
mod firmware;
mod hop_limit;
mod network;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::thread;

use control::native::{Diagnosis, Environment, InstanceView, Request, Wanted};
use model::{Attachment, InstanceId};
use server::AskFault;

use crate::doctor::facts::{Endpoint, Facts, Machine, Served, Server, ToldBy};
use crate::doctor::gather::ask::Asking;
use crate::doctor::gather::network::{NetworksSeen, is_own_namespace};
use crate::doctor::variables;
use crate::fault::Fault;

/// What is to be looked at.
#[derive(Debug)]
pub(crate) struct Question {
    /// The state directory of the server.
    pub(crate) directory: PathBuf,
    /// Whether someone named it, and so expects a server.
    pub(crate) is_named: bool,
    /// The one instance that is looked at, if not everything is.
    pub(crate) instance: Option<InstanceId>,
    /// The URL of the service that this machine is to be served by, if someone named one.
    pub(crate) endpoint: Option<String>,
}

/// Gathers everything there is to know.
///
/// # Errors
///
/// If there is no such instance, or the URL is none.
pub(crate) fn gather(question: &Question) -> Result<Facts, Fault> {
    thread::scope(|scope| {
        let hop_limit = scope.spawn(hop_limit::probe);
        let mut found = look_for(question)?;
        let here = match &found {
            Server::Served(served) if served.is_here => Some(&**served),
            Server::Absent { .. }
            | Server::Closed { .. }
            | Server::Served(_)
            | Server::Silent { .. } => None,
        };
        let variables = environment();
        let endpoint = if question.instance.is_none() {
            let flag = question.endpoint.as_deref();
            let endpoint = variables::endpoint(flag, &variables, here);
            Some(endpoint.map_err(|why| Fault::usage(format!("--endpoint: {why}")))?)
        } else {
            None
        };
        let answer = endpoint.as_ref().map(|endpoint| {
            let url = endpoint.url.clone();
            scope.spawn(move || ask::ask(&url))
        });
        if let Server::Served(served) = &mut found {
            (served.asked, served.unasked) = Asking::of(served).ask_all();
        }
        let machine = endpoint.zip(answer).map(|(endpoint, answer)| Machine {
            variables,
            network: network::read(),
            way: way(&endpoint),
            answer: joined(answer),
            firmware: firmware::read(Path::new("/")),
            endpoint,
        });
        Ok(Facts { server: found, machine, hop_limit: joined(hop_limit) })
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    // A thread that panics is a defect of ours: let it be seen as one.
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The environment; what is not text is of no variable that is looked at.
fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Whether the kernel would send to the endpoint, and from which address. Nothing is sent.
fn way(endpoint: &Endpoint) -> Option<Result<std::net::IpAddr, String>> {
    let address = endpoint.address.filter(|_| endpoint.told_by != ToldBy::Nobody)?;
    let unspecified = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let try_it = || -> std::io::Result<_> {
        let socket = UdpSocket::bind(unspecified)?;
        socket.connect(address)?;
        Ok(socket.local_addr()?.ip())
    };
    Some(try_it().map_err(|fault| fault.to_string()))
}

/// Looks for the server, and asks it everything.
fn look_for(question: &Question) -> Result<Server, Fault> {
    let directory = question.directory.display().to_string();
    let asked = server::ask(&question.directory, &Request::Diagnose {});
    let diagnosis = match asked {
        Ok(diagnosis) => diagnosis,
        Err(AskFault::NoServer(_))
            if !question.is_named
                && question.instance.is_none()
                && !question.directory.exists() =>
        {
            return Ok(Server::Absent { directory });
        }
        Err(fault @ AskFault::NotPermitted(_)) => {
            return Ok(Server::Closed { reason: fault.to_string() });
        }
        Err(fault @ (AskFault::NoServer(_) | AskFault::Broken { .. } | AskFault::Refused(_))) => {
            return Ok(Server::Silent { directory, reason: fault.to_string() });
        }
    };
    let mut diagnosis = crate::command::understood::<Diagnosis>(diagnosis)?;
    if let Some(id) = question.instance {
        let request = Request::ShowInstance { instance_id: id };
        let shown = server::ask(&question.directory, &request);
        let shown = shown.map_err(|fault| Fault::failed(&fault))?;
        restrict(&mut diagnosis, crate::command::understood(shown)?);
    }
    let environment = server::ask(&question.directory, &Request::Environment {});
    let environment = environment.ok().and_then(|found| serde_json::from_value(found).ok());
    let access_key_id = environment.map(|found: Environment| found.access_key_id);
    let is_here = diagnosis.place.as_ref().is_none_or(is_own_namespace);
    let NetworksSeen { network, namespaces } = NetworksSeen::look(&diagnosis, is_here);
    Ok(Server::Served(Box::new(Served {
        directory,
        diagnosis,
        is_here,
        access_key_id,
        network,
        namespaces,
        asked: Vec::new(),
        unasked: 0,
    })))
}

/// Keeps what is about one instance.
fn restrict(diagnosis: &mut Diagnosis, view: InstanceView) {
    let id = view.instance.id;
    diagnosis.attached = view.attached.into_iter().map(|attached| (id, attached)).collect();
    diagnosis.instances = vec![Wanted::of(&view.instance)];
    diagnosis.undelivered.retain(|lost| lost.instance_id == id);
    // Its own sources are among its attachments.
    diagnosis.sources = 0;
    if id != diagnosis.default_instance {
        diagnosis.listen.clear();
        let is_source =
            |attachment: &str| matches!(attachment.parse(), Ok(Attachment::Source { .. }));
        if !diagnosis.attached.iter().any(|(_, view)| is_source(&view.attachment)) {
            diagnosis.shared_listen.clear();
        }
    }
}
