//! JSON in EC2's own layout: two-space indent, a space on both sides of the colon, no final
//! newline (data plane, 5.6 and 6.2).

/// An object under construction.
pub(crate) struct Object {
    text: String,
    indent: &'static str,
}

impl Object {
    /// Starts an object at the left margin.
    pub(crate) fn new() -> Self {
        Self { text: "{".to_owned(), indent: "" }
    }

    /// Starts an object two spaces in.
    pub(crate) fn indented() -> Self {
        Self { text: "  {".to_owned(), indent: "  " }
    }

    /// Adds a text member.
    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        let value = quoted(value);
        self.raw(key, &value)
    }

    /// Adds a text member, or `null`.
    pub(crate) fn optional(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// Adds an inline list of texts, or `null` for an empty one.
    pub(crate) fn list<'a>(self, key: &str, values: impl Iterator<Item = &'a str>) -> Self {
        let values: Vec<String> = values.map(quoted).collect();
        match values.as_slice() {
            [] => self.raw(key, "null"),
            values => self.raw(key, &format!("[ {} ]", values.join(", "))),
        }
    }

    /// Ends the object.
    pub(crate) fn end(mut self) -> String {
        self.text.push('\n');
        self.text.push_str(self.indent);
        self.text.push('}');
        self.text
    }

    fn raw(mut self, key: &str, value: &str) -> Self {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        for part in ["\n", self.indent, "  \"", key, "\" : ", value] {
            self.text.push_str(part);
        }
        self
    }
}

/// Quotes and escapes a text. Slashes stay as they are.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_ascii_control() => {
                quoted.push_str("\\u");
                quoted.extend([12, 8, 4, 0].map(|shift| hex_digit(u32::from(control) >> shift)));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

fn hex_digit(number: u32) -> char {
    char::from_digit(number & 0xf, 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let object = Object::new()
            .text("Code", "Success")
            .optional("kernelId", None)
            .list("codes", ["a", "b"].into_iter())
            .list("none", [].into_iter())
            .end();
        assert_eq!(
            object,
            "{\n  \"Code\" : \"Success\",\n  \"kernelId\" : null,\n  \"codes\" : [ \"a\", \"b\" ],\n  \
             \"none\" : null\n}"
        );
        assert_eq!(Object::indented().text("a", "b").end(), "  {\n    \"a\" : \"b\"\n  }");
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(quoted("a/b \"c\" \\ \n é"), r#""a/b \"c\" \\ \u000a é""#);
    }
}
