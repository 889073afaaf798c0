//! What a client signs verifies, however it is spelled; and with one letter changed it does not.

use proptest::prelude::*;

use super::signer::{Meant, Sent};
use super::{SECRET, TOKEN, access_key, signed_at, signer, verify};

fn meant() -> impl Strategy<Value = Meant> {
    let method = prop_oneof![Just("GET"), Just("POST")];
    let segments = prop::collection::vec("[a-zA-Z0-9%~ü][a-zA-Z0-9.%:+ü]{0,6}", 0..4);
    let parameters = prop::collection::vec(("[A-Z][a-zA-Z0-9.]{0,8}", "[ -~ü]{0,8}"), 0..5);
    let headers = prop::collection::btree_map("my-[a-z]{1,4}", "[a-z][ -~ü]{0,12}", 0..4);
    let body = prop::collection::vec(any::<u8>(), 1..40);
    (method, segments, parameters, headers, body).prop_map(
        |(method, segments, parameters, headers, body)| Meant {
            method,
            segments,
            parameters,
            headers: headers.into_iter().collect(),
            body,
        },
    )
}

/// Signs in either way, with either kind of credentials.
fn sign(meant: &Meant, in_query: bool, is_temporary: bool) -> Sent {
    let signer = signer("ec2", is_temporary.then_some(TOKEN));
    if in_query { signer.presign(meant, Some("60")) } else { signer.sign(meant) }
}

fn is_verified(sent: &Sent, is_temporary: bool) -> bool {
    let key = access_key(SECRET, is_temporary.then_some(TOKEN));
    verify(sent, Some(&key), "ec2", signed_at()).is_ok()
}

/// The same request, spelled in another way.
fn respell(sent: &mut Sent, turns: usize) {
    let mut parameters: Vec<_> = sent.query.split('&').map(str::to_owned).collect();
    let turn = turns % parameters.len();
    parameters.rotate_left(turn);
    sent.query = parameters.join("&").replace("%20", "+").replace("%2F", "%2f").replace('X', "%58");
    let turn = turns % sent.headers.len();
    sent.headers.rotate_left(turn);
    for (_, value) in &mut sent.headers {
        *value = format!(" {}\t", value.replace(' ', "  "));
    }
    sent.path = sent.path.replace('/', "/./x/..//");
    if !sent.path.is_empty() && sent.path.ends_with("//") {
        "/".clone_into(&mut sent.path);
    }
}

/// Changes one letter of `text` to another, which no reader takes for the same.
fn change(text: &mut String, at: usize) -> bool {
    let places: Vec<_> =
        text.char_indices().filter(|(_, letter)| letter.is_ascii_digit()).collect();
    let Some((place, letter)) = places.get(at % places.len().max(1)).copied() else {
        return false;
    };
    let other = if letter == '7' { "8" } else { "7" };
    text.replace_range(place..=place, other);
    true
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        meant in meant(),
        in_query: bool,
        is_temporary: bool,
        turns in 0_usize..20,
    ) {
        let sent = sign(&meant, in_query, is_temporary);
        prop_assert!(is_verified(&sent, is_temporary), "{sent:?}");
        let mut again = sent;
        respell(&mut again, turns);
        prop_assert!(is_verified(&again, is_temporary), "{again:?}");
    }

    #[test]
    fn what_is_changed_does_not(
        meant in meant(),
        in_query: bool,
        is_temporary: bool,
        what in 0_usize..9,
        at: prop::sample::Index,
    ) {
        let sent = sign(&meant, in_query, is_temporary);
        let mut changed = sent.clone();
        let pick = at.index(1 << 16);
        let is_changed = match what {
            0 => {
                let at = at.index(changed.body.len());
                changed.body[at] ^= 1 << (pick % 8);
                true
            }
            1 => change(&mut changed.path, pick),
            2 => change(&mut changed.query, pick),
            3 => {
                let at = at.index(changed.headers.len());
                change(&mut changed.headers[at].1, pick)
            }
            4 => {
                let at = at.index(changed.headers.len());
                changed.headers.remove(at);
                true
            }
            5 => {
                changed.query += "&Extra=1";
                true
            }
            6 => {
                changed.headers.push(("x-amz-extra".to_owned(), String::new()));
                true
            }
            7 => {
                let at = at.index(changed.headers.len());
                let again = changed.headers[at].clone();
                changed.headers.push(again);
                true
            }
            _ => {
                changed.method = "DELETE".to_owned();
                true
            }
        };
        prop_assert_eq!(is_verified(&changed, is_temporary), !is_changed, "{:?} {:?}", sent, changed);
    }

    #[test]
    fn what_was_never_signed_does_not(
        header in "(AWS4-HMAC-SHA256 )?[ -~ü]{0,60}",
        query in "(X-Amz-[A-Z][a-z]{3,9}=[!-~]{0,9}&){0,6}",
        path in "\\PC{0,12}",
    ) {
        let sent = Sent {
            method: "GET".to_owned(),
            path,
            query,
            headers: vec![
                ("host".to_owned(), "a".to_owned()),
                ("authorization".to_owned(), header),
                ("x-amz-date".to_owned(), "20261122T002910Z".to_owned()),
            ],
            body: Vec::new(),
        };
        prop_assert!(!is_verified(&sent, false));
        let mut sent = sent;
        sent.headers.retain(|(name, _)| name != "authorization");
        prop_assert!(!is_verified(&sent, false));
    }
}
