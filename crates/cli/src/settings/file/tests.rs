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
