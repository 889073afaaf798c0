use std::sync::Arc;

use model::{HttpTokens, Image, ImdsSupport, OptionLayer, Resource};
use store::Change;

use crate::ec2::site::{Site, elements};

const DESCRIBE: &str = "Action=DescribeImages";
const MODIFY: &str = "Action=ModifyImageAttribute";
const MARKED: &str = "ami-0abcdef1234567890";
const UNMARKED: &str = "ami-0ce107ae7af2e92b5";

/// The recorded request of control plane, 8.1.
const REGISTER: &str = "Action=RegisterImage&ImdsSupport=v2.0&Name=my-image&Architecture=x86_64\
     &RootDeviceName=%2Fdev%2Fxvda&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda\
     &BlockDeviceMapping.1.Ebs.SnapshotId=snap-0123456789example";

fn support(site: &Site, id: &str) -> String {
    let form = format!("Action=DescribeImageAttribute&Attribute=imdsSupport&ImageId={id}");
    let answer = site.ask(&form).unwrap();
    assert_eq!(elements(&answer, "imageId"), [id]);
    elements(&answer, "value").pop().unwrap_or_default()
}

#[test]
fn images_are_described_with_what_they_support() {
    let site = Site::new();
    let marked = site.ask(&format!("{DESCRIBE}&ImageId.1={MARKED}")).unwrap();
    assert_eq!(elements(&marked, "imdsSupport"), ["v2.0"]);
    for element in [
        "<imageState>available</imageState>",
        "<isPublic>false</isPublic>",
        "<architecture>x86_64</architecture>",
        "<imageType>machine</imageType>",
        "<rootDeviceType>ebs</rootDeviceType>",
        "<rootDeviceName>/dev/xvda</rootDeviceName>",
        "<blockDeviceMapping/>",
        "<virtualizationType>hvm</virtualizationType>",
        "<hypervisor>xen</hypervisor>",
        "<enaSupport>true</enaSupport>",
        "<platformDetails>Linux/UNIX</platformDetails>",
    ] {
        assert!(marked.contains(element), "{element}: {marked}");
    }
    let unmarked = site.ask(&format!("{DESCRIBE}&ImageId.1={UNMARKED}")).unwrap();
    assert!(!unmarked.contains("imdsSupport"), "only when it is set");
    let both = format!("{DESCRIBE}&ImageId.1={UNMARKED}&ImageId.2={MARKED}");
    assert_eq!(site.all(&both, "imageId"), [MARKED, UNMARKED]);
}

#[test]
fn images_are_found_by_owner_filter_and_page() {
    let site = Site::new();
    let account = site.scope.account_id;
    let registered = site.all(
        &format!(
            "{REGISTER}&Description=web%20one&TagSpecification.1.ResourceType=image\
             &TagSpecification.1.Tag.1.Key=role&TagSpecification.1.Tag.1.Value=web"
        ),
        "imageId",
    );
    let names = |more: &str| {
        let mut names = site.all(&format!("{DESCRIBE}{more}"), "name");
        names.sort_unstable();
        names.join(" ")
    };
    let all = "my-image openimds-imdsv2 openimds-unmarked";
    assert_eq!(names(""), all);
    assert_eq!(names("&Owner.1=self"), all);
    assert_eq!(names(&format!("&Owner.1=amazon&Owner.2={account}")), all);
    for nobody in ["Owner.1=amazon", "Owner.1=999999999999", "ExecutableBy.1=all"] {
        assert_eq!(names(&format!("&{nobody}")), "", "{nobody}");
    }
    assert_eq!(names("&ExecutableBy.1=self"), "", "the owner's own are not shared");
    for (name, value, expected) in [
        ("name", "my-*", "my-image"),
        ("description", "web?one", "my-image"),
        ("tag:role", "web", "my-image"),
        ("tag-key", "role", "my-image"),
        ("image-id", registered[0].as_str(), "my-image"),
        ("block-device-mapping.snapshot-id", "snap-*", "my-image"),
        ("block-device-mapping.device-name", "/dev/xvda", "my-image"),
        ("creation-date", "2026-09-21T14:13:20.000Z", "my-image"),
        ("architecture", "arm64", ""),
        ("architecture", "x86_64", all),
        ("owner-id", account.as_str(), all),
        ("owner-alias", "amazon", ""),
        ("platform", "windows", ""),
        ("state", "available", all),
        ("image-type", "machine", all),
        ("is-public", "true", ""),
        ("root-device-name", "/dev/xvda", all),
        ("root-device-type", "ebs", all),
        ("virtualization-type", "hvm", all),
        ("hypervisor", "xen", all),
        ("ena-support", "true", all),
        ("platform-details", "Linux*", all),
    ] {
        let value = value.replace('/', "%2F");
        let filter = format!("&Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(names(&filter), expected, "{name} = {value}");
    }
    let by_support = format!("{DESCRIBE}&Filter.1.Name=imds-support&Filter.1.Value.1=v2.0");
    let (code, message) = site.refusal(&by_support);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("InvalidParameterValue", "The filter 'imds-support' is invalid")
    );
    let mut walked = Vec::new();
    let mut page = format!("{DESCRIBE}&MaxResults=2");
    loop {
        let answer = site.ask(&page).unwrap();
        walked.extend(elements(&answer, "name"));
        let Some(token) = elements(&answer, "nextToken").pop() else { break };
        page = format!("{DESCRIBE}&MaxResults=2&NextToken={token}");
    }
    walked.sort_unstable();
    assert_eq!(walked.join(" "), all);
}

#[test]
fn an_image_is_registered_launched_and_deregistered() {
    let site = Site::new();
    let id = site.all(REGISTER, "imageId").remove(0);
    assert!(id.starts_with("ami-") && id.len() == 21, "{id}");
    let described = site.ask(&format!("{DESCRIBE}&ImageId.1={id}")).unwrap();
    assert_eq!(elements(&described, "imdsSupport"), ["v2.0"]);
    assert_eq!(
        elements(&described, "blockDeviceMapping"),
        ["<item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-0123456789example\
          </snapshotId><deleteOnTermination>true</deleteOnTermination></ebs></item>"]
    );
    let launched = site.stored(&site.launch(&format!("ImageId={id}")));
    assert_eq!(launched.options.http_tokens, HttpTokens::Required);
    assert_eq!(launched.options.http_put_response_hop_limit.as_hops(), 2);
    assert_eq!(launched.option_layers.http_tokens, OptionLayer::Image);
    let duplicate = site.refusal(REGISTER);
    assert_eq!(duplicate.0, "InvalidAMIName.Duplicate");
    assert_eq!(duplicate.1, format!("AMI name my-image is already in use by AMI {id}"));
    let deregister = format!("Action=DeregisterImage&ImageId={id}");
    assert_eq!(site.all(&deregister, "return"), ["true"]);
    assert_eq!(
        site.refusal(&deregister),
        ("InvalidAMIID.NotFound".to_owned(), format!("The image id '[{id}]' does not exist"))
    );
    let built_in = format!("Action=DeregisterImage&ImageId={MARKED}");
    assert_eq!(site.refusal(&built_in).0, "OperationNotPermitted");
    let plain = site.all("Action=RegisterImage&Name=old", "imageId").remove(0);
    let old = site.ask(&format!("{DESCRIBE}&ImageId.1={plain}")).unwrap();
    assert_eq!(elements(&old, "architecture"), ["i386"]);
    assert!(!old.contains("imdsSupport"));
}

/// Control plane, C19: the flag counts at the next launch, and cannot be taken back.
#[test]
fn the_flag_is_set_once_and_for_all() {
    for form in ["ImdsSupport.Value=v2.0", "Attribute=imdsSupport&Value=v2.0"] {
        let site = Site::new();
        let before = site.launch(&format!("ImageId={UNMARKED}"));
        assert_eq!(support(&site, UNMARKED), "");
        let modify = format!("{MODIFY}&ImageId={UNMARKED}&{form}");
        assert_eq!(site.all(&modify, "return"), ["true"]);
        assert_eq!(support(&site, UNMARKED), "v2.0");
        let stored = site.stored(&site.launch(&format!("ImageId={UNMARKED}")));
        assert_eq!(stored.options.http_tokens, HttpTokens::Required);
        assert_eq!(stored.options.http_put_response_hop_limit.as_hops(), 2);
        assert_eq!(site.stored(&before).options.http_tokens, HttpTokens::Optional);
        for value in ["", "v1.0", "none", "no-preference"] {
            for form in [format!("ImdsSupport.Value={value}"), format!("Attribute=imdsSupport&Value={value}")] {
                let expected = format!(
                    "A value of '{value}' is not valid for ImdsSupport. Specify 'v2.0' and try \
                     again."
                );
                let refusal = site.refusal(&format!("{MODIFY}&ImageId={UNMARKED}&{form}"));
                assert_eq!(refusal, ("InvalidParameterValue".to_owned(), expected));
            }
        }
        assert_eq!(support(&site, UNMARKED), "v2.0");
        let mut elsewhere = site;
        elsewhere.scope.region = "eu-west-1".parse().unwrap();
        assert_eq!(support(&elsewhere, UNMARKED), "", "a region has images of its own");
    }
}

#[test]
fn refusals_have_the_codes_of_images() {
    let site = Site::new();
    let unknown = "ami-00000000000000001";
    let modify = format!("{MODIFY}&ImageId={MARKED}");
    for (form, code) in [
        (format!("{DESCRIBE}&ImageId.1=junk"), "InvalidAMIID.Malformed"),
        (format!("{DESCRIBE}&ImageId.1={unknown}"), "InvalidAMIID.NotFound"),
        (format!("{DESCRIBE}&MaxResults=0"), "InvalidMaxResults"),
        (format!("{DESCRIBE}&NextToken=x"), "InvalidNextToken"),
        (format!("{MODIFY}&ImdsSupport.Value=v2.0"), "MissingParameter"),
        (format!("{MODIFY}&ImageId={unknown}&ImdsSupport.Value=v2.0"), "InvalidAMIID.NotFound"),
        (modify.clone(), "InvalidParameterCombination"),
        (format!("{modify}&ImdsSupport.Value=v2.0&Description.Value=x"), "InvalidParameterCombination"),
        (format!("{modify}&Attribute=imdsSupport"), "MissingParameter"),
        (format!("{modify}&Attribute=nonsense&Value=1"), "InvalidParameterValue"),
        (format!("{modify}&LaunchPermission.Add.1.Group=all"), "UnsupportedOperation"),
        (format!("{modify}&Description.Value={}", "x".repeat(256)), "InvalidParameterValue"),
        (format!("{modify}&ImdsSupport.Value=v2.0&DryRun=true"), "DryRunOperation"),
        ("Action=DescribeImageAttribute&Attribute=imdsSupport".to_owned(), "MissingParameter"),
        (format!("Action=DescribeImageAttribute&ImageId={MARKED}"), "MissingParameter"),
        (
            format!("Action=DescribeImageAttribute&ImageId={MARKED}&Attribute=x"),
            "InvalidParameterValue",
        ),
        ("Action=RegisterImage".to_owned(), "MissingParameter"),
        ("Action=RegisterImage&Name=ab".to_owned(), "InvalidAMIName.Malformed"),
        ("Action=RegisterImage&Name=abc%25".to_owned(), "InvalidAMIName.Malformed"),
        ("Action=RegisterImage&Name=abc&ImdsSupport=v1.0".to_owned(), "InvalidParameterValue"),
        ("Action=RegisterImage&Name=abc&ImdsSupport=".to_owned(), "InvalidParameterValue"),
        ("Action=RegisterImage&Name=abc&Architecture=vax".to_owned(), "InvalidParameterValue"),
        ("Action=RegisterImage&Name=abc&Nonsense=1".to_owned(), "UnknownParameter"),
        ("Action=CreateImage&Name=abc".to_owned(), "MissingParameter"),
        ("Action=CreateImage&Name=abc&InstanceId=junk".to_owned(), "InvalidInstanceID.Malformed"),
        (
            "Action=CreateImage&Name=abc&InstanceId=i-00000000000000001".to_owned(),
            "InvalidInstanceID.NotFound",
        ),
    ] {
        assert_eq!(site.refusal(&form).0, code, "{form}");
    }
    assert_eq!(site.store.snapshot().images(&site.scope).count(), 0);
}

#[test]
fn only_the_owner_changes_an_image() {
    let site = Site::new();
    let foreign = Image {
        owner_id: "999999999999".parse().unwrap(),
        ..site_image(&site, UNMARKED)
    };
    let id = foreign.id;
    let change = Change::PutResource(site.scope.clone(), Arc::new(Resource::Image(foreign)));
    site.store.transact(|_| Ok::<_, std::convert::Infallible>((vec![change], ()))).unwrap();
    let message = format!("Not authorized for image:{id}");
    for form in [
        format!("{MODIFY}&ImageId={id}&ImdsSupport.Value=v2.0"),
        format!("Action=DeregisterImage&ImageId={id}"),
    ] {
        assert_eq!(site.refusal(&form), ("AuthFailure".to_owned(), message.clone()));
    }
    assert_eq!(site.all(&format!("{DESCRIBE}&ExecutableBy.1=self"), "imageId"), [UNMARKED]);
    assert_eq!(site.all(&format!("{DESCRIBE}&Owner.1=self"), "imageId"), [MARKED]);
}

fn site_image(site: &Site, id: &str) -> Image {
    let snapshot = site.store.snapshot();
    crate::ec2::inventory::Inventory::new(&snapshot, &site.scope)
        .image(id.parse().unwrap())
        .unwrap()
}

#[test]
fn an_image_of_an_instance_supports_what_its_image_did() {
    let site = Site::new();
    for (source, expected) in [(MARKED, Some(ImdsSupport::V2)), (UNMARKED, None)] {
        let instance = site.launch(&format!("ImageId={source}"));
        let name = format!("of-{source}");
        let form = format!(
            "Action=CreateImage&InstanceId={instance}&Name={name}&NoReboot=true\
             &TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=a"
        );
        let id = site.all(&form, "imageId").remove(0);
        let image = site_image(&site, &id);
        assert_eq!((&*image.name, image.imds_support), (name.as_str(), expected));
        let described = site.ask(&format!("{DESCRIBE}&ImageId.1={id}")).unwrap();
        assert!(described.contains("<tagSet><item><key>a</key>"), "{described}");
        assert!(described.contains("<snapshotId>snap-"), "{described}");
        let stored = site.stored(&site.launch(&format!("ImageId={id}"))).option_layers;
        let by = if expected.is_some() { OptionLayer::Image } else { OptionLayer::Platform };
        assert_eq!(stored.http_tokens, by);
    }
    let instance = site.launch(&format!("ImageId={MARKED}"));
    site.ask(&format!("Action=CreateImage&InstanceId={instance}&Name=rebooted")).unwrap();
    site.ask(&format!("Action=StopInstances&InstanceId.1={instance}")).unwrap();
    site.ask(&format!("Action=CreateImage&InstanceId={instance}&Name=stopped")).unwrap();
    site.ask(&format!("Action=TerminateInstances&InstanceId.1={instance}")).unwrap();
    let gone = format!("Action=CreateImage&InstanceId={instance}&Name=gone");
    assert_eq!(site.refusal(&gone).0, "IncorrectInstanceState");
}

#[test]
fn attributes_are_shown_one_at_a_time() {
    let site = Site::new();
    let id = site.all(REGISTER, "imageId").remove(0);
    let show = |attribute: &str| {
        let form = format!("Action=DescribeImageAttribute&ImageId={id}&Attribute={attribute}");
        site.ask(&form).unwrap()
    };
    assert!(show("description").contains("<description/>"));
    site.ask(&format!("{MODIFY}&ImageId={id}&Description.Value=for%20the%20web")).unwrap();
    let described = show("description");
    assert!(described.contains("<description><value>for the web</value></description>"));
    site.ask(&format!("{MODIFY}&ImageId={id}&Attribute=description&Value=")).unwrap();
    assert!(show("description").contains("<description/>"));
    assert!(show("imdsSupport").contains("<imdsSupport><value>v2.0</value></imdsSupport>"));
    assert!(show("blockDeviceMapping").contains("<deviceName>/dev/xvda</deviceName>"));
    for (attribute, element) in [
        ("bootMode", "<bootMode/>"),
        ("kernel", "<kernel/>"),
        ("launchPermission", "<launchPermission/>"),
        ("productCodes", "<productCodes/>"),
        ("ramdisk", "<ramdisk/>"),
        ("sriovNetSupport", "<sriovNetSupport/>"),
    ] {
        assert!(show(attribute).contains(element), "{attribute}");
    }
}

#[test]
fn an_image_has_only_so_many_devices() {
    let site = Site::new();
    let device = |n: usize| format!("&BlockDeviceMapping.{n}.DeviceName=/dev/x{n}");
    let devices = (1..=129).map(device).collect::<Vec<_>>().concat();
    let form = format!("Action=RegisterImage&Name=large{devices}");
    assert_eq!(site.refusal(&form).0, "InvalidBlockDeviceMapping");
}
