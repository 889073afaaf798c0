//! Where settings come from, and every start that must be refused: the message names the place,
//! the key, the value and what would be right, and the server never says that it is ready.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::exchange::{read, read_tokenless, token, value};
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, refused, try_refused};

/// `imds serve --check`, the config file in place.
pub(crate) fn check(home: &Home, config: &str) -> Command {
    home.write("imds.toml", config);
    home.imds(&["serve", "--check", "--config", "imds.toml"])
}

/// The line of `serve --check` for a setting: its value, and what set it.
fn effective(printed: &str, name: &str) -> (String, String) {
    let line = printed
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name))
        .unwrap_or_else(|| panic!("no `{name}` in\n{printed}"));
    let words: Vec<_> = line.split_whitespace().collect();
    let [_, value @ .., layer] = &words[..] else { panic!("too few words: {line}") };
    (value.join(" "), (*layer).to_owned())
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let home = Home::new();
    let config = "max_connections = 11\nmax_connections_per_source = 12\nwire = \"legacy\"\n";
    let mut command = check(&home, config);
    command
        .env("IMDS_MAX_CONNECTIONS", "21")
        .env("IMDS_WIRE", "nitro")
        .args(["--max-connections", "31"]);
    let ended = Ended::of(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (name, value, layer) in [
        ("max_connections", "31", "--max-connections"),
        ("wire", "nitro", "$IMDS_WIRE"),
        ("max_connections_per_source", "12", "imds.toml:2"),
        ("listen", "127.0.0.1:1338", "default"),
        ("manage", "127.0.0.1:1339", "default"),
    ] {
        let expected = (value.to_owned(), layer.to_owned());
        assert_eq!(effective(&ended.stdout, name), expected, "{}", ended.stdout);
    }
    let (data_dir, layer) = effective(&ended.stdout, "data_dir");
    assert_eq!((data_dir.as_str(), layer.as_str()), (home.state().to_str().unwrap(), "default"));
}

#[test]
fn the_layers_decide_what_the_server_does() {
    let home = Home::new();
    let config = home.write("imds.toml", "wire = \"legacy\"\nhttp_tokens = \"optional\"\n");
    let mut command = home.serve(&["--http-tokens", "required"]);
    command.env("IMDS_CONFIG", &config);
    let server = Running::of(command);
    let answer = read_tokenless(server.address(), "/");
    assert_eq!((answer.status, &answer.head[..8]), (401, "HTTP/1.0"));
    server.stop();

    let mut command = home.serve(&[]);
    command.env("IMDS_CONFIG", &config).env("IMDS_WIRE", "nitro");
    let server = Running::of(command);
    let answer = read_tokenless(server.address(), "/");
    assert_eq!((answer.status, &answer.head[..8]), (200, "HTTP/1.1"));
}

#[test]
fn what_the_file_describes_is_checked_and_listed() {
    let home = Home::new();
    let config = r#"
        [[role]]
        name = "app"
        source = "built-in"

        [[instance]]
        id = "i-0000000000000000a"
        instance_profile = { name = "app", role = "app" }
    "#;
    let ended = Ended::of(check(&home, config));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("[[instance]] i-0000000000000000a\n"));
    assert!(ended.stdout.contains("[[role]] 123456789012/app\n"));
}

#[test]
fn settings_in_a_table_are_settings_like_others() {
    let home = Home::new();
    let config = "[launch]\ndriver = \"netns\"\ncontainer = true\nreferences = \"strict\"\n\
                  command = [\"/bin/true\", \"-x\"]\n";
    let mut command = check(&home, config);
    command.env("IMDS_LAUNCH_TOKENS_REQUIRED_TYPES", "m8g.*, *.metal");
    command.args(["--launch-references", "adopt"]);
    let ended = Ended::of(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (name, value, layer) in [
        ("launch.driver", "netns", "imds.toml:2"),
        ("launch.container", "true", "imds.toml:3"),
        ("launch.references", "adopt", "--launch-references"),
        ("launch.command", "/bin/true, -x", "imds.toml:5"),
        ("launch.tokens_required_types", "m8g.*, *.metal", "$IMDS_LAUNCH_TOKENS_REQUIRED_TYPES"),
    ] {
        let expected = (value.to_owned(), layer.to_owned());
        assert_eq!(effective(&ended.stdout, name), expected, "{}", ended.stdout);
    }
    for (config, parts) in [
        (
            "[launch]\ndriver = \"vm\"",
            &["imds.toml:2", "`launch.driver`", "use none, listener"][..],
        ),
        ("[launch]\ndrivre = \"vm\"", &["imds.toml:2", "`drivre`", "did you mean `driver`"]),
        ("launch_driver = \"netns\"", &["imds.toml:1", "did you mean `launch.driver`"]),
        ("launch = 3", &["imds.toml:1", "[launch] table"]),
        ("[launch]\ntokens_required_types = [\"a b\"]", &["imds.toml:2", "m8g.*"]),
        ("[launch]\ncommand = [\"\"]", &["`launch.command`", "names no program"]),
        ("[launch]\ndriver = \"exec\"", &["launch.command"]),
    ] {
        let ended = Ended::of(check(&home, config));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        for part in parts {
            assert!(ended.stderr.contains(part), "{config} lacks {part}: {ended:?}");
        }
    }
}

/// A table of a user with one key.
fn user(name: &str, key: &str) -> String {
    format!(
        "[[user]]\nname = \"{name}\"\naccount_id = \"123456789012\"\naccess_keys = [{{ \
         access_key_id = \"{key}\", secret_access_key = \"hunter2\" }}]\n"
    )
}

#[test]
fn users_are_described_and_each_key_leads_to_one() {
    let home = Home::new();
    let users = user("dev", "AKIADEV") + &user("ops", "AKIAOPS");
    let ended = Ended::of(check(&home, &users));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("[[user]] 123456789012/dev AKIADEV\n"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hunter"), "{ended:?}");
    let server = home.start_with(&users);
    let administrator = home.json_result(&["env", "--json"])["access_key_id"].clone();
    server.stop();
    for (tables, line, parts) in [
        (
            user("dev", "AKIAONE") + &user("ops", "AKIAONE"),
            5,
            &["`user/123456789012/ops`", "AKIAONE", "`user/123456789012/dev`"][..],
        ),
        (user("dev", "AKIAONE") + &user("dev", "AKIATWO"), 5, &["`dev` is described twice"]),
        (user("admin", "AKIAONE"), 1, &["administrator", "another name"]),
        (
            user("dev", administrator.as_str().unwrap()),
            1,
            &["the administrator", "keys of its own"],
        ),
        (
            "[[user]]\nname = \"dev\"\naccount_id = \"123456789012\"\naccess_keys = [{ \
             access_key_id = \"A\", secret_access_key = [\"hunter2\"] }]"
                .to_owned(),
            4,
            &["`secret`", "not of the right kind"],
        ),
    ] {
        let config = home.write("imds.toml", &tables);
        let place = format!("imds.toml:{line}: ");
        let said = refused(home.serve(&["--config", config.to_str().unwrap()]), 2, &[&place]);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn secrets_of_the_file_are_not_printed() {
    let home = Home::new();
    let config = "[[role]]\nname = \"app\"\nsource = \"static\"\naccess_key_id = \"AKIAEXAMPLE\"\n\
                  secret_access_key = \"hunter2\"\nsession_token = \"hunter3\"\n";
    let ended = Ended::of(check(&home, config));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hunter"), "{ended:?}");
}

#[test]
fn a_mistake_in_a_secret_is_told_without_it() {
    let home = Home::new();
    for lines in [
        "secret_access_kye = \"hunter2\"\nsession_token = \"t\"",
        "secret_access_key = [\"hunter2\"]\nsession_token = \"t\"",
        "secret_access_key = \"hunter2\nsession_token = \"t\"",
        "secret_access_key = hunter2\nsession_token = \"t\"",
        "secret_access_key = \"s\"\nsession_token = \"hunter2\" \"t\"",
    ] {
        let config = format!(
            "[[role]]\nname = \"app\"\nsource = \"static\"\naccess_key_id = \"A\"\n{lines}\n"
        );
        let said = refused(check(&home, &config), 2, &["imds.toml:"]);
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_role_may_have_the_name_of_an_instance() {
    let home = Home::new();
    let config = "[[role]]\nname = \"i-0000000000000000a\"\nsource = \"built-in\"\n\
                  [[instance]]\nid = \"i-0000000000000000a\"\n";
    assert_eq!(Ended::of(check(&home, config)).code, Some(0));
}

#[test]
fn a_variable_that_is_no_text_is_not_overlooked() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::new();
    let mut command = home.imds(&["serve", "--check"]);
    command.env("IMDS_HTTP_TOKENS", std::ffi::OsStr::from_bytes(b"\xff"));
    refused(command, 2, &["IMDS_HTTP_TOKENS"]);
}

/// A config file with a mistake: the line it is in, and what the message must say.
struct Mistake {
    config: &'static str,
    line: usize,
    parts: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        config: "# A comment.\nlisten_on = \"127.0.0.1:0\"",
        line: 2,
        parts: &["`listen_on`", "`listen`"],
    },
    Mistake {
        config: "htp_tokens = \"optional\"",
        line: 1,
        parts: &["`htp_tokens`", "did you mean `http_tokens`"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\ninstance_typ = \"t3.nano\"",
        line: 3,
        parts: &["`instance_typ`", "did you mean `instance_type`", "t3.nano"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\n[instance.options]\nhttp_token = \"required\"",
        line: 4,
        parts: &["`http_token`", "did you mean `http_tokens`"],
    },
    Mistake {
        config: "\nhttp_tokens = \"maybe\"",
        line: 2,
        parts: &["`http_tokens`", "`maybe`", "`optional` or `required`"],
    },
    Mistake {
        config: "max_connections = -1",
        line: 1,
        parts: &["`max_connections`", "`-1`", "from 1 up"],
    },
    Mistake {
        config: "token_key_rotation = \"1m\"",
        line: 1,
        parts: &["`token_key_rotation`", "`1m`", "2m"],
    },
    Mistake {
        config: "listen = [\"127.0.0.1:0\", \"localhost:80\"]",
        line: 1,
        parts: &["`listen`", "`localhost:80`", "127.0.0.1:1338"],
    },
    Mistake { config: "[[instance]]\nid = \"i-xyz\"", line: 2, parts: &["`i-xyz`", "id = "] },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\nregion = 7",
        line: 3,
        parts: &["region", "7"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\n[instance.options]\n\
                 http_put_response_hop_limit = 0",
        line: 4,
        parts: &["`0`", "http_put_response_hop_limit", "1 to 64"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\n\n[[instance]]\n\
                 id = \"i-0000000000000000a\"\n\n# i-0000000000000000a stands here twice.\n",
        line: 5,
        parts: &["`i-0000000000000000a`", "twice", "keep one"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"built-in\"\n[[role]]\nname = \"app\"\n\
                 source = \"process\"\ncommand = [\"app-keys\"]",
        line: 5,
        parts: &["`app`", "twice", "keep one"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"",
        line: 1,
        parts: &["`source`", "built-in", "static", "process"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\n\
                 instance_profile = { name = \"app\", role = \"app\" }",
        line: 3,
        parts: &["i-0000000000000000a", "`app`", "[[role]]", "built-in", "process"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\n\
                 attachments = [{ listener = \"127.0.0.1\" }]",
        line: 3,
        parts: &["listener", "`127.0.0.1`", "127.0.0.1:"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"builtin\"",
        line: 3,
        parts: &["builtin", "built-in"],
    },
    Mistake {
        config: "default_instance = \"i-0000000000000000b\"",
        line: 1,
        parts: &["`default_instance`", "`i-0000000000000000b`", "[[instance]]"],
    },
    Mistake {
        config: "[[instance]]\nid = \"i-0000000000000000a\"\n\
                 user_data = { file = \"not-there.sh\" }",
        line: 3,
        parts: &["`user_data`", "not-there.sh", "cannot be read"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"process\"\ncommand = []",
        line: 4,
        parts: &["`command`"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"process\"",
        line: 1,
        parts: &["`command`"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"process\"\ncommand = [\"a\"]\nenv = 1",
        line: 5,
        parts: &["`env`", "command"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"error\"\ncode = 404\nmessage = \"gone\"",
        line: 4,
        parts: &["code", "404"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"static\"\naccess_key_id = \"AKIA\"",
        line: 1,
        parts: &["`secret_access_key`"],
    },
    Mistake {
        config: "[[role]]\nname = \"app\"\nsource = \"built-in\"\ncomand = [\"x\"]",
        line: 4,
        parts: &["`comand`"],
    },
    Mistake { config: "listen = [\"127.0.0.1:0\"", line: 1, parts: &[] },
];

#[test]
fn a_mistake_in_the_file_is_told_with_its_place_and_its_cure() {
    let home = Home::new();
    let mut faults = Vec::new();
    for Mistake { config, line, parts } in MISTAKES {
        let path = home.write("imds.toml", config);
        let path = path.to_str().unwrap();
        let place = format!("{path}:{line}: ");
        let parts: Vec<_> = parts.iter().copied().chain([place.as_str()]).collect();
        for more in [&["--config", path][..], &["--config", path, "--check"]] {
            let told = try_refused(home.serve_as_set(more), 2, &parts);
            let fault = |fault| format!("{config}\n{fault}");
            faults.extend(told.map_err(fault).err());
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_check_and_a_refused_config_file_leave_nothing_behind() {
    let home = Home::new();
    assert_eq!(Ended::of(check(&home, "")).code, Some(0));
    home.write("imds.toml", "htp_tokens = \"optional\"");
    refused(home.serve_as_set(&["--config", "imds.toml"]), 2, &[]);
    assert!(!home.state().exists());
}

#[test]
fn user_data_over_the_limit_is_refused_in_the_file() {
    let home = Home::new();
    for (length, is_good) in [(16_384, true), (16_385, false)] {
        home.write("init.bin", vec![0xff; length]);
        let config =
            "[[instance]]\nid = \"i-0000000000000000a\"\nuser_data = { file = \"init.bin\" }";
        let command = check(&home, config);
        if is_good {
            assert_eq!(Ended::of(command).code, Some(0));
        } else {
            refused(command, 2, &["imds.toml:3: ", "16385", "16384"]);
        }
    }
}

#[test]
fn a_bad_flag_or_variable_is_told_by_its_name() {
    let home = Home::new();
    for (flag, value, parts) in [
        ("listen", "everywhere", &["`everywhere`", "127.0.0.1:1338"][..]),
        ("manage", "127.0.0.1", &["`127.0.0.1`", "127.0.0.1:1338"]),
        ("http-tokens", "no", &["`no`", "`optional` or `required`"]),
        ("profile", "paranoid", &["`paranoid`", "ec2 or strict"]),
        ("wire", "xen", &["`xen`", "nitro or legacy"]),
        ("store", "sqlite", &["`sqlite`", "redb or memory"]),
        ("workers", "0", &["`0`", "from 1 up"]),
        ("token-key-rotation", "1h30m", &["`1h30m`", "24h"]),
        ("default-instance", "web", &["`web`"]),
        ("requests-per-second", "many", &["`many`", "from 1 up"]),
    ] {
        let name = flag.replace('-', "_");
        let (key, flag) = (format!("`{name}`"), format!("--{flag}"));
        let parts: Vec<_> = parts.iter().copied().chain([key.as_str()]).collect();
        let named_by_flag: Vec<_> = parts.iter().copied().chain([flag.as_str()]).collect();
        refused(home.serve_as_set(&[&flag, value]), 2, &named_by_flag);
        let variable = format!("IMDS_{}", name.to_uppercase());
        let mut command = home.serve_as_set(&[]);
        command.env(&variable, value);
        let named_by_variable: Vec<_> = parts.iter().copied().chain([variable.as_str()]).collect();
        refused(command, 2, &named_by_variable);
    }
    refused(home.serve_as_set(&["--listn", "127.0.0.1:0"]), 2, &["--listn", "--listen"]);
    assert!(!home.state().exists());
}

#[test]
fn a_config_file_that_is_not_there_is_no_empty_one() {
    let home = Home::new();
    let command = home.serve(&["--config", "not-there.toml"]);
    refused(command, 2, &["`not-there.toml`", "cannot be read"]);
}

#[test]
fn a_taken_port_stops_the_start_whoever_has_it() {
    let home = Home::new();
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let foreign = foreign.local_addr().unwrap().to_string();
    let other = Home::new();
    let running = other.start(&[]);
    let (data, management) = (running.address().to_string(), running.management.to_string());
    for taken in [&foreign, &data, &management] {
        let parts = [taken.as_str(), "taken", "choose another"];
        refused(home.serve(&["--listen", taken]), 1, &parts);
        let imds = home.imds(&["serve", "--listen", "127.0.0.1:0", "--manage", taken]);
        refused(imds, 1, &parts);
        let socket = home.state().join("imds.sock");
        assert!(!socket.exists(), "no socket that nobody answers at is left behind");
    }
    // One of two addresses is as bad as none.
    let both = ["--listen", "127.0.0.1:0", "--listen", &foreign];
    refused(home.serve(&both), 1, &[&foreign, "taken"]);
    assert_eq!(value(running.address(), "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
}

#[test]
fn a_server_that_nobody_could_reach_does_not_start() {
    let home = Home::new();
    home.write("imds.toml", "listen = []\n");
    let arguments = ["serve", "--manage", "127.0.0.1:0", "--config", "imds.toml"];
    refused(home.imds(&arguments), 2, &["`listen`"]);
}

#[test]
fn one_address_cannot_serve_two_instances() {
    let home = Home::new();
    let spare = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = spare.local_addr().unwrap().to_string();
    drop(spare);
    let path = home.write(
        "imds.toml",
        format!(
            "listen = \"{address}\"\n[[instance]]\nid = \"i-0000000000000000a\"\n\
             attachments = [{{ listener = \"{address}\" }}]\n"
        ),
    );
    let arguments = ["serve", "--manage", "127.0.0.1:0", "--config"];
    let imds = home.imds(&[&arguments[..], &[path.to_str().unwrap()]].concat());
    let parts = [address.as_str(), DEFAULT_INSTANCE, "i-0000000000000000a"];
    refused(imds, 2, &parts);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let home = Home::new();
    let command = home.serve(&["--listen", "192.0.2.1:0"]);
    refused(command, 1, &["192.0.2.1:0", "not an address of this machine"]);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told() {
    let home = Home::new();
    // Below a file there can be no directory, and nobody, not even root, writes in /proc.
    home.write("file", "");
    let below_file = home.path().join("file/state");
    let file = home.path().join("file");
    for path in [below_file.to_str().unwrap(), file.to_str().unwrap(), "/proc/self"] {
        let command = home.serve(&["--data-dir", path]);
        refused(command, 1, &[&format!("`{path}`"), "cannot be used", "--data-dir"]);
    }
    let mut command = home.serve(&[]);
    command.env_remove("HOME");
    refused(command, 2, &["--data-dir", "HOME"]);
}

#[test]
fn a_damaged_database_opens_nothing() {
    let whole = {
        let home = Home::new();
        home.start(&[]).stop();
        fs::read(home.state().join("state.redb")).unwrap()
    };
    let mut scribbled = whole.clone();
    for (position, byte) in scribbled.iter_mut().enumerate() {
        if position % 64 == 7 {
            *byte = !*byte;
        }
    }
    let mut headless = whole.clone();
    headless[..4096].fill(0);
    for (what, bytes) in [
        ("no database", b"not a database\n".to_vec()),
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("cut to its first page", whole[..4096].to_vec()),
        ("scribbled over", scribbled),
        ("without its head", headless),
    ] {
        let home = Home::new();
        fs::create_dir_all(home.state()).unwrap();
        let path = home.state().join("state.redb");
        fs::write(&path, &bytes).unwrap();
        let name = path.to_str().unwrap();
        let parts = [name, "damaged", "restore it from a backup", "move it away"];
        let said = refused(home.serve(&[]), 1, &parts);
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
        for made in ["administrator", "imds.sock"] {
            assert!(!home.state().join(made).exists(), "{what}: {made}");
        }
        // The database may note in its head that it needs repair; what it keeps is left alone.
        let left = fs::read(&path).unwrap();
        assert_eq!(left.get(4096..), bytes.get(4096..), "{what}");
    }
}

#[test]
fn a_second_server_cannot_use_the_same_state() {
    let home = Home::new();
    let first = home.start(&[]);
    let granted = token(first.address());
    let administrator = || fs::read_to_string(home.state().join("administrator")).unwrap();
    let before = administrator();
    let database = home.state().join("state.redb");
    let parts = [database.to_str().unwrap(), "another process", "only one server"];
    refused(home.serve(&[]), 1, &parts);
    let socket = home.state().join("imds.sock");
    let parts = [socket.to_str().unwrap(), "another server", "--data-dir"];
    refused(home.serve(&["--store", "memory"]), 1, &parts);
    // The first one has noticed nothing.
    assert_eq!(administrator(), before);
    assert_eq!(home.json_result(&["env", "--json"])["region"], "us-east-1");
    assert_eq!(read(first.address(), "/latest/", &granted).status, 200);
    first.stop();
    home.start(&[]).stop();
}

#[test]
fn the_management_plane_stays_private() {
    let home = Home::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let command = home.imds(&["serve", "--listen", "127.0.0.1:0", "--manage", address]);
        let parts = ["`manage`", address, "loopback", "--insecure-manage"];
        refused(command, 2, &parts);
    }
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--manage", "0.0.0.0:0"];
    let mut command = home.imds(&arguments);
    command.arg("--insecure-manage");
    let server = Running::of(command);
    assert!(server.management.ip().is_unspecified());
}
