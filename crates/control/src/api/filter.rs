//! Filters of the Describe actions (control plane, 1.6).
//!
//! Filters are joined by AND, the values of one by OR. In a value `*` stands for any run of
//! characters and `?` for one or none; a backslash takes their meaning from them.
//!
//! An action declares its filters as a table, a line each:
//!
//! ```text
//! let table = [
//!     Known::tags(|item: &Item| item.tags()),
//!     Known::new("instance-id", |item: &Item| item.id.to_string().into()),
//! ];
//! let filters = Filters::new(request.filters, &table)?;
//! items.filter(|item| filters.admit(item))
//! ```

use std::borrow::Cow;

use serde::Deserialize;

use super::fault::ApiFault;

/// LIMIT: the most filters of a request. EC2 documents it.
pub const FILTERS_MAX: usize = 50;

/// LIMIT: the most values of a filter. EC2 documents it.
pub const VALUES_MAX: usize = 200;

/// LIMIT: the longest value, in characters. EC2 documents it; a tag's value has 256 at most.
pub const VALUE_CHARACTERS_MAX: usize = 255;

/// A filter as it is asked for: `Filter.1.Name=tag:Name&Filter.1.Value.1=x`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// The name.
    pub name: String,
    /// Its values.
    #[serde(default, rename = "Value")]
    pub values: Vec<String>,
}

/// What an item has under the name of a filter. A filter that finds nothing admits nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// Several values: any of them will do.
    Many(Vec<Cow<'a, str>>),
    /// No value.
    None,
    /// One value.
    One(Cow<'a, str>),
}

impl Values<'_> {
    fn has(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Many(values) => values.iter().any(|value| matches(value)),
            Self::None => false,
            Self::One(value) => matches(value),
        }
    }

    /// Makes values of anything that is shown as text.
    pub fn shown(value: &impl ToString) -> Self {
        Self::One(Cow::Owned(value.to_string()))
    }
}

impl<'a> From<&'a str> for Values<'a> {
    fn from(value: &'a str) -> Self {
        Self::One(Cow::Borrowed(value))
    }
}

impl<'a> From<Option<&'a str>> for Values<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::None, Self::from)
    }
}

impl<'a, T: Into<Cow<'a, str>>> FromIterator<T> for Values<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::Many(values.into_iter().map(Into::into).collect())
    }
}

/// Reads what an item has for a filter.
type ReadValues<T> = for<'a> fn(&'a T) -> Values<'a>;

/// Reads keys and values of an item's tags.
type ReadTags<T> = for<'a> fn(&'a T) -> Vec<(&'a str, &'a str)>;

/// A filter that an action knows.
pub struct Known<T>(Reads<T>);

enum Reads<T> {
    Tags(ReadTags<T>),
    Values(&'static str, ReadValues<T>),
}

impl<T> Known<T> {
    /// Declares a filter by its name.
    pub const fn new(name: &'static str, values: ReadValues<T>) -> Self {
        Self(Reads::Values(name, values))
    }

    /// Declares the filters that everything with tags has: `tag:KEY` and `tag-key`.
    pub const fn tags(tags: ReadTags<T>) -> Self {
        Self(Reads::Tags(tags))
    }

    fn find(&self, name: &str) -> Option<Read<T>> {
        match self.0 {
            Reads::Tags(tags) if name == "tag-key" => Some(Read::TagKeys(tags)),
            Reads::Tags(tags) => {
                let key = name.strip_prefix("tag:")?;
                Some(Read::Tag(key.to_owned(), tags))
            }
            Reads::Values(known, values) => (known == name).then_some(Read::Values(values)),
        }
    }
}

/// What a filter looks at.
enum Read<T> {
    Tag(String, ReadTags<T>),
    TagKeys(ReadTags<T>),
    Values(ReadValues<T>),
}

/// The filters of a request.
pub struct Filters<T> {
    conditions: Vec<(Read<T>, Vec<Pattern>)>,
}

impl<T> Filters<T> {
    /// Takes up the filters of a request.
    ///
    /// # Errors
    ///
    /// - `InvalidParameterValue` for a filter that is not in the table, or that has no values.
    /// - `FilterLimitExceeded` for more or longer ones than the limits.
    pub fn new(given: Vec<Filter>, table: &[Known<T>]) -> Result<Self, ApiFault> {
        let exceeded = |message| Err(ApiFault::filter_limit_exceeded(message));
        if given.len() > FILTERS_MAX {
            return exceeded("A request has at most 50 filters.");
        }
        let mut conditions = Vec::with_capacity(given.len());
        for Filter { name, values } in given {
            let read = table.iter().find_map(|known| known.find(&name));
            let read = read.ok_or_else(|| ApiFault::invalid_filter(&name))?;
            if values.is_empty() {
                return Err(ApiFault::filter_without_values(&name));
            }
            if values.len() > VALUES_MAX {
                return exceeded("A filter has at most 200 values.");
            }
            if values.iter().any(|value| value.chars().count() > VALUE_CHARACTERS_MAX) {
                return exceeded("The maximum length for a filter value is 255 characters.");
            }
            conditions.push((read, values.iter().map(|value| Pattern::parse(value)).collect()));
        }
        Ok(Self { conditions })
    }

    /// Whether every filter lets the item through.
    pub fn admit(&self, item: &T) -> bool {
        self.conditions.iter().all(|(read, patterns)| {
            let fits = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
            match read {
                Read::Tag(key, tags) => {
                    tags(item).into_iter().any(|(tag, value)| tag == key && fits(value))
                }
                Read::TagKeys(tags) => tags(item).into_iter().any(|(tag, _)| fits(tag)),
                Read::Values(values) => values(item).has(fits),
            }
        })
    }
}

/// A value with wildcards.
///
/// Matching takes time in proportion to the length of the text times that of the pattern, however
/// many wildcards there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What comes before the first wildcard. Most patterns are this and nothing else.
    prefix: String,
    rest: Vec<Piece>,
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// `*`.
    Any,
    /// A character that stands for itself.
    Exactly(char),
    /// `?`.
    Maybe,
}

impl Pattern {
    /// Reads a value. A backslash before any other character stands for itself.
    pub fn parse(value: &str) -> Self {
        let mut pieces = Vec::new();
        let mut characters = value.chars().peekable();
        while let Some(c) = characters.next() {
            pieces.push(match c {
                '*' => Piece::Any,
                '?' => Piece::Maybe,
                '\\' => {
                    let meant = characters.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    Piece::Exactly(meant.unwrap_or('\\'))
                }
                plain => Piece::Exactly(plain),
            });
        }
        let literal = |piece: &Piece| match *piece {
            Piece::Exactly(c) => Some(c),
            Piece::Any | Piece::Maybe => None,
        };
        let prefix: String = pieces.iter().map_while(literal).collect();
        let rest = pieces.split_off(prefix.chars().count());
        Self { prefix, rest }
    }

    /// Whether the whole text is one that the pattern stands for.
    pub fn matches(&self, text: &str) -> bool {
        let Some(text) = text.strip_prefix(&*self.prefix) else {
            return false;
        };
        if self.rest.is_empty() {
            return text.is_empty();
        }
        // Where in the pattern one may be: at `i`, the first `i` pieces are behind.
        let mut places = vec![false; self.rest.len() + 1];
        if let Some(start) = places.first_mut() {
            *start = true;
        }
        self.skip(&mut places);
        for c in text.chars() {
            places = self.step(&places, c);
            if !places.contains(&true) {
                return false;
            }
            self.skip(&mut places);
        }
        places.last() == Some(&true)
    }

    /// Goes on past every wildcard, which may stand for nothing.
    fn skip(&self, places: &mut [bool]) {
        let mut reached = false;
        let pieces = self.rest.iter().map(Some).chain([None]);
        for (place, piece) in places.iter_mut().zip(pieces) {
            *place |= reached;
            reached = *place && matches!(piece, Some(Piece::Any | Piece::Maybe));
        }
    }

    /// Where one may be behind the next character of the text.
    fn step(&self, places: &[bool], c: char) -> Vec<bool> {
        let mut next = vec![false; places.len()];
        let mut behind = false;
        let pieces = self.rest.iter().map(Some).chain([None]);
        for ((new, old), piece) in next.iter_mut().zip(places).zip(pieces) {
            *new = behind || (*old && piece == Some(&Piece::Any));
            behind = *old
                && match piece {
                    Some(Piece::Exactly(own)) => *own == c,
                    Some(Piece::Maybe) => true,
                    Some(Piece::Any) | None => false,
                };
        }
        next
    }
}

#[cfg(test)]
mod tests;
