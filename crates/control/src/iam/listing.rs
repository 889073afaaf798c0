//! Lists in pages: `Marker`, `MaxItems` and `IsTruncated`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::api::page::{Bounds, Page, Pager};
use crate::api::{Answer, ApiFault};

/// LIMIT: items of a page. IAM documents it.
const BOUNDS: Bounds = Bounds { min: 1, max: 1000 };

/// How many items a page has when nothing is asked for. IAM documents it.
const DEFAULT: i64 = 100;

/// Which page is asked for.
pub(crate) struct Asked<'r> {
    pub(crate) marker: Option<&'r str>,
    pub(crate) max_items: Option<i64>,
}

/// A list of a name, with what says whether it goes on.
struct Listing<T> {
    name: &'static str,
    page: Page<T>,
}

impl<T: Serialize> Serialize for Listing<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(self.name, &self.page.items)?;
        map.serialize_entry("IsTruncated", &self.page.next_token.is_some())?;
        map.serialize_entry("Marker", &self.page.next_token)?;
        map.end()
    }
}

impl Asked<'_> {
    /// Selects the page of what an action lists. Each item has a key of its own, which orders them.
    ///
    /// # Errors
    ///
    /// `ValidationError`.
    pub(crate) fn page<T>(
        &self,
        action: &'static str,
        items: impl IntoIterator<Item = (String, T)>,
    ) -> Result<Page<T>, ApiFault> {
        let max_items = self.max_items.unwrap_or(DEFAULT);
        let than = match max_items {
            ..1 => Some(("greater", BOUNDS.min)),
            1..=1000 => None,
            1001.. => Some(("less", BOUNDS.max)),
        };
        if let Some((than, bound)) = than {
            return Err(ApiFault::validation_error(format!(
                "1 validation error detected: Value '{max_items}' at 'maxItems' failed to satisfy \
                 constraint: Member must have value {than} than or equal to {bound}"
            )));
        }
        let pager = Pager::<String>::new(action, BOUNDS, Some(max_items), self.marker);
        let pager = pager.map_err(|_| ApiFault::validation_error("Invalid Marker."))?;
        Ok(pager.select(items))
    }

    /// Answers the page under a name.
    ///
    /// # Errors
    ///
    /// As [`page`](Self::page).
    pub(crate) fn answer<T: Serialize + Send + 'static>(
        &self,
        action: &'static str,
        name: &'static str,
        items: impl IntoIterator<Item = (String, T)>,
    ) -> Result<Answer, ApiFault> {
        Ok(Answer::of(Listing { name, page: self.page(action, items)? }))
    }
}
