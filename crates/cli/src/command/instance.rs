//! `imds instance`: the instances of a running server.

use clap::{Arg, ArgMatches, Command};
use control::native::{InstanceView, Request};
use model::{HopLimit, HttpTokens, InstanceId, OptionsChange, Switch};

use crate::command::serve::print_out;
use crate::command::{ask, data_dir_argument, json_argument, understood};
use crate::fault::Fault;

pub(crate) fn definition() -> Command {
    let id = Arg::new("id").value_name("ID").required(true).help("The instance");
    let option = |name: &'static str, values: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(values).help(help)
    };
    Command::new("instance")
        .about("List, show and change the instances of a running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            Command::new("list")
                .about("List the instances")
                .args([data_dir_argument(), json_argument()]),
            Command::new("show")
                .about("Show everything about an instance")
                .args([id.clone(), data_dir_argument(), json_argument()]),
            Command::new("options")
                .about("Change metadata options, in force for the next request; show them if none is named")
                .args([
                    id,
                    option("http-tokens", "optional|required", "Whether a session token is needed"),
                    option("http-put-response-hop-limit", "1-64", "Network hops a token may travel"),
                    option("http-endpoint", "enabled|disabled", "Whether the service answers at all"),
                    option("http-protocol-ipv6", "enabled|disabled", "Whether it answers over IPv6"),
                    option("instance-metadata-tags", "enabled|disabled", "Whether tags are shown"),
                    data_dir_argument(),
                    json_argument(),
                ]),
        ])
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    match matches.subcommand() {
        Some(("list", matches)) => list(matches),
        Some(("show", matches)) => {
            let request = Request::ShowInstance { instance_id: id(matches)? };
            let answer = ask(matches, &request)?;
            if matches.get_flag("json") {
                print_out(&format!("{answer}\n"))
            } else {
                let pretty = serde_json::to_string_pretty(&answer);
                print_out(&format!("{}\n", pretty.map_err(|fault| Fault::failed(&fault))?))
            }
        }
        Some(("options", matches)) => options(matches),
        _ => Err(Fault::usage("no such command: `imds instance --help` lists them")),
    }
}

fn list(matches: &ArgMatches) -> Result<(), Fault> {
    let answer = ask(matches, &Request::ListInstances {})?;
    let views: Vec<InstanceView> = understood(answer.clone())?;
    if matches.get_flag("json") {
        let lines = answer.as_array().into_iter().flatten().map(|view| format!("{view}\n"));
        return print_out(&lines.collect::<String>());
    }
    let row = |columns: [&str; 5]| {
        let [id, kind, tokens, hops, endpoints] = columns;
        format!("{id:<21} {kind:<12} {tokens:<9} {hops:>4}  {endpoints}\n")
    };
    let mut text = row(["INSTANCE", "TYPE", "TOKENS", "HOPS", "ENDPOINTS"]);
    for InstanceView { endpoints, instance } in &views {
        text.push_str(&row([
            instance.id.as_str(),
            &instance.instance_type,
            instance.options.http_tokens.as_str(),
            &instance.options.http_put_response_hop_limit.to_string(),
            &endpoints.join(" "),
        ]));
    }
    print_out(&text)
}

fn options(matches: &ArgMatches) -> Result<(), Fault> {
    let change = OptionsChange {
        http_tokens: value::<HttpTokens>(matches, "http-tokens")?,
        http_put_response_hop_limit: value::<HopLimit>(matches, "http-put-response-hop-limit")?,
        http_endpoint: value::<Switch>(matches, "http-endpoint")?,
        http_protocol_ipv6: value::<Switch>(matches, "http-protocol-ipv6")?,
        instance_metadata_tags: value::<Switch>(matches, "instance-metadata-tags")?,
    };
    let instance_id = id(matches)?;
    let request = if change.is_empty() {
        Request::ShowInstance { instance_id }
    } else {
        Request::ModifyOptions { instance_id, options: change }
    };
    let answer = ask(matches, &request)?;
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    let InstanceView { instance, .. } = understood(answer)?;
    let now = instance.options;
    print_out(&format!(
        "http-tokens                  {}\nhttp-put-response-hop-limit  {}\nhttp-endpoint              \
         \u{20} {}\nhttp-protocol-ipv6           {}\ninstance-metadata-tags       {}\n",
        now.http_tokens,
        now.http_put_response_hop_limit,
        now.http_endpoint,
        now.http_protocol_ipv6,
        now.instance_metadata_tags,
    ))
}

fn id(matches: &ArgMatches) -> Result<InstanceId, Fault> {
    let text = matches.get_one::<String>("id").map(String::as_str).unwrap_or_default();
    text.parse().map_err(|refusal: model::IdRefusal| Fault::usage(refusal.to_string()))
}

fn value<T: std::str::FromStr<Err = String>>(
    matches: &ArgMatches,
    name: &str,
) -> Result<Option<T>, Fault> {
    matches
        .get_one::<String>(name)
        .map(|text| text.parse())
        .transpose()
        .map_err(|refusal| Fault::usage(format!("--{name}: {refusal}")))
}
