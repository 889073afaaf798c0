//! The reference of settings, written from the register.

use std::fmt::Write as _;

use super::register::{Arity, REGISTER};

/// Writes `docs/reference/settings.md`.
fn reference() -> String {
    let mut text = String::from(
        "# Settings of `imds serve`\n\n\
         <!-- Written by `make docs` from crates/cli/src/settings/register.rs. -->\n\n\
         Each can be a flag, a variable, or a key of the file named by `--config` or `IMDS_CONFIG`. \
         Flags win over variables, variables over the file. `imds serve --check` prints what holds, \
         and which layer set it.\n\n\
         The file also describes instances ([README](../../README.md#describe-your-own-instances)), and users, roles, policies \
         and an organization ([guide to policies](../guide/policies.md)).\n",
    );
    for setting in REGISTER {
        let (key, flag, variable) = (setting.key(), setting.flag(), setting.variable());
        let value = match setting.arity {
            Arity::Switch => String::new(),
            Arity::Many | Arity::One => format!(" {}", setting.value_name),
        };
        let default = match setting.default {
            Some(default) => format!("`{default}`"),
            None => "unset".to_owned(),
        };
        let help: Vec<_> = setting.help.trim().lines().map(str::trim).collect();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n## `{key}`\n\n`--{flag}{value}` · `{variable}` · default {default}\n\n{}\n",
            help.join("\n")
        );
    }
    text
}

/// The reference is written again where `UPDATE_REFERENCE` is set, and compared everywhere.
#[test]
fn the_reference_is_that_of_the_register() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/settings.md");
    let reference = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(path, &reference).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == reference, "docs/reference/settings.md is out of date: run `make docs`");
}
