//! Session tokens: accepted only if minted in this run, for this instance, with a key that is kept,
//! and not past their time; and then always.

use metadata::{TokenFormat, TokenKey, TokenKeys};
use model::{InstanceId, Timestamp, TokenTtl};
use sha2::{Digest as _, Sha256};

use crate::input::Input;
use crate::tree::NOW;

/// A token, and all that it was minted from.
struct Minted {
    text: Vec<u8>,
    key: usize,
    instance: InstanceId,
    /// When it ends, in milliseconds.
    end: i128,
}

/// Mints two tokens, spoils one, and shows it to an instance at some time.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let all = Keys { seed: Sha256::digest(data).into() };
    let minted = [mint(&mut input, &all), mint(&mut input, &all)];
    let (kept, keys) = all.kept(input.byte());
    let instance = instance(&mut input);
    let now = time(&mut input, &minted);
    let text = spoil(&mut input, &minted);

    let life = |token: &&Minted| token.end - i128::from(now.as_millis());
    let good = minted
        .iter()
        .filter(|token| token.text == text && token.instance == instance)
        .filter(|token| kept.contains(&token.key))
        .find(|token| (1..=i128::from(TokenTtl::MAX.as_millis())).contains(&life(token)));
    let verified = keys.verify(&text, instance, now);
    match good {
        Some(token) => {
            let end = verified.map(|end| i128::from(end.as_millis()));
            assert_eq!(end, Ok(token.end), "{}", text.escape_ascii());
        }
        None => assert!(verified.is_err(), "{} until {verified:?}", text.escape_ascii()),
    }
}

/// The keys of one run.
///
/// They follow from the whole input. Were they always the same, a fuzzer could learn a token in one
/// run, and show it in another that did not mint it.
struct Keys {
    seed: [u8; 32],
}

impl Keys {
    /// Returns a key; the last has the id of the first, as one made after 256 rotations has.
    fn key(&self, number: usize) -> TokenKey {
        let id = [7, 6, 5, 7][number];
        let mut secret = self.seed;
        secret[0] ^= [0, 1, 2, 3][number];
        TokenKey::new(id, secret)
    }

    /// Chooses the keys that are kept, no two of them with one id.
    fn kept(&self, choice: u8) -> (Vec<usize>, TokenKeys) {
        let (kept, last) = [
            (&[0, 1, 2][..], 2),
            (&[0, 1], 1),
            (&[1, 2], 2),
            (&[0], 0),
            (&[1, 2, 3], 3),
            (&[3], 3),
            (&[1], 1),
            (&[2, 0], 0),
        ][usize::from(choice % 8)];
        let older = kept.iter().filter(|number| **number != last).map(|number| self.key(*number));
        (kept.to_vec(), TokenKeys::new(self.key(last), older.collect()))
    }
}

fn mint(input: &mut Input<'_>, keys: &Keys) -> Minted {
    let choice = input.byte();
    let number = usize::from(choice % 4);
    let format = if choice & 4 == 0 { TokenFormat::Nitro } else { TokenFormat::Legacy };
    let instance = instance(input);
    let seconds = u32::from(input.short() % 21_600) + 1;
    let ttl = TokenTtl::parse(seconds.to_string().as_bytes()).expect("is in range");
    let at = match choice & 8 {
        0 => NOW,
        _ => Timestamp::from_millis(input.millis()),
    };
    let text = TokenKeys::new(keys.key(number), Vec::new())
        .mint(format, instance, ttl, at, input.bytes())
        .expect("a token can be minted");
    let end = i128::from(at.as_millis()) + i128::from(seconds) * 1000;
    Minted {
        text: text.to_vec(),
        key: number,
        instance,
        // Time itself ends there.
        end: end.min(i128::from(i64::MAX)),
    }
}

fn instance(input: &mut Input<'_>) -> InstanceId {
    let text = match input.byte() % 5 {
        0 => "i-1234567890abcdef0",
        1 => "i-12345678",
        2 => "i-00000000000000000",
        3 => "i-1234567890abcdef1",
        _ => return InstanceId::from_number(u128::from(input.short())),
    };
    text.parse().expect("is an instance id")
}

/// Chooses a time: any, the beginning, or one near the end of a token.
fn time(input: &mut Input<'_>, minted: &[Minted; 2]) -> Timestamp {
    let choice = input.byte();
    let near = |token: &Minted, offset: i128| {
        let millis = (token.end + offset).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp::from_millis(i64::try_from(millis).unwrap_or_default())
    };
    let offset = i128::from(input.byte().cast_signed());
    match choice % 6 {
        0 => NOW,
        1 => near(&minted[0], offset),
        2 => near(&minted[0], offset - i128::from(TokenTtl::MAX.as_millis())),
        3 => near(&minted[0], -1),
        4 => near(&minted[1], -1),
        _ => Timestamp::from_millis(input.millis()),
    }
}

/// Chooses a text: a token, one with changes, parts of two, or anything.
fn spoil(input: &mut Input<'_>, minted: &[Minted; 2]) -> Vec<u8> {
    let [one, two] = minted;
    let mut text = one.text.clone();
    let choice = input.byte();
    match choice % 8 {
        0 => {}
        1 => {
            for _ in 0..=choice / 64 {
                let at = usize::from(input.byte()) % text.len();
                text[at] ^= input.byte();
            }
        }
        2 => {
            let mut bytes = decode(&text);
            let at = usize::from(input.byte()) % bytes.len();
            bytes[at] ^= input.byte();
            text = encode(&bytes);
        }
        3 => {
            let at = usize::from(input.byte()) % text.len();
            text.truncate(at);
            text.extend_from_slice(&two.text[at..]);
        }
        4 => {
            let (mut bytes, other) = (decode(&text), decode(&two.text));
            let start = usize::from(input.byte()) % bytes.len();
            let end = usize::from(input.byte()) % bytes.len();
            if start <= end {
                bytes[start..end].copy_from_slice(&other[start..end]);
            }
            text = encode(&bytes);
        }
        5 => {
            text.truncate(usize::from(input.byte()));
            text.extend(std::iter::repeat_n(input.byte(), usize::from(choice / 8)));
        }
        6 => return two.text.clone(),
        _ => {
            text = (0..56).map(|_| input.byte()).collect();
            text.truncate(56 - usize::from(choice / 128));
        }
    }
    text
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Writes 40 bytes in 56 letters.
fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for three in bytes.chunks(3) {
        let number =
            (0..3).fold(0, |sum, at| sum << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        let letter = |at: usize| LETTERS[number >> (18 - 6 * at) & 63];
        text.extend((0..4).map(|at| if at <= three.len() { letter(at) } else { b'=' }));
    }
    text
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for four in text.chunks(4) {
        let value = |letter: &u8| LETTERS.iter().position(|known| known == letter);
        let values: Vec<_> = four.iter().filter_map(value).collect();
        let number = (0..4).fold(0, |sum, at| sum << 6 | values.get(at).copied().unwrap_or(0));
        let three = [number >> 16, number >> 8, number].map(|n| u8::try_from(n & 255).unwrap_or(0));
        bytes.extend_from_slice(&three[..values.len() - 1]);
    }
    bytes
}
