//! Pages of long answers: `MaxResults` and `NextToken`.
//!
//! A page ends at a key, and the next one starts behind it: whoever walks through the pages sees
//! everything once that is there all the time, however much comes and goes meanwhile.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::ApiFault;

/// LIMIT: the longest token. One that was handed out has the name of an action and a key: an ARN,
/// or an id and the key of a tag.
const TOKEN_BYTES_MAX: usize = 8192;

/// How many results a page may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The fewest that may be asked for.
    pub min: usize,
    /// The most that may be asked for, and what a page has when nothing is asked for.
    pub max: usize,
}

/// Selects the page that is asked for.
///
/// `K` is what tells the items of an action apart and puts them in order. Tokens hold it, so it is
/// no secret.
#[derive(Clone, Debug)]
pub struct Pager<K> {
    action: &'static str,
    after: Option<K>,
    size: usize,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items, in the order of their keys.
    pub items: Vec<T>,
    /// What to ask for the next page with, if there is one.
    pub next_token: Option<String>,
}

impl<K: Ord + Serialize + DeserializeOwned> Pager<K> {
    /// Reads `MaxResults` and `NextToken`.
    ///
    /// # Errors
    ///
    /// - `InvalidMaxResults` if `max_results` is out of bounds.
    /// - `InvalidNextToken` if `next_token` was not handed out for this action.
    pub fn new(
        action: &'static str,
        bounds: Bounds,
        max_results: Option<i64>,
        next_token: Option<&str>,
    ) -> Result<Self, ApiFault> {
        let size = match max_results.map(usize::try_from) {
            None => bounds.max,
            Some(Ok(size)) if (bounds.min..=bounds.max).contains(&size) => size,
            Some(_) => return Err(ApiFault::invalid_max_results(bounds.min, bounds.max)),
        };
        let after = match next_token {
            None => None,
            Some(token) => Some(read(action, token).ok_or_else(ApiFault::invalid_next_token)?),
        };
        Ok(Self { action, after, size })
    }

    /// Selects the page out of all items, in any order, each with a key of its own. It holds no
    /// more items at a time than fit a page, and one.
    pub fn select<T>(&self, items: impl IntoIterator<Item = (K, T)>) -> Page<T> {
        self.select_if(items, Some)
    }

    /// Selects the page out of those items that `admit` makes something of. Only of those that may
    /// be on the page it is asked: of many thousands, few are looked at.
    pub fn select_if<I, T>(
        &self,
        items: impl IntoIterator<Item = (K, I)>,
        mut admit: impl FnMut(I) -> Option<T>,
    ) -> Page<T> {
        let mut kept = BTreeMap::new();
        for (key, item) in items {
            let is_before = self.after.as_ref().is_some_and(|after| key <= *after);
            let is_full = kept.len() > self.size;
            let is_behind = is_full && kept.last_key_value().is_some_and(|(last, _)| key > *last);
            if !is_before
                && !is_behind
                && let Some(item) = admit(item)
            {
                kept.insert(key, item);
                if kept.len() > self.size + 1 {
                    kept.pop_last();
                }
            }
        }
        if kept.len() > self.size {
            kept.pop_last();
            let last = kept.last_key_value().map(|(key, _)| key);
            let next_token = last.and_then(|key| write(self.action, key));
            return Page { items: kept.into_values().collect(), next_token };
        }
        Page { items: kept.into_values().collect(), next_token: None }
    }
}

/// A token is the action and the key in JSON, in base64 as clients expect it.
fn write(action: &str, key: &impl Serialize) -> Option<String> {
    serde_json::to_vec(&(action, key)).ok().map(|json| URL_SAFE_NO_PAD.encode(json))
}

fn read<K: DeserializeOwned>(action: &str, token: &str) -> Option<K> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let json = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (of, key): (String, K) = serde_json::from_slice(&json).ok()?;
    (of == action).then_some(key)
}

#[cfg(test)]
mod tests;
