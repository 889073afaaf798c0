//! The IAM API.

pub(crate) mod aws_managed;
