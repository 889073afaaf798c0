use super::*;

fn parse(text: &str) -> Result<ConfigFile, String> {
    ConfigFile::parse("imds.toml", text, Path::new("")).map_err(|refusal| refusal.to_string())
}

#[test]
fn settings_instances_and_roles() {
    let file = parse(
        r#"
        listen = ["127.0.0.1:0", "[::1]:0"]
        max_connections = 10
        link_local = false

        [[role]]
        name = "app"
        source = "built-in"

        [[instance]]
        id = "i-0000000000000000a"
        attachments = [{ listener = "127.0.0.1:0" }]
        user_data = "hi"
        [instance.options]
        http_tokens = "optional"
        "#,
    )
    .unwrap();
    assert_eq!(file.settings["listen"].0, ["127.0.0.1:0", "[::1]:0"]);
    assert_eq!(file.settings["max_connections"], (vec!["10".to_owned()], 3));
    assert_eq!(file.iam.len(), 1);
    let [described] = &file.instances[..] else { panic!("there is one instance") };
    assert_eq!(described.options.http_tokens, Some(model::HttpTokens::Optional));
    assert_eq!(described.options.http_put_response_hop_limit, None);
    assert_eq!(described.instance.interfaces.len(), 1);
}

#[test]
fn mistakes_are_told_with_line_key_value_and_cure() {
    for (text, line, parts) in [
        ("htp_tokens = \"optional\"", 1, &["`htp_tokens`", "did you mean `http_tokens`"][..]),
        ("\n\nlisten = \"nowhere\"", 3, &["`listen`", "`nowhere`", "127.0.0.1:1338"]),
        ("max_connections = 0", 1, &["`max_connections`", "`0`", "from 1 up"]),
        ("listen = 1.5", 1, &["`listen`", "ADDR:PORT"]),
        ("store = \"etcd://h:1\"", 1, &["no etcd store"]),
        ("[[instance]]\nregion = \"x-1\"", 1, &["missing field `instance_id`"]),
        (
            "[[instance]]\nid = \"i-0000000000000000a\"\nregoin = \"us-east-1\"",
            3,
            &["`regoin`", "did you mean `region`"],
        ),
        (
            "[[instance]]\nid = \"i-0000000000000000a\"\n[instance.options]\n\
             http_put_response_hop_limit = 65",
            4,
            &["`65` is not a hop limit", "1 to 64", "http_put_response_hop_limit"],
        ),
        (
            "[[instance]]\nid = \"i-0000000000000000a\"\n[[instance]]\n\
             id = \"i-0000000000000000a\"",
            4,
            &["`i-0000000000000000a` is described twice"],
        ),
        ("[[role]]\nname = \"app\"", 1, &["no `source`", "built-in"]),
        (
            "[[role]]\nname = \"app\"\nsource = \"built-in\"\nlife_seconds = 59",
            4,
            &["life_seconds = 59", "59 is not a life of credentials", "use 60 to 43200 seconds"],
        ),
        ("[[role]]\nname = \"a/b\"\nsource = \"built-in\"", 2, &["`a/b` is not a name"]),
        ("listen = [", 1, &[]),
        ("instance = 3", 1, &["[[instance]]"]),
    ] {
        let message = parse(text).unwrap_err();
        assert!(message.starts_with(&format!("imds.toml:{line}: ")), "{text}\n{message}");
        for part in parts {
            assert!(message.contains(part), "{text}\n{message}\nlacks {part}");
        }
    }
}

/// A role that is assumed, with these lines besides.
fn assumed(lines: &str) -> Result<ConfigFile, String> {
    parse(&format!(
        "[[role]]\nname = \"app\"\nsource = \"sts\"\nregion = \"eu-west-1\"\n\
         role_arn = \"arn:aws:iam::123456789012:role/app\"\n{lines}"
    ))
}

#[test]
fn a_role_is_assumed_by_one_of_three() {
    for (lines, base) in [
        (
            "access_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = \"s\"\nexternal_id = \"x1\"",
            r#"{"source":"static","access_key_id":"AKIAEXAMPLE","secret_access_key":"s"}"#,
        ),
        (
            "credential_process = [\"get\", \"it\"]\nduration_seconds = 900",
            r#"{"source":"process","command":["get","it"]}"#,
        ),
        (
            "web_identity_token_file = \"/t\"\nendpoint = \"http://127.0.0.1:5000\"",
            r#"{"source":"web-identity","token_file":"/t"}"#,
        ),
    ] {
        let file = assumed(lines).unwrap();
        let Iam::Role(role) = &file.iam[0] else { panic!("it is a role") };
        let role = serde_json::to_string(&**role).unwrap();
        assert!(role.contains(&format!("\"base\":{base}")), "{role}");
    }
    for (lines, line, reason) in [
        ("", 1, "nobody assumes the role"),
        ("access_key_id = \"AKIA\"", 1, "both `access_key_id`"),
        ("session_token = \"t\"\nsecret_access_key = \"s\"", 1, "both `access_key_id`"),
        ("credential_process = [\"get\"]\nweb_identity_token_file = \"/t\"", 1, "keep one of"),
        ("web_identity_token_file = \"t\"", 1, "absolute path"),
        ("web_identity_token_file = \"/t\"\nexternal_id = \"x1\"", 1, "no `external_id`"),
        ("credential_process = []", 1, "`credential_process` names no program"),
        ("credential_process = [\"get\"]\nduration_seconds = 899", 7, "900 to 43200"),
        ("credential_process = [\"get\"]\nendpoint = \"http://sts.example.com\"", 7, "https://"),
        ("credential_proces = [\"get\"]", 6, "did you mean `credential_process`?"),
    ] {
        let refusal = assumed(lines).unwrap_err();
        assert!(refusal.starts_with(&format!("imds.toml:{line}: ")), "{lines}\n{refusal}");
        assert!(refusal.contains(reason), "{lines}\n{refusal}");
    }
}

#[test]
fn secrets_are_not_quoted() {
    for line in [
        "secret_access_key = \"hunter2",
        "secret_access_key = [\"hunter2\"]",
        "x = { secret_access_key = \"hunter2\" }}",
        "session_token = hunter2",
    ] {
        let message = parse(&format!("[[role]]\nname = \"a\"\nsource = \"static\"\n{line}"));
        let message = message.unwrap_err();
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn user_data_over_the_limit_is_refused() {
    let text = format!(
        "[[instance]]\nid = \"i-0000000000000000a\"\nuser_data = \"{}\"",
        "x".repeat(16_385)
    );
    let message = parse(&text).unwrap_err();
    assert!(message.contains("user data is 16385 bytes long"), "{message}");
}

#[test]
fn user_data_may_stand_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("init.sh"), [0, 255, 10]).unwrap();
    let text = "[[instance]]\nid = \"i-0000000000000000a\"\nuser_data = { file = \"init.sh\" }";
    let file = ConfigFile::parse("imds.toml", text, directory.path()).unwrap();
    let data = file.instances[0].instance.user_data.as_ref().unwrap();
    assert_eq!(data.as_bytes(), [0, 255, 10]);
    assert!(
        parse("[[instance]]\nid = \"i-0000000000000000a\"\nuser_data = { file = \"no\" }")
            .unwrap_err()
            .contains("cannot be read")
    );
}

/// A document that allows everything.
const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

fn user_of(file: &ConfigFile) -> &model::User {
    let Some(Iam::User(user)) = file.iam.iter().find(|kept| matches!(kept, Iam::User(_))) else {
        panic!("there is a user")
    };
    user
}

#[test]
fn a_name_is_the_policy_of_the_account_or_of_aws() {
    let policy = |account: &str| {
        format!(
            "[[policy]]\nname = \"launch\"\npath = \"/team/\"\naccount_id = \"{account}\"\n\
             document = '''{ALL}'''\n"
        )
    };
    let user = "[[user]]\nname = \"dev\"\npolicies = [\"launch\", \"AdministratorAccess\", \
                \"arn:aws:iam::123456789012:policy/x\"]\npermissions_boundary = \"launch\"\n";
    for (account, launch) in [
        ("123456789012", "arn:aws:iam::123456789012:policy/team/launch"),
        // Not AWS's, and not there: the start says so.
        ("222222222222", "arn:aws:iam::123456789012:policy/launch"),
    ] {
        // Wherever the table stands.
        for text in [policy(account) + user, user.to_owned() + &policy(account)] {
            let file = parse(&text).unwrap();
            let user = user_of(&file);
            let attached: Vec<_> =
                user.permissions.attached.iter().map(model::PolicyArn::as_str).collect();
            let mut wanted = [
                launch,
                "arn:aws:iam::aws:policy/AdministratorAccess",
                "arn:aws:iam::123456789012:policy/x",
            ];
            wanted.sort_unstable();
            assert_eq!(attached, wanted);
            assert_eq!(user.permissions.boundary.as_ref().unwrap().as_str(), launch);
        }
    }
}

#[test]
fn a_document_is_a_text_or_a_file_or_a_table() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("all.json"), ALL).unwrap();
    let text = format!(
        "[[user]]\nname = \"dev\"\n[user.inline_policies]\ntext = '''{ALL}'''\n\
         file = {{ file = \"all.json\" }}\n[user.inline_policies.table]\nVersion = \"2012-10-17\"\n\
         [[user.inline_policies.table.Statement]]\nEffect = \"Deny\"\nAction = [\"ec2:*\"]\n\
         Resource = \"*\"\nCondition = {{ NumericLessThan = {{ \"ec2:RoleDelivery\" = 2.0 }} }}\n"
    );
    let file = ConfigFile::parse("imds.toml", &text, directory.path()).unwrap();
    let inline = &user_of(&file).permissions.inline;
    let of = |name: &str| inline[&name.parse().unwrap()].as_str();
    assert_eq!((of("text"), of("file")), (ALL, ALL));
    let table: serde_json::Value = serde_json::from_str(of("table")).unwrap();
    let statement = &table["Statement"][0];
    assert_eq!(statement["Action"], serde_json::json!(["ec2:*"]));
    assert_eq!(statement["Condition"]["NumericLessThan"]["ec2:RoleDelivery"], 2.0);
}

#[test]
fn a_document_that_is_none_is_told_with_its_file_its_place_and_its_cure() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("bad.json"), ALL.replace("Allow", "allow")).unwrap();
    let bad = ALL.replace("Allow", "allow");
    let place = "`$.Statement.Effect`: `allow` may not stand here: use `Allow` or `Deny`";
    for (text, line, parts) in [
        (
            "[[policy]]\nname = \"x\"\ndocument = { file = \"bad.json\" }".to_owned(),
            3,
            &["`document`: ", "bad.json: ", place][..],
        ),
        (
            "[[policy]]\nname = \"x\"\ndocument = { file = \"none.json\" }".to_owned(),
            3,
            &["`document`: ", "none.json` cannot be read"],
        ),
        (
            format!("[[user]]\nname = \"x\"\n[user.inline_policies]\nlaunch = '''{bad}'''"),
            4,
            &["the inline policy `launch`: ", place],
        ),
        (
            format!(
                "[[role]]\nname = \"x\"\nsource = \"built-in\"\nassume_role_policy = '''{ALL}'''"
            ),
            4,
            &["`assume_role_policy`: at `$.Statement", "a trust policy"],
        ),
        (
            format!(
                "[organization]\n[[organization.policy]]\nname = \"x\"\n\
                 type = \"SERVICE_CONTROL_POLICY\"\ncontent = '''{bad}'''"
            ),
            5,
            &["`content`: ", place],
        ),
    ] {
        let refusal = ConfigFile::parse("imds.toml", &text, directory.path()).unwrap_err();
        let message = refusal.to_string();
        assert!(message.starts_with(&format!("imds.toml:{line}: ")), "{text}\n{message}");
        for part in parts {
            assert!(message.contains(part), "{text}\n{message}\nlacks {part}");
        }
    }
}

#[test]
fn an_organization_is_described_in_tables_below_its_own() {
    use control::start::OrganizationTable::{Account, Head, Policy, Unit};
    let text = format!(
        "[organization]\nmanagement_account_id = \"111111111111\"\n\
         [[organization.unit]]\nname = \"Workloads\"\n[[organization.account]]\n\
         id = \"222222222222\"\nparent = \"Workloads\"\n[[organization.policy]]\n\
         name = \"all\"\ntype = \"SERVICE_CONTROL_POLICY\"\ncontent = '''{ALL}'''\n\
         targets = [\"root\"]\n"
    );
    let file = parse(&text).unwrap();
    let described = file.organization.as_ref().unwrap();
    assert_eq!(
        (described.units.len(), described.accounts.len(), described.policies.len()),
        (1, 1, 1)
    );
    let refusal = |table| {
        let reason = control::start::OrganizationRefusal::NoUnit("x".to_owned());
        file.place_of(&StartRefusal::Organization { table, reason })
    };
    for (table, line) in [(Head, 1), (Unit(0), 3), (Account(0), 5), (Policy(0), 8)] {
        assert_eq!(refusal(table).unwrap(), format!("imds.toml:{line}: "));
    }
}

#[test]
fn a_member_that_is_none_is_told_with_the_one_that_is_meant() {
    for (text, line, parts) in [
        ("[[policy]]\nname = \"x\"", 1, &["missing field `document`"][..]),
        ("[[policy]]\nname = \"x\"\ndocument = 3", 3, &["{ file = \"policy.json\" }"]),
        ("[[user]]\nname = \"x\"\npolices = []", 3, &["`polices`", "did you mean `policies`?"]),
        (
            "[[role]]\nname = \"x\"\nsource = \"built-in\"\npolices = []",
            4,
            &["`polices`", "did you mean `policies`?"],
        ),
        (
            "[[role]]\nname = \"x\"\nsource = \"built-in\"\nmax_session_duration = 1",
            4,
            &["3600 to 43200"],
        ),
        ("[[user]]\nname = \"x\"\npolicies = [\"a b\"]", 3, &["the ARN of a policy"]),
        (
            "[organization]\n[[organization.unt]]\nname = \"x\"",
            2,
            &["`unt`", "did you mean `unit`?"],
        ),
        (
            "[organization]\n[[organization.policy]]\nname = \"x\"\ntype = \"SCP\"",
            4,
            &["`SCP`", "SERVICE_CONTROL_POLICY"],
        ),
    ] {
        let message = parse(text).unwrap_err();
        assert!(message.starts_with(&format!("imds.toml:{line}: ")), "{text}\n{message}");
        for part in parts {
            assert!(message.contains(part), "{text}\n{message}\nlacks {part}");
        }
    }
}
