use crate::ec2::site::{Site, elements, strict};

const IMAGE: &str = "ImageId=ami-0abcdef1234567890";

fn describe(site: &Site, id: &str, attribute: &str) -> String {
    let form = format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute={attribute}");
    let answer = site.ask(&form).unwrap();
    let (_, rest) = answer.split_once(&format!("<instanceId>{id}</instanceId>")).unwrap();
    let (element, _) = rest.split_once("</DescribeInstanceAttributeResponse>").unwrap();
    element.trim().to_owned()
}

fn modify(id: &str, what: &str) -> String {
    format!("Action=ModifyInstanceAttribute&InstanceId={id}&{what}")
}

fn refused(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

#[test]
fn there_are_sixteen_attributes() {
    let site = Site::new();
    let id = site.launch(&format!("{IMAGE}&InstanceType=t2.nano&UserData=IyEvYmluL3NoCg%3D%3D"));
    let volume = site.all(&format!("Action=DescribeInstances&InstanceId.1={id}"), "volumeId");
    for (attribute, expected) in [
        ("disableApiStop", "<disableApiStop><value>false</value></disableApiStop>"),
        (
            "disableApiTermination",
            "<disableApiTermination><value>false</value></disableApiTermination>",
        ),
        ("ebsOptimized", "<ebsOptimized><value>false</value></ebsOptimized>"),
        ("enaSupport", "<enaSupport><value>true</value></enaSupport>"),
        ("enclaveOptions", "<enclaveOptions><enabled>false</enabled></enclaveOptions>"),
        (
            "instanceInitiatedShutdownBehavior",
            "<instanceInitiatedShutdownBehavior><value>stop</value>\
             </instanceInitiatedShutdownBehavior>",
        ),
        ("instanceType", "<instanceType><value>t2.nano</value></instanceType>"),
        ("kernel", "<kernel/>"),
        ("productCodes", "<productCodes/>"),
        ("ramdisk", "<ramdisk/>"),
        ("rootDeviceName", "<rootDeviceName><value>/dev/xvda</value></rootDeviceName>"),
        ("sourceDestCheck", "<sourceDestCheck><value>true</value></sourceDestCheck>"),
        ("sriovNetSupport", "<sriovNetSupport/>"),
        ("userData", "<userData><value>IyEvYmluL3NoCg==</value></userData>"),
    ] {
        assert_eq!(describe(&site, &id, attribute), expected);
    }
    assert_eq!(elements(&describe(&site, &id, "blockDeviceMapping"), "volumeId"), volume);
    assert_eq!(elements(&describe(&site, &id, "groupSet"), "groupName"), ["default"]);
    let bare = site.launch(IMAGE);
    assert_eq!(describe(&site, &bare, "userData"), "<userData/>");
    let form = |id: &str, attribute: &str| {
        format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute={attribute}")
    };
    for (form, code, message) in [
        (
            form(&id, "metadataOptions"),
            "InvalidParameterValue",
            "Value (metadataOptions) for parameter attribute is invalid. Unknown attribute.",
        ),
        (form("junk", "kernel"), "InvalidInstanceID.Malformed", "Invalid id: \"junk\""),
        (
            form("i-0bad0bad0bad0bad0", "kernel"),
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0bad0bad0bad0bad0' does not exist",
        ),
        (
            format!("Action=DescribeInstanceAttribute&InstanceId={id}"),
            "MissingParameter",
            "The request must contain the parameter Attribute",
        ),
        (
            "Action=DescribeInstanceAttribute&Attribute=kernel".to_owned(),
            "MissingParameter",
            "The request must contain the parameter InstanceId",
        ),
    ] {
        assert_eq!(site.refusal(&form), refused(code, message));
    }
}

#[test]
fn attributes_change_in_both_forms() {
    let site = Site::new();
    let id = site.launch(IMAGE);
    site.ask(&format!("Action=StopInstances&InstanceId.1={id}")).unwrap();
    for (attribute, wrapper, values) in [
        ("disableApiStop", "DisableApiStop", ["true", "false"]),
        ("disableApiTermination", "DisableApiTermination", ["true", "false"]),
        ("ebsOptimized", "EbsOptimized", ["true", "false"]),
        ("enaSupport", "EnaSupport", ["true", "true"]),
        ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior", [
            "terminate", "stop",
        ]),
        ("instanceType", "InstanceType", ["m5.large", "c5.large"]),
        ("kernel", "Kernel", ["aki-0123abcd", "aki-1123abcd"]),
        ("ramdisk", "Ramdisk", ["ari-0123abcd", "ari-1123abcd"]),
        ("sourceDestCheck", "SourceDestCheck", ["false", "true"]),
        ("userData", "UserData", ["YUdrPQ%3D%3D", "aGk%3D"]),
    ] {
        let [wrapped, legacy] = values;
        let is = |value: &str| {
            let element = describe(&site, &id, attribute);
            assert_eq!(elements(&element, "value"), [value.replace("%3D", "=")], "{attribute}");
        };
        let answer = site.all(&modify(&id, &format!("{wrapper}.Value={wrapped}")), "return");
        assert_eq!(answer, ["true"]);
        is(wrapped);
        site.ask(&modify(&id, &format!("Attribute={attribute}&Value={legacy}"))).unwrap();
        is(legacy);
    }
    assert_eq!(site.stored(&id).user_data.unwrap().as_bytes(), b"hi");
    site.ask(&modify(&id, "UserData.Value=")).unwrap();
    assert_eq!(describe(&site, &id, "userData"), "<userData/>");
    for attribute in ["kernel", "ramdisk", "sourceDestCheck"] {
        let form = format!("Action=ResetInstanceAttribute&InstanceId={id}&Attribute={attribute}");
        assert_eq!(site.all(&form, "return"), ["true"]);
    }
    assert_eq!(describe(&site, &id, "kernel"), "<kernel/>");
    let form = format!("Action=ResetInstanceAttribute&InstanceId={id}&Attribute=userData");
    assert_eq!(site.refusal(&form).0, "InvalidParameterValue");
}

#[test]
fn some_attributes_change_while_the_instance_is_stopped() {
    let site = Site::new();
    let id = site.launch(IMAGE);
    let before = site.stored(&id);
    let message = format!("The instance '{id}' is not in the 'stopped' state.");
    for what in [
        "UserData.Value=aGk%3D",
        "Attribute=userData&Value=aGk%3D",
        "InstanceType.Value=m5.large",
        "Kernel.Value=aki-0123abcd",
        "Ramdisk.Value=ari-0123abcd",
        "EbsOptimized.Value=true",
        "EnaSupport.Value=true",
    ] {
        let refusal = site.refusal(&modify(&id, what));
        assert_eq!(refusal, refused("IncorrectInstanceState", &message), "{what}");
    }
    assert_eq!(site.stored(&id), before);
    let form = format!("Action=ResetInstanceAttribute&InstanceId={id}&Attribute=kernel");
    assert_eq!(site.refusal(&form), refused("IncorrectInstanceState", &message));
    site.ask(&modify(&id, "DisableApiTermination.Value=true")).unwrap();
    assert_eq!(
        site.refusal(&format!("Action=TerminateInstances&InstanceId.1={id}")),
        refused(
            "OperationNotPermitted",
            &format!(
                "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' \
                 instance attribute and try again."
            )
        )
    );
}

#[test]
fn what_is_no_change_of_one_attribute_is_refused() {
    let site = Site::new();
    let id = site.launch(IMAGE);
    site.ask(&format!("Action=StopInstances&InstanceId.1={id}")).unwrap();
    let before = site.stored(&id);
    for (what, code, message) in [
        ("", "InvalidParameterCombination", "No attributes specified."),
        (
            "InstanceType.Value=m5.large&UserData.Value=aGk%3D",
            "InvalidParameterCombination",
            "Fields for multiple attribute types specified: instanceType, userData",
        ),
        (
            "GroupId.1=sg-00000001&Kernel.Value=aki-00000001",
            "InvalidParameterCombination",
            "Fields for multiple attribute types specified: kernel, groupSet",
        ),
        (
            "Attribute=junk&Value=x",
            "InvalidParameterValue",
            "Value (junk) for parameter attribute is invalid. Unknown attribute.",
        ),
        (
            "Attribute=userData",
            "MissingParameter",
            "The request must contain the parameter Value",
        ),
        (
            "DisableApiStop.Value=maybe",
            "InvalidParameterValue",
            "A value of 'maybe' is not valid for disableApiStop. Specify either 'true' or 'false' \
             and try again.",
        ),
        (
            "InstanceInitiatedShutdownBehavior.Value=sleep",
            "InvalidParameterValue",
            "A value of 'sleep' is not valid for InstanceInitiatedShutdownBehavior. Specify either \
             'stop' or 'terminate' and try again.",
        ),
        (
            "UserData.Value=%21",
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        ),
        (
            "EnaSupport.Value=false",
            "UnsupportedOperation",
            "The attribute 'enaSupport' does not change to 'false' here.",
        ),
        (
            "GroupId.1=sg-1",
            "InvalidGroupId.Malformed",
            "Invalid id: \"sg-1\" (expecting \"sg-...\")",
        ),
    ] {
        assert_eq!(site.refusal(&modify(&id, what)), refused(code, message), "{what}");
    }
    assert_eq!(site.stored(&id), before);
    let gone = modify("i-0bad0bad0bad0bad0", "SourceDestCheck.Value=true");
    assert_eq!(site.refusal(&gone).0, "InvalidInstanceID.NotFound");
    site.ask(&format!("Action=TerminateInstances&InstanceId.1={id}")).unwrap();
    let refusal = site.refusal(&modify(&id, "SourceDestCheck.Value=true"));
    assert_eq!(refusal.0, "IncorrectInstanceState");
}

#[test]
fn security_groups_change_while_the_instance_runs() {
    let site = Site::new();
    let id = site.launch(IMAGE);
    site.ask(&modify(&id, "GroupId.1=sg-00000001&GroupId.2=sg-00000002")).unwrap();
    let groups = describe(&site, &id, "groupSet");
    assert_eq!(elements(&groups, "groupId"), ["sg-00000001", "sg-00000002"]);
    let listed = "Action=DescribeSecurityGroups&GroupId.1=sg-00000002";
    assert_eq!(site.all(listed, "groupName"), ["sg-00000002"]);
    let site = strict();
    let id = site.launch(IMAGE);
    assert_eq!(
        site.refusal(&modify(&id, "GroupId.1=sg-00000001")),
        refused("InvalidGroup.NotFound", "The security group 'sg-00000001' does not exist")
    );
}
