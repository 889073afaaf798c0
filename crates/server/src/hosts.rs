//! The machines that the server makes itself: network namespaces, for the `netns` driver.
//!
//! A journal, one file in the state directory for each, is written before the first step of making
//! one and removed after the last step of removing it: it tells our machines from what somebody else
//! has made under their names. An instance is in the store before its machine is made, and until it is
//! removed, so after a crash its driver makes or removes it once more, whatever there is of it. A
//! machine that an instance should have and has not (the host was booted) is made again, and one that
//! nobody has is removed. That goes on beside everything else: guests of other kinds do not wait for it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use ipnet::Ipv4Net;
use model::{Attachment, Driver, Instance, InstanceId, in_full};
use network::{Host, HostFault, Namespace, NamespaceFault, Place};
use store::Store;

/// Name of the journal in the state directory.
const JOURNAL: &str = "hosts";

/// LIMIT: machines that are put right at a time. The kernel makes those who ask wait for each other,
/// and for all its processors, so several at a time are faster, and many are not.
const RECOVERIES: usize = 8;

/// The machines that this server makes.
#[derive(Debug)]
pub(crate) struct Hosts {
    journal: PathBuf,
    /// Those that something is being done with.
    busy: Mutex<BTreeSet<InstanceId>>,
    freed: Condvar,
}

/// The one who does something with a machine.
struct Hold<'h> {
    hosts: &'h Hosts,
    id: InstanceId,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.hosts.lock().remove(&self.id);
        self.hosts.freed.notify_all();
    }
}

impl Hosts {
    /// Keeps its journal in the state directory.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let (busy, freed) = (Mutex::default(), Condvar::new());
        Self { journal: data_dir.join(JOURNAL), busy, freed }
    }

    /// Waits until nobody does anything with a machine, and is the one who does.
    fn hold(&self, id: InstanceId) -> Hold<'_> {
        let is_busy = |busy: &mut BTreeSet<InstanceId>| busy.contains(&id);
        let waited = self.freed.wait_while(self.lock(), is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).insert(id);
        Hold { hosts: self, id }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<InstanceId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, id: InstanceId) -> PathBuf {
        self.journal.join(&*id.text())
    }

    /// Sees that an instance has its machine, whole, and says how it is attached: makes it, or what is
    /// missing of one that was begun or has been made before.
    ///
    /// # Errors
    ///
    /// In words; what is left of it can be removed.
    pub(crate) fn ensure(
        &self,
        instance: &Instance,
        has_container: bool,
    ) -> Result<Attachment, String> {
        let host = host_of(instance, has_container)?;
        let namespace = Place::Service.namespace_of(instance.id);
        let attachment = format!("netns={namespace}").parse()?;
        let _hold = self.hold(instance.id);
        if self.has(instance.id) {
            return mend(&host).map(|()| attachment);
        }
        // What is there before the journal says otherwise is someone else's. `make` would leave it
        // alone; whoever cleared up after a crash in the middle of it could not.
        refuse_to_share_names(instance.id)?;
        self.write_down(instance.id, Driver::Netns { container: has_container })?;
        if let Err(fault) = host.make() {
            if !matches!(fault, HostFault::Remains { .. }) {
                self.strike_out(instance.id)?;
            }
            return Err(in_full(&fault));
        }
        Ok(attachment)
    }

    /// Returns whether this server has made a machine for an instance, or has begun to.
    pub(crate) fn has(&self, id: InstanceId) -> bool {
        self.entry(id).exists()
    }

    /// Removes an instance's machine, if this server made one.
    ///
    /// # Errors
    ///
    /// In words; the next start tries again.
    pub(crate) fn remove(&self, id: InstanceId) -> Result<(), String> {
        let _hold = self.hold(id);
        self.remove_held(id)
    }

    fn remove_held(&self, id: InstanceId) -> Result<(), String> {
        if !self.has(id) {
            return Ok(());
        }
        Host::remove(id).map_err(|fault| in_full(&fault))?;
        self.strike_out(id)
    }

    /// Returns whose machines the journal knows, and removes entries that a crash kept from becoming
    /// ones. To be called before any is made.
    pub(crate) fn known(&self) -> Vec<InstanceId> {
        let entries = || fs::read_dir(&self.journal).into_iter().flatten().flatten();
        for entry in entries().filter(|entry| entry.path().extension().is_some()) {
            // It would be written anew.
            let _ = fs::remove_file(entry.path());
        }
        let entries = entries();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Puts right what a crash, or a boot of the host, left behind of these machines, until
    /// `is_over`. Tells `failed` what could not be.
    pub(crate) fn recover(
        &self,
        ids: &[InstanceId],
        store: &Store,
        is_over: impl Fn() -> bool + Sync,
        failed: impl Fn(InstanceId, String) + Sync,
    ) {
        let recover = |share: &[InstanceId]| {
            for id in share {
                if is_over() {
                    return;
                }
                if let Err(reason) = self.recover_one(*id, store) {
                    failed(*id, reason);
                }
            }
        };
        thread::scope(|scope| {
            for share in ids.chunks(ids.len().div_ceil(RECOVERIES).max(1)) {
                let thread = thread::Builder::new().name("imds-recovery".to_owned());
                // Without a thread, it is done here and now.
                if thread.spawn_scoped(scope, || recover(share)).is_err() {
                    recover(share);
                }
            }
        });
    }

    /// Operators may be at it too: what counts is what the store says once it is our turn.
    fn recover_one(&self, id: InstanceId, store: &Store) -> Result<(), String> {
        let _hold = self.hold(id);
        match store.snapshot().instance(id) {
            // Its driver is about to do what is due.
            Some(instance) if instance.due().is_some() => Ok(()),
            Some(instance) => self.make_again(instance),
            None => self.remove_held(id),
        }
    }

    fn make_again(&self, instance: &Instance) -> Result<(), String> {
        let path = self.entry(instance.id);
        let read = match fs::read(&path) {
            // It has been terminated and launched again, in another way.
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(|fault| fault.to_string())?,
        };
        let driver = serde_json::from_slice(&read).map_err(|fault| {
            format!("`{}` cannot be read ({fault}): terminate the instance", path.display())
        })?;
        let Driver::Netns { container } = driver else {
            return Err(format!("`{}` is not of a network namespace", path.display()));
        };
        mend(&host_of(instance, container)?)
    }

    fn write_down(&self, id: InstanceId, driver: Driver) -> Result<(), String> {
        let write = || -> std::io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.journal)?;
            // It is there whole or not at all.
            let (path, new) = (self.entry(id), self.entry(id).with_extension("new"));
            let mut options = fs::OpenOptions::new();
            options.create(true).truncate(true).write(true).mode(0o600);
            let mut file = options.open(&new)?;
            file.write_all(&serde_json::to_vec(&driver)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            fs::File::open(&self.journal)?.sync_all()
        };
        write().map_err(|fault| self.unwritable(&fault))
    }

    fn strike_out(&self, id: InstanceId) -> Result<(), String> {
        let removed = fs::remove_file(self.entry(id));
        removed.map_err(|fault| self.unwritable(&fault))
    }

    fn unwritable(&self, fault: &std::io::Error) -> String {
        let path = self.journal.display();
        format!(
            "the journal `{path}` cannot be written ({fault}): check permissions and free space"
        )
    }
}

/// Makes a machine of ours again, unless it is whole.
fn mend(host: &Host) -> Result<(), String> {
    if host.missing().map_err(|fault| in_full(&fault))?.is_empty() {
        return Ok(());
    }
    Host::remove(host.instance).map_err(|fault| in_full(&fault))?;
    host.make().map_err(|fault| in_full(&fault))
}

/// Sees that none of the names of an instance's machine is in use.
fn refuse_to_share_names(id: InstanceId) -> Result<(), String> {
    for place in Place::ALL {
        let name = place.namespace_of(id);
        let path = Namespace::path_of(&name).map_err(|fault| in_full(&fault))?;
        if path.symlink_metadata().is_ok() {
            return Err(NamespaceFault::Exists(name).to_string());
        }
    }
    Ok(())
}

/// The machine that an instance describes.
fn host_of(instance: &Instance, has_container: bool) -> Result<Host, String> {
    let interface = instance.primary_interface().ok_or("it has no primary interface")?;
    let prefix = interface.subnet_ipv4_cidr.map_or(24, |subnet| subnet.prefix_len());
    let with_prefix = |address| Ipv4Net::new(address, prefix).map_err(|fault| fault.to_string());
    Ok(Host {
        instance: instance.id,
        mac: interface.mac,
        ipv4: interface.primary_ipv4().map(with_prefix).transpose()?,
        ipv6: interface.ipv6.to_vec(),
        has_container,
    })
}
