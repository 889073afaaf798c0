use crate::ec2::site::{Site, elements};

const IMAGE: &str = "ImageId=ami-0abcdef1234567890";

fn walk(site: &Site, action: &str, element: &str) -> Vec<String> {
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = site.ask(&format!("Action={action}&MaxResults=5{token}")).unwrap();
        assert!(elements(&page, element).len() <= 5);
        seen.extend(elements(&page, element));
        match elements(&page, "nextToken").first() {
            Some(next) => token = format!("&NextToken={next}"),
            None => return seen,
        }
    }
}

#[test]
fn the_free_addresses_of_a_subnet_are_counted() {
    let site = Site::new();
    let id = site.launch(IMAGE);
    let described = site.ask(&format!("Action=DescribeInstances&InstanceId.1={id}")).unwrap();
    let subnet = &elements(&described, "subnetId")[0];
    let form = format!("Action=DescribeSubnets&SubnetId.1={subnet}");
    let count = || site.all(&form, "availableIpAddressCount")[0].parse::<usize>().unwrap();
    assert_eq!(count(), 4096 - 5 - 1);
    let more = "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SecondaryPrivateIpAddressCount=2";
    let other = site.launch(&format!("{IMAGE}&{more}&NetworkInterface.1.SubnetId={subnet}"));
    assert_eq!(count(), 4096 - 5 - 4);
    site.ask(&format!("Action=TerminateInstances&InstanceId.1={other}")).unwrap();
    assert_eq!(count(), 4096 - 5 - 1);
    let answer = site.ask(&form).unwrap();
    let arn = format!("arn:aws:ec2:us-east-1:{}:subnet/{subnet}", site.scope.account_id);
    assert_eq!(elements(&answer, "subnetArn"), [arn]);
    assert_eq!(elements(&answer, "cidrBlock"), ["172.31.0.0/20"]);
    assert_eq!(elements(&answer, "defaultForAz"), ["true"]);
}

#[test]
fn networks_are_named_filtered_and_tagged() {
    let site = Site::new();
    let vpc = site
        .all("Action=DescribeVpcs&Filter.1.Name=is-default&Filter.1.Value.1=true", "vpcId")
        .remove(0);
    site.ask(&format!("Action=CreateTags&ResourceId.1={vpc}&Tag.1.Key=a&Tag.1.Value=b")).unwrap();
    for (form, count) in [
        ("Action=DescribeVpcs".to_owned(), 2),
        (format!("Action=DescribeVpcs&VpcId.1={vpc}"), 1),
        ("Action=DescribeVpcs&Filter.1.Name=tag%3Aa&Filter.1.Value.1=b".to_owned(), 1),
        ("Action=DescribeVpcs&Filter.1.Name=tag-key&Filter.1.Value.1=c".to_owned(), 0),
        ("Action=DescribeVpcs&Filter.1.Name=cidr&Filter.1.Value.1=172.31.*".to_owned(), 1),
        ("Action=DescribeSubnets".to_owned(), 4),
        (format!("Action=DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}"), 3),
        ("Action=DescribeSubnets&Filter.1.Name=availability-zone&Filter.1.Value.1=*b".to_owned(), 1),
        ("Action=DescribeSubnets&Filter.1.Name=availabilityZone&Filter.1.Value.1=*a".to_owned(), 2),
        ("Action=DescribeSubnets&Filter.1.Name=defaultForAz&Filter.1.Value.1=true".to_owned(), 3),
        (format!("Action=DescribeSecurityGroups&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}"), 1),
        ("Action=DescribeSecurityGroups&GroupName.1=default".to_owned(), 2),
    ] {
        let ids = site.all(&form, "vpcId");
        assert_eq!(ids.len(), count, "{form}");
    }
    let answer = site.ask(&format!("Action=DescribeVpcs&VpcId.1={vpc}")).unwrap();
    assert!(answer.contains("<tagSet><item><key>a</key><value>b</value></item></tagSet>"));
    assert_eq!(elements(&answer, "instanceTenancy"), ["default"]);
    for action in ["DescribeSubnets", "DescribeVpcs", "DescribeSecurityGroups"] {
        assert_eq!(
            site.refusal(&format!("Action={action}&Filter.1.Name=x&Filter.1.Value.1=y")).1,
            "The filter 'x' is invalid"
        );
        for form in ["MaxResults=4", "MaxResults=1001"] {
            let refusal = site.refusal(&format!("Action={action}&{form}"));
            assert_eq!(refusal.0, "InvalidMaxResults");
        }
        assert_eq!(site.refusal(&format!("Action={action}&NextToken=x")).0, "InvalidNextToken");
    }
}

#[test]
fn what_is_not_there_is_told_by_its_kind() {
    let site = Site::new();
    for (form, code, message) in [
        (
            "DescribeVpcs&VpcId.1=vpc-00000001",
            "InvalidVpcID.NotFound",
            "The vpc ID 'vpc-00000001' does not exist",
        ),
        (
            "DescribeVpcs&VpcId.1=x",
            "InvalidVpcID.Malformed",
            "Invalid id: \"x\" (expecting \"vpc-...\")",
        ),
        (
            "DescribeSubnets&SubnetId.1=subnet-00000001",
            "InvalidSubnetID.NotFound",
            "The subnet ID 'subnet-00000001' does not exist",
        ),
        (
            "DescribeSubnets&SubnetId.1=subnet-1",
            "InvalidSubnetID.Malformed",
            "Invalid id: \"subnet-1\" (expecting \"subnet-...\")",
        ),
        (
            "DescribeSecurityGroups&GroupId.1=sg-00000001",
            "InvalidGroup.NotFound",
            "The security group 'sg-00000001' does not exist",
        ),
        (
            "DescribeSecurityGroups&GroupName.1=web",
            "InvalidGroup.NotFound",
            "The security group 'web' does not exist",
        ),
        (
            "DescribeSecurityGroups&GroupId.1=web",
            "InvalidGroupId.Malformed",
            "Invalid id: \"web\" (expecting \"sg-...\")",
        ),
        (
            "DescribeNetworkInterfaces&NetworkInterfaceId.1=eni-00000001",
            "InvalidNetworkInterfaceID.NotFound",
            "The networkInterface ID 'eni-00000001' does not exist",
        ),
        (
            "DescribeNetworkInterfaces&NetworkInterfaceId.1=x",
            "InvalidNetworkInterfaceId.Malformed",
            "Invalid id: \"x\" (expecting \"eni-...\")",
        ),
    ] {
        let expected = (code.to_owned(), message.to_owned());
        assert_eq!(site.refusal(&format!("Action={form}")), expected);
    }
}

#[test]
fn adopted_networks_are_listed_and_pages_have_each_once() {
    let site = Site::new();
    for number in 1..=9 {
        let network = format!("SubnetId=subnet-0000000{number}&SecurityGroupId.1=sg-0000000{number}");
        site.launch(&format!("{IMAGE}&{network}"));
    }
    for (action, element, count) in [
        ("DescribeSubnets", "subnetId", 4 + 9),
        ("DescribeSecurityGroups", "groupId", 2 + 9),
        ("DescribeNetworkInterfaces", "networkInterfaceId", 1 + 9),
        ("DescribeInstanceStatus", "instanceId", 1 + 9),
    ] {
        let mut seen = walk(&site, action, element);
        assert_eq!(seen.len(), count, "{action}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count, "{action}");
    }
}

#[test]
fn interfaces_are_those_of_the_instances() {
    let site = Site::new();
    let id = site.launch(&format!(
        "{IMAGE}&TagSpecification.1.ResourceType=network-interface\
         &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b"
    ));
    let of_instance = site.ask(&format!("Action=DescribeInstances&InstanceId.1={id}")).unwrap();
    let interface = elements(&of_instance, "networkInterfaceId").remove(0);
    let address = elements(&of_instance, "privateIpAddress").remove(0);
    assert!(!of_instance.contains("<requesterManaged>"), "{of_instance}");
    for filter in [
        format!("attachment.instance-id&Filter.1.Value.1={id}"),
        "tag%3Aa&Filter.1.Value.1=b".to_owned(),
        format!("private-ip-address&Filter.1.Value.1={address}"),
        format!("addresses.private-ip-address&Filter.1.Value.1={address}"),
        format!("network-interface-id&Filter.1.Value.1={interface}"),
        "association.public-ip&Filter.1.Value.1=198.1*".to_owned(),
    ] {
        let form = format!("Action=DescribeNetworkInterfaces&Filter.1.Name={filter}");
        let answer = site.ask(&form).unwrap();
        assert_eq!(elements(&answer, "networkInterfaceId"), [&*interface], "{filter}");
        assert_eq!(elements(&answer, "instanceId"), [&*id]);
        assert!(answer.contains("<tagSet><item><key>a</key><value>b</value></item></tagSet>"));
        assert_eq!(elements(&answer, "attachTime").len(), 1);
    }
    let named = format!("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1={interface}");
    assert_eq!(site.all(&named, "status"), ["in-use", "attached"]);
}
