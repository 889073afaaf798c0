//! Launches from launch templates (control plane, 4.2 and 4.8).

use model::{HttpTokens, OptionLayer};

use super::{MARKED, UNMARKED};
use crate::ec2::site::{Site, elements};

const RUN: &str = "Action=RunInstances&MinCount=1&MaxCount=1";

/// A template `web` with three versions: instance types a, b and c. The second one is the default.
fn templated() -> (Site, String) {
    let site = Site::new();
    let data = |letter| {
        format!("LaunchTemplateData.ImageId={MARKED}&LaunchTemplateData.InstanceType={letter}")
    };
    let create = format!("Action=CreateLaunchTemplate&LaunchTemplateName=web&{}", data('a'));
    let id = site.all(&create, "launchTemplateId").remove(0);
    for letter in ['b', 'c'] {
        let version = format!("Action=CreateLaunchTemplateVersion&LaunchTemplateId={id}");
        site.ask(&format!("{version}&{}", data(letter))).unwrap();
    }
    site.ask(&format!("Action=ModifyLaunchTemplate&LaunchTemplateId={id}&SetDefaultVersion=2"))
        .unwrap();
    (site, id)
}

#[test]
fn a_launch_names_a_version_in_every_form() {
    let (site, id) = templated();
    for (version, letter, number) in [
        ("", "b", 2),
        ("&LaunchTemplate.Version=1", "a", 1),
        ("&LaunchTemplate.Version=3", "c", 3),
        ("&LaunchTemplate.Version=%24Default", "b", 2),
        ("&LaunchTemplate.Version=%24Latest", "c", 3),
    ] {
        for by in [format!("LaunchTemplateId={id}"), "LaunchTemplateName=web".to_owned()] {
            let stored = site.stored(&site.launch(&format!("LaunchTemplate.{by}{version}")));
            assert_eq!(&*stored.instance_type, letter, "{by}{version}");
            let used = stored.attributes.launch_template.clone().unwrap();
            assert_eq!((used.launch_template_id.to_string(), used.version), (id.clone(), number));
            assert_eq!(stored.ami_id.to_string(), MARKED);
        }
    }
}

#[test]
fn a_launch_is_refused_without_the_version_it_names() {
    let (site, id) = templated();
    let other = "lt-00000000000000001";
    let not_found = "InvalidLaunchTemplateId.VersionNotFound";
    let rows = [
        (format!("LaunchTemplateId={id}&LaunchTemplate.Version=4"), not_found),
        (format!("LaunchTemplateId={id}&LaunchTemplate.Version=0"), not_found),
        (format!("LaunchTemplateId={id}&LaunchTemplate.Version=%2B1"), not_found),
        (format!("LaunchTemplateId={id}&LaunchTemplate.Version=latest"), not_found),
        (format!("LaunchTemplateId={id}&LaunchTemplate.Version="), not_found),
        (format!("LaunchTemplateId={other}"), "InvalidLaunchTemplateId.NotFound"),
        ("LaunchTemplateId=web".to_owned(), "InvalidLaunchTemplateId.Malformed"),
        ("LaunchTemplateName=other".to_owned(), "InvalidLaunchTemplateName.NotFoundException"),
        (
            format!("LaunchTemplateId={id}&LaunchTemplate.LaunchTemplateName=web"),
            "InvalidParameterCombination",
        ),
        ("Version=1".to_owned(), "MissingParameter"),
    ];
    for (parameter, code) in rows {
        let form = format!("{RUN}&LaunchTemplate.{parameter}");
        assert_eq!(site.refusal(&form).0, code, "{parameter}");
    }
    let (code, message) = site.refusal(&format!("{RUN}&LaunchTemplate.LaunchTemplateName=web&LaunchTemplate.Version=9"));
    assert_eq!(code, not_found);
    assert_eq!(
        message,
        format!("Could not find launch template version '9' of launch template '{id}'")
    );
    let delete = format!("Action=DeleteLaunchTemplateVersions&LaunchTemplateId={id}");
    site.ask(&format!("{delete}&LaunchTemplateVersion.1=3")).unwrap();
    let deleted = format!("{RUN}&LaunchTemplate.LaunchTemplateId={id}&LaunchTemplate.Version=3");
    assert_eq!(site.refusal(&deleted).0, not_found);
    let latest = format!("LaunchTemplate.LaunchTemplateId={id}&LaunchTemplate.Version=%24Latest");
    assert_eq!(&*site.stored(&site.launch(&latest)).instance_type, "b", "the newest there is");
    site.ask("Action=DeleteLaunchTemplate&LaunchTemplateName=web").unwrap();
    let gone = site.refusal(&format!("{RUN}&{latest}"));
    assert_eq!(gone.0, "InvalidLaunchTemplateId.NotFound");
}

#[test]
fn what_a_launch_says_takes_the_place_of_the_template() {
    let site = Site::new();
    let template = format!(
        "Action=CreateLaunchTemplate&LaunchTemplateName=web&LaunchTemplateData.ImageId={UNMARKED}\
         &LaunchTemplateData.InstanceType=t3.micro&LaunchTemplateData.KeyName=one\
         &LaunchTemplateData.UserData=YQ%3D%3D&LaunchTemplateData.Monitoring.Enabled=true\
         &LaunchTemplateData.SecurityGroupId.1=sg-00000001\
         &LaunchTemplateData.SecurityGroupId.2=sg-00000002\
         &LaunchTemplateData.MetadataOptions.HttpTokens=required\
         &LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit=5\
         &LaunchTemplateData.MetadataOptions.InstanceMetadataTags=enabled\
         &LaunchTemplateData.BlockDeviceMapping.1.DeviceName=sdb\
         &LaunchTemplateData.BlockDeviceMapping.2.DeviceName=sdc\
         &LaunchTemplateData.TagSpecification.1.ResourceType=instance\
         &LaunchTemplateData.TagSpecification.1.Tag.1.Key=a\
         &LaunchTemplateData.TagSpecification.1.Tag.1.Value=b"
    );
    site.ask(&template).unwrap();
    let launch = |more: &str| {
        let by = format!("LaunchTemplate.LaunchTemplateName=web{more}");
        site.stored(&site.launch(&by))
    };
    let plain = launch("");
    assert_eq!((&*plain.instance_type, plain.tags.len()), ("t3.micro", 1));
    assert_eq!(plain.user_data.as_ref().unwrap().as_bytes(), b"a");
    assert_eq!(plain.option_layers.http_tokens, OptionLayer::LaunchTemplate);
    assert_eq!(plain.option_layers.http_endpoint, OptionLayer::Platform);

    let other = launch(
        "&InstanceType=c6i.large&KeyName=two&UserData=Yg%3D%3D&MetadataOptions.HttpTokens=optional\
         &SecurityGroupId.1=sg-00000003&BlockDeviceMapping.1.DeviceName=sdd\
         &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=c",
    );
    assert_eq!(&*other.instance_type, "c6i.large");
    assert_eq!(other.attributes.key_name.as_deref(), Some("two"));
    assert_eq!(other.user_data.as_ref().unwrap().as_bytes(), b"b");
    assert_eq!(other.options.http_tokens, HttpTokens::Optional, "options member by member");
    assert_eq!(other.options.http_put_response_hop_limit.as_hops(), 5);
    assert_eq!(other.options.instance_metadata_tags.as_str(), "enabled");
    assert_eq!(other.option_layers.http_tokens, OptionLayer::Launch);
    assert_eq!(other.option_layers.instance_metadata_tags, OptionLayer::LaunchTemplate);
    let devices: Vec<_> = other.block_devices.iter().map(|of| of.device.to_string()).collect();
    assert!(devices.contains(&"sdd".to_owned()), "{devices:?}");
    assert!(!devices.contains(&"sdb".to_owned()), "lists as a whole: {devices:?}");
    let groups = &other.primary_interface().unwrap().security_groups;
    assert_eq!(groups.iter().map(|of| of.id.to_string()).collect::<Vec<_>>(), ["sg-00000003"]);
    let keys: Vec<_> = other.tags.keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["c"]);

    let image = site.stored(&site.launch(&format!(
        "LaunchTemplate.LaunchTemplateName=web&ImageId={MARKED}"
    )));
    assert_eq!(image.ami_id.to_string(), MARKED);
    assert_eq!(image.options.http_put_response_hop_limit.as_hops(), 5, "below the template");
}

/// EC2: what an interface has, a launch does not say beside it.
#[test]
fn interfaces_and_subnets_do_not_stand_side_by_side() {
    let site = Site::new();
    for (name, data) in [
        ("groups", "SecurityGroupId.1=sg-00000001"),
        ("interface", "NetworkInterface.1.DeviceIndex=0\
             &LaunchTemplateData.NetworkInterface.1.SubnetId=subnet-00000001"),
    ] {
        let create = format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName={name}\
             &LaunchTemplateData.ImageId={UNMARKED}&LaunchTemplateData.{data}"
        );
        site.ask(&create).unwrap();
    }
    let by = |name: &str, more: &str| format!("LaunchTemplate.LaunchTemplateName={name}&{more}");
    let stored = site.stored(&site.launch(&by(
        "groups",
        "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-00000002",
    )));
    let interface = stored.primary_interface().unwrap();
    assert_eq!(interface.subnet_id.to_string(), "subnet-00000002");
    assert!(!interface.security_groups.iter().any(|of| of.id.to_string() == "sg-00000001"));
    let stored = site.stored(&site.launch(&by("groups", "SubnetId=subnet-00000002")));
    assert_eq!(stored.primary_interface().unwrap().security_groups[0].id.to_string(), "sg-00000001");
    let refusal = site.refusal(&format!("{RUN}&{}", by("interface", "SubnetId=subnet-00000002")));
    assert_eq!(refusal.0, "InvalidParameterCombination");
    let stored = site.stored(&site.launch(&by(
        "interface",
        "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-00000003",
    )));
    let interface = stored.primary_interface().unwrap();
    assert_eq!(interface.subnet_id.to_string(), "subnet-00000003");
}

/// Control plane, C10: the truth table of 3, by request and by template.
#[test]
fn tokens_come_from_the_first_layer_that_has_them() {
    let site = Site::new();
    for word in ["required", "optional"] {
        site.ask(&format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName={word}\
             &LaunchTemplateData.MetadataOptions.HttpTokens={word}"
        ))
        .unwrap();
    }
    site.ask("Action=CreateLaunchTemplate&LaunchTemplateName=silent&LaunchTemplateData.KeyName=k")
        .unwrap();
    for (launch, account, image, expected) in [
        ("required", "required", MARKED, "required"),
        ("required", "required", UNMARKED, "required"),
        ("required", "optional", MARKED, "required"),
        ("required", "optional", UNMARKED, "required"),
        ("required", "no-preference", MARKED, "required"),
        ("required", "no-preference", UNMARKED, "required"),
        ("optional", "required", MARKED, "optional"),
        ("optional", "required", UNMARKED, "optional"),
        ("optional", "optional", MARKED, "optional"),
        ("optional", "optional", UNMARKED, "optional"),
        ("optional", "no-preference", MARKED, "optional"),
        ("optional", "no-preference", UNMARKED, "optional"),
        ("", "required", MARKED, "required"),
        ("", "required", UNMARKED, "required"),
        ("", "optional", MARKED, "optional"),
        ("", "optional", UNMARKED, "optional"),
        ("", "no-preference", MARKED, "required"),
        ("", "no-preference", UNMARKED, "optional"),
    ] {
        site.ask(&format!("Action=ModifyInstanceMetadataDefaults&HttpTokens={account}")).unwrap();
        let (by_request, template) = match launch {
            "" => (String::new(), "silent"),
            word => (format!("&MetadataOptions.HttpTokens={word}"), word),
        };
        for more in [by_request, format!("&LaunchTemplate.LaunchTemplateName={template}")] {
            let answer = site.ask(&format!("{RUN}&ImageId={image}{more}")).unwrap();
            assert_eq!(elements(&answer, "httpTokens"), [expected], "{account} {image}{more}");
        }
    }
}

/// The recorded launches of control plane, 8.1.
#[test]
fn recorded_launches_from_templates_work() {
    let (site, id) = templated();
    let recorded = "Action=RunInstances&LaunchTemplate.LaunchTemplateName=web\
                    &LaunchTemplate.Version=1&MetadataOptions.HttpTokens=optional&MaxCount=1\
                    &MinCount=1&ClientToken=5f2d";
    let answer = site.ask(recorded).unwrap();
    assert_eq!(elements(&answer, "httpTokens"), ["optional"]);
    assert_eq!(site.all(recorded, "instanceId"), elements(&answer, "instanceId"));
    let dry = "Action=RunInstances&SecurityGroupId.1=sg-1&SecurityGroupId.2=sg-2\
               &LaunchTemplate.LaunchTemplateName=web&LaunchTemplate.Version=%24Latest&DryRun=true\
               &ClientToken=tok1&MinCount=1&MaxCount=3";
    assert_eq!(site.refusal(dry).0, "DryRunOperation");
    site.ask(&format!("Action=DeleteLaunchTemplate&LaunchTemplateId={id}")).unwrap();
    let again = site.all(recorded, "instanceId");
    assert_eq!(again, elements(&answer, "instanceId"), "what was launched stays");
}
