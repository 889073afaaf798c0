//! The flags of `imds policy check`, and what they come to together with a file.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::command::data_dir_argument;
use crate::command::policy::documents::STANDARD_INPUT;
use crate::command::policy::question::{ANYBODY, Many, Members, Question};
use crate::fault::Fault;

const LONG_ABOUT: &str = "\
Say whether a request would be allowed, by which statement of which policy, and why not.

The documents are files, and `-` is standard input. With --server those count that a server has in \
force for --principal, and files add to them. Each action is decided on each resource. What is not in force is left out: without --scp there is no organization, without \
--boundary no permissions boundary.";

const AFTER_HELP: &str = "\
Examples:
  imds policy check --policy admin.json --policy require-v2.json --action ec2:RunInstances \\
    --resource 'arn:aws:ec2:us-east-1:123456789012:instance/*' \\
    --context ec2:MetadataHttpTokens=optional --explain
  imds policy check --trust-policy trust.json --principal ec2.amazonaws.com \\
    --action sts:AssumeRole --resource arn:aws:iam::123456789012:role/app
  imds policy check --request launch.json --json
  imds policy check --server --principal arn:aws:iam::222222222222:user/dev \\
    --action ec2:RunInstances --resource 'arn:aws:ec2:us-east-1:222222222222:instance/*' \\
    --context ec2:MetadataHttpTokens=optional

A file for --request is a JSON object whose members are named as these flags:
  {\"policy\": [\"admin.json\"], \"scp\": {\"root\": \"FullAWSAccess\", \"ou-1\": [\"FullAWSAccess\", \
\"require-v2.json\"]},
   \"principal\": \"arn:aws:iam::123456789012:user/dev\", \"principal_tag\": {\"team\": \"web\"},
   \"action\": \"ec2:RunInstances\", \"resource\": \
\"arn:aws:ec2:us-east-1:123456789012:instance/*\",
   \"context\": {\"ec2:MetadataHttpTokens\": \"optional\", \"aws:TagKeys\": [\"Name\", \"team\"]}}
Its documents are looked for beside it. What flags say takes the place of its member; tags and \
keys, each by its name.

Exit status: 0 everything is allowed, 3 something is denied, 2 not written right, or a document \
that cannot be read.";

/// Defines `imds policy check`.
pub(crate) fn check() -> Command {
    Command::new("check")
        .about("Say whether a request would be allowed, by which statement, and why not")
        .long_about(LONG_ABOUT)
        .after_help(AFTER_HELP)
        .args(documents())
        .args(request())
        .arg(
            Arg::new("server")
                .long("server")
                .action(ArgAction::SetTrue)
                .help("Decide with what the server has in force for --principal"),
        )
        .arg(data_dir_argument())
        .arg(
            Arg::new("explain")
                .long("explain")
                .action(ArgAction::SetTrue)
                .help("Print everything that was looked at, as a tree"),
        )
}

fn documents() -> [Arg; 7] {
    [
        many("policy", "FILE", "Identity policy of who asks, inline or attached (repeatable)"),
        one("boundary", "FILE", "Permissions boundary of the user or the role"),
        many("session_policy", "FILE", "Policy that the session was asked for with (repeatable)"),
        many("resource_policy", "FILE", "Policy of the resource (repeatable)"),
        one("trust_policy", "FILE", "Trust policy of the role that the resource is"),
        many(
            "scp",
            "LEVEL=FILE",
            "Service control policy of a level of the organization, from the root down \
             (repeatable); FILE may be FullAWSAccess; an empty one is a level without policies",
        ),
        many(
            "rcp",
            "LEVEL=FILE",
            "Resource control policy, likewise; FILE may be RCPFullAWSAccess",
        ),
    ]
}

fn request() -> [Arg; 7] {
    [
        one("request", "FILE", "Read the request, and which documents are in force, from JSON"),
        one("principal", "ARN", "Who asks: a user, a role, a session or an account's root by its ARN, a service by its name, or `anonymous`")
            .long_help(format!(
                "Who asks: a user, a role, a session or an account's root by its ARN, a service \
                 by its name, or `anonymous` [default: {ANYBODY}]"
            )),
        many("principal_tag", "KEY=VALUE", "Tag of who asks (repeatable)"),
        many("action", "ACTION", "What is asked for, such as ec2:RunInstances (repeatable)"),
        many("resource", "ARN", "On what (repeatable) [default: *]"),
        one("resource_account", "ID", "Whose the resource is, if its ARN does not say so"),
        many(
            "context",
            "KEY=VALUE",
            "Condition key of the request (repeatable; the same key again is another value); \
             aws:CurrentTime is now",
        ),
    ]
}

fn one(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name.replace('_', "-")).value_name(value).help(help)
}

fn many(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    one(name, value, help).action(ArgAction::Append)
}

/// Reads what is asked: the file if there is one, and what the flags say above it.
pub(crate) fn question(matches: &ArgMatches) -> Result<Question, Fault> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let mut question = match text("request") {
        Some(file) => Question::read(&file)?,
        None => Question::default(),
    };
    for (name, member) in [
        ("boundary", &mut question.boundary),
        ("principal", &mut question.principal),
        ("resource_account", &mut question.resource_account),
        ("trust_policy", &mut question.trust_policy),
    ] {
        *member = text(name).or_else(|| member.take());
    }
    for (name, member) in [
        ("action", &mut question.action),
        ("policy", &mut question.policy),
        ("resource", &mut question.resource),
        ("resource_policy", &mut question.resource_policy),
        ("session_policy", &mut question.session_policy),
    ] {
        if let Some(values) = matches.get_many::<String>(name) {
            *member = Many(values.cloned().collect());
        }
    }
    for (name, member) in [("scp", &mut question.scp), ("rcp", &mut question.rcp)] {
        let levels = pairs(matches, name, "LEVEL=FILE")?;
        if !levels.0.is_empty() {
            *member = levels;
        }
    }
    question.context.replace(pairs(matches, "context", "KEY=VALUE")?);
    question.principal_tag.replace(pairs(matches, "principal_tag", "KEY=VALUE")?);
    if question.files().filter(|name| **name == STANDARD_INPUT).count() > 1 {
        return Err(Fault::usage("standard input is one document: name files for the others"));
    }
    if question.action.0.is_empty() {
        return Err(Fault::usage(
            "nothing is asked for: name an action with --action, such as ec2:RunInstances",
        ));
    }
    if question.resource.0.is_empty() {
        question.resource = Many(vec!["*".to_owned()]);
    }
    Ok(question)
}

fn pairs(matches: &ArgMatches, name: &str, form: &str) -> Result<Members, Fault> {
    let mut members = Members::default();
    for text in matches.get_many::<String>(name).into_iter().flatten() {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| {
            let flag = name.replace('_', "-");
            Fault::usage(format!("--{flag} `{text}`: write it as {form}"))
        })?;
        members.add(name, value);
    }
    Ok(members)
}
