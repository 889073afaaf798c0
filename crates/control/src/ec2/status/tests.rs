use model::{InstanceState, MaintenanceCode, MaintenanceEvent, MaintenanceState, Switch};

use crate::ec2::site::{NOW, Site, elements};

const IMAGE: &str = "ImageId=ami-0abcdef1234567890";
const DESCRIBE: &str = "Action=DescribeInstanceStatus";

#[test]
fn those_that_run_are_described_unless_all_are_asked_for() {
    let site = Site::new();
    let (runs, stops) = (site.launch(IMAGE), site.launch(IMAGE));
    site.ask(&format!("Action=StopInstances&InstanceId.1={stops}")).unwrap();
    let answer = site.ask(DESCRIBE).unwrap();
    assert!(elements(&answer, "instanceId").contains(&runs));
    assert!(!elements(&answer, "instanceId").contains(&stops));
    let named = format!("{DESCRIBE}&InstanceId.1={stops}");
    assert!(site.all(&named, "instanceId").is_empty());
    let all = site.ask(&format!("{named}&IncludeAllInstances=true")).unwrap();
    assert_eq!(elements(&all, "instanceState"), ["<code>80</code><name>stopped</name>"]);
    assert_eq!(elements(&all, "instanceStatus"), [
        "<status>not-applicable</status><details/>"
    ]);
    let one = site.ask(&format!("{DESCRIBE}&InstanceId.1={runs}")).unwrap();
    let well = "<status>ok</status><details><item><name>reachability</name>\
                <status>passed</status></item></details>";
    assert_eq!(elements(&one, "instanceStatus"), [well]);
    assert_eq!(elements(&one, "systemStatus"), [well]);
    for (filter, count) in [
        ("instance-state-name&Filter.1.Value.1=stopped", 1),
        ("instance-state-code&Filter.1.Value.1=16", 2),
        ("instance-status.status&Filter.1.Value.1=ok", 2),
        ("system-status.reachability&Filter.1.Value.1=passed", 2),
        ("availability-zone&Filter.1.Value.1=us-*", 3),
        ("event.code&Filter.1.Value.1=instance-stop", 0),
    ] {
        let form = format!("{DESCRIBE}&IncludeAllInstances=true&Filter.1.Name={filter}");
        assert_eq!(site.all(&form, "instanceId").len(), count, "{filter}");
    }
    for (form, code) in [
        (format!("{DESCRIBE}&MaxResults=5&InstanceId.1={runs}"), "InvalidParameterCombination"),
        (format!("{DESCRIBE}&InstanceId.1=i-0bad0bad0bad0bad0"), "InvalidInstanceID.NotFound"),
        (format!("{DESCRIBE}&InstanceId.1=x"), "InvalidInstanceID.Malformed"),
        (format!("{DESCRIBE}&MaxResults=4"), "InvalidMaxResults"),
    ] {
        assert_eq!(site.refusal(&form).0, code, "{form}");
    }
}

#[test]
fn what_is_going_to_happen_is_shown() {
    let site = Site::new();
    let id = site.launch(IMAGE);
    let mut instance = site.stored(&id);
    let event = |number: u8, state| MaintenanceEvent {
        event_id: format!("instance-event-0000000{number}").parse().unwrap(),
        code: MaintenanceCode::InstanceStop,
        description: "The host is old".parse().unwrap(),
        not_before: NOW,
        not_after: None,
        state,
    };
    instance.events.maintenance =
        vec![event(1, MaintenanceState::Active), event(2, MaintenanceState::Completed)];
    let change = |_: &store::Snapshot| -> Result<_, std::convert::Infallible> {
        let instance = std::sync::Arc::new(instance);
        Ok((vec![store::Change::PutInstance(instance, store::Origin::Api)], ()))
    };
    site.store.transact(change).unwrap();
    let form = format!(
        "{DESCRIBE}&Filter.1.Name=event.instance-event-id&Filter.1.Value.1=*-00000001"
    );
    let answer = site.ask(&form).unwrap();
    assert_eq!(elements(&answer, "instanceId"), [id]);
    assert_eq!(elements(&answer, "code"), ["instance-stop", "instance-stop", "16"]);
    assert_eq!(elements(&answer, "description"), ["The host is old", "[Completed] The host is old"]);
    assert_eq!(elements(&answer, "notBefore")[0], "2026-09-21T14:13:20.000Z");
}

#[test]
fn monitoring_is_turned_on_and_off() {
    let site = Site::new();
    let (one, other) = (site.launch(IMAGE), site.launch(IMAGE));
    let ids = format!("InstanceId.1={one}&InstanceId.2={other}");
    let missing = "InstanceId.3=i-0bad0bad0bad0bad0";
    for (action, state, stored) in [
        ("MonitorInstances", "pending", Switch::Enabled),
        ("UnmonitorInstances", "disabling", Switch::Disabled),
    ] {
        let refusal = site.refusal(&format!("Action={action}&{ids}&{missing}"));
        assert_eq!(refusal.1, "The instance ID 'i-0bad0bad0bad0bad0' does not exist");
        assert_ne!(site.stored(&one).monitoring, stored, "all or none");
        let answer = site.ask(&format!("Action={action}&{ids}")).unwrap();
        assert_eq!(elements(&answer, "instanceId"), [&*one, &*other]);
        assert_eq!(elements(&answer, "state"), [state, state]);
        assert_eq!(site.stored(&other).monitoring, stored);
        let message = "The request must contain the parameter InstanceId";
        assert_eq!(site.refusal(&format!("Action={action}")).1, message);
    }
    assert_eq!(site.stored(&one).state, InstanceState::Running);
}
