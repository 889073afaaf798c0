//! What `imds serve` has to do with whoever keeps it running: systemd, or another that speaks
//! `sd_notify` and `sd_listen_fds`.

use std::time::Duration;

use sd_notify::NotifyState;
use server::{Passed, Stage};

use crate::fault::Fault;
use crate::settings::register::Settings;
use crate::settings::written::Written;

/// Adds the addresses of the sockets that were passed to those that were set. They stand in for
/// addresses that nobody set.
///
/// # Errors
///
/// If the management plane was set to be elsewhere.
pub(crate) fn take_up(
    passed: &Passed,
    settings: &mut Settings,
    written: &Written,
) -> Result<(), Fault> {
    if passed.metadata().next().is_some() && !written.is_set("listen") {
        settings.listen.clear();
    }
    for (addresses, more) in [
        (&mut settings.listen, passed.metadata().collect::<Vec<_>>()),
        (&mut settings.shared_listen, passed.shared().collect()),
    ] {
        let new: Vec<_> = more.into_iter().filter(|address| !addresses.contains(address)).collect();
        addresses.extend(new);
    }
    match passed.manage() {
        Some(address) if address != settings.manage && written.is_set("manage") => {
            Err(Fault::usage(format!(
                "`manage` is {}, and the socket `manage` that was passed is at {address}: leave \
                 one of them out",
                settings.manage
            )))
        }
        Some(address) => {
            settings.manage = address;
            Ok(())
        }
        None => Ok(()),
    }
}

/// Returns how often the service manager wants to hear that the server serves, if it does.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Says how far the server has come: in a line for people and scripts once it is ready, and to the
/// service manager.
pub(crate) fn announce(stage: Stage<'_>) {
    // Without a service manager there is nobody to tell.
    let _ = match stage {
        Stage::Ready(ready) => {
            say!("imds: ready; {ready}");
            let status = ready.to_string();
            sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)])
        }
        Stage::Serving => sd_notify::notify(&[NotifyState::Watchdog]),
        Stage::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
}
