//! Where and when a measurement was made, and of what.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use crate::cores::Cores;
use crate::table::Table;

/// Describes the machine, the day, the commit and the command.
pub(crate) fn describe(cores: Cores, nginx: &str) -> Table {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let system = rustix::system::uname();
    let kernel =
        format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy());
    let mut table = Table::new(["", ""]);
    for (name, value) in [
        ("processor", processor()),
        ("memory", memory_of(&memory).unwrap_or_else(unknown)),
        ("kernel", kernel),
        ("servers on core, load on core", format!("{}, {}", cores.server, cores.load)),
        ("nginx", nginx.to_owned()),
        ("commit", commit().unwrap_or_else(unknown)),
        ("day", today()),
        ("command", command()),
    ] {
        table.row([name.to_owned(), value]);
    }
    table
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn processor() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let hypervisor = cpuinfo
        .lines()
        .any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"));
    let place = if hypervisor { ", in a virtual machine" } else { "" };
    format!("{}, {cores} cores{place}", model.unwrap_or_else(|| env::consts::ARCH.to_owned()))
}

fn memory_of(meminfo: &str) -> Option<String> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{} GiB", (kib + (1 << 19)) >> 20))
}

/// The commit that is checked out, and whether the files differ from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}, with local changes") })
}

/// The command, without the places where this machine keeps its programs.
fn command() -> String {
    let words: Vec<String> = env::args()
        .enumerate()
        .map(|(place, word)| {
            let path = Path::new(&word);
            match path.file_name() {
                Some(name) if place == 0 || path.is_absolute() => {
                    name.to_string_lossy().into_owned()
                }
                _ => word,
            }
        })
        .collect();
    format!("`{}`", words.join(" "))
}

fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since.as_secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02} (UTC)")
}

/// The Gregorian date that many days after 1970-01-01.
///
/// Counts years from March, so that the leap day is the last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_1970: u64 = 719_468; // From 0000-03-01.
    const DAYS_IN_400_YEARS: u64 = 146_097;

    let days = days + DAYS_BEFORE_1970;
    let day_of_era = days % DAYS_IN_400_YEARS;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = days / DAYS_IN_400_YEARS * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_088, (2024, 12, 31)),
            (20_089, (2025, 1, 1)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "day {days}");
        }
    }

    #[test]
    fn memory_is_rounded_to_gib() {
        assert_eq!(memory_of("MemTotal:       24683520 kB\n").as_deref(), Some("24 GiB"));
    }
}
