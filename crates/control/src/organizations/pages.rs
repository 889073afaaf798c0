//! Pages of lists.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::ApiFault;
use crate::api::page::{Bounds, Page, Pager};

/// LIMIT: how many results a page has, as Organizations documents it.
const BOUNDS: Bounds = Bounds { min: 1, max: 20 };

/// Which page is asked for: `MaxResults` and `NextToken`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) action: &'static str,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<&'a str>,
}

/// Selects it out of all items, each with a key of its own.
///
/// # Errors
///
/// `InvalidInputException`.
pub(super) fn page<K: Ord + Serialize + DeserializeOwned, T>(
    turn: Turn<'_>,
    items: impl IntoIterator<Item = (K, T)>,
) -> Result<Page<T>, ApiFault> {
    let Turn { action, max_results, next_token } = turn;
    let range = i64::try_from(BOUNDS.max).unwrap_or(i64::MAX);
    let reason = match max_results {
        Some(number) if number < 1 => "MIN_VALUE_EXCEEDED",
        Some(number) if number > range => "MAX_VALUE_EXCEEDED",
        Some(_) | None => "INVALID_NEXT_TOKEN",
    };
    let pager = Pager::new(action, BOUNDS, max_results, next_token)
        .map_err(|fault| ApiFault::invalid_input_exception(reason, fault.message))?;
    Ok(pager.select(items))
}

/// Declares the request of an action that lists: what it asks for, and which page.
macro_rules! listing {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $name {
            $($field: $type,)*
            max_results: Option<i64>,
            next_token: Option<String>,
        }

        impl $name {
            fn turn(&self) -> crate::organizations::pages::Turn<'_> {
                crate::organizations::pages::Turn {
                    action: stringify!($name),
                    max_results: self.max_results,
                    next_token: self.next_token.as_deref(),
                }
            }
        }
    };
}

pub(super) use listing;
