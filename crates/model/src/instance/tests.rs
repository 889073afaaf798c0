use super::*;
use crate::MacAddress;

fn example() -> Instance {
    Instance::default_instance()
}

#[test]
fn the_default_instance_is_sound() {
    assert_eq!(example().check(), Ok(()));
    assert_eq!(Instance::described(Instance::default_id()).check(), Ok(()));
}

#[test]
fn an_instance_is_read_back_as_it_was_written() {
    let instance = example();
    let written = serde_json::to_string(&instance).unwrap();
    assert_eq!(serde_json::from_str::<Instance>(&written).unwrap(), instance);
}

#[test]
fn a_description_needs_no_more_than_an_id_and_an_interface() {
    let text = r#"{"id":"i-0000000000000000a","interfaces":[{"mac":"02:00:00:00:00:01"}]}"#;
    let instance: Instance = serde_json::from_str(text).unwrap();
    assert_eq!(instance.check(), Ok(()));
    assert_eq!(instance.region.as_str(), "us-east-1");
}

#[test]
fn an_unknown_key_is_refused() {
    let text = r#"{"id":"i-0000000000000000a","regoin":"us-east-1"}"#;
    let refusal = serde_json::from_str::<Instance>(text).unwrap_err();
    assert!(refusal.to_string().contains("unknown field `regoin`"), "{refusal}");
}

#[test]
fn host_names_follow_the_naming_scheme() {
    let mut instance = example();
    let name = |instance: &Instance| instance.hostname(instance.primary_interface().unwrap());
    assert_eq!(name(&instance).as_deref(), Some("ip-10-0-1-10.ec2.internal"));
    instance.region = "eu-west-1".parse().unwrap();
    assert_eq!(name(&instance).as_deref(), Some("ip-10-0-1-10.eu-west-1.compute.internal"));
    instance.hostname_type = HostnameType::ResourceName;
    assert_eq!(name(&instance).as_deref(), Some("i-1234567890abcdef0.eu-west-1.compute.internal"));
    instance.domain = Some("corp.example".parse().unwrap());
    instance.hostname_type = HostnameType::IpName;
    assert_eq!(name(&instance).as_deref(), Some("ip-10-0-1-10.corp.example"));
    instance.domain = None;
    for interface in &mut instance.interfaces {
        interface.ipv4.clear();
    }
    assert_eq!(name(&instance), None, "an EFA-only interface has no name");
    for interface in &mut instance.interfaces {
        interface.ipv6 = vec!["2001:db8::10".parse().unwrap()].into();
    }
    assert_eq!(
        name(&instance).as_deref(),
        Some("i-1234567890abcdef0.eu-west-1.compute.internal"),
        "IPv6-only instances use their id"
    );
}

#[test]
fn public_host_names_need_an_address_and_the_setting() {
    let mut instance = example();
    let name =
        |instance: &Instance| instance.public_hostname(instance.primary_interface().unwrap());
    assert_eq!(name(&instance).as_deref(), Some("ec2-203-0-113-25.compute-1.amazonaws.com"));
    instance.region = "eu-west-1".parse().unwrap();
    assert_eq!(
        name(&instance).as_deref(),
        Some("ec2-203-0-113-25.eu-west-1.compute.amazonaws.com")
    );
    instance.dns_hostnames = Switch::Disabled;
    assert_eq!(name(&instance), None);
}

#[test]
fn fields_that_do_not_go_together_are_refused() {
    let mut twins = example();
    twins.interfaces.extend(example().interfaces);
    assert!(matches!(twins.check(), Err(InstanceRefusal::TwinInterfaces { .. })));

    let mut headless = example();
    for interface in &mut headless.interfaces {
        interface.device_number = 1;
        interface.mac = MacAddress::from_bytes([2, 0, 0, 0, 0, 1]);
    }
    assert!(matches!(headless.check(), Err(InstanceRefusal::NoPrimaryInterface(_))));

    let mut tagged = example();
    tagged.tags.insert("my key".parse().unwrap(), "value".into());
    assert_eq!(tagged.check(), Ok(()), "the key is fine while tags are not shown");
    tagged.options.instance_metadata_tags = Switch::Enabled;
    assert!(matches!(tagged.check(), Err(InstanceRefusal::TagNotPathSafe { .. })));

    let mut disks = example();
    disks
        .block_devices
        .push(BlockDevice { name: "../x".parse().unwrap(), device: "sdb".parse().unwrap() });
    assert!(matches!(disks.check(), Err(InstanceRefusal::BlockDevice { .. })));
}

#[test]
fn what_an_instance_sends_has_its_mac_and_its_address() {
    let instance = Instance::default_instance();
    let mac = instance.interfaces[0].mac;
    let address = |text: &str| text.parse().unwrap();
    assert!(instance.sends_from(mac, address("10.0.1.10")));
    assert!(instance.sends_from(mac, address("::ffff:10.0.1.10")));
    assert!(instance.sends_from(mac, address("fe80::29:96ff:fe8f:6a2d")));
    assert!(!instance.sends_from(mac, address("10.0.1.11")));
    assert!(!instance.sends_from(mac, address("fe80::1")));
    assert!(!instance.sends_from(MacAddress::from_bytes([2; 6]), address("10.0.1.10")));
}

#[test]
fn one_attachment_is_enough() {
    let mut instance = Instance::default_instance();
    let attachment = |text: &str| text.parse::<Attachment>().unwrap();
    instance.attachments = vec![attachment("listener=127.0.0.1:0"); 2];
    assert_eq!(instance.check(), Ok(()), "the kernel chooses two ports");
    let source = attachment("source=10.0.0.5");
    instance.attachments =
        vec![source.clone(), attachment("source=10.0.0.5,mac=02:00:00:00:00:01")];
    let refusal = InstanceRefusal::TwinAttachments { instance: instance.id, attachment: source };
    assert_eq!(instance.check(), Err(refusal));
}

/// A fleet of a million is in memory: what one instance takes grows by decision, and not by the way.
#[test]
fn an_instance_takes_little() {
    let bytes = [size_of::<Instance>(), size_of::<Interface>(), size_of::<crate::Attributes>()];
    assert_eq!(bytes, [288, 144, 128]);
}
