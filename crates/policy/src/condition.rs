//! One test of a condition: an operator, a key and the values that it is compared with.

use ipnet::IpNet;
use model::Timestamp;

use crate::operator::{Comparison, Missing, Operator, Order, Polarity, Quantifier};
use crate::pattern::{BadVariable, Pattern, Syntax, Variables, Wildcards};
use crate::request::{Context, Key, Typed, Value};
use crate::value::{self, Decimal};

/// A line of a `Condition`: one key under one operator. All lines of a statement must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    operator: Operator,
    /// As written, for people.
    key: Box<str>,
    lookup: Key,
    /// As written, for people.
    texts: Box<[Box<str>]>,
    operands: Box<[Operand]>,
}

/// A value of a policy, read as its operator reads it.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Text(Pattern),
    IgnoringCase(Pattern),
    Arn(ArnPattern),
    Number(Decimal),
    Time(Timestamp),
    Bool(bool),
    Block(IpNet),
    /// Base64, which has one form for its bytes.
    Bytes(Box<str>),
    /// It cannot be read, and so matches nothing.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq)]
enum ArnPattern {
    /// Six parts, each compared with its like.
    Parts(Box<[Pattern; 6]>),
    /// A variable alone: the ARN that it has.
    Variable(Pattern),
}

/// Why a test does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request does not have the key.
    KeyMissing,
    /// The request has the key, and it was to be missing.
    KeyPresent,
    /// The values of the request are others, or, for a negated operator, those of the policy.
    Values,
}

impl Test {
    /// Reads a line; the values are texts, whatever they were in JSON.
    pub(crate) fn compile(
        operator: Operator,
        key: &str,
        texts: Vec<Box<str>>,
        variables: Variables,
    ) -> Result<Self, BadVariable> {
        let operands = texts.iter().map(|text| Operand::read(operator.comparison, text, variables));
        let operands = operands.collect::<Result<_, _>>()?;
        let lookup = Key::of(key);
        Ok(Self { operator, key: key.into(), lookup, texts: texts.into(), operands })
    }

    /// Returns the operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Returns the key, as written.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the values, as written.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    /// Returns the values that can match nothing, because the operator cannot read them.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        let both = self.texts.iter().zip(&self.operands);
        both.filter(|(_, operand)| **operand == Operand::Unreadable).map(|(text, _)| &**text)
    }

    /// Returns the values that the request has for the key.
    pub(crate) fn found<'c>(&self, context: &'c Context) -> &'c [Value] {
        context.values(&self.lookup)
    }

    /// Says whether the test holds, and if not, why.
    pub(crate) fn check(&self, context: &Context) -> Result<(), Failure> {
        let values = self.found(context);
        if self.operator.comparison == Comparison::Null {
            let is_missing = values.is_empty();
            let wanted = self.operands.contains(&Operand::Bool(is_missing));
            let failure = if is_missing { Failure::KeyMissing } else { Failure::KeyPresent };
            return if wanted { Ok(()) } else { Err(failure) };
        }
        if values.is_empty() {
            let holds = match (self.operator.missing, self.operator.quantifier) {
                (Missing::IsTrue, _) | (Missing::Follows, Quantifier::All) => true,
                (Missing::Follows, Quantifier::Any) => false,
                (Missing::Follows, Quantifier::Single) => {
                    self.operator.polarity == Polarity::Negated
                }
            };
            return if holds { Ok(()) } else { Err(Failure::KeyMissing) };
        }
        let matches = |value| {
            self.operands
                .iter()
                .any(|operand| operand.matches(self.operator.comparison, value, context))
        };
        let holds = match (self.operator.quantifier, self.operator.polarity) {
            (Quantifier::All, Polarity::Positive) => values.iter().all(matches),
            (Quantifier::All | Quantifier::Single, Polarity::Negated) => {
                !values.iter().any(matches)
            }
            (Quantifier::Any | Quantifier::Single, Polarity::Positive) => {
                values.iter().any(matches)
            }
            (Quantifier::Any, Polarity::Negated) => !values.iter().all(matches),
        };
        if holds { Ok(()) } else { Err(Failure::Values) }
    }
}

impl Operand {
    fn read(comparison: Comparison, text: &str, variables: Variables) -> Result<Self, BadVariable> {
        let exact = Syntax { wildcards: Wildcards::Literal, variables };
        let like = Syntax { wildcards: Wildcards::Special, variables };
        let read = match comparison {
            Comparison::Arn => return ArnPattern::read(text, like),
            Comparison::String => Some(Self::Text(Pattern::parse(text, exact)?)),
            Comparison::StringIgnoreCase => Some(Self::IgnoringCase(Pattern::parse(text, exact)?)),
            Comparison::StringLike => Some(Self::Text(Pattern::parse(text, like)?)),
            Comparison::Binary => value::is_base64(text).then(|| Self::Bytes(text.into())),
            Comparison::Bool | Comparison::Null => value::truth(text).map(Self::Bool),
            Comparison::Date(_) => value::time(text).map(Self::Time),
            Comparison::Ip => value::block(text).map(Self::Block),
            Comparison::Numeric(_) => Decimal::parse(text).map(Self::Number),
        };
        Ok(read.unwrap_or(Self::Unreadable))
    }

    fn matches(&self, comparison: Comparison, value: &Value, context: &Context) -> bool {
        let text = value.as_text();
        let order = match comparison {
            Comparison::Date(order) | Comparison::Numeric(order) => order,
            Comparison::Arn
            | Comparison::Binary
            | Comparison::Bool
            | Comparison::Ip
            | Comparison::Null
            | Comparison::String
            | Comparison::StringIgnoreCase
            | Comparison::StringLike => Order::Equal,
        };
        match self {
            Self::Text(pattern) => pattern.matches(text, context),
            Self::IgnoringCase(pattern) => pattern.equals_ignoring_case(text, context),
            Self::Arn(pattern) => pattern.matches(text, context),
            Self::Number(number) => value.number.is_some_and(|v| order.holds(&v, number)),
            Self::Time(time) => value.time_read().is_some_and(|v| order.holds(&v, time)),
            Self::Bool(wanted) => value::truth(text) == Some(*wanted),
            Self::Block(block) => value.address_read().is_some_and(|v| block.contains(&v)),
            Self::Bytes(bytes) => value.is_text_or_bytes() && *text == **bytes,
            Self::Unreadable => false,
        }
    }
}

impl Order {
    fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
            Self::Less => left < right,
            Self::LessEqual => left <= right,
        }
    }
}

impl Value {
    fn time_read(&self) -> Option<Timestamp> {
        match &self.typed {
            Typed::Text => value::time(self.as_text()),
            Typed::Number(number) => number.as_seconds(),
            Typed::Time(time) => Some(*time),
            Typed::Bool(_) | Typed::Address(_) | Typed::Bytes => None,
        }
    }

    fn address_read(&self) -> Option<std::net::IpAddr> {
        match &self.typed {
            Typed::Text => value::address(self.as_text()),
            Typed::Address(address) => Some(*address),
            Typed::Number(_) | Typed::Time(_) | Typed::Bool(_) | Typed::Bytes => None,
        }
    }

    fn is_text_or_bytes(&self) -> bool {
        match &self.typed {
            Typed::Bytes | Typed::Text => true,
            Typed::Number(_) | Typed::Time(_) | Typed::Bool(_) | Typed::Address(_) => false,
        }
    }
}

impl ArnPattern {
    fn read(text: &str, syntax: Syntax) -> Result<Operand, BadVariable> {
        let whole = Pattern::parse(text, syntax)?;
        if whole.is_one_variable() {
            return Ok(Operand::Arn(Self::Variable(whole)));
        }
        let parts = parts(text, syntax.variables).map(|part| Pattern::parse(part, syntax));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let parts: Result<Box<[Pattern; 6]>, _> = parts.into_boxed_slice().try_into();
        Ok(parts.map_or(Operand::Unreadable, |parts| Operand::Arn(Self::Parts(parts))))
    }

    fn matches(&self, text: &str, context: &Context) -> bool {
        let mut parts = text.splitn(6, ':');
        match self {
            Self::Parts(patterns) => {
                let each = |pattern: &Pattern| {
                    parts.next().is_some_and(|part| pattern.matches(part, context))
                };
                patterns.iter().all(each)
            }
            Self::Variable(variable) => parts.count() == 6 && variable.matches(text, context),
        }
    }
}

/// Cuts a pattern of an ARN at its first five colons, but not within a variable.
pub(crate) fn parts(text: &str, variables: Variables) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    let mut colons = 0;
    let mut before = '\0';
    text.split(move |character| {
        let opens = variables == Variables::Special && before == '$' && character == '{';
        is_inside = (is_inside || opens) && character != '}';
        before = character;
        let cuts = character == ':' && !is_inside && colons < 5;
        colons += u32::from(cuts);
        cuts
    })
}
