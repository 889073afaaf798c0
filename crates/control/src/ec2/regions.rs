//! `DescribeRegions` and `DescribeAvailabilityZones`.

use model::Region;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::inventory::zones;
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// What an account has to do to use a region.
const FREE: &str = "opt-in-not-required";

/// The account uses a region that it had to opt into.
const OPTED_IN: &str = "opted-in";

/// The account would have to opt into a region.
const NOT_OPTED_IN: &str = "not-opted-in";

/// The regions of EC2 that every account of their partition uses.
const REGIONS: [&str; 25] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "us-west-1",
    "us-west-2",
];

/// The regions of EC2 that an account opts into.
const OPTIONAL_REGIONS: [&str; 17] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// Describes the regions of the caller's partition: those of EC2, and the one that it asks in. There
/// is nothing to opt into here: requests of any region are answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeRegions {
    all_regions: Option<bool>,
    filter: Vec<Filter>,
    region_name: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeRegionsAnswer {
    region_info: Vec<RegionElement>,
}

/// `regionInfo/item`
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct RegionElement {
    opt_in_status: &'static str,
    region_name: String,
    region_endpoint: String,
}

impl Action for DescribeRegions {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let filters = Filters::new(self.filter, &of_regions())?;
        let all = regions(&desk.scope.region);
        let is_there = |name: &&String| all.iter().any(|region| region.region_name == **name);
        if let Some(name) = self.region_name.iter().find(|name| !is_there(name)) {
            let reason = "There is no such region.";
            return Err(ApiFault::invalid_value_for(name, "RegionName", reason));
        }
        let is_shown = |region: &RegionElement| {
            let is_named = self.region_name.contains(&region.region_name);
            let is_used = region.opt_in_status != NOT_OPTED_IN;
            let by_default = self.all_regions == Some(true) || is_used;
            is_named || self.region_name.is_empty() && by_default
        };
        let shown = all.iter().filter(|region| is_shown(region) && filters.admit(region));
        Ok(Answer::of(DescribeRegionsAnswer { region_info: shown.cloned().collect() }))
    }
}

/// The regions of a partition, by name.
fn regions(own: &Region) -> Vec<RegionElement> {
    let free = REGIONS.into_iter().map(|name| (name, FREE));
    let optional = OPTIONAL_REGIONS.into_iter().map(|name| {
        let status = if own.as_str() == name { OPTED_IN } else { NOT_OPTED_IN };
        (name, status)
    });
    let mut named: Vec<(&str, &'static str)> = free.chain(optional).collect();
    if !named.iter().any(|(name, _)| *name == own.as_str()) {
        named.push((own.as_str(), FREE));
    }
    named.sort_unstable();
    let element = |(name, opt_in_status): (&str, &'static str)| {
        let region: Region = name.parse().ok()?;
        (region.partition() == own.partition()).then(|| RegionElement {
            opt_in_status,
            region_name: name.to_owned(),
            region_endpoint: format!("ec2.{name}.{}", region.service_domain()),
        })
    };
    named.into_iter().filter_map(element).collect()
}

fn of_regions() -> [Known<RegionElement>; 3] {
    [
        Known::new("endpoint", |region| (&*region.region_endpoint).into()),
        Known::new("opt-in-status", |region| region.opt_in_status.into()),
        Known::new("region-name", |region| (&*region.region_name).into()),
    ]
}

/// Describes the zones of the caller's region.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeAvailabilityZones {
    // Local zones would be shown too, and there are none.
    all_availability_zones: Option<IgnoredAny>,
    filter: Vec<Filter>,
    zone_id: Vec<String>,
    zone_name: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeAvailabilityZonesAnswer {
    availability_zone_info: Vec<ZoneElement>,
}

/// `availabilityZoneInfo/item`
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ZoneElement {
    opt_in_status: &'static str,
    message_set: Vec<String>,
    region_name: String,
    zone_name: String,
    zone_id: String,
    group_name: String,
    network_border_group: String,
    zone_type: &'static str,
    zone_state: &'static str,
}

impl Action for DescribeAvailabilityZones {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let filters = Filters::new(self.filter, &of_zones())?;
        let region = &desk.scope.region;
        let all = zones(&desk.scope).map(|(name, id)| ZoneElement {
            opt_in_status: FREE,
            message_set: Vec::new(),
            region_name: region.to_string(),
            zone_name: name.to_string(),
            zone_id: id.to_string(),
            group_name: format!("{region}-zg-1"),
            network_border_group: region.to_string(),
            zone_type: "availability-zone",
            zone_state: "available",
        });
        let refused =
            |text: &str, name| ApiFault::invalid_value_for(text, name, "The zone does not exist.");
        let is_name = |name: &&String| all.iter().any(|zone| zone.zone_name == **name);
        if let Some(name) = self.zone_name.iter().find(|name| !is_name(name)) {
            return Err(refused(name, "ZoneName"));
        }
        let is_id = |id: &&String| all.iter().any(|zone| zone.zone_id == **id);
        if let Some(id) = self.zone_id.iter().find(|id| !is_id(id)) {
            return Err(refused(id, "ZoneId"));
        }
        let names_none = self.zone_name.is_empty() && self.zone_id.is_empty();
        let is_named = |zone: &ZoneElement| {
            names_none
                || self.zone_name.contains(&zone.zone_name)
                || self.zone_id.contains(&zone.zone_id)
        };
        let shown = all.iter().filter(|zone| is_named(zone) && filters.admit(zone));
        let availability_zone_info = shown.cloned().collect();
        Ok(Answer::of(DescribeAvailabilityZonesAnswer { availability_zone_info }))
    }
}

fn of_zones() -> [Known<ZoneElement>; 8] {
    [
        Known::new("group-name", |zone| (&*zone.group_name).into()),
        Known::new("opt-in-status", |zone| zone.opt_in_status.into()),
        Known::new("region-name", |zone| (&*zone.region_name).into()),
        Known::new("state", |zone| zone.zone_state.into()),
        Known::new("zone-id", |zone| (&*zone.zone_id).into()),
        Known::new("zone-name", |zone| (&*zone.zone_name).into()),
        Known::new("zone-state", |zone| zone.zone_state.into()),
        Known::new("zone-type", |zone| zone.zone_type.into()),
    ]
}

#[cfg(test)]
mod tests {
    use crate::ec2::site::{Site, elements};

    const REGIONS: &str = "Action=DescribeRegions";
    const ZONES: &str = "Action=DescribeAvailabilityZones";

    #[test]
    fn regions_are_those_of_the_partition() {
        let site = Site::new();
        let answer = site.ask(REGIONS).unwrap();
        assert_eq!(elements(&answer, "regionName").len(), 17);
        assert!(answer.contains(
            "<item><optInStatus>opt-in-not-required</optInStatus>\
             <regionName>eu-west-3</regionName>\
             <regionEndpoint>ec2.eu-west-3.amazonaws.com</regionEndpoint></item>"
        ));
        let all = format!("{REGIONS}&AllRegions=true");
        assert_eq!(site.all(&all, "regionName").len(), 34);
        let named = format!("{REGIONS}&RegionName.1=mx-central-1&RegionName.2=us-east-2");
        assert_eq!(site.all(&named, "optInStatus"), ["not-opted-in", "opt-in-not-required"]);
        let filtered = format!("{REGIONS}&Filter.1.Name=endpoint&Filter.1.Value.1=*us-west*");
        assert_eq!(site.all(&filtered, "regionName"), ["us-west-1", "us-west-2"]);
        assert_eq!(
            site.refusal(&format!("{REGIONS}&RegionName.1=us-gov-west-1")),
            (
                "InvalidParameterValue".to_owned(),
                "Value (us-gov-west-1) for parameter RegionName is invalid. There is no such \
                 region."
                    .to_owned()
            )
        );
    }

    #[test]
    fn the_region_that_asks_is_among_them() {
        for (region, count, opt_in_status) in [
            ("mx-central-1", 18, "opted-in"),
            ("my-lab-1", 18, "opt-in-not-required"),
            ("cn-north-1", 2, "opt-in-not-required"),
            ("us-gov-west-1", 2, "opt-in-not-required"),
        ] {
            let mut site = Site::new();
            site.scope.region = region.parse().unwrap();
            assert_eq!(site.all(REGIONS, "regionName").len(), count, "{region}");
            let named = format!("{REGIONS}&RegionName.1={region}");
            assert_eq!(site.all(&named, "optInStatus"), [opt_in_status]);
        }
    }

    #[test]
    fn zones_are_named_and_filtered() {
        let site = Site::new();
        let answer = site.ask(ZONES).unwrap();
        assert_eq!(elements(&answer, "zoneName"), ["us-east-1a", "us-east-1b", "us-east-1c"]);
        let named = format!("{ZONES}&ZoneName.1=us-east-1b&AllAvailabilityZones=true");
        let ids = site.all(&named, "zoneId");
        let by_id = format!("{ZONES}&ZoneId.1={}", ids[0]);
        assert_eq!(site.all(&by_id, "zoneName"), ["us-east-1b"]);
        let filtered = format!("{ZONES}&Filter.1.Name=zone-name&Filter.1.Value.1=*a");
        assert_eq!(site.all(&filtered, "zoneState"), ["available"]);
        for form in ["ZoneName.1=us-east-1z", "ZoneId.1=x", "Filter.1.Name=x&Filter.1.Value.1=y"] {
            let refusal = site.refusal(&format!("{ZONES}&{form}"));
            assert_eq!(refusal.0, "InvalidParameterValue", "{form}");
        }
    }
}
