//! Fresh ids.

use std::str::FromStr;

use model::AccountId;
use store::Snapshot;

use crate::action::Desk;
use crate::api::ApiFault;

/// LIMIT: how often an id is drawn that is in use. Twice in a row is no chance any more.
const DRAWS_MAX: usize = 8;

/// Draws an id that is not in use: a prefix and `count` lower-case letters and digits.
///
/// # Errors
///
/// An internal error if there is no randomness.
pub(super) fn draw<T: FromStr>(
    desk: &Desk<'_>,
    prefix: &str,
    count: usize,
    is_used: impl Fn(&T) -> bool,
) -> Result<T, ApiFault> {
    draw_with(desk, |number| format!("{prefix}{}", letters(number, count)), is_used)
}

/// Draws the id of an account that nobody has anything in.
///
/// # Errors
///
/// As [`draw`].
pub(super) fn draw_account(desk: &Desk<'_>, snapshot: &Snapshot) -> Result<AccountId, ApiFault> {
    let write = |number: u128| format!("{:012}", number % 1_000_000_000_000);
    draw_with(desk, write, |id| is_in_use(snapshot, *id))
}

fn is_in_use(snapshot: &Snapshot, id: AccountId) -> bool {
    let is_member = snapshot.organization().is_some_and(|of| of.accounts.contains_key(&id));
    let is_administrators = snapshot.administrator().is_some_and(|of| of.user().account_id == id);
    is_member
        || is_administrators
        || snapshot.iam().any(|(kept, _)| kept.key().account_id == id)
        || snapshot.instances().any(|(instance, _)| instance.account_id == id)
}

fn draw_with<T: FromStr>(
    desk: &Desk<'_>,
    write: impl Fn(u128) -> String,
    is_used: impl Fn(&T) -> bool,
) -> Result<T, ApiFault> {
    for _ in 0..DRAWS_MAX {
        let id = write(desk.fresh_number()?).parse().map_err(|_| ApiFault::internal())?;
        if !is_used(&id) {
            return Ok(id);
        }
    }
    Err(ApiFault::internal())
}

fn letters(mut number: u128, count: usize) -> String {
    let mut digit = || {
        let digit = u32::try_from(number % 36).ok().and_then(|digit| char::from_digit(digit, 36));
        number /= 36;
        digit.unwrap_or('0')
    };
    (0..count).map(|_| digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn ids_have_as_many_letters_as_are_asked_for() {
        assert_eq!(letters(0, 4), "0000");
        assert_eq!(letters(35 + 36 * 10, 4), "za00");
        assert_eq!(letters(u128::MAX, 25).len(), 25);
    }
}
