use model::OptionLayer;

use crate::ec2::site::{Site, elements};

const GET: &str = "Action=GetInstanceMetadataDefaults";
const MODIFY: &str = "Action=ModifyInstanceMetadataDefaults";
const MARKED: &str = "ImageId=ami-0abcdef1234567890";
const UNMARKED: &str = "ImageId=ami-0ce107ae7af2e92b5";
const ENFORCED: &str = "You can't launch instances with IMDSv1 because httpTokensEnforced is \
     enabled for this account. Either launch the instance with httpTokens=required or contact your \
     account owner to disable httpTokensEnforced using the ModifyInstanceMetadataDefaults API or \
     the account settings in the EC2 console.";

fn level(site: &Site) -> String {
    site.all(GET, "accountLevel").remove(0)
}

fn tokens(site: &Site, parameters: &str) -> (String, u8) {
    let options = site.stored(&site.launch(parameters)).options;
    (options.http_tokens.to_string(), options.http_put_response_hop_limit.as_hops())
}

#[test]
fn defaults_are_changed_one_by_one_and_forgotten() {
    let site = Site::new();
    assert_eq!(level(&site), "<managedBy>account</managedBy>");
    let set = format!("{MODIFY}&HttpTokens=required&HttpPutResponseHopLimit=2");
    assert_eq!(site.all(&set, "return"), ["true"]);
    site.ask(&format!("{MODIFY}&HttpTokensEnforced=enabled")).unwrap();
    assert_eq!(
        level(&site),
        "<httpTokens>required</httpTokens><httpPutResponseHopLimit>2</httpPutResponseHopLimit>\
         <managedBy>account</managedBy><httpTokensEnforced>enabled</httpTokensEnforced>"
    );
    site.ask(&format!("{MODIFY}&HttpEndpoint=disabled&InstanceMetadataTags=enabled")).unwrap();
    site.ask(&format!("{MODIFY}&HttpTokens=no-preference&HttpTokensEnforced=no-preference"))
        .unwrap();
    assert_eq!(
        level(&site),
        "<httpPutResponseHopLimit>2</httpPutResponseHopLimit><httpEndpoint>disabled</httpEndpoint>\
         <instanceMetadataTags>enabled</instanceMetadataTags><managedBy>account</managedBy>"
    );
    site.ask(&format!(
        "{MODIFY}&HttpPutResponseHopLimit=-1&HttpEndpoint=no-preference\
         &InstanceMetadataTags=no-preference"
    ))
    .unwrap();
    site.ask(MODIFY).unwrap();
    assert_eq!(level(&site), "<managedBy>account</managedBy>");
}

#[test]
fn values_that_are_none_are_refused_word_for_word() {
    let site = Site::new();
    let number = |text: &str| {
        format!(
            "A value of '{text}' is not valid for HttpPutResponseHopLimit. Specify a value between \
             1 and 64 and try again."
        )
    };
    let word = |text: &str, name: &str, words: &str| {
        format!("A value of '{text}' is not valid for {name}. Specify {words} and try again.")
    };
    let switch = "'enabled' or 'disabled' or 'no-preference'";
    for (parameter, message) in [
        ("HttpTokens=", word("", "HttpTokens", "'optional' or 'required' or 'no-preference'")),
        ("HttpEndpoint=on", word("on", "HttpEndpoint", switch)),
        ("InstanceMetadataTags=", word("", "InstanceMetadataTags", switch)),
        ("HttpTokensEnforced=no_preference", word("no_preference", "HttpTokensEnforced", switch)),
        ("HttpPutResponseHopLimit=0", number("0")),
        ("HttpPutResponseHopLimit=65", number("65")),
        ("HttpPutResponseHopLimit=-2", number("-2")),
        ("HttpPutResponseHopLimit=x", number("x")),
        ("HttpPutResponseHopLimit=", number("")),
    ] {
        let refusal = site.refusal(&format!("{MODIFY}&{parameter}"));
        assert_eq!(refusal, ("InvalidParameterValue".to_owned(), message), "{parameter}");
    }
    site.refusal(&format!("{MODIFY}&HttpTokens=required&HttpEndpoint=on"));
    assert_eq!(site.refusal(&format!("{MODIFY}&HttpProtocolIpv6=enabled")).0, "UnknownParameter");
    assert_eq!(level(&site), "<managedBy>account</managedBy>");
}

/// The words that forget a default are no values of an instance (control plane, C8 and C9).
#[test]
fn only_defaults_can_be_forgotten() {
    let site = Site::new();
    let id = site.launch(UNMARKED);
    let switch = |name: &str| {
        format!(
            "A value of 'no-preference' is not valid for {name}. Specify either 'enabled' or \
             'disabled' and try again."
        )
    };
    let mut rows = vec![(
        "HttpTokens=no-preference".to_owned(),
        "A value of 'no-preference' is not valid for HttpTokens. Specify either 'optional' or \
         'required' and try again."
            .to_owned(),
    )];
    for name in ["HttpEndpoint", "HttpProtocolIpv6", "InstanceMetadataTags"] {
        rows.push((format!("{name}=no-preference"), switch(name)));
    }
    for text in ["0", "65", "-1", "x", ""] {
        rows.push((
            format!("HttpPutResponseHopLimit={text}"),
            format!(
                "A value of '{text}' is not valid for HttpPutResponseHopLimit. Specify a value \
                 between 1 and 64 and try again."
            ),
        ));
    }
    for (at, (parameter, message)) in rows.into_iter().enumerate() {
        let expected = ("InvalidParameterValue".to_owned(), message);
        let modify = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&{parameter}");
        assert_eq!(site.refusal(&modify), expected);
        let launch = format!("Action=RunInstances&MinCount=1&MaxCount=1&{UNMARKED}");
        assert_eq!(site.refusal(&format!("{launch}&MetadataOptions.{parameter}")), expected);
        let template = format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName=bad-{at}\
             &LaunchTemplateData.MetadataOptions.{parameter}"
        );
        site.ask(&template).unwrap();
        let launch = format!("{launch}&LaunchTemplate.LaunchTemplateName=bad-{at}");
        assert_eq!(site.refusal(&launch), expected);
    }
    assert_eq!(site.store.snapshot().instance_count(), 2);
}

/// The worked examples of control plane, 3.
#[test]
fn defaults_stand_between_the_launch_and_the_image() {
    let site = Site::new();
    site.ask(&format!("{MODIFY}&HttpPutResponseHopLimit=1")).unwrap();
    assert_eq!(tokens(&site, MARKED), ("required".to_owned(), 1));
    let optional = format!("{MARKED}&MetadataOptions.HttpTokens=optional");
    assert_eq!(tokens(&site, &optional), ("optional".to_owned(), 1));
    site.ask(&format!("{MODIFY}&HttpPutResponseHopLimit=-1&HttpTokens=required")).unwrap();
    assert_eq!(tokens(&site, UNMARKED), ("required".to_owned(), 1), "only an image raises it");
    let by = site.stored(&site.launch(MARKED)).option_layers;
    assert_eq!(by.http_tokens, OptionLayer::Account);
    assert_eq!(by.http_put_response_hop_limit, OptionLayer::Image);
    site.ask(&format!("{MODIFY}&HttpTokensEnforced=enabled")).unwrap();
    for parameters in [&optional, &format!("{UNMARKED}&MetadataOptions.HttpTokens=optional")] {
        let form = format!("Action=RunInstances&MinCount=1&MaxCount=1&{parameters}");
        assert_eq!(site.refusal(&form), ("UnsupportedOperation".to_owned(), ENFORCED.to_owned()));
    }
    for parameters in ["", "&MetadataOptions.HttpTokens=required"] {
        assert_eq!(tokens(&site, &format!("{UNMARKED}{parameters}")).0, "required");
    }
}

/// Enforcement refuses what resolves to `optional`, whatever layer it comes from (2.6).
#[test]
fn enforcement_refuses_and_does_not_force() {
    let site = Site::new();
    let old = site.launch(UNMARKED);
    site.ask(&format!("{MODIFY}&HttpTokensEnforced=enabled")).unwrap();
    let refused = ("UnsupportedOperation".to_owned(), ENFORCED.to_owned());
    let launch = format!("Action=RunInstances&MinCount=1&MaxCount=1&{UNMARKED}");
    assert_eq!(site.refusal(&launch), refused, "by the platform");
    site.ask(
        "Action=CreateLaunchTemplate&LaunchTemplateName=old\
         &LaunchTemplateData.MetadataOptions.HttpTokens=optional",
    )
    .unwrap();
    let templated = format!("{launch}&LaunchTemplate.LaunchTemplateName=old");
    assert_eq!(site.refusal(&templated), refused, "by the template");
    site.ask(&format!("{MODIFY}&HttpTokens=optional")).unwrap();
    let marked = format!("Action=RunInstances&MinCount=1&MaxCount=1&{MARKED}");
    assert_eq!(site.refusal(&marked), refused, "by the account");
    assert_eq!(site.store.snapshot().instance_count(), 2);

    let modify = format!("Action=ModifyInstanceMetadataOptions&InstanceId={old}");
    assert_eq!(site.refusal(&format!("{modify}&HttpTokens=optional")), refused);
    let other = site.ask(&format!("{modify}&HttpPutResponseHopLimit=3")).unwrap();
    assert_eq!(elements(&other, "httpTokens"), ["optional"], "what is there stays (C13)");
    for action in ["StopInstances", "StartInstances"] {
        site.ask(&format!("Action={action}&InstanceId.1={old}")).unwrap();
    }
    assert_eq!(site.stored(&old).options.http_tokens.as_str(), "optional");
    site.ask(&format!("{modify}&HttpTokens=required")).unwrap();
    assert_eq!(site.refusal(&format!("{modify}&HttpTokens=optional")), refused);
    site.ask(&format!("{MODIFY}&HttpTokensEnforced=disabled")).unwrap();
    site.ask(&format!("{modify}&HttpTokens=optional")).unwrap();
}

/// Control plane, C11.
#[test]
fn defaults_leave_what_is_there_alone() {
    let site = Site::new();
    let id = site.launch(UNMARKED);
    let before = site.stored(&id);
    site.ask(&format!("{MODIFY}&HttpTokens=required&HttpPutResponseHopLimit=9")).unwrap();
    for action in ["StopInstances", "StartInstances"] {
        assert_eq!(site.stored(&id).options, before.options);
        site.ask(&format!("Action={action}&InstanceId.1={id}")).unwrap();
    }
    let after = site.stored(&id);
    assert_eq!((after.options, after.option_layers), (before.options, before.option_layers));
}

/// Control plane, C12.
#[test]
fn regions_have_defaults_of_their_own() {
    let mut site = Site::new();
    site.ask(&format!("{MODIFY}&HttpTokens=required")).unwrap();
    let home = std::mem::replace(&mut site.scope.region, "eu-west-1".parse().unwrap());
    assert_eq!(level(&site), "<managedBy>account</managedBy>");
    assert_eq!(tokens(&site, UNMARKED).0, "optional");
    site.ask(&format!("{MODIFY}&HttpTokens=optional")).unwrap();
    site.scope.region = home;
    assert_eq!(tokens(&site, UNMARKED).0, "required");
}

#[test]
fn a_dry_run_changes_nothing() {
    let site = Site::new();
    for (action, more) in [(MODIFY, "&HttpTokens=required"), (GET, "")] {
        let refusal = site.refusal(&format!("{action}{more}&DryRun=true"));
        assert_eq!(refusal.0, "DryRunOperation");
    }
    assert_eq!(level(&site), "<managedBy>account</managedBy>");
}
