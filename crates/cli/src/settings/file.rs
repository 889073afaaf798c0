//! The config file: settings at its top and in tables, then tables of what is described: instances, what
//! IAM keeps, and the organization.
//!
//! Every refusal names the file, the line, the key, the value, and what would be right.

mod documents;
mod iam;
mod organization;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::start::{Described, DescribedOrganization, StartRefusal};
use model::{Common, Iam, IamKey, Instance, InstanceId, Interface, OptionsChange};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use self::iam::ManagedPolicies;
use self::organization::OrganizationLines;
use super::instance_tables::{instance_tables, without};
use super::register::{Arity, REGISTER, Setting};

/// The tables of what is described.
const DESCRIPTIONS: [&str; 7] =
    ["instance", "role", "user", "group", "policy", "instance_profile", "organization"];

/// What a config file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) path: String,
    /// Values of settings, with the line of each.
    pub(crate) settings: BTreeMap<&'static str, (Vec<String>, usize)>,
    pub(crate) instances: Vec<Described>,
    /// Roles, users and the like.
    pub(crate) iam: Vec<Iam>,
    pub(crate) organization: Option<DescribedOrganization>,
    /// The lines in which an instance names its profile and its attachments.
    lines: BTreeMap<InstanceId, [Option<usize>; 2]>,
    /// The lines in which what IAM keeps is described.
    iam_lines: BTreeMap<IamKey, usize>,
    organization_lines: OrganizationLines,
}

/// Why a config file is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileRefusal {
    #[error("the config file `{path}` cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("{path}:{line}: {message}\n    {text}")]
    Wrong {
        path: String,
        line: usize,
        message: String,
        /// The line itself.
        text: String,
    },
}

impl ConfigFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, FileRefusal> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text, path.parent().unwrap_or(Path::new(""))),
            Err(fault) => Err(FileRefusal::Unreadable { path: name, reason: fault.to_string() }),
        }
    }

    /// Reads a file's text. Files that it names are looked for in `directory`.
    fn parse(path: &str, text: &str, directory: &Path) -> Result<Self, FileRefusal> {
        let line_starts = line_starts(text);
        let source = Source { path, text, begin: 0, line_starts: &line_starts, directory };
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        let mut common = Common::default();
        // A parsed table is many times its text, so those of a fleet are parsed one by one.
        let tables = instance_tables(text);
        let rest = without(text, &tables);
        let is_apart = |rest: &Spanned<DeTable<'_>>| {
            tables.is_empty() || !rest.get_ref().contains_key("instance")
        };
        let (table, tables) = match DeTable::parse(&rest).ok().filter(is_apart) {
            Some(table) => (table, &tables[..]),
            None => (DeTable::parse(text).map_err(|fault| source.toml(&fault, 0..0))?, &[][..]),
        };
        for span in tables {
            let source = Source { begin: span.start, ..source };
            let table = text.get(span.clone()).unwrap_or_default();
            let table = DeTable::parse(table).map_err(|fault| source.toml(&fault, 0..0))?;
            for (_, value) in table.into_inner() {
                let read = |table| source.instance(table, &mut file.lines, &mut common);
                file.instances.extend(source.tables("instance", value, read)?);
            }
        }
        let managed = ManagedPolicies::of(table.get_ref());
        for (key, value) in table.into_inner() {
            let span = key.span();
            match key.into_inner().as_ref() {
                "instance" => {
                    let read = |table| source.instance(table, &mut file.lines, &mut common);
                    file.instances.extend(source.tables("instance", value, read)?);
                }
                "organization" => {
                    let (described, lines) = source.organization(value)?;
                    (file.organization, file.organization_lines) = (Some(described), lines);
                }
                name if iam::is_table(name) => {
                    let read =
                        |table| source.iam_table((name, table), &managed, &mut file.iam_lines);
                    file.iam.extend(source.tables(name, value, read)?);
                }
                name if REGISTER.iter().any(|setting| setting.table == Some(name)) => {
                    source.settings_in(name, value, &mut file.settings)?;
                }
                name => source.take_setting(name, name, (&value, &span), &mut file.settings)?,
            }
        }
        Ok(file)
    }

    /// Returns where the file says what a start refuses, in the form `file:line: `.
    pub(crate) fn place_of(&self, refusal: &StartRefusal) -> Option<String> {
        let line = match refusal {
            StartRefusal::NoDefaultInstance(_) => Some(self.settings.get("default_instance")?.1),
            StartRefusal::RoleNotForEc2 { instance, .. }
            | StartRefusal::RoleWithoutSource { instance, .. } => self.lines.get(instance)?[0],
            StartRefusal::SharedAttachment { second: instance, .. }
            | StartRefusal::ListenerIsShared { instance, .. }
            | StartRefusal::NoSharedListener { instance, .. } => self.lines.get(instance)?[1],
            StartRefusal::GroupUnknown { user: key, .. }
            | StartRefusal::PolicyUnknown { holder: key, .. }
            | StartRefusal::RoleUnknown { profile: key, .. }
            | StartRefusal::SharedAccessKey { user: key, .. }
            | StartRefusal::UserIsAdministrator(key) => Some(*self.iam_lines.get(key)?),
            StartRefusal::Organization { table, .. } => self.organization_lines.of(*table),
            StartRefusal::KeysLost | StartRefusal::Twice(_) => None,
        };
        line.map(|line| format!("{}:{line}: ", self.path))
    }
}

/// The text being read.
#[derive(Clone, Copy)]
struct Source<'t> {
    path: &'t str,
    /// All of it.
    text: &'t str,
    /// Where the part begins from which spans are counted.
    begin: usize,
    /// Where each line but the first begins: a large fleet asks for many lines.
    line_starts: &'t [usize],
    directory: &'t Path,
}

impl<'t> Source<'t> {
    /// Reads a table of settings.
    fn settings_in(
        &self,
        table: &str,
        value: Spanned<DeValue<'t>>,
        settings: &mut BTreeMap<&'static str, (Vec<String>, usize)>,
    ) -> Result<(), FileRefusal> {
        let span = value.span();
        let DeValue::Table(values) = value.into_inner() else {
            return Err(self.wrong(format!("write `{table}` as a [{table}] table"), &span));
        };
        for (key, value) in values {
            let (span, key) = (key.span(), key.into_inner());
            self.take_setting(&key, &format!("{table}.{key}"), (&value, &span), settings)?;
        }
        Ok(())
    }

    /// Reads the setting with this key.
    fn take_setting(
        &self,
        written: &str,
        key: &str,
        (value, span): (&Spanned<DeValue<'t>>, &Range<usize>),
        settings: &mut BTreeMap<&'static str, (Vec<String>, usize)>,
    ) -> Result<(), FileRefusal> {
        let Some(setting) = REGISTER.iter().find(|setting| setting.key() == key) else {
            return Err(self.unknown_setting(written, key, span));
        };
        let values = self.setting(setting, value)?;
        settings.insert(setting.name, (values, self.line(span)));
        Ok(())
    }

    /// Reads the values of a setting, and sees that each is one.
    fn setting(
        &self,
        setting: &Setting,
        value: &Spanned<DeValue<'t>>,
    ) -> Result<Vec<String>, FileRefusal> {
        let texts = match (value.get_ref(), setting.arity) {
            (DeValue::Array(values), Arity::Many) => values.iter().map(plain).collect(),
            _ => vec![plain(value)],
        };
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            let checked = match text {
                Some(text) => (setting.check)(&text).map(|()| text),
                None => Err(format!("use a value such as {}", setting.value_name)),
            };
            let named =
                |reason| self.wrong(format!("`{}`: {reason}", setting.key()), &value.span());
            values.push(checked.map_err(named)?);
        }
        Ok(values)
    }

    /// Reads the tables of an array.
    fn tables<T>(
        &self,
        name: &str,
        value: Spanned<DeValue<'t>>,
        mut read: impl FnMut(Spanned<DeTable<'t>>) -> Result<T, FileRefusal>,
    ) -> Result<Vec<T>, FileRefusal> {
        let span = value.span();
        let not_tables = || self.wrong(format!("write `{name}` as [[{name}]] tables"), &span);
        let DeValue::Array(values) = value.into_inner() else {
            return Err(not_tables());
        };
        let table = |value: Spanned<DeValue<'t>>| {
            let span = value.span();
            let DeValue::Table(table) = value.into_inner() else {
                return Err(not_tables());
            };
            read(Spanned::new(span, table))
        };
        values.into_iter().map(table).collect()
    }

    fn instance(
        &self,
        table: Spanned<DeTable<'t>>,
        lines: &mut BTreeMap<InstanceId, [Option<usize>; 2]>,
        common: &mut Common,
    ) -> Result<Described, FileRefusal> {
        let span = table.span();
        let mut table = table.into_inner();
        let id_span =
            ["id", "instance_id"].into_iter().find_map(|key| Some(table.get(key)?.span()));
        let places = ["instance_profile", "attachments"]
            .map(|key| table.get(key).map(|value| self.line(&value.span())));
        // Which options the file names matters, not only what they come to.
        let options = match table.remove("options") {
            Some(value) => self.deserialize::<OptionsChange>(value)?,
            None => OptionsChange::default(),
        };
        if let Some(value) = table.get_mut("user_data") {
            self.include_user_data(value)?;
        }
        let value = Spanned::new(span.clone(), DeValue::Table(table));
        let mut instance: Instance = self.deserialize(value)?;
        instance.options = options.apply(instance.options);
        if instance.interfaces.is_empty() {
            instance.interfaces.push(Interface::derived(instance.id));
        }
        instance.check().map_err(|refusal| self.wrong(refusal.to_string(), &span))?;
        if lines.insert(instance.id, places).is_some() {
            return Err(self.twice(&instance.id.text(), &id_span.unwrap_or(span)));
        }
        instance.share(common);
        Ok(Described { instance, options })
    }

    /// Puts the bytes of a file in place of `{ file = "…" }`.
    fn include_user_data(&self, value: &mut Spanned<DeValue<'t>>) -> Result<(), FileRefusal> {
        let span = value.span();
        let DeValue::Table(table) = value.get_mut() else {
            return Ok(());
        };
        let Some(DeValue::String(file)) = table.get("file").map(Spanned::get_ref) else {
            return Ok(());
        };
        let path = self.directory.join(file.as_ref());
        let bytes = fs::read(&path).map_err(|fault| {
            self.wrong(format!("`user_data`: `{}` cannot be read: {fault}", path.display()), &span)
        })?;
        let encoded = DeValue::String(STANDARD.encode(bytes).into());
        table.remove("file");
        table.insert(Spanned::new(span.clone(), "base64".into()), Spanned::new(span, encoded));
        Ok(())
    }

    fn deserialize<T: Deserialize<'t>>(
        &self,
        value: Spanned<DeValue<'t>>,
    ) -> Result<T, FileRefusal> {
        self.deserialize_beside(value, &[])
    }

    /// The same, where `others` are keys that may stand there too and were taken out before.
    fn deserialize_beside<T: Deserialize<'t>>(
        &self,
        value: Spanned<DeValue<'t>>,
        others: &[&str],
    ) -> Result<T, FileRefusal> {
        let span = value.span();
        T::deserialize(ValueDeserializer::from(value)).map_err(|fault| {
            let span = fault.span().unwrap_or(span);
            self.wrong(in_our_words(fault.message(), others), &span)
        })
    }

    fn twice(&self, name: &str, span: &Range<usize>) -> FileRefusal {
        self.wrong(format!("`{name}` is described twice: keep one of the tables"), span)
    }

    fn unknown_setting(&self, written: &str, key: &str, span: &Range<usize>) -> FileRefusal {
        let keys: Vec<_> = REGISTER.iter().map(Setting::key).collect();
        // In a table, what is known of it; elsewhere, everything.
        let table = key.strip_suffix(written).unwrap_or_default();
        let known = keys.iter().filter_map(|known| known.strip_prefix(table));
        let others = DESCRIPTIONS.into_iter().filter(|_| table.is_empty());
        self.wrong(unknown_key(written, known.chain(others)), span)
    }

    fn toml(&self, fault: &toml::de::Error, within: Range<usize>) -> FileRefusal {
        let span = fault.span().unwrap_or(within);
        self.wrong(in_our_words(fault.message(), &[]), &span)
    }

    fn wrong(&self, message: String, span: &Range<usize>) -> FileRefusal {
        let line = self.line(span);
        let text = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        let (message, text) = match may_be_secret(text) {
            // These messages quote the value; the others say what is wrong with it.
            Some(key) if message.starts_with("invalid") => {
                (format!("the value of `{key}` is not of the right kind"), format!("{key} = …"))
            }
            Some(key) => (message, format!("{key} = …")),
            None => (message, text.to_owned()),
        };
        FileRefusal::Wrong { path: self.path.to_owned(), line, message, text }
    }

    /// The line, counted from 1, in which a span begins.
    fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|start| *start <= self.begin + span.start) + 1
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    text.match_indices('\n').map(|(end, _)| end + 1).collect()
}

/// Returns the key of a line whose value is nobody's business.
fn may_be_secret(line: &str) -> Option<&str> {
    const SECRET_WORDS: [&str; 4] = ["secret", "session_token", "password", "user_data"];
    let key = line.split('=').next().unwrap_or_default().trim();
    // Several keys may stand on one line, in a table or a mistake.
    let word = SECRET_WORDS.into_iter().find(|word| line.contains(word))?;
    Some(if key.contains(word) { key } else { word })
}

/// Returns the text of a plain value.
fn plain(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Array(_) | DeValue::Datetime(_) | DeValue::Float(_) | DeValue::Table(_) => None,
    }
}

/// Says what is meant where a key is unknown, in place of listing all there are.
fn in_our_words(message: &str, others: &[&str]) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return message.to_owned();
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(name) => unknown_key(name, quoted.chain(others.iter().copied())),
        None => message.to_owned(),
    }
}

fn unknown_key<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.collect();
    let nearest = known.iter().map(|key| (strsim::damerau_levenshtein(name, key), *key)).min();
    match nearest {
        Some((distance, key)) if distance <= name.len() / 3 + 1 => {
            format!("unknown key `{name}`: did you mean `{key}`?")
        }
        _ => format!("unknown key `{name}`: use one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
