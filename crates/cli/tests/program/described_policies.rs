//! Policies, and an organization with its accounts, that the config file describes.

use crate::management::{Operator, launch_form};
use crate::running::{Ended, Home, Running, refused};
use crate::settings::check;

const REQUIRE_V2: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Sid": "RequireImdsV2", "Effect": "Deny", "Action": "ec2:RunInstances",
     "Resource": "arn:aws:ec2:*:*:instance/*",
     "Condition": {"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}}}}"#;

/// Two administrators: one of the management account, one of a member that a policy binds.
const ORGANIZATION: &str = r#"
[[user]]
name = "ann"
account_id = "111111111111"
policies = ["AdministratorAccess"]
access_keys = [{ access_key_id = "AKIAAAAAAAAAAAAAAAAA", secret_access_key = "annsecret" }]

[[user]]
name = "ben"
account_id = "222222222222"
groups = ["administrators"]
access_keys = [{ access_key_id = "AKIABBBBBBBBBBBBBBBB", secret_access_key = "bensecret" }]

[[group]]
name = "administrators"
account_id = "222222222222"
policies = ["everything"]

[[policy]]
name = "everything"
account_id = "222222222222"
[policy.document]
Version = "2012-10-17"
Statement = [{ Effect = "Allow", Action = "*", Resource = "*" }]

[organization]
management_account_id = "111111111111"

[[organization.unit]]
name = "Workloads"

[[organization.account]]
id = "222222222222"
parent = "Workloads"

[[organization.policy]]
name = "RequireImdsV2"
type = "SERVICE_CONTROL_POLICY"
content = { file = "require-v2.json" }
targets = ["Workloads"]
"#;

fn home() -> Home {
    let home = Home::new();
    home.write("require-v2.json", REQUIRE_V2);
    home
}

/// What a launch with tokens optional comes to.
fn launch(server: &Running, who: &Operator, tokens: &str) -> String {
    let form = launch_form(&format!("&MetadataOptions.HttpTokens={tokens}"));
    let told = who.try_ask(server.management, &form).unwrap();
    if told.is_done() { "done".to_owned() } else { told.text().to_owned() }
}

#[test]
fn a_described_organization_binds_the_administrator_of_a_member_and_not_the_management_account() {
    let home = home();
    let ann = Operator::with_key("AKIAAAAAAAAAAAAAAAAA", "annsecret");
    let ben = Operator::with_key("AKIABBBBBBBBBBBBBBBB", "bensecret");
    // The same after a restart.
    for _ in 0..2 {
        let server = home.start_with(ORGANIZATION);
        assert_eq!(launch(&server, &ann, "optional"), "done");
        assert_eq!(launch(&server, &ben, "required"), "done");
        let denied = launch(&server, &ben, "optional");
        assert!(denied.contains("UnauthorizedOperation"), "{denied}");
        assert!(denied.contains("with an explicit deny in a service control policy"), "{denied}");
        server.stop();
    }
    // What is described goes with the file.
    let (users, _) = ORGANIZATION.split_once("[organization]").unwrap();
    let server = home.start_with(users);
    assert_eq!(launch(&server, &ben, "optional"), "done");
}

#[test]
fn a_user_without_policies_may_do_nothing() {
    let home = home();
    let server = home.start_with(&ORGANIZATION.replace("groups = [\"administrators\"]\n", ""));
    let ben = Operator::with_key("AKIABBBBBBBBBBBBBBBB", "bensecret");
    let denied = launch(&server, &ben, "required");
    assert!(denied.contains("because no identity-based policy allows"), "{denied}");
}

#[test]
fn what_is_described_is_listed_with_who_may_what() {
    let ended = Ended::of(check(&home(), ORGANIZATION));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "[[user]] 111111111111/ann AKIAAAAAAAAAAAAAAAAA, policy \
         arn:aws:iam::aws:policy/AdministratorAccess\n",
        "[[user]] 222222222222/ben AKIABBBBBBBBBBBBBBBB, group administrators\n",
        "[[group]] 222222222222/administrators policy \
         arn:aws:iam::222222222222:policy/everything\n",
        "[organization] of 111111111111\n",
        "[[organization.unit]] Workloads in root\n",
        "[[organization.account]] 222222222222 in Workloads\n",
        "[[organization.policy]] RequireImdsV2 SERVICE_CONTROL_POLICY, at Workloads\n",
    ] {
        assert!(ended.stdout.contains(line), "{line}\n{}", ended.stdout);
    }
}

#[test]
fn what_does_not_fit_together_is_told_with_its_place_and_its_cure() {
    let user = |more: &str| format!("[[user]]\nname = \"dev\"\n{more}");
    let instance = "[[instance]]\nid = \"i-0000000000000000a\"\n\
                    instance_profile = { name = \"app\", role = \"app\" }\n";
    let trust = "{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \
                 {\"Service\": \"lambda.amazonaws.com\"}, \"Action\": \"sts:AssumeRole\"}}";
    let role = format!(
        "[[role]]\nname = \"app\"\nsource = \"built-in\"\nassume_role_policy = '{trust}'\n"
    );
    for (config, line, parts) in [
        (user("policies = [\"x\"]\n"), 1, &["policy/x", "there is none", "[[policy]]"][..]),
        (user("permissions_boundary = \"x\"\n"), 1, &["policy/x", "there is none"]),
        (user("groups = [\"x\"]\n"), 1, &["the group `x`", "[[group]]"]),
        (
            user("policies = [\"arn:aws:iam::222222222222:policy/everything\"]\n"),
            1,
            &["in the same account"],
        ),
        (
            "[[instance_profile]]\nname = \"p\"\nrole = \"x\"\n".to_owned(),
            2,
            &["the role `x`", "[[role]]"],
        ),
        (
            instance.to_owned() + &role,
            3,
            &["i-0000000000000000a", "`app`", "ec2.amazonaws.com", "`assume_role_policy`"],
        ),
        (
            ORGANIZATION.replace("parent = \"Workloads\"", "parent = \"Workload\""),
            32,
            &["no unit `Workload`", "[[organization.unit]]"],
        ),
        (
            ORGANIZATION
                .replace("name = \"Workloads\"", "name = \"Workloads\"\nparent = \"Workloads\""),
            29,
            &["`Workloads` is below itself"],
        ),
        (
            ORGANIZATION.replace("require-v2.json", "none.json"),
            39,
            &["`content`: ", "none.json` cannot be read"],
        ),
    ] {
        let place = format!("imds.toml:{line}: ");
        let said = refused(check(&home(), &config), 2, &[&place]);
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}\n{said}");
    }
}

/// Checks what `who` may do, with what the server of the home has in force.
fn check_of(home: &Home, who: &str, more: &[&str]) -> Ended {
    let principal = format!("arn:aws:iam::{who}");
    let (account, _) = who.split_once(':').unwrap();
    let resource = format!("arn:aws:ec2:us-east-1:{account}:instance/*");
    let about = ["policy", "check", "--server", "--action", "ec2:RunInstances", "--principal"];
    home.run(&[&about[..], &[&principal, "--resource", &resource], more].concat())
}

#[test]
fn a_check_is_decided_by_what_the_server_has_in_force_or_would_have() {
    const OPTIONAL: [&str; 2] = ["--context", "ec2:MetadataHttpTokens=optional"];
    const REQUIRED: [&str; 2] = ["--context", "ec2:MetadataHttpTokens=required"];
    let home = home();
    let absent = check_of(&home, "222222222222:user/ben", &OPTIONAL);
    assert!(absent.code == Some(1) && absent.stderr.contains("no server answers"), "{absent:?}");
    let server = home.start_with(ORGANIZATION);
    let seen = || {
        let denied = check_of(&home, "222222222222:user/ben", &OPTIONAL);
        assert_eq!(denied.code, Some(3), "{denied:?}");
        let by =
            "by statement `RequireImdsV2` of `RequireImdsV2`, a service control policy at `ou-";
        assert!(denied.stdout.contains(by), "{denied:?}");
        let allowed = check_of(&home, "222222222222:user/ben", &REQUIRED);
        assert_eq!(allowed.code, Some(0), "{allowed:?}");
        assert!(
            allowed.stdout.contains("of `everything`, an identity-based policy"),
            "{allowed:?}"
        );
        let exempt = check_of(&home, "111111111111:user/ann", &OPTIONAL);
        assert_eq!(exempt.code, Some(0), "{exempt:?}");
    };
    seen();
    // What files add is held against it too.
    let more = ["--policy", "require-v2.json", OPTIONAL[0], OPTIONAL[1]];
    let denied = check_of(&home, "111111111111:user/ann", &more);
    assert!(denied.stdout.contains("of `require-v2.json`, an identity-based policy"), "{denied:?}");
    let unknown = check_of(&home, "222222222222:user/nobody", &OPTIONAL);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("there is no `user/222222222222/nobody`"), "{unknown:?}");
    // The organization's id is known as well.
    let of = "{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Deny\", \"Action\": \"*\", \
              \"Resource\": \"*\", \"Condition\": {\"Null\": {\"aws:PrincipalOrgID\": \"false\"}}}}";
    home.write("of.json", of);
    let denied = check_of(
        &home,
        "222222222222:user/ben",
        &["--policy", "of.json", REQUIRED[0], REQUIRED[1]],
    );
    assert!(denied.stdout.contains("of `of.json`"), "{denied:?}");
    server.stop();
    seen();
}

#[test]
fn the_example_is_one() {
    let home = Home::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/organization/imds.toml");
    let ended = home.run(&["serve", "--check", "--config", path]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("[[organization.policy]] RequireImdsV2"), "{ended:?}");
}
