//! Reads what cloud-init goes by.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::doctor::firmware::{Field, Firmware};

/// Reads it, below `root`.
pub(crate) fn read(root: &Path) -> Firmware {
    let dmi = |name: &str| field(&root.join("sys/class/dmi/id").join(name));
    Firmware {
        sys_vendor: dmi("sys_vendor"),
        product_name: dmi("product_name"),
        product_uuid: dmi("product_uuid"),
        product_serial: dmi("product_serial"),
        chassis_asset_tag: dmi("chassis_asset_tag"),
        hypervisor_uuid: field(&root.join("sys/hypervisor/uuid")),
        chosen_by: by_kernel(root).or_else(|| by_settings(root)),
        has_cloud_init: root.join("etc/cloud/cloud.cfg").exists(),
    }
}

fn field(path: &Path) -> Field {
    match fs::read_to_string(path) {
        Ok(text) => Field::Says(text.trim().to_owned()),
        Err(fault) if fault.kind() == ErrorKind::PermissionDenied => Field::Denied,
        Err(_) => Field::Absent,
    }
}

/// The kernel's command line may name the data source: `ds=`, `ci.ds=` or `ci.datasource=`.
fn by_kernel(root: &Path) -> Option<String> {
    let line = fs::read_to_string(root.join("proc/cmdline")).ok()?;
    let names_ec2 = |word: &&str| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let value = value.split(';').next().unwrap_or_default();
        matches!(key, "ds" | "ci.ds" | "ci.datasource") && value.eq_ignore_ascii_case("ec2")
    };
    let word = line.split_whitespace().find(names_ec2)?;
    Some(format!("the kernel's command line ({word})"))
}

/// The settings may leave no other choice: `datasource_list: [ Ec2 ]`, the last one said.
fn by_settings(root: &Path) -> Option<String> {
    let directory = root.join("etc/cloud/cloud.cfg.d");
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "cfg"));
    files.sort();
    files.insert(0, root.join("etc/cloud/cloud.cfg"));
    let list = |path: &Path| {
        let text = fs::read_to_string(path).ok()?;
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let value =
            lines.filter_map(|line| line.trim().strip_prefix("datasource_list:")).next_back();
        Some((value?.to_owned(), path.display().to_string()))
    };
    let (value, path) = files.iter().filter_map(|path| list(path)).next_back()?;
    let is_mark = |c: char| matches!(c, '[' | ']' | ',' | '"' | '\'') || c.is_whitespace();
    let names: Vec<_> = value.split(is_mark).filter(|name| !name.is_empty()).collect();
    let is_ec2 = |name: &&str| name.eq_ignore_ascii_case("ec2");
    let is_only = match names.as_slice() {
        [name] | [name, "None"] => is_ec2(name),
        _ => false,
    };
    is_only.then(|| format!("datasource_list in {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_from_its_place() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path()), Firmware::default());
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
        write("sys/class/dmi/id/product_serial", "ec2-1\n");
        write("sys/hypervisor/uuid", "ec2-2\n");
        write("etc/cloud/cloud.cfg", "datasource_list: [ NoCloud, Ec2 ]\n");
        let found = read(root.path());
        assert_eq!(found.sys_vendor, Field::Says("Amazon EC2".to_owned()));
        assert_eq!(found.product_serial, Field::Says("ec2-1".to_owned()));
        assert_eq!(found.product_uuid, Field::Absent);
        assert_eq!(found.hypervisor_uuid, Field::Says("ec2-2".to_owned()));
        assert!(found.has_cloud_init);
        assert_eq!(found.chosen_by, None);

        write("etc/cloud/cloud.cfg.d/90_dpkg.cfg", "# by dpkg\ndatasource_list: [ Ec2, None ]\n");
        let chosen = read(root.path()).chosen_by.unwrap();
        assert!(chosen.ends_with("etc/cloud/cloud.cfg.d/90_dpkg.cfg"), "{chosen}");
        write("proc/cmdline", "root=/dev/sda1 ci.ds=Ec2;x quiet\n");
        let chosen = read(root.path()).chosen_by.unwrap();
        assert_eq!(chosen, "the kernel's command line (ci.ds=Ec2;x)");
    }
}
