use crate::ec2::site::{Site, elements};

const IMAGE: &str = "ImageId=ami-0abcdef1234567890";
const DESCRIBE: &str = "Action=DescribeIamInstanceProfileAssociations";

fn refused(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

/// The role of the default instance, and the association of its profile.
fn built_in(site: &Site) -> (String, String) {
    let answer = site.ask(DESCRIBE).unwrap();
    let arn = elements(&answer, "arn").remove(0);
    let role = arn.rsplit('/').next().unwrap().to_owned();
    (role, elements(&answer, "associationId").remove(0))
}

fn associate(id: &str, profile: &str) -> String {
    format!("Action=AssociateIamInstanceProfile&InstanceId={id}&IamInstanceProfile.{profile}")
}

#[test]
fn a_profile_comes_changes_and_goes() {
    let site = Site::new();
    let (role, of_default) = built_in(&site);
    let id = site.launch(IMAGE);
    let answer = site.ask(&associate(&id, &format!("Name={role}"))).unwrap();
    assert_eq!(elements(&answer, "state"), ["associating"]);
    assert_eq!(elements(&answer, "instanceId"), [&*id]);
    let arn = format!("arn:aws:iam::{}:instance-profile/{role}", site.scope.account_id);
    assert_eq!(elements(&answer, "arn"), [&*arn]);
    let association = elements(&answer, "associationId").remove(0);
    assert!(association.starts_with("iip-assoc-") && association.len() == 27, "{association}");
    let profile = site.stored(&id).instance_profile.unwrap();
    assert_eq!(profile.role.as_ref().unwrap().as_str(), role, "metadata shows it");
    let by_instance =
        format!("{DESCRIBE}&Filter.1.Name=instance-id&Filter.1.Value.1={id}");
    let described = site.ask(&by_instance).unwrap();
    assert_eq!(elements(&described, "associationId"), [&*association]);
    assert_eq!(elements(&described, "state"), ["associated"]);
    assert_eq!(
        site.refusal(&associate(&id, &format!("Arn={arn}"))),
        refused(
            "IncorrectState",
            &format!("There is an existing association for instance {id}")
        )
    );
    let replace = |association: &str| {
        format!(
            "Action=ReplaceIamInstanceProfileAssociation&AssociationId={association}\
             &IamInstanceProfile.Arn={arn}"
        )
    };
    let answer = site.ask(&replace(&association)).unwrap();
    let replaced = elements(&answer, "associationId").remove(0);
    assert_ne!(replaced, association);
    assert_eq!(elements(&answer, "state"), ["associating"]);
    let message = format!("The association ID '{association}' does not exist");
    let gone = refused("InvalidAssociationID.NotFound", &message);
    assert_eq!(site.refusal(&replace(&association)), gone);
    let disassociate = |association: &str| {
        format!("Action=DisassociateIamInstanceProfile&AssociationId={association}")
    };
    assert_eq!(site.refusal(&disassociate(&association)), gone);
    let by_id = format!("{DESCRIBE}&AssociationId.1={association}");
    assert_eq!(site.refusal(&by_id), gone);
    let answer = site.ask(&disassociate(&replaced)).unwrap();
    assert_eq!(elements(&answer, "state"), ["disassociating"]);
    assert_eq!(elements(&answer, "arn"), [&*arn]);
    assert!(site.stored(&id).instance_profile.is_none());
    assert_eq!(site.all(DESCRIBE, "associationId"), [&*of_default]);
    assert!(site.ask(&disassociate(&of_default)).is_ok(), "one that is made of the id");
    assert!(site.all(DESCRIBE, "associationId").is_empty());
}

#[test]
fn a_launch_with_a_profile_associates_it() {
    let site = Site::new();
    let (role, _) = built_in(&site);
    let id = site.launch(&format!("{IMAGE}&IamInstanceProfile.Name={role}"));
    let by_instance = format!("{DESCRIBE}&Filter.1.Name=instance-id&Filter.1.Value.1={id}");
    assert_eq!(site.all(&by_instance, "associationId").len(), 1);
    for (state, count) in [("associated", 2), ("associating", 0)] {
        let form = format!("{DESCRIBE}&Filter.1.Name=state&Filter.1.Value.1={state}");
        assert_eq!(site.all(&form, "associationId").len(), count);
    }
    for _ in 0..9 {
        site.launch(&format!("{IMAGE}&IamInstanceProfile.Name={role}"));
    }
    let first = site.ask(&format!("{DESCRIBE}&MaxResults=6")).unwrap();
    let token = elements(&first, "nextToken").remove(0);
    let second = site.ask(&format!("{DESCRIBE}&MaxResults=6&NextToken={token}")).unwrap();
    let mut seen = elements(&first, "instanceId");
    assert_eq!(seen.len(), 6);
    seen.extend(elements(&second, "instanceId"));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 11);
    assert!(elements(&second, "nextToken").is_empty());
}

#[test]
fn what_is_no_profile_is_refused() {
    let site = Site::new();
    let (role, of_default) = built_in(&site);
    let id = site.launch(IMAGE);
    let elsewhere = "arn:aws:iam::999999999999:instance-profile/app";
    for (form, code, message) in [
        (
            associate(&id, "Name=app"),
            "InvalidParameterValue",
            "Value (app) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance \
             Profile name"
                .to_owned(),
        ),
        (
            format!("Action=RunInstances&{IMAGE}&MinCount=1&MaxCount=1&IamInstanceProfile.Name=app"),
            "InvalidParameterValue",
            "Value (app) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance \
             Profile name"
                .to_owned(),
        ),
        (
            associate(&id, &format!("Arn={elsewhere}")),
            "InvalidParameterValue",
            format!(
                "Value ({elsewhere}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM \
                 Instance Profile ARN"
            ),
        ),
        (
            format!("{}&IamInstanceProfile.Arn=x", associate(&id, &format!("Name={role}"))),
            "InvalidParameterCombination",
            "The parameter 'iamInstanceProfile.name' may not be used in combination with \
             'iamInstanceProfile.arn'"
                .to_owned(),
        ),
        (
            format!("Action=AssociateIamInstanceProfile&InstanceId={id}"),
            "MissingParameter",
            "The request must contain the parameter IamInstanceProfile".to_owned(),
        ),
        (
            format!("Action=AssociateIamInstanceProfile&IamInstanceProfile.Name={role}"),
            "MissingParameter",
            "The request must contain the parameter InstanceId".to_owned(),
        ),
        (
            associate("i-0bad0bad0bad0bad0", &format!("Name={role}")),
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0bad0bad0bad0bad0' does not exist".to_owned(),
        ),
        (
            format!(
                "Action=ReplaceIamInstanceProfileAssociation&AssociationId={of_default}\
                 &IamInstanceProfile.Name=app"
            ),
            "InvalidParameterValue",
            "Value (app) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance \
             Profile name"
                .to_owned(),
        ),
        (
            "Action=DisassociateIamInstanceProfile&AssociationId=x".to_owned(),
            "InvalidAssociationID.Malformed",
            "Invalid id: \"x\" (expecting \"iip-assoc-...\")".to_owned(),
        ),
    ] {
        assert_eq!(site.refusal(&form), refused(code, &message), "{form}");
    }
    assert_eq!(site.all(DESCRIBE, "associationId"), [of_default]);
}
