//! One request at a time, waited for: to get a token, and to see that a server answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use crate::request::{Kind, Request};
use crate::{Fault, answer};

/// LIMIT: how long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends `request` and returns the body of the answer.
///
/// # Errors
///
/// Whatever keeps the answer from being whole and of the expected status.
pub(crate) fn ask(to: SocketAddrV4, request: &Request) -> Result<Vec<u8>, Fault> {
    let mut connection = TcpStream::connect(to)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(&request.bytes)?;
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes)?;
    let answer = answer::parse(&bytes).map_err(|broken| broken.to_string())?;
    if answer.status != request.status {
        return Err(format!("status {} came, not {}", answer.status, request.status).into());
    }
    Ok(answer.body.to_vec())
}

/// Gets a session token.
pub(crate) fn token(from: SocketAddrV4) -> Result<String, Fault> {
    Ok(String::from_utf8(ask(from, &Request::new(Kind::Put, ""))?)?)
}
