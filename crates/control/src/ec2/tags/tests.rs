use crate::ec2::site::{Site, elements, strict};

const INSTANCE: &str = "i-034109c70aaa4b055";
const IMAGE: &str = "ami-0abcdef1234567890";
const VPC: &str = "vpc-0a1b2c3d4e5f60718";

fn refused(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

/// Keys and values of a resource, as `DescribeTags` has them.
fn tags_of(site: &Site, id: &str) -> Vec<(String, String)> {
    let form = format!("Action=DescribeTags&Filter.1.Name=resource-id&Filter.1.Value.1={id}");
    let answer = site.ask(&form).unwrap();
    elements(&answer, "key").into_iter().zip(elements(&answer, "value")).collect()
}

/// Parameters for tags `k1`, `k2` and so on.
fn numbered(numbers: std::ops::RangeInclusive<u32>) -> String {
    let tags: Vec<_> = numbers.map(|number| format!("&Tag.{number}.Key=k{number}")).collect();
    tags.concat()
}

fn launched(site: &Site) -> String {
    let id = site.launch(&format!(
        "ImageId={IMAGE}&TagSpecification.1.ResourceType=instance\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=test_instance"
    ));
    assert_eq!(tags_of(site, &id), [("Name".into(), "test_instance".into())]);
    id
}

#[test]
fn tags_are_set_described_and_removed() {
    let site = Site::new();
    let id = launched(&site);
    let form = format!(
        "Action=CreateTags&ResourceId.1={id}&ResourceId.3={IMAGE}&Tag.1.Key=env&Tag.1.Value=prod\
         &Tag.2.Key=empty&Tag.2.Value="
    );
    assert_eq!(site.all(&form, "return"), ["true"]);
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        tags_of(&site, &id),
        pairs(&[("Name", "test_instance"), ("empty", ""), ("env", "prod")])
    );
    assert_eq!(tags_of(&site, IMAGE), pairs(&[("empty", ""), ("env", "prod")]));
    assert_eq!(site.stored(&id).tags.len(), 3, "metadata has them too");
    let described = format!("Action=DescribeInstances&InstanceId.1={id}");
    assert_eq!(site.all(&described, "key"), ["Name", "empty", "env"]);
    let overwrite = format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=env&Tag.1.Value=test");
    site.ask(&overwrite).unwrap();
    assert!(tags_of(&site, &id).contains(&("env".into(), "test".into())));
    for (tag, is_removed) in [
        ("Tag.1.Key=env&Tag.1.Value=prod", false),
        ("Tag.1.Key=env&Tag.1.Value=", false),
        ("Tag.1.Key=Env", false),
        ("Tag.1.Key=env&Tag.1.Value=test", true),
        ("Tag.1.Key=empty&Tag.1.Value=", true),
        ("Tag.1.Key=Name", true),
    ] {
        let before = tags_of(&site, &id);
        site.ask(&format!("Action=DeleteTags&ResourceId.1={id}&{tag}")).unwrap();
        assert_eq!(tags_of(&site, &id) != before, is_removed, "{tag}");
    }
    assert!(tags_of(&site, &id).is_empty());
    site.ask(&format!("Action=DeleteTags&ResourceId.1={IMAGE}")).unwrap();
    assert!(tags_of(&site, IMAGE).is_empty());
}

#[test]
fn all_resources_are_tagged_or_none() {
    let site = Site::new();
    let id = launched(&site);
    let before = site.store.current().generation();
    for (other, code, message) in [
        (
            INSTANCE,
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-034109c70aaa4b055' does not exist",
        ),
        ("i-zz", "InvalidInstanceID.Malformed", "Invalid id: \"i-zz\""),
        ("i-0bad", "InvalidInstanceID.Malformed", "The instance ID 'i-0bad' is malformed"),
        ("ami-1", "InvalidAMIID.Malformed", "Invalid id: \"ami-1\" (expecting \"ami-...\")"),
        ("ami-00000001", "InvalidAMIID.NotFound", "The image id '[ami-00000001]' does not exist"),
        (
            "lt-00000001",
            "InvalidLaunchTemplateId.NotFound",
            "The launch template with ID 'lt-00000001' does not exist",
        ),
        ("junk", "InvalidID", "The ID 'junk' is not valid"),
        ("x-00000001", "InvalidID", "The ID 'x-00000001' is not valid"),
        ("snap-1", "InvalidID", "The ID 'snap-1' is not valid"),
        ("vpc-1", "InvalidVpcID.Malformed", "Invalid id: \"vpc-1\" (expecting \"vpc-...\")"),
    ] {
        let form = format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2={other}&Tag.1.Key=k");
        assert_eq!(site.refusal(&form), refused(code, message));
        let form = format!("Action=DeleteTags&ResourceId.1={id}&ResourceId.2={other}");
        assert_eq!(site.refusal(&form), refused(code, message));
    }
    assert_eq!(site.store.current().generation(), before, "nothing has changed");
}

#[test]
fn what_is_elsewhere_is_a_label_unless_the_settings_are_strict() {
    let create = |id: &str| format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=k");
    let site = Site::new();
    for id in [VPC, "subnet-00000001", "sg-00000001", "vol-00000001", "snap-00000001"] {
        site.ask(&create(id)).unwrap();
        assert_eq!(tags_of(&site, id).len(), 1, "{id}");
    }
    let site = strict();
    for (id, code) in [
        (VPC, "InvalidVpcID.NotFound"),
        ("subnet-00000001", "InvalidSubnetID.NotFound"),
        ("sg-00000001", "InvalidGroup.NotFound"),
        ("vol-00000001", "InvalidVolume.NotFound"),
        ("eni-00000001", "InvalidNetworkInterfaceID.NotFound"),
        ("key-00000001", "InvalidKeyPair.NotFound"),
        ("snap-00000001", "InvalidID"),
    ] {
        assert_eq!(site.refusal(&create(id)).0, code, "{id}");
    }
    let described = site.ask("Action=DescribeInstances").unwrap();
    for kind in ["vpcId", "subnetId", "groupId", "volumeId", "networkInterfaceId"] {
        let id = &elements(&described, kind)[0];
        site.ask(&create(id)).unwrap();
        assert_eq!(tags_of(&site, id).len(), 1, "{id}");
    }
}

#[test]
fn keys_and_values_are_bounded() {
    let site = Site::new();
    let id = launched(&site);
    let create = |tag: &str| format!("Action=CreateTags&ResourceId.1={id}&{tag}");
    let reserved = "Tag keys starting with 'aws:' are reserved for internal use";
    for action in ["CreateTags", "DeleteTags"] {
        let form = format!("Action={action}&ResourceId.1={id}&Tag.1.Key=aws%3Ax");
        assert_eq!(site.refusal(&form), refused("InvalidParameterValue", reserved));
    }
    let (longest, longest_value) = ("k".repeat(127), "é".repeat(256));
    site.ask(&create(&format!("Tag.1.Key={longest}&Tag.1.Value={longest_value}"))).unwrap();
    for tag in [
        format!("Tag.1.Key={longest}k"),
        format!("Tag.1.Key=k&Tag.1.Value={longest_value}e"),
        "Tag.1.Key=".to_owned(),
        "Tag.1.Key=%00".to_owned(),
        "Tag.1.Key=%EF%BF%BE".to_owned(),
        "Tag.1.Key=k&Tag.1.Value=%01".to_owned(),
        "Tag.1.Key=k&Tag.2.Key=k".to_owned(),
    ] {
        assert_eq!(site.refusal(&create(&tag)).0, "InvalidParameterValue", "{tag}");
    }
    for (form, missing) in [
        (create("Tag.1.Value=x"), "Tag.Key"),
        (format!("Action=CreateTags&ResourceId.1={id}"), "Tag"),
        ("Action=CreateTags&Tag.1.Key=x".to_owned(), "ResourceId"),
        ("Action=DeleteTags&Tag.1.Key=x".to_owned(), "ResourceId"),
    ] {
        let message = format!("The request must contain the parameter {missing}");
        assert_eq!(site.refusal(&form), refused("MissingParameter", &message));
    }
    for id in [&*id, IMAGE] {
        let tags = numbered(1..=48);
        site.ask(&format!("Action=CreateTags&ResourceId.1={id}{tags}")).unwrap();
        let more = format!(
            "Action=CreateTags&ResourceId.1={id}&Tag.1.Key=a&Tag.2.Key=b&Tag.3.Key=c"
        );
        assert_eq!(site.refusal(&more).0, "TagLimitExceeded", "{id}");
    }
}

/// C18: a key that cannot stand in a path, and tags in metadata, do not come together.
#[test]
fn what_metadata_shows_can_stand_in_a_path() {
    let site = Site::new();
    let id = launched(&site);
    let create =
        |key: &str| format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key={key}&Tag.1.Value=v");
    let modify = |to: &str| {
        format!(
            "Action=ModifyInstanceMetadataOptions&InstanceId={id}&InstanceMetadataTags={to}"
        )
    };
    let message = |key: &str| {
        let message = format!(
            r"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a reserved name ('.', '..', '_index')"
        );
        refused("InvalidParameterValue", &message)
    };
    for (form, key) in
        [("my+key", "my key"), ("a%2Fb", "a/b"), (".", "."), ("..", ".."), ("_index", "_index")]
    {
        site.ask(&create(form)).unwrap();
        assert_eq!(site.refusal(&modify("enabled")), message(key));
        site.ask(&format!("Action=DeleteTags&ResourceId.1={id}&Tag.1.Key={form}")).unwrap();
        site.ask(&modify("enabled")).unwrap();
        assert_eq!(site.refusal(&create(form)), message(key));
        site.ask(&create("a%2Bb-c%3Dd.e%2Cf_g%3Ah%40i")).unwrap();
        site.ask(&modify("disabled")).unwrap();
    }
    let launch = "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-0abcdef1234567890\
                  &MetadataOptions.InstanceMetadataTags=enabled\
                  &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=my+key";
    assert_eq!(site.refusal(launch), message("my key"));
}

#[test]
fn tags_of_aws_stay() {
    let site = Site::new();
    let id = launched(&site);
    let mut instance = site.stored(&id);
    instance.tags.insert("aws:autoscaling:groupName".parse().unwrap(), "g".into());
    let change = |_: &store::Snapshot| -> Result<_, std::convert::Infallible> {
        let instance = std::sync::Arc::new(instance);
        Ok((vec![store::Change::PutInstance(instance, store::Origin::Api)], ()))
    };
    site.store.transact(change).unwrap();
    site.ask(&format!("Action=DeleteTags&ResourceId.1={id}")).unwrap();
    assert_eq!(tags_of(&site, &id), [("aws:autoscaling:groupName".into(), "g".into())]);
}

#[test]
fn tags_are_filtered_and_paged() {
    let site = Site::new();
    let id = launched(&site);
    let tags = numbered(10..=30);
    let form = format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2={VPC}{tags}");
    site.ask(&form).unwrap();
    for (filter, count) in [
        ("Filter.1.Name=key&Filter.1.Value.1=k1*&Filter.2.Name=resource-type&Filter.2.Value.1=vpc", 10),
        ("Filter.1.Name=key&Filter.1.Value.1=k10&Filter.1.Value.2=k30", 4),
        ("Filter.1.Name=tag%3AName&Filter.1.Value.1=test_*", 1),
        ("Filter.1.Name=value&Filter.1.Value.1=test_instance", 1),
        ("Filter.1.Name=value&Filter.1.Value.1=Test_instance", 0),
    ] {
        let form = format!("Action=DescribeTags&{filter}");
        assert_eq!(site.all(&form, "key").len(), count, "{filter}");
    }
    assert_eq!(
        site.refusal("Action=DescribeTags&Filter.1.Name=x&Filter.1.Value.1=y"),
        refused("InvalidParameterValue", "The filter 'x' is invalid")
    );
    let all = site.ask("Action=DescribeTags").unwrap();
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = site.ask(&format!("Action=DescribeTags&MaxResults=5{token}")).unwrap();
        assert!(elements(&page, "item").len() <= 5);
        seen.extend(elements(&page, "item"));
        match elements(&page, "nextToken").first() {
            Some(next) => token = format!("&NextToken={next}"),
            None => break,
        }
    }
    assert_eq!(seen, elements(&all, "item"));
    for (form, code) in [
        ("MaxResults=4", "InvalidMaxResults"),
        ("MaxResults=1001", "InvalidMaxResults"),
        ("NextToken=x", "InvalidNextToken"),
    ] {
        assert_eq!(site.refusal(&format!("Action=DescribeTags&{form}")).0, code);
    }
}
