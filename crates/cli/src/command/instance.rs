//! `imds instance`: the instances of a running server.

mod event;
mod view;

use std::fs;
use std::io::Read as _;

use clap::{Arg, ArgAction, ArgMatches, Command};
use control::instances::Launch;
use control::native::{AttachmentView, InstanceView, Request};
use model::{
    AmiId, Attachment, Driver, HopLimit, HttpTokens, InstanceId, Line, OptionsChange, RoleName,
    Switch, TagKey, UserData,
};

use crate::command::serve::print_out;
use crate::command::{ask, data_dir_argument, json_argument, understood};
use crate::fault::Fault;
use crate::settings::kind::LaunchDriver;

pub(crate) fn definition() -> Command {
    let id = Arg::new("id").value_name("ID").required(true).help("The instance");
    let attachment = Arg::new("attachment")
        .value_name("ATTACHMENT")
        .required(true)
        .help("listener=ADDR:PORT, source=ADDR[,mac=MAC], interface=NAME or netns=NAME");
    Command::new("instance")
        .about("Launch, list, show, change and end the instances of a running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            launch_definition(),
            Command::new("list")
                .about("List the instances")
                .args([data_dir_argument(), json_argument()]),
            Command::new("show").about("Show everything about an instance").args([
                id.clone(),
                data_dir_argument(),
                json_argument(),
            ]),
            Command::new("options")
                .about(
                    "Change metadata options, in force for the next request; show them if none is \
                     named",
                )
                .arg(id.clone())
                .args(option_arguments())
                .args([data_dir_argument(), json_argument()]),
            event::definition(id.clone()),
            Command::new("attach")
                .about("Attach an instance, so that the service knows who asks")
                .args([id.clone(), attachment.clone()])
                .arg(
                    Arg::new("later")
                        .long("later")
                        .action(ArgAction::SetTrue)
                        .help("Attach it to what is not there yet: it is served once it is"),
                )
                .args([data_dir_argument(), json_argument()]),
            Command::new("detach").about("Take an attachment from an instance").args([
                id.clone(),
                attachment,
                data_dir_argument(),
                json_argument(),
            ]),
            of_machine(
                "stop",
                "Stop an instance, which keeps what it has and is answered nothing",
                &id,
            ),
            of_machine("start", "Start an instance that was stopped", &id),
            of_machine("reboot", "Have the machine of an instance started anew", &id),
            Command::new("terminate")
                .about("End an instance, and its machine if a driver made it")
                .args([id, data_dir_argument(), json_argument()]),
        ])
}

fn of_machine(name: &'static str, about: &'static str, id: &Arg) -> Command {
    Command::new(name).about(about).args([id.clone(), data_dir_argument(), json_argument()])
}

fn launch_definition() -> Command {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("launch")
        .about("Launch an instance; prints its id")
        .args([
            arg(
                "driver",
                "netns|listener|source|exec",
                "Make its machine: a network namespace (needs root), an address of its own, its own \
                 address at --shared-listen, or what launch.command makes",
            ),
            Arg::new("container")
                .long("container")
                .action(ArgAction::SetTrue)
                .requires("driver")
                .help("Make a container behind it too, one network hop further away"),
            arg("id", "ID", "Its id; a new one by default"),
            arg("image", "AMI", "Its image; by default the one that has it require tokens"),
            arg("type", "TYPE", "Its instance type, such as t3.micro"),
            arg("attach", "ATTACHMENT", "Attach it; may be given several times")
                .action(ArgAction::Append),
            arg("role", "NAME", "The role whose credentials it gets"),
            arg("user-data", "FILE", "Its user data; `-` reads standard input"),
            arg("tag", "KEY=VALUE", "A tag; may be given several times").action(ArgAction::Append),
        ])
        .args(option_arguments())
        .args([data_dir_argument(), json_argument()])
        .after_help(
            "Example, as root:\n  ID=$(imds instance launch --driver netns --container)\n  imds \
             exec $ID -- curl http://169.254.169.254/latest/",
        )
}

fn option_arguments() -> [Arg; 5] {
    let option = |name: &'static str, values: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(values).help(help)
    };
    [
        option("http-tokens", "optional|required", "Whether a session token is needed"),
        option("http-put-response-hop-limit", "1-64", "Network hops a token may travel"),
        option("http-endpoint", "enabled|disabled", "Whether the service answers at all"),
        option("http-protocol-ipv6", "enabled|disabled", "Whether it answers over IPv6"),
        option("instance-metadata-tags", "enabled|disabled", "Whether tags are shown"),
    ]
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    match matches.subcommand() {
        Some(("launch", matches)) => launch(matches),
        Some(("list", matches)) => list(matches),
        Some(("show", matches)) => show(matches),
        Some(("attach", matches)) => attach(matches),
        Some(("detach", matches)) => detach(matches),
        Some(("stop", matches)) => {
            lead(matches, |instance_id| Request::StopInstance { instance_id })
        }
        Some(("start", matches)) => {
            lead(matches, |instance_id| Request::StartInstance { instance_id })
        }
        Some(("reboot", matches)) => {
            lead(matches, |instance_id| Request::RebootInstance { instance_id })
        }
        Some(("terminate", matches)) => {
            lead(matches, |instance_id| Request::TerminateInstance { instance_id })
        }
        Some(("options", matches)) => options(matches),
        Some(("event", matches)) => event::run(matches),
        _ => Err(Fault::usage("no such command: `imds instance --help` lists them")),
    }
}

fn launch(matches: &ArgMatches) -> Result<(), Fault> {
    let text = |name: &str| matches.get_one::<String>(name);
    let driver = text("driver").map(|text| driver(text, matches.get_flag("container")));
    let many = |name: &str| matches.get_many::<String>(name).into_iter().flatten();
    let attachments = many("attach").map(|text| parse_attachment("--attach", text));
    let launch = Launch {
        instance_id: text("id").map(|text| parse_id(text)).transpose()?,
        driver: driver.transpose()?,
        image_id: text("image").map(|text| parse_image_id(text)).transpose()?,
        instance_type: text("type").map(|text| parse_type(text)).transpose()?,
        attachments: attachments.collect::<Result<_, _>>()?,
        options: options_change(matches)?,
        role: value::<RoleName>(matches, "role")?,
        user_data: text("user-data").map(|path| read_user_data(path)).transpose()?,
        tags: many("tag").map(|text| parse_tag(text)).collect::<Result<_, _>>()?,
    };
    let answer = ask(matches, &Request::LaunchInstance(Box::new(launch)))?;
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    let view: InstanceView = understood(answer)?;
    warn_of_what_is_due(&view);
    warn_of_waiting(&view);
    print_out(&format!("{}\n", view.instance.id))
}

fn parse_image_id(text: &str) -> Result<AmiId, Fault> {
    let refused = |refusal: model::IdRefusal| Fault::usage(format!("--image: {refusal}"));
    text.parse().map_err(refused)
}

fn parse_type(text: &str) -> Result<Line, Fault> {
    let refused = |refusal: model::LineRefusal| Fault::usage(format!("--type: {refusal}"));
    text.parse().map_err(refused)
}

fn driver(text: &str, container: bool) -> Result<Driver, Fault> {
    let driver: LaunchDriver =
        text.parse().map_err(|refusal| Fault::usage(format!("--driver: {refusal}")))?;
    let is_netns = driver == LaunchDriver::Netns;
    driver.with(container).filter(|_| is_netns || !container).ok_or_else(|| {
        Fault::usage("--driver: name one that makes a machine; --container goes with netns alone")
    })
}

fn parse_attachment(what: &str, text: &str) -> Result<Attachment, Fault> {
    text.parse().map_err(|refusal| Fault::usage(format!("{what}: {refusal}")))
}

fn parse_tag(text: &str) -> Result<(TagKey, Box<str>), Fault> {
    let refused = |why: &dyn std::fmt::Display| Fault::usage(format!("--tag: {why}"));
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| refused(&format!("`{text}` has no `=`: use Name=web")))?;
    Ok((key.parse().map_err(|refusal: model::TagRefusal| refused(&refusal))?, value.into()))
}

fn read_user_data(path: &str) -> Result<UserData, Fault> {
    // One byte more than there may be, so that too much shows as such.
    let limit = UserData::BYTES_MAX as u64 + 1;
    let read = |source: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        source.take(limit).read_to_end(&mut bytes).map(|_| bytes)
    };
    let read = match path {
        "-" => read(&mut std::io::stdin()),
        path => fs::File::open(path).and_then(|mut file| read(&mut file)),
    };
    let bytes = read.map_err(|fault| Fault::told(format!("`{path}` cannot be read: {fault}")))?;
    UserData::new(bytes).map_err(|refusal| Fault::usage(format!("--user-data: {refusal}")))
}

fn show(matches: &ArgMatches) -> Result<(), Fault> {
    let answer = ask(matches, &Request::ShowInstance { instance_id: id(matches)? })?;
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    print_out(&view::view(&understood(answer)?))
}

fn attach(matches: &ArgMatches) -> Result<(), Fault> {
    let (instance_id, attachment) = (id(matches)?, attachment(matches)?);
    let later = matches.get_flag("later");
    let answer = ask(matches, &Request::Attach { instance_id, attachment, later })?;
    print_attachments(matches, answer)
}

fn detach(matches: &ArgMatches) -> Result<(), Fault> {
    let (instance_id, attachment) = (id(matches)?, attachment(matches)?);
    let answer = ask(matches, &Request::Detach { instance_id, attachment })?;
    print_attachments(matches, answer)
}

/// Has something done with the machine of an instance.
fn lead(matches: &ArgMatches, request: impl Fn(InstanceId) -> Request) -> Result<(), Fault> {
    let answer = ask(matches, &request(id(matches)?))?;
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    warn_of_what_is_due(&understood(answer)?);
    Ok(())
}

/// Says that the driver has not come to an end, if so.
fn warn_of_what_is_due(InstanceView { instance, .. }: &InstanceView) {
    if let Some(event) = instance.due() {
        let (id, state) = (instance.id, instance.state);
        say!("imds: {id} is {state}: `{event}` goes on. How far it is: imds instance show {id}");
    }
}

/// Prints how an instance is attached now.
fn print_attachments(matches: &ArgMatches, answer: serde_json::Value) -> Result<(), Fault> {
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    let view: InstanceView = understood(answer)?;
    warn_of_waiting(&view);
    let line = |of: &AttachmentView| {
        let state = if of.waiting.is_some() { "waits" } else { "serves" };
        format!("{:<44} {state}\n", of.attachment)
    };
    print_out(&view.attached.iter().map(line).collect::<String>())
}

/// Says which attachments do not serve, and why.
fn warn_of_waiting(view: &InstanceView) {
    for AttachmentView { attachment, waiting, .. } in &view.attached {
        if let Some(reason) = waiting {
            say!("imds: {} is not served by {attachment}: {reason}", view.instance.id);
        }
    }
}

fn attachment(matches: &ArgMatches) -> Result<Attachment, Fault> {
    let text = matches.get_one::<String>("attachment").map(String::as_str).unwrap_or_default();
    parse_attachment("the attachment", text)
}

fn list(matches: &ArgMatches) -> Result<(), Fault> {
    let answer = ask(matches, &Request::ListInstances {})?;
    let views: Vec<InstanceView> = understood(answer.clone())?;
    if matches.get_flag("json") {
        let lines = answer.as_array().into_iter().flatten().map(|view| format!("{view}\n"));
        return print_out(&lines.collect::<String>());
    }
    let row = |columns: [&str; 6]| {
        let [id, state, kind, tokens, hops, endpoints] = columns;
        format!("{id:<21} {state:<13} {kind:<12} {tokens:<9} {hops:>4}  {endpoints}\n")
    };
    let mut text = row(["INSTANCE", "STATE", "TYPE", "TOKENS", "HOPS", "ENDPOINTS"]);
    for InstanceView { endpoints, instance, .. } in &views {
        text.push_str(&row([
            &instance.id.text(),
            instance.state.as_str(),
            &view::harmless(&instance.instance_type),
            instance.options.http_tokens.as_str(),
            &instance.options.http_put_response_hop_limit.to_string(),
            // One that is stopped is answered nothing there.
            &if instance.state.may_ask() { endpoints.join(" ") } else { String::new() },
        ]));
    }
    print_out(&text)
}

fn options(matches: &ArgMatches) -> Result<(), Fault> {
    let change = options_change(matches)?;
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
    print_out(&view::options(&instance))
}

fn options_change(matches: &ArgMatches) -> Result<OptionsChange, Fault> {
    Ok(OptionsChange {
        http_tokens: value::<HttpTokens>(matches, "http-tokens")?,
        http_put_response_hop_limit: value::<HopLimit>(matches, "http-put-response-hop-limit")?,
        http_endpoint: value::<Switch>(matches, "http-endpoint")?,
        http_protocol_ipv6: value::<Switch>(matches, "http-protocol-ipv6")?,
        instance_metadata_tags: value::<Switch>(matches, "instance-metadata-tags")?,
    })
}

/// Reads the instance that a command is about.
pub(crate) fn id(matches: &ArgMatches) -> Result<InstanceId, Fault> {
    let text = matches.get_one::<String>("id").map(String::as_str).unwrap_or_default();
    parse_id(text)
}

fn parse_id(text: &str) -> Result<InstanceId, Fault> {
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
