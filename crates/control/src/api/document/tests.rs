use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::json;

use super::*;
use crate::api::xml::Time;

const ID: &str = "59dbff89-35bd-4eac-99ed-be587EXAMPLE";

fn to(service: Service, protocol: Protocol, action: &str) -> Route {
    Route { service, protocol, action: action.to_owned(), query_errors: QueryErrors::Unwanted }
}

fn ec2(action: &str) -> Route {
    to(Service::Ec2, Protocol::Form(Dialect::Ec2), action)
}

fn text(response: &ApiResponse) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

fn header<'a>(response: &'a ApiResponse, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    user_id: &'static str,
    note: Option<u8>,
}

const IDENTITY: Identity = Identity { user_id: "AIDA<", note: None };

#[test]
fn answers_of_ec2() {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Modified {
        instance_id: &'static str,
    }
    let answer = Answer::of(Modified { instance_id: "i-034109c70aaa4b055" });
    let response = respond(&ec2("ModifyInstanceMetadataOptions"), ID, Ok(answer));
    assert_eq!(
        text(&response),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ModifyInstanceMetadataOptionsResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>\
         <instanceId>i-034109c70aaa4b055</instanceId></ModifyInstanceMetadataOptionsResponse>"
    );
    let headers = [
        ("x-amzn-requestid", ID.to_owned()),
        ("content-type", "text/xml;charset=UTF-8".to_owned()),
        ("cache-control", "no-cache, no-store".to_owned()),
    ];
    assert_eq!((response.status, &*response.headers), (200, &headers[..]));

    let response = respond(&ec2("CreateTags"), ID, Ok(Answer::done()));
    assert!(text(&response).ends_with(
        "<requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId><return>true</return>\
         </CreateTagsResponse>"
    ));
}

#[test]
fn faults_of_ec2() {
    let fault = ApiFault::instance_not_found("i-0bad0bad0bad0bad0");
    let response = respond(&ec2("RunInstances"), ID, Err(fault));
    assert_eq!(
        text(&response),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>The instance ID \
         'i-0bad0bad0bad0bad0' does not exist</Message></Error></Errors>\
         <RequestID>59dbff89-35bd-4eac-99ed-be587EXAMPLE</RequestID></Response>"
    );
    assert_eq!(response.status, 400);
    assert_eq!(respond(&ec2("A"), ID, Err(ApiFault::dry_run())).status, 412);
}

#[test]
fn answers_and_faults_of_the_query_services() {
    let sts = to(Service::Sts, Protocol::Form(Dialect::Query), "GetCallerIdentity");
    let response = respond(&sts, ID, Ok(Answer::of(IDENTITY)));
    assert_eq!(
        text(&response),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><UserId>AIDA&lt;</UserId></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>"
    );
    assert_eq!(header(&response, "content-type"), Some("text/xml"));
    let response = respond(&sts, ID, Ok(Answer::done()));
    assert!(text(&response).contains("2011-06-15/\"><ResponseMetadata>"));

    let response = respond(&sts, ID, Err(ApiFault::access_denied("No.")));
    assert_eq!(
        text(&response),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
         <Type>Sender</Type><Code>AccessDenied</Code><Message>No.</Message></Error>\
         <RequestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</RequestId></ErrorResponse>"
    );
    assert_eq!(response.status, 403);
    let response = respond(&sts, ID, Err(ApiFault::internal()));
    assert!(text(&response).contains("<Type>Receiver</Type>"));
}

#[test]
fn json_and_cbor_say_the_same() {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Datapoint {
        timestamp: Time,
        sum: f64,
        values: Vec<u8>,
        unit: Option<&'static str>,
        alarms: Vec<Identity>,
    }
    let answer = || {
        let timestamp = Time(model::Timestamp::from_seconds(1_758_898_800));
        Answer::of(Datapoint {
            timestamp,
            sum: 12.0,
            values: vec![1],
            unit: None,
            alarms: vec![IDENTITY],
        })
    };
    let expected = json!({"Timestamp": 1_758_898_800.0, "Sum": 12.0, "Values": [1],
        "Alarms": [{"UserId": "AIDA<"}]});
    for (protocol, content_type) in [
        (Protocol::Json10, "application/x-amz-json-1.0"),
        (Protocol::Json11, "application/x-amz-json-1.1"),
        (Protocol::Cbor, "application/cbor"),
    ] {
        let route = to(Service::CloudWatch, protocol, "GetMetricStatistics");
        let read = |response: &ApiResponse| -> serde_json::Value {
            if protocol == Protocol::Cbor {
                let value: ciborium::Value = ciborium::from_reader(&*response.body).unwrap();
                let plain = value.into_map().unwrap().into_iter().map(|(name, value)| {
                    let is_time = name.as_text() == Some("Timestamp");
                    assert_eq!(value.as_tag().map(|(tag, _)| tag), is_time.then_some(1));
                    let untagged = value.as_tag().map(|(_, inside)| inside.clone());
                    (name, untagged.unwrap_or(value))
                });
                let value = ciborium::Value::Map(plain.collect());
                value.deserialized().unwrap()
            } else {
                serde_json::from_slice(&response.body).unwrap()
            }
        };
        let response = respond(&route, ID, Ok(answer()));
        assert_eq!(read(&response), expected, "{protocol:?}");
        assert_eq!(header(&response, "content-type"), Some(content_type));
        let is_cbor = protocol == Protocol::Cbor;
        let smithy = is_cbor.then_some("rpc-v2-cbor");
        assert_eq!(header(&response, "smithy-protocol"), smithy);
        let empty = respond(&route, ID, Ok(Answer::done()));
        assert_eq!(empty.body, if is_cbor { vec![0xa0] } else { b"{}".to_vec() });

        let fault = || Err(ApiFault::new("ResourceNotFound", 404, ""));
        let expected = json!({"__type": "com.amazonaws.cloudwatch.v2010_08_01#ResourceNotFound"});
        let response = respond(&route, ID, fault());
        assert_eq!(read(&response), expected);
        assert_eq!((response.status, header(&response, "x-amzn-query-error")), (400, None));
        let route = Route { query_errors: QueryErrors::Wanted, ..route };
        let response = respond(&route, ID, fault());
        assert_eq!(response.status, 404);
        let header = header(&response, "x-amzn-query-error");
        assert_eq!(header, Some("ResourceNotFound;Sender"));
        let unavailable = respond(&route, ID, Err(ApiFault::unavailable("Later.")));
        assert_eq!(unavailable.status, 503);
        assert_eq!(read(&unavailable)["message"], "Later.");
    }
}

/// Its clients read the text and the reason from members with capitals.
#[test]
fn faults_of_organizations() {
    let route = to(Service::Organizations, Protocol::Json11, "DetachPolicy");
    let read = |fault: ApiFault| -> serde_json::Value {
        let response = respond(&route, ID, Err(fault));
        assert_eq!(response.status, 400);
        assert_eq!(header(&response, "content-type"), Some("application/x-amz-json-1.1"));
        serde_json::from_slice(&response.body).unwrap()
    };
    let namespace = "com.amazonaws.organizations.v20161128";
    assert_eq!(
        read(ApiFault::constraint_violation("OU_DEPTH_LIMIT_EXCEEDED", "Too deep.")),
        json!({"__type": format!("{namespace}#ConstraintViolationException"),
            "Message": "Too deep.", "Reason": "OU_DEPTH_LIMIT_EXCEEDED"})
    );
    assert_eq!(
        read(ApiFault::unknown_operation()),
        json!({"__type": format!("{namespace}#UnknownOperationException")})
    );
}

#[test]
fn an_answer_without_a_form_is_an_internal_error() {
    let response = respond(&ec2("A"), ID, Ok(Answer::of("no struct")));
    assert_eq!(response.status, 500);
    assert!(text(&response).contains("<Code>InternalError</Code>"));
}

#[test]
fn every_document_is_well_formed() {
    let hostile = "</Message>\u{0}&x;]]><!--\r\u{FFFF}";
    for service in [Service::Ec2, Service::Iam] {
        let route = to(service, Protocol::Form(service.dialect()), "A");
        for result in [
            Ok(Answer::done()),
            Ok(Answer::of(IDENTITY)),
            Err(ApiFault::unknown_parameter(hostile)),
        ] {
            let response = respond(&route, ID, result);
            let mut reader = Reader::from_str(text(&response));
            while reader.read_event().unwrap() != Event::Eof {}
        }
    }
}
