//! The built program, `imds`, and virtual machines: stock Debian kernels in emulated PCs (QEMU,
//! without KVM, so that any machine can run these tests) ask it over TAP interfaces of a network
//! namespace.
//!
//! Which file a test belongs in:
//!
//! - [`alone`]: one guest, and what it reads;
//! - [`neighbours`]: guests that each have a TAP, and try to be each other;
//! - [`bridged`]: the same, with their TAPs on one bridge;
//! - [`debian`]: a whole Debian, whose cloud-init sets it up. It takes minutes: `make test-all`
//!   runs it, and `cargo test --test vm -- --ignored`.
//!
//! [`host`] is the machine that the guests run on, [`machine`] runs an emulated PC, [`guest`] one
//! with a shell that obeys the test. [`parts`] finds what they are made of, which `make parts` puts
//! into `target/vm`; [`initramfs`] packs it. The rest is shared with the tests in
//! `../program`, and those of `network`.

#![cfg(test)]

mod alone;
mod bridged;
mod debian;
mod guest;
mod host;
mod initramfs;
mod machine;
mod neighbours;
mod parts;

#[path = "../program/exchange.rs"]
#[expect(dead_code, reason = "guests ask, not the test: it only reads their answers")]
mod exchange;
#[path = "../program/namespace.rs"]
#[expect(dead_code, reason = "one namespace is enough here")]
mod namespace;
#[path = "../program/running.rs"]
#[expect(dead_code, reason = "the tests of the program look at servers from more sides")]
mod running;
#[path = "../../../network/tests/kernel/waiting.rs"]
mod waiting;
