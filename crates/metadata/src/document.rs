//! The documents of an instance that are not secret: identity, instance profile, events.

use model::{Instance, InstanceProfileStatus, KernelId, MaintenanceState, RamdiskId, Timestamp};

use crate::json::Object;

/// Renders `dynamic/instance-identity/document`: the bytes that its signatures cover.
///
/// EC2: the order is alphabetical but for `marketplaceProductCodes`; `version` is that of the
/// format (data plane, 6.2).
pub fn identity_document(instance: &Instance) -> String {
    let primary = instance.primary_interface();
    let private_ip = primary.and_then(model::Interface::primary_ipv4).map(|ip| ip.to_string());
    Object::new()
        .text("accountId", instance.account_id.as_str())
        .text("architecture", instance.architecture.as_str())
        .text("availabilityZone", &instance.placement.availability_zone)
        .list("billingProducts", instance.billing_products.iter().map(|code| &**code))
        .optional("devpayProductCodes", None)
        .list("marketplaceProductCodes", instance.product_codes.iter().map(|code| &**code))
        .text("imageId", &instance.ami_id.text())
        .text("instanceId", &instance.id.text())
        .text("instanceType", &instance.instance_type)
        .optional("kernelId", instance.kernel_id.map(KernelId::text).as_deref())
        .text("pendingTime", &instance.pending_time.to_string())
        .optional("privateIp", private_ip.as_deref())
        .optional("ramdiskId", instance.ramdisk_id.map(RamdiskId::text).as_deref())
        .text("region", instance.region.as_str())
        .text("version", "2017-09-30")
        .end()
}

/// Renders `iam/info`, for an instance with an instance profile.
pub(crate) fn iam_info(instance: &Instance) -> Option<String> {
    let profile = instance.instance_profile.as_ref()?;
    let updated = instance.last_modified.to_string();
    let (account, partition) = (instance.account_id, instance.region.partition());
    let arn = format!("arn:{partition}:iam::{account}:instance-profile/{}", profile.name);
    let info = match (profile.status, &profile.role) {
        (InstanceProfileStatus::Deleted, _) => Object::new()
            .text("Code", "InstanceProfileNotFound")
            .text(
                "Message",
                &format!("Instance Profile {arn} cannot be found. Please see documentation."),
            )
            .text("LastUpdated", &updated),
        (InstanceProfileStatus::Active, None) => Object::new()
            .text("Code", "Success")
            .text("Message", &format!("Instance Profile does not contain a role. {arn}"))
            .text("LastUpdated", &updated)
            .text("InstanceProfileArn", &arn)
            .text("InstanceProfileId", &profile.id),
        (InstanceProfileStatus::Active, Some(_)) => Object::new()
            .text("Code", "Success")
            .text("LastUpdated", &updated)
            .text("InstanceProfileArn", &arn)
            .text("InstanceProfileId", &profile.id),
    };
    Some(info.end())
}

/// Renders `identity-credentials/ec2/info`.
pub(crate) fn identity_credentials_info(instance: &Instance) -> String {
    Object::new()
        .text("Code", "Success")
        .text("LastUpdated", &instance.last_modified.to_string())
        .text("AccountId", instance.account_id.as_str())
        .end()
}

/// Which maintenance events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timetable {
    /// Those that are over or called off.
    History,
    /// Those that are active.
    Scheduled,
}

/// Renders `events/maintenance/history` or `scheduled`.
pub(crate) fn maintenance(instance: &Instance, timetable: Timetable) -> String {
    let is_shown = |state| match timetable {
        Timetable::History => state != MaintenanceState::Active,
        Timetable::Scheduled => state == MaintenanceState::Active,
    };
    let events: Vec<String> = instance
        .events
        .maintenance
        .iter()
        .filter(|event| is_shown(event.state))
        .map(|event| {
            let description = match event.state {
                MaintenanceState::Active => event.description.to_string(),
                MaintenanceState::Canceled => format!("[Canceled] {}", event.description),
                MaintenanceState::Completed => format!("[Completed] {}", event.description),
            };
            let object = Object::indented()
                .text("NotBefore", &event.not_before.event_date().to_string())
                .text("Code", event.code.as_str())
                .text("Description", &description)
                .text("EventId", &event.event_id);
            match event.not_after {
                Some(time) => object.text("NotAfter", &time.event_date().to_string()),
                None => object,
            }
            .text("State", event.state.as_str())
            .end()
        })
        .collect();
    match events.as_slice() {
        [] => "[]".to_owned(),
        events => format!("[\n{}\n]", events.join(",\n")),
    }
}

/// Renders `events/recommendations/rebalance`.
pub(crate) fn rebalance(notice: Timestamp) -> String {
    format!("{{\"noticeTime\": \"{notice}\"}}")
}

/// Renders `spot/instance-action`.
pub(crate) fn spot_action(interruption: model::SpotInterruption) -> String {
    format!("{{\"action\": \"{}\", \"time\": \"{}\"}}", interruption.action, interruption.time)
}

#[cfg(test)]
mod tests {
    use model::{MaintenanceCode, MaintenanceEvent};

    use super::*;

    #[test]
    fn the_identity_document_has_the_layout_of_ec2s() {
        let mut instance = Instance::default_instance();
        instance.region = "us-west-2".parse().unwrap();
        instance.placement.availability_zone = "us-west-2a".parse().unwrap();
        instance.instance_type = "t3.micro".parse().unwrap();
        let expected = r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "us-west-2a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0abcdef1234567890",
  "instanceId" : "i-1234567890abcdef0",
  "instanceType" : "t3.micro",
  "kernelId" : null,
  "pendingTime" : "2025-03-04T09:40:24Z",
  "privateIp" : "10.0.1.10",
  "ramdiskId" : null,
  "region" : "us-west-2",
  "version" : "2017-09-30"
}"#;
        assert_eq!(identity_document(&instance), expected);
        instance.product_codes = vec!["1abc2defghijklm3nopqrs4tu".parse().unwrap()].into();
        assert!(
            identity_document(&instance)
                .contains(r#""marketplaceProductCodes" : [ "1abc2defghijklm3nopqrs4tu" ]"#)
        );
    }

    #[test]
    fn maintenance_events_are_scheduled_or_history() {
        let mut instance = Instance::default_instance();
        instance.events.maintenance.push(MaintenanceEvent {
            event_id: "instance-event-0d59937288b749b32".parse().unwrap(),
            code: MaintenanceCode::SystemReboot,
            description: "scheduled reboot".parse().unwrap(),
            not_before: "2019-01-21T09:00:43Z".parse().unwrap(),
            not_after: "2019-01-21T09:17:23Z".parse().ok(),
            state: MaintenanceState::Active,
        });
        let expected = r#"[
  {
    "NotBefore" : "21 Jan 2019 09:00:43 GMT",
    "Code" : "system-reboot",
    "Description" : "scheduled reboot",
    "EventId" : "instance-event-0d59937288b749b32",
    "NotAfter" : "21 Jan 2019 09:17:23 GMT",
    "State" : "active"
  }
]"#;
        assert_eq!(maintenance(&instance, Timetable::Scheduled), expected);
        assert_eq!(maintenance(&instance, Timetable::History), "[]");
        for event in &mut instance.events.maintenance {
            event.state = MaintenanceState::Completed;
        }
        assert_eq!(maintenance(&instance, Timetable::Scheduled), "[]");
        assert!(
            maintenance(&instance, Timetable::History).contains("[Completed] scheduled reboot")
        );
    }
}
