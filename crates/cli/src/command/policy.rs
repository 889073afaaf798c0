//! `imds policy check`: what would be decided, by which statement, and why.
//!
//! ```text
//! flags ─┐
//!        ├─▶ Question ─▶ InForce, compiled ─▶ policy::explain ─▶ report, or JSON
//! file ──┘               (from files)          for each action on each resource
//! ```
//!
//! [`InForce`] does not care where its documents come from.

mod documents;
mod flags;
mod principal;
mod question;
mod report;

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
    let in_force = InForce::read(&question)?;
    for doubt in in_force.doubts() {
        say!("imds: {doubt}");
    }
    let requests = requests(&question)?;
    in_force.with_layers(|layers| {
        let explanations: Vec<_> = requests.iter().map(|asked| explain(layers, asked)).collect();
        let is_explained = matches.get_flag("explain");
        let text = if matches.get_flag("json") {
            report::lines(&requests, &explanations, is_explained)?
        } else {
            report::text(&requests, &explanations, is_explained)
        };
        print_out(&text)?;
        let is_allowed = explanations.iter().all(|explanation| explanation.verdict.is_allowed());
        Ok(if is_allowed { Outcome::Done } else { Outcome::Found })
    })
}

/// Every action on every resource.
fn requests(question: &Question) -> Result<Vec<Request>, Fault> {
    let refused = |refusal: policy::RequestRefusal| Fault::usage(refusal.to_string());
    let principal = question.principal()?;
    let mut context = Context::default();
    context.insert_time(Clock::start().now().wall).map_err(refused)?;
    for (key, values) in &question.context.0 {
        if !key.contains(':') {
            return Err(Fault::usage(format!(
                "`{key}` is not a condition key: use one such as aws:SourceIp"
            )));
        }
        let values = values.0.iter().map(|value| Value::text(value)).collect();
        context.insert(key, values).map_err(refused)?;
    }
    let mut requests = Vec::new();
    for action in &question.action.0 {
        for resource in &question.resource.0 {
            let account = question.account_of(resource, &principal)?;
            let (principal, context) = (principal.clone(), context.clone());
            let request = Request::new(principal, action, resource, account, context);
            requests.push(request.map_err(refused)?);
        }
    }
    Ok(requests)
}
