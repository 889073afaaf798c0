//! What the operator says of launches through the EC2 API.

use std::fmt;
use std::str::FromStr;

use model::Driver;

/// What the operator says of launches through the EC2 API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchSettings {
    /// What makes the machines; none where an operator attaches what is launched.
    pub driver: Option<Driver>,
    /// What becomes of references to things that nobody has described.
    pub references: References,
    /// The instance types whose platform default is `HttpTokens=required`.
    pub tokens_required_types: Vec<TypePattern>,
}

impl LaunchSettings {
    /// Returns whether nothing but a token serves instances of a type where nobody says otherwise.
    pub fn requires_tokens(&self, instance_type: &str) -> bool {
        self.tokens_required_types.iter().any(|pattern| pattern.matches(instance_type))
    }
}

/// What becomes of references to images, key pairs, subnets and the like that nobody has described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// They are taken for what they say: an id names something that is elsewhere.
    #[default]
    Adopt,
    /// They are refused, as on EC2.
    Strict,
}

impl FromStr for References {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "adopt" => Ok(Self::Adopt),
            "strict" => Ok(Self::Strict),
            _ => Err(format!("`{}` is neither adopt nor strict", text.escape_debug())),
        }
    }
}

/// Instance types, such as `m8g.large`, or `m8g.*` for a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(Box<str>);

impl TypePattern {
    /// LIMIT: no instance type is longer.
    const BYTES_MAX: usize = 64;

    /// Returns whether it is a type that is meant: `*` stands for any characters.
    pub fn matches(&self, instance_type: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = instance_type.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }
}

impl FromStr for TypePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_known = |c: char| c.is_ascii_alphanumeric() || ".-*".contains(c);
        if text.is_empty() || text.len() > Self::BYTES_MAX || !text.chars().all(is_known) {
            let text = text.escape_debug();
            return Err(format!("`{text}` is not a pattern of instance types: use m8g.*"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, instance_type, is_meant) in [
            ("m8g.*", "m8g.large", true),
            ("m8g.*", "m8gd.large", false),
            ("m8g.large", "m8g.large", true),
            ("m8g.large", "m8g.largest", false),
            ("*", "t3.nano", true),
            ("*.metal*", "m5.metal-24xl", true),
            ("m*g*.large", "m8gd.large", true),
            ("m*g*.large", "m8gd.xlarge", false),
            ("a*a", "a", false),
        ] {
            let settings = LaunchSettings {
                tokens_required_types: vec![pattern.parse().unwrap()],
                ..LaunchSettings::default()
            };
            assert_eq!(settings.requires_tokens(instance_type), is_meant, "{pattern}");
        }
        for text in ["", "m8g .*", "m8g,*"] {
            assert!(text.parse::<TypePattern>().is_err(), "{text}");
        }
    }
}
