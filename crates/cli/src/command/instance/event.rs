//! `imds instance event`: notices that an instance reads of itself.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use control::events::Notice;
use control::native::{InstanceView, Request};
use model::{LifecycleState, Line, MaintenanceCode, MaintenanceState, SpotAction, Timestamp};

use super::{id, value, view};
use crate::command::serve::print_out;
use crate::command::{ask, data_dir_argument, json_argument, understood};
use crate::fault::Fault;

pub(super) fn definition(id: Arg) -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let clear =
        |help: &'static str| Arg::new("clear").long("clear").action(ArgAction::SetTrue).help(help);
    let common = || [data_dir_argument(), json_argument()];
    Command::new("event")
        .about("Raise or clear a notice that an instance reads of itself, while it runs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(id)
        .subcommands([
            Command::new("spot")
                .about("A spot interruption: `spot/instance-action`, `spot/termination-time`")
                .args([
                    option("action", "terminate|stop|hibernate", "What will be done")
                        .default_value("terminate"),
                    option("time", "TIME", "When; in two minutes by default"),
                    clear("There is no interruption ahead any more")
                        .conflicts_with_all(["time"]),
                ])
                .args(common()),
            Command::new("rebalance")
                .about("A rebalance recommendation: `events/recommendations/rebalance`")
                .args([
                    option("time", "TIME", "When it was sent; now by default"),
                    clear("There is no recommendation any more").conflicts_with("time"),
                ])
                .args(common()),
            Command::new("maintenance")
                .about("Maintenance: `events/maintenance/scheduled` and `history`")
                .args([
                    option("code", "CODE", "instance-reboot, system-reboot, system-maintenance, \
                         instance-retirement or instance-stop"),
                    option("event-id", "EVENT", "The id of a new event; one is made by default"),
                    option("description", "TEXT", "What it is, for people").requires("code"),
                    option("not-before", "TIME", "When it begins at the earliest; now by default")
                        .requires("code"),
                    option("not-after", "TIME", "When it ends at the latest").requires("code"),
                    option("cancel", "EVENT", "The event is called off"),
                    option("complete", "EVENT", "The event is over"),
                ])
                .group(
                    ArgGroup::new("what").args(["code", "cancel", "complete"]).required(true),
                )
                .args(common()),
            Command::new("autoscaling")
                .about("The state that an Auto Scaling group moves it to: \
                        `autoscaling/target-lifecycle-state`")
                .args([
                    Arg::new("state")
                        .value_name("STATE")
                        .help("InService, Standby, Detached, Terminated, Warmed:Stopped …")
                        .required_unless_present("clear"),
                    clear("It is in no group any more").conflicts_with("state"),
                ])
                .args(common()),
        ])
        .after_help(
            "Times are written 2026-11-22T12:00:00Z.\n\nExample:\n  imds instance event \
             i-1234567890abcdef0 spot --action stop\n  imds get latest/meta-data/spot/instance-action",
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    let instance_id = id(matches)?;
    let Some((kind, of)) = matches.subcommand() else {
        return Err(Fault::usage("no such notice: `imds instance event --help` lists them"));
    };
    let notice = notice(kind, of)?;
    let answer = ask(of, &Request::Notice { instance_id, notice })?;
    if of.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    let InstanceView { instance, .. } = understood(answer)?;
    let lines: Vec<_> =
        view::notices(&instance).iter().map(|line| format!("{}\n", view::harmless(line))).collect();
    print_out(&lines.concat())
}

fn notice(kind: &str, of: &ArgMatches) -> Result<Notice, Fault> {
    match kind {
        "spot" if of.get_flag("clear") => Ok(Notice::ClearSpot {}),
        "spot" => {
            let action = value::<SpotAction>(of, "action")?.unwrap_or(SpotAction::Terminate);
            Ok(Notice::Spot { action, time: time(of, "time")? })
        }
        "rebalance" if of.get_flag("clear") => Ok(Notice::ClearRebalance {}),
        "rebalance" => Ok(Notice::Rebalance { time: time(of, "time")? }),
        "autoscaling" => match value::<LifecycleState>(of, "state")? {
            Some(state) => Ok(Notice::TargetState { state }),
            None => Ok(Notice::ClearTargetState {}),
        },
        _ => maintenance(of),
    }
}

fn maintenance(of: &ArgMatches) -> Result<Notice, Fault> {
    let ended = |name, state| {
        let event_id = line(of, name)?;
        Ok(event_id.map(|event_id| Notice::MaintenanceEnded { event_id, state }))
    };
    if let Some(ended) = ended("cancel", MaintenanceState::Canceled)? {
        return Ok(ended);
    }
    if let Some(ended) = ended("complete", MaintenanceState::Completed)? {
        return Ok(ended);
    }
    let code = value::<MaintenanceCode>(of, "code")?;
    Ok(Notice::Maintenance {
        event_id: line(of, "event-id")?,
        code: code.ok_or_else(|| Fault::usage("--code: name the kind of maintenance"))?,
        description: line(of, "description")?,
        not_before: time(of, "not-before")?,
        not_after: time(of, "not-after")?,
    })
}

fn line(of: &ArgMatches, name: &str) -> Result<Option<Line>, Fault> {
    let text = of.get_one::<String>(name);
    text.map(|text| text.parse())
        .transpose()
        .map_err(|refusal: model::LineRefusal| Fault::usage(format!("--{name}: {refusal}")))
}

fn time(of: &ArgMatches, name: &str) -> Result<Option<Timestamp>, Fault> {
    let text = of.get_one::<String>(name);
    text.map(|text| text.parse())
        .transpose()
        .map_err(|refusal: model::TimestampRefusal| Fault::usage(format!("--{name}: {refusal}")))
}
