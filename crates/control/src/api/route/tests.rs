use super::*;
use crate::api::form::FormFault;

const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/SERVICE/\
                      aws4_request, SignedHeaders=host, Signature=00";

fn post<'a>(body: &'a str, headers: &[(&'a str, &'a str)]) -> ApiRequest<'a> {
    let headers = headers.to_vec();
    ApiRequest {
        method: "POST",
        path: "/",
        query: "",
        headers,
        body: body.as_bytes(),
        source: None,
    }
}

#[test]
fn recorded_forms_find_their_service() {
    for form in include_str!("../recorded.txt").lines() {
        let arrival = route(&post(form, &[])).unwrap();
        let action = form.strip_prefix("Action=").unwrap().split('&').next().unwrap();
        assert_eq!(arrival.route.action, action);
        let service = arrival.route.service;
        assert!(form.contains(&format!("&Version={}", service.version())));
        assert_eq!(arrival.route.protocol, Protocol::Form(service.dialect()));
        assert_eq!(arrival.common.dry_run, form.contains("DryRun=true"));
        assert!(arrival.parameters.text("Action").is_none());
    }
}

#[test]
fn the_query_string_counts_too() {
    let query = "Action=DescribeRegions&Version=2016-11-15&X-Amz-Signature=00";
    let get = ApiRequest { method: "GET", query, body: b"Force=true", ..post("", &[]) };
    let arrival = route(&get).unwrap();
    assert_eq!((arrival.route.service, &*arrival.route.action), (Service::Ec2, "DescribeRegions"));
    assert_eq!(arrival.parameters, Tree::default(), "a GET has no body");
    let post = ApiRequest { method: "POST", ..get };
    assert_eq!(route(&post).unwrap().parameters.text("Force"), Some("true"));
}

#[test]
fn paths_and_targets_find_their_service() {
    use Protocol::{Cbor, Json10, Json11};
    use Service::{CloudWatch, Organizations};

    let cbor = "/service/GraniteServiceVersion20100801/operation/ListMetrics";
    for (path, target, content_type, expected) in [
        (cbor, "", "", Ok((CloudWatch, Cbor, "ListMetrics"))),
        ("/service/Other/operation/X", "", "", Err((CloudWatch, Cbor))),
        (
            "/",
            "GraniteServiceVersion20100801.GetMetricData",
            "",
            Ok((CloudWatch, Json10, "GetMetricData")),
        ),
        (
            "/",
            "AWSOrganizationsV20161128.AttachPolicy",
            "",
            Ok((Organizations, Json11, "AttachPolicy")),
        ),
        ("/", "AWSOrganizationsV20161128.", "", Err((Organizations, Json11))),
        ("/", "DynamoDB_20120810.X", "application/x-amz-json-1.0", Err((CloudWatch, Json10))),
        ("/", "Other.X", "application/x-amz-json-1.1", Err((Organizations, Json11))),
    ] {
        let mut headers = vec![("content-type", content_type), ("x-amzn-query-mode", "true")];
        headers.extend((!target.is_empty()).then_some(("x-amz-target", target)));
        let found = route(&ApiRequest { path, ..post("", &headers) });
        match (found, expected) {
            (Ok(arrival), Ok((service, protocol, action))) => {
                let query_errors = QueryErrors::Wanted;
                let action = action.to_owned();
                assert_eq!(arrival.route, Route { service, protocol, action, query_errors });
            }
            (Err(lost), Err((service, protocol))) => {
                assert_eq!((lost.route.service, lost.route.protocol), (service, protocol));
                assert_eq!(lost.fault, ApiFault::unknown_operation());
            }
            (found, expected) => panic!("{path} {target}: {found:?}, and not {expected:?}"),
        }
    }
}

#[test]
fn what_finds_no_service_is_answered_in_the_form_of_its_signature() {
    let not_found = |action, version| ApiFault::operation_not_found(action, version);
    for (signed, form, service, fault) in [
        ("", "", Service::Ec2, ApiFault::missing_action()),
        ("sts", "Version=2011-06-15", Service::Sts, ApiFault::missing_action()),
        ("sts", "Action=X", Service::Sts, not_found("X", None)),
        ("iam", "Action=X&Version=2000-01-01", Service::Iam, not_found("X", Some("2000-01-01"))),
        (
            "organizations",
            "Action=X&Version=2016-11-28",
            Service::Ec2,
            ApiFault::no_such_version("2016-11-28"),
        ),
        ("ec2", "Action=X", Service::Ec2, ApiFault::missing_parameter("Version")),
        ("ec2", "Action=a%3Cb&Version=2016-11-15", Service::Ec2, ApiFault::invalid_action("a<b")),
        ("monitoring", "Action=%", Service::CloudWatch, FormFault::Encoding.into()),
        // The date of a service says more than the signature, which is then refused.
        ("iam", "Action=%2F&Version=2011-06-15", Service::Sts, not_found("/", Some("2011-06-15"))),
    ] {
        let header = SIGNED.replace("SERVICE", signed);
        let headers = [("authorization", header.as_str())];
        let lost = route(&post(form, &headers)).unwrap_err();
        assert_eq!(lost.route.service, service, "{form}");
        assert_eq!(lost.fault, fault, "{form}");
        let query = format!("{form}&X-Amz-Credential=A%2F20261122%2Fus-east-1%2F{signed}%2Faws4");
        let request = ApiRequest { method: "GET", query: &query, ..post("", &[]) };
        let lost = route(&request).unwrap_err();
        assert_eq!((lost.route.service, lost.fault), (service, fault), "{query}");
    }
}

#[test]
fn an_unknown_action_is_refused_in_the_words_of_its_protocol() {
    let code = |body: &str, headers: &[(&str, &str)]| {
        let fault = unknown_action(&route(&post(body, headers)).unwrap().route);
        (fault.code.into_owned(), fault.message)
    };
    let version = |service: Service| format!("Action=Foo&Version={}", service.version());
    let (name, message) = code(&version(Service::Ec2), &[]);
    assert_eq!(name, "InvalidAction");
    assert_eq!(message, "The action Foo is not valid for this web service.");
    let (name, message) = code(&version(Service::Iam), &[]);
    assert_eq!(name, "InvalidAction");
    assert_eq!(message, "Could not find operation Foo for version 2010-05-08");
    let (name, message) = code("", &[("x-amz-target", "AWSOrganizationsV20161128.Foo")]);
    assert_eq!((&*name, &*message), ("UnknownOperationException", ""));
}
