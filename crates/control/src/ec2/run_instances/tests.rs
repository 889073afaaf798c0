mod templates;

use model::{HttpTokens, InstanceState, OptionLayer};

use crate::ec2::site::{Site, elements, strict};

const MARKED: &str = "ami-0abcdef1234567890";
const UNMARKED: &str = "ami-0ce107ae7af2e92b5";

#[test]
fn a_launch_is_answered_pending_and_runs() {
    let site = Site::new();
    let form = format!("Action=RunInstances&ImageId={UNMARKED}&MinCount=2&MaxCount=2&ClientToken=a");
    let answer = site.ask(&form).unwrap();
    assert_eq!(elements(&answer, "name"), ["pending", "pending"]);
    assert_eq!(elements(&answer, "httpTokens"), ["optional", "optional"]);
    let ids = elements(&answer, "instanceId");
    let instance = site.stored(&ids[1]);
    assert_eq!((instance.state, instance.ami_launch_index), (InstanceState::Running, 1));
    assert_eq!(instance.option_layers.http_tokens, OptionLayer::Platform);
    let described = site.ask("Action=DescribeInstances").unwrap();
    assert_eq!(elements(&described, "reservationId").len(), 2, "that of the default instance too");
    let again = site.ask(&form).unwrap();
    assert_eq!(elements(&again, "instanceId"), ids, "the same client token is the same launch");
    let other = form.replace(UNMARKED, MARKED);
    assert_eq!(site.refusal(&other).0, "IdempotentParameterMismatch");
}

#[test]
fn the_image_sets_what_nobody_else_does() {
    let site = Site::new();
    let by_image = site.stored(&site.launch(&format!("ImageId={MARKED}")));
    assert_eq!(by_image.options.http_tokens, HttpTokens::Required);
    assert_eq!(by_image.options.http_put_response_hop_limit.as_hops(), 2);
    assert_eq!(by_image.option_layers.http_tokens, OptionLayer::Image);
    let by_launch = format!("ImageId={MARKED}&MetadataOptions.HttpTokens=optional");
    let by_launch = site.stored(&site.launch(&by_launch));
    assert_eq!(by_launch.options.http_tokens, HttpTokens::Optional);
    assert_eq!(by_launch.options.http_put_response_hop_limit.as_hops(), 2);
}

#[test]
fn the_recorded_launch_of_the_reference_scenario_works() {
    let mut site = Site::new();
    site.scope.region = "ap-northeast-1".parse().unwrap();
    let id = site.launch(
        "ImageId=ami-0ce107ae7af2e92b5&InstanceType=t2.nano&KeyName=key_file\
         &Monitoring.Enabled=false&Placement.AvailabilityZone=ap-northeast-1a\
         &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name\
         &TagSpecification.1.Tag.1.Value=test_instance&NetworkInterface.1.DeviceIndex=0\
         &NetworkInterface.1.AssociatePublicIpAddress=true\
         &NetworkInterface.1.SubnetId=subnet-03d74b8d6ab6c39f2\
         &NetworkInterface.1.SecurityGroupId.1=sg-0a00ecb871bb15fb3",
    );
    let filtered = "Action=DescribeInstances&Filter.1.Name=tag%3AName&Filter.1.Value.1=test_*";
    let described = site.ask(filtered).unwrap();
    assert_eq!(elements(&described, "instanceId"), [id]);
    assert_eq!(elements(&described, "subnetId")[0], "subnet-03d74b8d6ab6c39f2");
    assert_eq!(elements(&described, "keyName"), ["key_file"]);
    assert!(described.contains("<publicIp>198.1"), "{described}");
    let elsewhere = Site::new().ask(filtered).unwrap();
    assert!(!elsewhere.contains("instanceId"));
}

#[test]
fn an_instance_has_only_so_much() {
    let site = Site::new();
    let listed = |count: usize, name: &str, value: fn(usize) -> String| -> String {
        let one = |n: usize| format!("&{}={}", name.replace('#', &n.to_string()), value(n));
        (1..=count).map(one).collect::<Vec<_>>().concat()
    };
    let group = |n| format!("sg-{n:08x}");
    for (parameters, code) in [
        (listed(65, "NetworkInterface.#.DeviceIndex", |n| n.to_string()), "AttachmentLimitExceeded"),
        (listed(17, "SecurityGroupId.#", group), "SecurityGroupsPerInterfaceLimitExceeded"),
        (
            listed(17, "NetworkInterface.1.SecurityGroupId.#", group),
            "SecurityGroupsPerInterfaceLimitExceeded",
        ),
        (
            listed(129, "BlockDeviceMapping.#.DeviceName", |n| format!("/dev/x{n}")),
            "AttachmentLimitExceeded",
        ),
    ] {
        let form = format!("Action=RunInstances&ImageId={MARKED}&MinCount=1&MaxCount=1{parameters}");
        assert_eq!(site.refusal(&form).0, code, "{parameters}");
    }
    site.launch(&format!("ImageId={MARKED}{}", listed(16, "SecurityGroupId.#", group)));
}

#[test]
fn a_strict_server_knows_what_it_knows() {
    let site = strict();
    for (parameters, code) in [
        ("ImageId=ami-00000000000000001", "InvalidAMIID.NotFound"),
        ("ImageId=ami-1", "InvalidAMIID.Malformed"),
        ("ImageId=ami-0abcdef1234567890&KeyName=x", "InvalidKeyPair.NotFound"),
        ("ImageId=ami-0abcdef1234567890&SubnetId=subnet-00000001", "InvalidSubnetID.NotFound"),
        ("ImageId=ami-0abcdef1234567890&SecurityGroupId.1=sg-00000001", "InvalidGroup.NotFound"),
        ("ImageId=ami-0abcdef1234567890&IamInstanceProfile.Name=app", "InvalidParameterValue"),
        ("InstanceType=t3.micro", "MissingParameter"),
        ("ImageId=ami-0abcdef1234567890&Nonsense=1", "UnknownParameter"),
        ("ImageId=ami-0abcdef1234567890&UserData=%3F", "InvalidUserData.Malformed"),
        ("ImageId=ami-0abcdef1234567890&PrivateIpAddress=1.1.1.1", "InvalidParameterValue"),
    ] {
        let form = format!("Action=RunInstances&MinCount=1&MaxCount=1&{parameters}");
        assert_eq!(site.refusal(&form).0, code, "{parameters}");
    }
    assert_eq!(site.store.snapshot().instance_count(), 1);
}

/// Accounts may have networks of the same addresses, but not where an address tells who asks.
#[test]
fn instances_that_are_told_by_their_addresses_share_none() {
    let launch = format!("ImageId={MARKED}&PrivateIpAddress=172.31.0.9");
    let form = format!("Action=RunInstances&MinCount=1&MaxCount=1&{launch}");
    let other = |mut site: Site| {
        site.scope.account_id = "210987654321".parse().unwrap();
        site
    };
    let site = Site::new();
    site.launch(&launch);
    other(site).ask(&form).expect("networks of their own");
    let mut site = Site::new();
    site.settings.driver = Some(model::Driver::Source);
    site.launch(&launch);
    assert_eq!(other(site).refusal(&form).0, "InvalidIPAddress.InUse");
}
