//! Verdicts and who judges them: `golden.rs` and `rules.rs` play the tables beside this folder, `random.rs` makes
//! cases up, `naive.rs` is the second evaluator, `scene.rs` puts a case before both of them.

#![cfg(test)]

mod golden;
mod naive;
mod random;
mod refusals;
mod rules;
mod scene;
mod sys;
