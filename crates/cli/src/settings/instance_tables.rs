//! Where the `[[instance]]` tables of a config file stand, so that each can be parsed by itself.

use std::ops::Range;

use toml_parser::lexer::TokenKind;

/// Finds the `[[instance]]` tables, each with the tables below it, such as `[instance.options]`.
///
/// What it finds in a text that is no TOML means nothing. A text may also name instances in other
/// ways, which are left to whoever reads the rest.
pub(super) fn instance_tables(text: &str) -> Vec<Range<usize>> {
    let mut tables: Vec<Range<usize>> = Vec::new();
    // Whether the last header was of an instance; how many brackets are open; whether this is the
    // beginning of a line.
    let (mut is_instance, mut depth, mut begins) = (false, 0_u32, true);
    for token in toml_parser::Source::new(text).lex() {
        let (kind, at) = (token.kind(), token.span().start());
        if begins && depth == 0 && kind == TokenKind::LeftSquareBracket {
            let header = text.get(at..).unwrap_or_default();
            if is_header(header, "[[", "]]") {
                tables.push(at..at);
                is_instance = true;
            } else {
                let is_below = is_header(header, "[[", ".") || is_header(header, "[", ".");
                is_instance = is_instance && is_below;
            }
        }
        let (opens, closes) = brackets(kind);
        depth = (depth + opens).saturating_sub(closes);
        begins = kind == TokenKind::Newline || begins && kind == TokenKind::Whitespace;
        if let Some(table) = tables.last_mut().filter(|_| is_instance) {
            table.end = token.span().end();
        }
    }
    tables
}

/// How many brackets a token opens, and how many it closes.
fn brackets(kind: TokenKind) -> (u32, u32) {
    let is = |kinds: [TokenKind; 2]| u32::from(kinds.contains(&kind));
    (
        is([TokenKind::LeftCurlyBracket, TokenKind::LeftSquareBracket]),
        is([TokenKind::RightCurlyBracket, TokenKind::RightSquareBracket]),
    )
}

/// Whether `header` is `before`, the word `instance`, and `after`.
fn is_header(header: &str, before: &str, after: &str) -> bool {
    let blank = [' ', '\t'];
    header
        .strip_prefix(before)
        .and_then(|rest| rest.trim_start_matches(blank).strip_prefix("instance"))
        .is_some_and(|rest| rest.trim_start_matches(blank).starts_with(after))
}

/// Returns the text with blanks in place of these parts, so that all others stay where they are.
pub(super) fn without(text: &str, parts: &[Range<usize>]) -> String {
    let mut rest = String::with_capacity(text.len());
    for part in parts {
        rest.push_str(text.get(rest.len()..part.start).unwrap_or_default());
        rest.push_str(&" ".repeat(part.len()));
    }
    rest.push_str(text.get(rest.len()..).unwrap_or_default());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_with_those_below_them() {
        let text = "a = 1 # [[instance]]\n[[instance]]\nid = 1\n[instance.options]\nx = 2\n \
                    [[ instance ]]\nid = '''\n[[instance]]\n'''\n[[role]]\nname = \"é\"\n";
        let tables = instance_tables(text);
        let parts: Vec<_> = tables.iter().map(|part| &text[part.clone()]).collect();
        assert_eq!(
            parts,
            [
                "[[instance]]\nid = 1\n[instance.options]\nx = 2\n ",
                "[[ instance ]]\nid = '''\n[[instance]]\n'''\n",
            ]
        );
        let rest = without(text, &tables);
        assert_eq!(rest.len(), text.len());
        assert_eq!(rest.trim_end().lines().count(), 3);
        assert!(rest.ends_with("  [[role]]\nname = \"é\"\n"), "{rest}");
    }

    #[test]
    fn what_is_no_header_is_none() {
        for text in [
            "x = [\n[[instance]],\n]",
            "x = '''\n[[instance]]'''",
            "[[instances]]",
            "# [[instance]]",
            "[instance]",
            "[instance.options]",
        ] {
            assert_eq!(instance_tables(text), [], "{text}");
        }
    }
}
