//! What it takes to describe a fleet through the EC2 API: page by page, and the one that a filter
//! finds.

use std::path::Path;
use std::time::Instant;

use crate::operator::Operator;
use crate::servers::Server;
use crate::stats::{millis, number};
use crate::{Fault, kernel};

/// LIMIT: a fleet larger than this is not walked through: every page looks at all of it.
pub(crate) const WALKED_MAX: u32 = 100_000;

/// Instances of a page.
pub(crate) const PAGE: usize = 1000;

/// The tag of the one instance that the filter finds.
pub(crate) const TAG: &str = "needle";

/// Walks through the whole fleet.
const WALKS: usize = 3;

/// Questions with a filter.
const FINDS: usize = 11;

/// What it takes to describe a fleet. Times are in milliseconds.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) instances: u32,
    /// Of each page of all walks.
    pub(crate) pages: Vec<f64>,
    /// Of each walk.
    pub(crate) whole: Vec<f64>,
    /// Of each question for the instance with a tag.
    pub(crate) finds: Vec<f64>,
    /// Bytes of the longest page.
    pub(crate) page_bytes: f64,
    /// Bytes resident before.
    pub(crate) resident: f64,
    /// The most that was resident meanwhile.
    pub(crate) peak: f64,
}

/// Describes the fleet of a server that has its state in `dir`.
pub(crate) fn measure(
    server: &Server,
    imds: &Path,
    dir: &Path,
    instances: u32,
) -> Result<Walk, Fault> {
    let operator = Operator::of(imds, dir)?;
    let resident = number(kernel::resident_bytes(server.pid())?);
    kernel::forget_peak(server.pid())?;
    let mut walk = Walk {
        instances,
        pages: Vec::new(),
        whole: Vec::new(),
        finds: Vec::new(),
        page_bytes: 0.0,
        resident,
        peak: 0.0,
    };
    for _ in 0..WALKS {
        let began = Instant::now();
        let seen = walk_through(&operator, &mut walk)?;
        walk.whole.push(millis(began.elapsed()));
        // And the default instance.
        if seen != u64::from(instances) + 1 {
            return Err(format!("{seen} instances were described, of {instances}").into());
        }
    }
    for _ in 0..FINDS {
        let form =
            format!("Action=DescribeInstances&Filter.1.Name=tag:Name&Filter.1.Value.1={TAG}");
        let (found, time) = ask(&operator, &form)?;
        walk.finds.push(time);
        if count(&found) != 1 {
            return Err(
                format!("a filter found {} instances in place of one", count(&found)).into()
            );
        }
    }
    walk.peak = number(kernel::peak_bytes(server.pid())?);
    Ok(walk)
}

fn walk_through(operator: &Operator, walk: &mut Walk) -> Result<u64, Fault> {
    let (mut seen, mut next) = (0, String::new());
    loop {
        let form = format!("Action=DescribeInstances&MaxResults={PAGE}{next}");
        let (page, time) = ask(operator, &form)?;
        walk.pages.push(time);
        walk.page_bytes = walk.page_bytes.max(number(page.len() as u64));
        seen += count(&page);
        let token = page.split_once("<nextToken>").and_then(|(_, rest)| rest.split_once('<'));
        let Some((token, _)) = token else { return Ok(seen) };
        next = format!("&NextToken={token}");
    }
}

fn ask(operator: &Operator, form: &str) -> Result<(String, f64), Fault> {
    let request = operator.request(form)?;
    let began = Instant::now();
    let answer = operator.send(&request)?;
    Ok((answer, millis(began.elapsed())))
}

fn count(page: &str) -> u64 {
    page.matches("<instanceId>").count() as u64
}
