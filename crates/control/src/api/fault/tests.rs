use super::*;

#[test]
fn texts_about_parameters_that_were_seen() {
    for (fault, expected) in [
        (
            ApiFault::missing_parameter("InstanceId"),
            "400 MissingParameter: The request must contain the parameter InstanceId",
        ),
        (
            ApiFault::not_one_of("", "HttpEndpoint", &["enabled", "disabled"]),
            "400 InvalidParameterValue: A value of '' is not valid for HttpEndpoint. Specify either \
             'enabled' or 'disabled' and try again.",
        ),
        (
            ApiFault::not_between("65", "HttpPutResponseHopLimit", 1, 64),
            "400 InvalidParameterValue: A value of '65' is not valid for HttpPutResponseHopLimit. \
             Specify a value between 1 and 64 and try again.",
        ),
        (
            ApiFault::invalid_value_for("app", "iamInstanceProfile.name", "Invalid name"),
            "400 InvalidParameterValue: Value (app) for parameter iamInstanceProfile.name is \
             invalid. Invalid name",
        ),
        (ApiFault::invalid_filter("x"), "400 InvalidParameterValue: The filter 'x' is invalid"),
        (
            ApiFault::dry_run(),
            "412 DryRunOperation: Request would have succeeded, but DryRun flag is set.",
        ),
        (
            ApiFault::unauthorized("User: x"),
            "403 UnauthorizedOperation: You are not authorized to perform this operation. User: x",
        ),
    ] {
        assert_eq!(format!("{} {fault}", fault.status), expected);
    }
}

#[test]
fn texts_about_things_that_were_seen() {
    for (fault, expected) in [
        (
            ApiFault::malformed_instance_id("junk"),
            "InvalidInstanceID.Malformed: Invalid id: \"junk\"",
        ),
        (
            ApiFault::malformed_instance_id("i-xyz"),
            "InvalidInstanceID.Malformed: Invalid id: \"i-xyz\"",
        ),
        (
            ApiFault::malformed_instance_id("i-0bad"),
            "InvalidInstanceID.Malformed: The instance ID 'i-0bad' is malformed",
        ),
        (
            ApiFault::instances_not_found(&["i-a", "i-b"]),
            "InvalidInstanceID.NotFound: The instance IDs 'i-a, i-b' do not exist",
        ),
        (
            ApiFault::instance_not_found("i-a"),
            "InvalidInstanceID.NotFound: The instance ID 'i-a' does not exist",
        ),
        (
            ApiFault::image_not_found("ami-a"),
            "InvalidAMIID.NotFound: The image id '[ami-a]' does not exist",
        ),
        (
            ApiFault::incorrect_instance_state("i-a", "stopped"),
            "IncorrectInstanceState: This instance 'i-a' is not in a state from which it can be \
             stopped.",
        ),
        (
            ApiFault::association_exists("i-a"),
            "IncorrectState: There is an existing association for instance i-a",
        ),
        (
            ApiFault::termination_protected("i-a"),
            "OperationNotPermitted: The instance 'i-a' may not be terminated. Modify its \
             'disableApiTermination' instance attribute and try again.",
        ),
    ] {
        assert_eq!((fault.status, fault.to_string().as_str()), (400, expected));
    }
}

#[test]
fn a_hostile_text_is_repeated_in_part() {
    let long = "é".repeat(100_000);
    for fault in [
        ApiFault::invalid_action(&long),
        ApiFault::operation_not_found(&long, Some(&long)),
        ApiFault::no_such_version(&long),
        ApiFault::missing_parameter(&long),
        ApiFault::unknown_parameter(&long),
        ApiFault::not_one_of(&long, "X", &["a"]),
        ApiFault::not_between(&long, "X", 1, 2),
        ApiFault::invalid_value_for(&long, &long, "No."),
        ApiFault::invalid_filter(&long),
        ApiFault::malformed_instance_id(&long),
        ApiFault::malformed_image_id(&long),
        ApiFault::instance_not_found(&long),
        ApiFault::key_pair_not_found(&long),
        ApiFault::launch_template_version_not_found(&long, &long),
        FormFault::Value { name: long.clone(), value: Some(long.clone()), reason: long.clone() }
            .into(),
        FormFault::Value { name: long.clone(), value: None, reason: long.clone() }.into(),
        FormFault::Name { name: long.clone() }.into(),
    ] {
        let repeated = fault.message.chars().filter(|c| *c == 'é').count();
        assert!((1..=3 * ECHO_CHARACTERS_MAX).contains(&repeated), "{}", fault.code);
    }
    let many = vec![long; 1000];
    assert!(ApiFault::instances_not_found(&many).message.chars().count() < 3000);
}

#[test]
fn a_form_that_is_not_read_says_which_parameter() {
    let name = || "LaunchTemplateData.Foo".to_owned();
    for (fault, code, message) in [
        (
            FormFault::Unknown { name: name() },
            "UnknownParameter",
            "The parameter LaunchTemplateData.Foo is not recognized",
        ),
        (
            FormFault::Missing { name: name() },
            "MissingParameter",
            "The request must contain the parameter LaunchTemplateData.Foo",
        ),
        (
            FormFault::Index { name: name() },
            "InvalidParameterValue",
            "Invalid list index in parameter LaunchTemplateData.Foo: number the elements from 1 on",
        ),
        (
            FormFault::Shape { name: name(), what: "a list" },
            "InvalidParameterValue",
            "The parameter LaunchTemplateData.Foo is a list: send its parts, and no value",
        ),
        (
            FormFault::Contradiction { name: name() },
            "MalformedQueryString",
            "The parameter LaunchTemplateData.Foo has both a value and parts",
        ),
        (
            FormFault::Duplicate { name: name() },
            "MalformedQueryString",
            "The parameter LaunchTemplateData.Foo is specified more than once",
        ),
        (
            FormFault::Value {
                name: name(),
                value: Some("x".into()),
                reason: "Specify an integer and try again.".into(),
            },
            "InvalidParameterValue",
            "Value (x) for parameter LaunchTemplateData.Foo is invalid. Specify an integer and try \
             again.",
        ),
        (
            FormFault::Encoding,
            "MalformedQueryString",
            "The query string cannot be read: the form is not percent-encoded UTF-8",
        ),
    ] {
        let fault = ApiFault::from(fault);
        assert_eq!((&*fault.code, fault.status, &*fault.message), (code, 400, message));
    }
}
