//! Free text in requests.

use model::{Line, LineRefusal};

use crate::api::ApiFault;
use crate::api::xml::is_xml_safe;

/// LIMIT: the characters of a description. EC2 documents it.
const DESCRIPTION_CHARACTERS_MAX: usize = 255;

/// Reads a line; `name` is that of the parameter.
///
/// # Errors
///
/// `InvalidParameterValue`.
pub(crate) fn parse_line(text: &str, name: &str) -> Result<Line, ApiFault> {
    text.parse().map_err(|refusal: LineRefusal| {
        ApiFault::invalid_value_for(text, name, &refusal.to_string())
    })
}

/// Reads a description of something: none if it is empty.
///
/// # Errors
///
/// `InvalidParameterValue`.
pub(crate) fn parse_description(text: &str) -> Result<Option<Line>, ApiFault> {
    if text.is_empty() {
        return Ok(None);
    }
    let fits = text.chars().count() <= DESCRIPTION_CHARACTERS_MAX && is_xml_safe(text);
    let line = if fits { text.parse().ok() } else { None };
    line.map(Some).ok_or_else(|| {
        let reason = "Descriptions have at most 255 characters, and no control characters.";
        ApiFault::invalid_value_for(text, "description", reason)
    })
}
