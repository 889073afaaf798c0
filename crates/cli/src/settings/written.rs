//! What the user gave, and which layer won.

use std::collections::BTreeMap;
use std::fmt;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::file::ConfigFile;
use super::kind::Kind;
use super::register::{Arity, REGISTER, Setting};

/// Where a value came from, in rising order of weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Default,
    File { path: String, line: usize },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// A setting's values, and the layer that gave them.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) values: Vec<String>,
    pub(crate) layer: Layer,
}

/// Everything that was given, one entry a setting.
#[derive(Debug)]
pub(crate) struct Written(BTreeMap<&'static str, Given>);

/// A value that is none.
#[derive(Debug, thiserror::Error)]
#[error("{layer}: `{key}`: {reason}")]
pub(crate) struct SettingRefusal {
    key: String,
    layer: Layer,
    reason: String,
}

impl Written {
    /// Puts the layers over each other: defaults, file, variables, flags.
    pub(crate) fn gather(
        file: &ConfigFile,
        variable: impl Fn(&str) -> Option<String>,
        flags: &ArgMatches,
    ) -> Self {
        let entry =
            |setting: &'static Setting| (setting.name, given(setting, file, &variable, flags));
        Self(REGISTER.iter().map(entry).collect())
    }

    /// Reads a setting.
    pub(crate) fn read<T: Kind>(&self, name: &'static str) -> Result<T, SettingRefusal> {
        let unset = Given { values: Vec::new(), layer: Layer::Default };
        let given = self.0.get(name).unwrap_or(&unset);
        let layer = given.layer.clone();
        T::read(&given.values).map_err(|reason| {
            let setting = REGISTER.iter().find(|setting| setting.name == name);
            let key = setting.map_or_else(|| name.to_owned(), Setting::key);
            SettingRefusal { key, layer, reason }
        })
    }

    /// Returns whether anyone has set a setting.
    pub(crate) fn is_set(&self, name: &'static str) -> bool {
        self.0.get(name).is_some_and(|given| given.layer != Layer::Default)
    }

    /// Returns each setting with what was given for it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Setting, &Given)> {
        REGISTER.iter().filter_map(|setting| Some((setting, self.0.get(setting.name)?)))
    }
}

fn given(
    setting: &'static Setting,
    file: &ConfigFile,
    variable: &impl Fn(&str) -> Option<String>,
    flags: &ArgMatches,
) -> Given {
    if flags.value_source(setting.name) == Some(ValueSource::CommandLine) {
        let values = match setting.arity {
            Arity::Switch => vec!["true".to_owned()],
            Arity::Many | Arity::One => {
                flags.get_many::<String>(setting.name).unwrap_or_default().cloned().collect()
            }
        };
        return Given { values, layer: Layer::Flag(setting.flag()) };
    }
    let name = setting.variable();
    if let Some(text) = variable(&name) {
        let values = match setting.arity {
            Arity::Many => text.split(',').map(|part| part.trim().to_owned()).collect(),
            Arity::One | Arity::Switch => vec![text],
        };
        return Given { values, layer: Layer::Variable(name) };
    }
    if let Some((values, line)) = file.settings.get(setting.name) {
        let layer = Layer::File { path: file.path.clone(), line: *line };
        return Given { values: values.clone(), layer };
    }
    Given {
        values: setting.default.map(str::to_owned).into_iter().collect(),
        layer: Layer::Default,
    }
}
