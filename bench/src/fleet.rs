//! Settings that make a server hold many instances.

use std::fmt::Write as _;

/// Settings with this many instances, each described by its id alone.
pub(crate) fn settings(instances: u32) -> String {
    let mut text = String::new();
    for number in 1..=instances {
        // Writing to a string cannot fail.
        let _ = write!(text, "[[instance]]\nid = \"i-{number:017x}\"\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_its_own_id() {
        let text = settings(70_000);
        assert_eq!(text.matches("[[instance]]").count(), 70_000);
        assert!(text.contains("id = \"i-00000000000000001\"\n"));
        assert!(text.contains("id = \"i-00000000000011170\"\n"), "the last of them");
    }
}
