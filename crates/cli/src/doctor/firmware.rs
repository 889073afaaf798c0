//! Whether cloud-init would take this machine for an EC2 instance.
//!
//! The rules are those of its program `ds-identify`, which decides at boot whether cloud-init looks
//! for EC2 at all, and of its EC2 data source, which asks for a session token only where the firmware
//! says that this is AWS: where it does not, a service that requires tokens answers it 401.

use crate::doctor::facts::{Facts, Machine, Server};
use crate::doctor::finding::{Check, Finding, Severity};

const IDENTIFIED: Check = Check {
    id: "DOC-14",
    name: "cloud-init",
    why: "cloud-init goes by the firmware: it looks for EC2's service, and asks for a session token, \
          only where both product_uuid and product_serial begin with `ec2` and are the same",
    derivation: "/sys/class/dmi/id and /sys/hypervisor/uuid, by the rules of ds-identify",
};

/// What cloud-init goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Firmware {
    /// `/sys/class/dmi/id/sys_vendor`, and so on.
    pub(crate) sys_vendor: Field,
    pub(crate) product_name: Field,
    pub(crate) product_uuid: Field,
    pub(crate) product_serial: Field,
    pub(crate) chassis_asset_tag: Field,
    /// `/sys/hypervisor/uuid`, which Xen has.
    pub(crate) hypervisor_uuid: Field,
    /// What names EC2's data source in so many words: the kernel's command line or cloud-init's own
    /// settings.
    pub(crate) chosen_by: Option<String>,
    /// Whether cloud-init is installed.
    pub(crate) has_cloud_init: bool,
}

/// What the firmware says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field {
    /// Nothing.
    #[default]
    Absent,
    /// Something that only root may know.
    Denied,
    /// This.
    Says(String),
}

impl Field {
    fn text(&self) -> &str {
        match self {
            Self::Absent | Self::Denied => "",
            Self::Says(text) => text,
        }
    }
}

/// Whom a machine is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Aws,
    /// Another service with EC2's interface, which cloud-init asks without tokens.
    LikeEc2(&'static str),
    None,
    /// Only root could tell.
    Unknown,
}

fn identify(firmware: &Firmware) -> Identity {
    let serial = firmware.product_serial.text();
    let vendor = firmware.sys_vendor.text();
    let begins = |text: &str| text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("ec2"));
    let uuid = firmware.product_uuid.text();
    if serial.ends_with(".brightbox.com") {
        Identity::LikeEc2("Brightbox")
    } else if firmware.chassis_asset_tag.text().ends_with(".zstack.io") {
        Identity::LikeEc2("ZStack")
    } else if vendor == "e24cloud" {
        Identity::LikeEc2("E24cloud")
    } else if (firmware.product_name.text(), vendor) == ("3DS Outscale VM", "3DS Outscale") {
        Identity::LikeEc2("Outscale")
    } else if firmware.hypervisor_uuid.text().starts_with("ec2")
        || begins(uuid) && uuid.eq_ignore_ascii_case(serial)
    {
        Identity::Aws
    } else if [&firmware.product_uuid, &firmware.product_serial].contains(&&Field::Denied) {
        Identity::Unknown
    } else {
        Identity::None
    }
}

/// Looks at whether cloud-init would find EC2 here.
pub(crate) fn identified(facts: &Facts) -> Vec<Finding> {
    let Some(machine) = &facts.machine else { return Vec::new() };
    let identity = identify(&machine.firmware);
    let found = match (identity, unconcerned(facts, machine)) {
        (Identity::Aws, _) => IDENTIFIED.pass(
            "firmware",
            "this machine is taken for an EC2 instance, and cloud-init asks for session tokens",
        ),
        (Identity::LikeEc2(_) | Identity::None | Identity::Unknown, Some(why)) => {
            let what = match identity {
                Identity::Unknown => {
                    "whether this machine is taken for an EC2 instance is for root \
                                      to see, and is no matter here"
                }
                Identity::Aws | Identity::LikeEc2(_) | Identity::None => {
                    "this machine is not taken for an EC2 instance, and need not be"
                }
            };
            IDENTIFIED.pass("firmware", format!("{what}: {why}"))
        }
        (Identity::Unknown, None) => IDENTIFIED
            .not_assessed("firmware", "product_uuid and product_serial are for root only")
            .mend("run this command as root"),
        (Identity::LikeEc2(name), None) => IDENTIFIED
            .fail(
                Severity::Medium,
                "firmware",
                format!("this machine is taken for one of {name}, where cloud-init asks no token"),
            )
            .mend(smbios(machine)),
        (Identity::None, None) => unidentified(machine),
    };
    vec![found]
}

/// Returns why it does not matter whom this machine is taken for, if it does not.
fn unconcerned(facts: &Facts, machine: &Machine) -> Option<&'static str> {
    let is_host = matches!(&facts.server, Server::Served(served) if served.is_here);
    if is_host {
        Some(
            "it is a host. A guest is, where QEMU is told -smbios type=1,uuid=ec2…,serial=ec2…, both \
             the same",
        )
    } else if !machine.firmware.has_cloud_init {
        Some("it has no cloud-init")
    } else if machine.answer.silence().is_some() {
        Some("no service answers it")
    } else {
        None
    }
}

/// A service answers, and cloud-init does not ask it, or not as it must be asked.
fn unidentified(machine: &Machine) -> Finding {
    let what = match &machine.firmware.chosen_by {
        None => {
            "a metadata service answers, and cloud-init does not look for it: the firmware does \
                 not say that this is an EC2 instance"
                .to_owned()
        }
        Some(chosen_by) => format!(
            "EC2's data source is chosen by {chosen_by}, but the firmware does not say that this is \
             AWS: cloud-init turns it down, or asks without a session token"
        ),
    };
    IDENTIFIED.fail(Severity::Medium, "firmware", what).mend(smbios(machine))
}

/// What has a hypervisor say that a guest is an EC2 instance.
fn smbios(machine: &Machine) -> String {
    // The rest of the one there is stays: only its beginning matters.
    let rest = machine.firmware.product_uuid.text().get(3..).filter(|rest| {
        rest.len() == 33 && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    });
    let uuid = format!("ec2{}", rest.unwrap_or("00000-0000-4000-8000-000000000001"));
    let uuid = uuid.to_ascii_lowercase();
    format!(
        "have the hypervisor say so; QEMU, with a UUID of its own for each guest:\n  -smbios \
         type=1,manufacturer='Amazon EC2',uuid={uuid},serial={uuid}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, only, silence};

    const UUID: &str = "ec2d3e5f-0000-4000-8000-000000000001";

    fn says(text: &str) -> Field {
        Field::Says(text.to_owned())
    }

    fn of(uuid: Field, serial: Field) -> Firmware {
        Firmware { product_uuid: uuid, product_serial: serial, ..Firmware::default() }
    }

    #[test]
    fn the_rules_are_those_of_ds_identify() {
        let upper = UUID.to_ascii_uppercase();
        for (firmware, expected) in [
            (Firmware::default(), Identity::None),
            (of(says(UUID), says(UUID)), Identity::Aws),
            (of(says(UUID), says(&upper)), Identity::Aws),
            (of(says(UUID), says("ec2other")), Identity::None),
            (of(says(UUID), Field::Absent), Identity::None),
            (of(says("4c4c4544-1"), says("4c4c4544-1")), Identity::None),
            (of(Field::Denied, Field::Denied), Identity::Unknown),
            (Firmware { hypervisor_uuid: says(UUID), ..Firmware::default() }, Identity::Aws),
            (Firmware { hypervisor_uuid: says(&upper), ..Firmware::default() }, Identity::None),
            (of(Field::Denied, says("srv-1.brightbox.com")), Identity::LikeEc2("Brightbox")),
            (
                Firmware { sys_vendor: says("Amazon EC2"), ..Firmware::default() },
                Identity::None, // The vendor is not looked at.
            ),
        ] {
            assert_eq!(identify(&firmware), expected, "{firmware:?}");
        }
    }

    /// A guest of someone else's host, with cloud-init.
    fn guest(firmware: Firmware) -> Facts {
        let server = Server::Absent { directory: "/var/lib/imds".to_owned() };
        let firmware = Firmware { has_cloud_init: true, ..firmware };
        let machine = Machine { firmware, ..made_up::machine() };
        Facts { server, machine: Some(machine), ..made_up::facts() }
    }

    #[test]
    fn a_guest_that_cloud_init_does_not_know_is_told_how_to_be_known() {
        assert_eq!(only(identified(&guest(of(says(UUID), says(UUID))))).status, Status::Pass);
        let plain = "11111111-2222-3333-4444-555555555555";
        let found = only(identified(&guest(of(says(plain), says("")))));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Medium));
        let mend = found.mend.unwrap();
        let uuid = "ec211111-2222-3333-4444-555555555555";
        assert!(mend.contains(&format!("uuid={uuid},serial={uuid}")), "{mend}");
        let chosen = Firmware { chosen_by: Some("ci.ds=Ec2".to_owned()), ..Firmware::default() };
        let found = only(identified(&guest(chosen)));
        assert!(found.what.contains("chosen by ci.ds=Ec2"), "{found:?}");
    }

    #[test]
    fn a_host_and_a_machine_that_nobody_serves_need_not_be_known() {
        let found = only(identified(&made_up::facts()));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("it is a host"), "{found:?}");
        let mut facts = guest(Firmware::default());
        facts.machine.as_mut().unwrap().answer = silence();
        assert_eq!(only(identified(&facts)).status, Status::Pass);
    }

    #[test]
    fn an_ordinary_user_cannot_tell() {
        let found = only(identified(&guest(of(Field::Denied, Field::Denied))));
        assert_eq!(found.status, Status::NotAssessed);
        let mut facts = made_up::facts();
        facts.machine.as_mut().unwrap().firmware = of(Field::Denied, Field::Denied);
        assert_eq!(only(identified(&facts)).status, Status::Pass, "no matter to a host");
    }
}
