//! What is asked, as flags or a file say it.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use model::AccountId;
use policy::Principal;
use serde::Deserialize;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};

use crate::command::policy::documents::{STANDARD_INPUT, full_access, text};
use crate::command::policy::principal;
use crate::fault::Fault;

/// Who is asked about if nobody is named.
pub(crate) const ANYBODY: &str = "arn:aws:iam::123456789012:user/anybody";

/// Members of a file, which are named as the flags are. A member is one value or a list of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) policy: Many,
    pub(crate) boundary: Option<String>,
    pub(crate) session_policy: Many,
    pub(crate) resource_policy: Many,
    pub(crate) trust_policy: Option<String>,
    /// Levels in order, each with its documents.
    pub(crate) scp: Members,
    pub(crate) rcp: Members,
    pub(crate) principal: Option<String>,
    pub(crate) principal_tag: Members,
    pub(crate) action: Many,
    pub(crate) resource: Many,
    pub(crate) resource_account: Option<String>,
    pub(crate) context: Members,
}

/// One value or several. Numbers and booleans are taken for their text, as in a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Many(pub(crate) Vec<String>);

/// Names with their values, in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(pub(crate) Vec<(String, Many)>);

impl Question {
    /// Reads a file.
    pub(crate) fn read(file: &str) -> Result<Self, Fault> {
        let text = text(file)?;
        let mut question: Self = serde_json::from_str(&text).map_err(|fault| {
            Fault::usage(format!("{file}: {fault}: members are named as the flags of this command"))
        })?;
        if let Some(directory) = Path::new(file).parent() {
            question.files().for_each(|name| *name = beside(directory, name));
        }
        Ok(question)
    }

    /// The names of all documents.
    pub(crate) fn files(&mut self) -> impl Iterator<Item = &mut String> {
        let levels = self.scp.0.iter_mut().chain(&mut self.rcp.0);
        let lists = [&mut self.policy, &mut self.session_policy, &mut self.resource_policy];
        let lists = lists.into_iter().chain(levels.map(|(_, names)| names));
        let single = self.boundary.iter_mut().chain(&mut self.trust_policy);
        lists.flat_map(|names| &mut names.0).chain(single)
    }

    /// Returns every action with every resource.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&str, &str)> {
        let resources = self.resource.0.iter().map(String::as_str);
        self.action.0.iter().flat_map(move |action| {
            resources.clone().map(move |resource| (action.as_str(), resource))
        })
    }

    /// Returns who asks.
    pub(crate) fn principal(&self) -> Result<Principal, Fault> {
        let mut principal = principal::read(self.principal.as_deref().unwrap_or(ANYBODY))?;
        for (key, values) in &self.principal_tag.0 {
            let [value] = &*values.0 else {
                return Err(Fault::usage(format!(
                    "the tag `{key}` of the principal has one value"
                )));
            };
            principal.tags.push((key.clone(), value.clone()));
        }
        Ok(principal)
    }

    /// Returns whose a resource is: the one that was named, that of its ARN, or the caller's.
    pub(crate) fn account_of(
        &self,
        resource: &str,
        principal: &Principal,
    ) -> Result<AccountId, Fault> {
        if let Some(named) = &self.resource_account {
            return named
                .parse()
                .map_err(|why| Fault::usage(format!("--resource-account `{named}`: {why}")));
        }
        let of_arn = resource.split(':').nth(4).and_then(|account| account.parse().ok());
        of_arn.or(principal.account).ok_or_else(|| {
            Fault::usage(format!(
                "whose is `{resource}`? Neither it nor who asks has an account: name one with \
                 --resource-account"
            ))
        })
    }
}

/// Names a file as it is named beside another. What is no file keeps its name.
fn beside(directory: &Path, name: &str) -> String {
    if name.is_empty() || name == STANDARD_INPUT || full_access(name).is_some() {
        return name.to_owned();
    }
    directory.join(name).to_string_lossy().into_owned()
}

impl Members {
    /// Takes over what others say, each name in the place of its own, whatever the case of letters.
    pub(crate) fn replace(&mut self, others: Self) {
        let is_other =
            |name: &str| others.0.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        self.0.retain(|(name, _)| !is_other(name));
        self.0.extend(others.0);
    }

    /// Adds a value to those of a name.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let at = self.0.iter().position(|(known, _)| known == name);
        match at.and_then(|at| self.0.get_mut(at)) {
            Some((_, values)) => values.0.push(value.to_owned()),
            None => self.0.push((name.to_owned(), Many(vec![value.to_owned()]))),
        }
    }
}

impl<'de> Deserialize<'de> for Many {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData::<Self>))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(PhantomData::<Self>))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de> Visitor<'de> for Reader<Many> {
    type Value = Many;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E>(self, value: &str) -> Result<Many, E> {
        Ok(Many(vec![value.to_owned()]))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Many, E> {
        Ok(Many(vec![value.to_string()]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Many, E> {
        Ok(Many(vec![value.to_string()]))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Many, E> {
        Ok(Many(vec![value.to_string()]))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Many, E> {
        Ok(Many(vec![value.to_string()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Many, A::Error> {
        let mut values = Vec::new();
        while let Some(Many(more)) = list.next_element()? {
            let [value] = <[String; 1]>::try_from(more)
                .map_err(|_| A::Error::custom("a list within a list: use one list"))?;
            values.push(value);
        }
        Ok(Many(values))
    }
}

impl<'de> Visitor<'de> for Reader<Members> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
        let mut members: Vec<(String, Many)> = Vec::new();
        while let Some((name, values)) = object.next_entry()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("`{name}` stands there twice")));
            }
            members.push((name, values));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_one_value_or_a_list() {
        let read = |text| serde_json::from_str::<Many>(text).map(|many| many.0).ok();
        assert_eq!(read(r#""a""#), Some(vec!["a".to_owned()]));
        assert_eq!(read(r#"["a", 2, true]"#), Some(vec!["a".into(), "2".into(), "true".into()]));
        assert_eq!(read("2.5"), Some(vec!["2.5".to_owned()]));
        assert_eq!(read("[]"), Some(Vec::new()));
        assert_eq!(read(r#"[["a"], ["b", "c"]]"#), None);
        assert_eq!(read("null"), None);
    }

    #[test]
    fn members_keep_their_order_and_stand_once() {
        let read = serde_json::from_str::<Members>;
        let names = |members: Members| members.0.into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(names(read(r#"{"z": "1", "a": []}"#).unwrap()), ["z", "a"]);
        assert!(read(r#"{"z": "1", "z": "2"}"#).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_resource_belongs_to_its_account_or_the_callers() {
        let principal = principal::read(ANYBODY).unwrap();
        let question = Question::default();
        for (resource, account) in [
            ("*", "123456789012"),
            ("arn:aws:s3:::bucket/a", "123456789012"),
            ("arn:aws:ec2:us-east-1::image/ami-1", "123456789012"),
            ("arn:aws:ec2:us-east-1:210987654321:instance/*", "210987654321"),
        ] {
            let found = question.account_of(resource, &principal).unwrap();
            assert_eq!(found.as_str(), account, "{resource}");
        }
        let service = principal::read("ec2.amazonaws.com").unwrap();
        assert!(question.account_of("arn:aws:s3:::bucket", &service).is_err());
    }
}
