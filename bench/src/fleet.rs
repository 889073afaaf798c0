//! Settings that make a server hold many instances.

use std::fmt::Write as _;

/// Settings with this many instances, each with a source address of its own in 10.0.0.0/8.
pub(crate) fn settings(instances: u32) -> String {
    let mut text = String::new();
    for number in 1..=instances {
        let [_, b, c, d] = number.to_be_bytes();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[instance]]\nid = \"i-{number:017x}\"\nattach = [{{ source = \"10.{b}.{c}.{d}\" }}]\n\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_its_own_id_and_address() {
        let text = settings(70_000);
        assert_eq!(text.matches("[[instance]]").count(), 70_000);
        assert!(text.contains("id = \"i-00000000000000001\"\n"));
        assert!(text.contains("\"10.1.17.112\""), "the last of them");
    }
}
