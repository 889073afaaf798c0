//! An instance, for people to read.

use std::fmt::Write as _;

use control::native::{AttachmentView, InstanceView};
use model::{Instance, MaintenanceState};

/// Writes everything that people look for in an instance; `--json` has the rest.
pub(super) fn view(InstanceView { endpoints, attached, instance }: &InstanceView) -> String {
    let mut text = String::new();
    for (name, value) in facts(instance) {
        line(&mut text, name, &value);
    }
    for endpoint in endpoints {
        line(&mut text, "endpoint", endpoint);
    }
    for AttachmentView { attachment, waiting, .. } in attached {
        let waits = waiting.as_ref().map(|reason| format!("{attachment} waits: {reason}"));
        line(&mut text, "attachment", &waits.unwrap_or_else(|| attachment.clone()));
    }
    for (key, value) in instance.tags.iter() {
        line(&mut text, "tag", &format!("{key}={value}"));
    }
    for notice in notices(instance) {
        line(&mut text, "notice", &notice);
    }
    text.push('\n');
    text.push_str(&options(instance));
    text
}

/// Writes each option, its value, and what set it.
pub(super) fn options(instance: &Instance) -> String {
    let (now, by) = (&instance.options, &instance.option_layers);
    let hops = now.http_put_response_hop_limit.to_string();
    let rows = [
        ("http-tokens", now.http_tokens.as_str(), by.http_tokens),
        ("http-put-response-hop-limit", &*hops, by.http_put_response_hop_limit),
        ("http-endpoint", now.http_endpoint.as_str(), by.http_endpoint),
        ("http-protocol-ipv6", now.http_protocol_ipv6.as_str(), by.http_protocol_ipv6),
        ("instance-metadata-tags", now.instance_metadata_tags.as_str(), by.instance_metadata_tags),
    ];
    let row = |(name, value, by): (&str, &str, model::OptionLayer)| {
        let template = instance.attributes.launch_template.as_ref();
        let template = template.filter(|_| by == model::OptionLayer::LaunchTemplate);
        let which = template.map(|of| format!(" {} version {}", of.launch_template_id, of.version));
        format!("{name:<28} {value:<9} set by: {by}{}\n", which.unwrap_or_default())
    };
    rows.map(row).concat()
}

fn facts(instance: &Instance) -> Vec<(&'static str, String)> {
    let Instance { attributes, .. } = instance;
    let mut facts = vec![
        ("instance", instance.id.to_string()),
        ("state", instance.state.to_string()),
        ("image", instance.ami_id.to_string()),
        ("type", instance.instance_type.to_string()),
        ("account", instance.account_id.to_string()),
        ("region", instance.region.to_string()),
        ("zone", instance.placement.availability_zone.to_string()),
        ("launched", instance.pending_time.to_string()),
    ];
    if let Some(reason) = &attributes.state_reason {
        facts.push(("reason", reason.message.to_string()));
    }
    for interface in &instance.interfaces {
        let ipv4 = interface.ipv4.iter().map(|address| match address.public {
            Some(public) => format!("{} (public {public})", address.private),
            None => address.private.to_string(),
        });
        let all = ipv4.chain(interface.ipv6.iter().map(ToString::to_string)).collect::<Vec<_>>();
        facts.push(("interface", format!("{} {}", interface.mac, all.join(" "))));
    }
    if let Some(profile) = &instance.instance_profile {
        facts.push(("profile", profile.name.to_string()));
    }
    facts
}

/// Writes what the instance is told of itself, a line each.
pub(super) fn notices(instance: &Instance) -> Vec<String> {
    let events = &instance.events;
    let mut all = Vec::new();
    if let Some(spot) = events.spot {
        all.push(format!("spot: {} at {}", spot.action, spot.time));
    }
    if let Some(time) = events.rebalance {
        all.push(format!("rebalance: recommended at {time}"));
    }
    if let Some(state) = events.target_lifecycle_state {
        all.push(format!("target state: {state}"));
    }
    for event in &events.maintenance {
        let when = match event.state {
            MaintenanceState::Active => format!("from {}", event.not_before),
            MaintenanceState::Canceled | MaintenanceState::Completed => event.state.to_string(),
        };
        all.push(format!("maintenance {}: {}, {when}", event.event_id, event.code));
    }
    all
}

fn line(text: &mut String, name: &str, value: &str) {
    // A string takes whatever is written.
    let _ = writeln!(text, "{name:<11} {}", harmless(value));
}

/// What a terminal does nothing with but show it: whoever may tag an instance must not be able to write
/// over what an operator reads, or turn it around.
pub(super) fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_control() || turns(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_turns_text_around_is_shown_as_what_it_is() {
        assert_eq!(super::harmless("web \u{202e}1\u{1b}[2J"), "web \\u{202e}1\\u{1b}[2J");
    }
}
