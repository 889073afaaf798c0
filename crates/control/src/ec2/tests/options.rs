//! Metadata options of launches and changes (control plane, 2).

use crate::ec2::site::{Site, elements};

const UNMARKED: &str = "ImageId=ami-0ce107ae7af2e92b5";

/// The elements of an instance's options, without their state.
const MEMBERS: [&str; 5] = [
    "httpTokens",
    "httpPutResponseHopLimit",
    "httpEndpoint",
    "httpProtocolIpv6",
    "instanceMetadataTags",
];

fn members(xml: &str) -> Vec<String> {
    MEMBERS.iter().map(|member| elements(xml, member).remove(0)).collect()
}

fn described(site: &Site, id: &str) -> (String, Vec<String>) {
    let answer = site.ask(&format!("Action=DescribeInstances&InstanceId.1={id}")).unwrap();
    let block = elements(&answer, "metadataOptions").remove(0);
    (elements(&block, "state").remove(0), members(&block))
}

/// C6: a change of one option leaves the others as they are.
#[test]
fn a_change_of_one_option_leaves_the_others() {
    let site = Site::new();
    let id = site.launch(&format!(
        "{UNMARKED}&MetadataOptions.HttpPutResponseHopLimit=7&MetadataOptions.HttpProtocolIpv6=enabled"
    ));
    let mut expected = ["optional", "7", "enabled", "enabled", "disabled"].map(str::to_owned);
    assert_eq!(described(&site, &id).1, expected);
    for (place, name, value) in [
        (0, "HttpTokens", "required"),
        (1, "HttpPutResponseHopLimit", "64"),
        (2, "HttpEndpoint", "disabled"),
        (3, "HttpProtocolIpv6", "disabled"),
        (4, "InstanceMetadataTags", "enabled"),
        (2, "HttpEndpoint", "enabled"),
        (1, "HttpPutResponseHopLimit", "1"),
    ] {
        value.clone_into(&mut expected[place]);
        let form = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&{name}={value}");
        let answer = site.ask(&form).unwrap();
        assert_eq!(elements(&answer, "state"), ["pending"]);
        assert_eq!(members(&answer), expected, "{name}");
        assert_eq!(described(&site, &id), ("applied".to_owned(), expected.to_vec()), "{name}");
    }
    let nothing = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}");
    let before = site.store.current().generation();
    assert_eq!(members(&site.ask(&nothing).unwrap()), expected);
    assert_eq!(site.store.current().generation(), before);
}

/// C7: what was asked for is shown at once, and applied once the data plane confirms it.
#[test]
fn options_are_pending_until_the_data_plane_has_them_in_force() {
    let site = Site::new();
    let id = site.launch(UNMARKED);
    assert_eq!(described(&site, &id).0, "applied");
    site.holds_back.set(true);
    let form = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&HttpTokens=required");
    let answer = site.ask(&form).unwrap();
    assert_eq!(elements(&answer, "state"), ["pending"]);
    let (state, options) = described(&site, &id);
    assert_eq!((&*state, &*options[0]), ("pending", "required"));
    let by_state = |state: &str| {
        let form = format!(
            "Action=DescribeInstances&Filter.1.Name=metadata-options.state&Filter.1.Value.1={state}"
        );
        site.all(&form, "instanceId")
    };
    assert_eq!(by_state("pending"), [&*id]);
    site.holds_back.set(false);
    // Any change after it, once it is in force, has it in force too.
    site.ask("Action=CreateTags&ResourceId.1=vpc-00000001&Tag.1.Key=a").unwrap();
    assert_eq!(described(&site, &id).0, "applied");
    assert!(by_state("pending").is_empty());
    site.ask(&format!("Action=StopInstances&InstanceId.1={id}")).unwrap();
    site.ask(&form.replace("required", "optional")).unwrap();
    assert_eq!(described(&site, &id).0, "pending", "until it is started");
    site.ask(&format!("Action=StartInstances&InstanceId.1={id}")).unwrap();
    let (state, options) = described(&site, &id);
    assert_eq!((&*state, &*options[0]), ("applied", "optional"));
}

/// C8, C9, and the rows of 2.4: bad values are refused wherever they stand.
#[test]
fn bad_values_are_refused_wherever_they_stand() {
    let site = Site::new();
    let id = site.launch(UNMARKED);
    let words = [
        ("HttpTokens", "'optional' or 'required'"),
        ("HttpEndpoint", "'enabled' or 'disabled'"),
        ("HttpProtocolIpv6", "'enabled' or 'disabled'"),
        ("InstanceMetadataTags", "'enabled' or 'disabled'"),
    ];
    let mut rows = Vec::new();
    for (name, words) in words {
        for value in ["", "bogus", "no-preference", "no_preference", "Enabled"] {
            let message = format!(
                "A value of '{value}' is not valid for {name}. Specify either {words} and try again."
            );
            rows.push((name, value, message));
        }
    }
    for value in ["0", "65", "-1", "x", "", "1.5", "99999999999999999999"] {
        let name = "HttpPutResponseHopLimit";
        let message = format!(
            "A value of '{value}' is not valid for {name}. Specify a value between 1 and 64 and try \
             again."
        );
        rows.push((name, value, message));
    }
    for (number, (name, value, message)) in rows.into_iter().enumerate() {
        let expected = ("InvalidParameterValue".to_owned(), message);
        let modify = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&{name}={value}");
        assert_eq!(site.refusal(&modify), expected);
        let run = "Action=RunInstances&MinCount=1&MaxCount=1";
        let launch = format!("{run}&{UNMARKED}&MetadataOptions.{name}={value}");
        assert_eq!(site.refusal(&launch), expected);
        let template = format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName=bad{number}\
             &LaunchTemplateData.{UNMARKED}&LaunchTemplateData.MetadataOptions.{name}={value}"
        );
        site.ask(&template).unwrap();
        let by_template = format!("{run}&LaunchTemplate.LaunchTemplateName=bad{number}");
        assert_eq!(site.refusal(&by_template), expected);
    }
    assert_eq!(site.all("Action=DescribeInstances", "instanceId").len(), 2);
    assert_eq!(described(&site, &id).1[0], "optional");
}

/// The last rows of 2.4.
#[test]
fn options_of_instances_that_are_gone_do_not_change() {
    let site = Site::new();
    let id = site.launch(UNMARKED);
    site.ask(&format!("Action=TerminateInstances&InstanceId.1={id}")).unwrap();
    let form = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&HttpTokens=required");
    assert_eq!(site.refusal(&form).0, "IncorrectInstanceState");
    assert_eq!(
        site.refusal("Action=ModifyInstanceMetadataOptions&HttpTokens=required"),
        (
            "MissingParameter".to_owned(),
            "The request must contain the parameter InstanceId".to_owned()
        )
    );
    // The id is looked at before the values.
    assert_eq!(
        site.refusal(
            "Action=ModifyInstanceMetadataOptions&InstanceId=i-0bad&HttpTokens=bogus\
             &HttpPutResponseHopLimit=65"
        ),
        (
            "InvalidInstanceID.Malformed".to_owned(),
            "The instance ID 'i-0bad' is malformed".to_owned()
        )
    );
}
