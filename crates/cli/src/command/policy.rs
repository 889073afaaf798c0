//! `imds policy check`: what would be decided, by which statement, and why.
//!
//! ```text
//! flags ─┐
//!        ├─▶ Question ─▶ InForce, compiled ─▶ policy::explain ─▶ report, or JSON
//! file ──┘               (from files, or       for each action on each resource
//!                         from a server too)
//! ```
//!
//! [`InForce`] does not care where its documents come from.

mod documents;
mod flags;
mod principal;
mod question;
mod report;
mod served;

use std::slice::from_ref;

use clap::{ArgMatches, Command};
use policy::{Context, Request, Value, explain};
use server::Clock;

use crate::command::policy::documents::InForce;
use crate::command::policy::question::Question;
use crate::command::serve::print_out;
use crate::command::{Outcome, json_argument};
use crate::fault::Fault;

pub(crate) fn definition() -> Command {
    Command::new("policy")
        .about("IAM and organization policies")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(flags::check().arg(json_argument()))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<Outcome, Fault> {
    match matches.subcommand() {
        Some(("check", matches)) => check(matches),
        _ => Err(Fault::usage("no such command: `imds policy --help` lists them")),
    }
}

fn check(matches: &ArgMatches) -> Result<Outcome, Fault> {
    let question = flags::question(matches)?;
    let files = InForce::read(&question)?;
    for doubt in files.doubts() {
        say!("imds: {doubt}");
    }
    let server = if matches.get_flag("server") {
        if question.principal.is_none() {
            return Err(Fault::usage("--server: whose policies? Name somebody with --principal"));
        }
        Some(served::Source::open(matches)?)
    } else {
        None
    };
    let (is_explained, is_json) = (matches.get_flag("explain"), matches.get_flag("json"));
    let (mut text, mut outcome) = (String::new(), Outcome::Done);
    for (action, resource) in question.asked() {
        let mut principal = question.principal()?;
        let account = question.account_of(resource, &principal)?;
        let mut in_force = files.clone();
        if let Some(server) = &server {
            in_force.add(server.in_force(&principal, action, resource, account)?);
            principal.tags.extend(in_force.tags.iter().cloned());
        }
        let context = context(&question, &in_force.keys)?;
        let request = Request::new(principal, action, resource, account, context);
        let request = request.map_err(refused)?;
        let told = in_force.with_layers(|layers| -> Result<String, Fault> {
            let explanation = explain(layers, &request);
            if !explanation.verdict.is_allowed() {
                outcome = Outcome::Found;
            }
            let (request, explanation) = (from_ref(&request), from_ref(&explanation));
            if is_json {
                report::lines(request, explanation, is_explained)
            } else {
                Ok(report::text(request, explanation, is_explained))
            }
        })?;
        if is_explained && !is_json && !text.is_empty() {
            text.push('\n');
        }
        text += &told;
    }
    print_out(&text)?;
    Ok(outcome)
}

/// What is known of the request: what is said of it, above what follows from who asks.
fn context(question: &Question, known: &[(String, String)]) -> Result<Context, Fault> {
    let mut context = Context::default();
    context.insert_time(Clock::start().now().wall).map_err(refused)?;
    for (key, value) in known {
        context.insert(key, vec![Value::text(value)]).map_err(refused)?;
    }
    for (key, values) in &question.context.0 {
        if !key.contains(':') {
            return Err(Fault::usage(format!(
                "`{key}` is not a condition key: use one such as aws:SourceIp"
            )));
        }
        let values = values.0.iter().map(|value| Value::text(value)).collect();
        context.insert(key, values).map_err(refused)?;
    }
    Ok(context)
}

#[expect(clippy::needless_pass_by_value, reason = "what errors are mapped with takes them")]
fn refused(refusal: policy::RequestRefusal) -> Fault {
    Fault::usage(refusal.to_string())
}
