//! HTTP to a server, byte by byte: what is sent is what the test wrote, and what is read is all
//! that came before the server closed.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::waiting::PATIENCE;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and header lines.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the bytes of one answer and nothing more.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let wrong = |what: &str| {
            let shown = String::from_utf8_lossy(bytes);
            io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {shown:?}"))
        };
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or_else(|| wrong("no whole head"))?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let body = bytes[end + 4..].to_vec();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| wrong("no status"))?;
        let answer = Self { status, head, body };
        match answer.header("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) if length == answer.body.len() => Ok(answer),
            None if answer.header("transfer-encoding").is_some() => Ok(answer),
            _ => Err(wrong("the body is not as long as the head says")),
        }
    }

    /// Returns the value of a header line.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Returns the body, which must be text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Opens a connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends `bytes` and reads the one answer, to the end of the connection.
pub(crate) fn try_exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    try_exchange_over(connect(address)?, bytes)
}

fn try_exchange_over(mut stream: TcpStream, bytes: &[u8]) -> io::Result<Answer> {
    stream.write_all(bytes)?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    Answer::parse(&received)
}

/// Sends `bytes` and reads the one answer; failing to fails the test.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let refused = |fault| panic!("no connection to {address}: {fault}");
    exchange_over(connect(address).unwrap_or_else(refused), bytes)
}

/// Like [`exchange`], over a connection that is there.
pub(crate) fn exchange_over(stream: TcpStream, bytes: &[u8]) -> Answer {
    let told = |fault| panic!("{fault}, asked {:?}", String::from_utf8_lossy(bytes));
    try_exchange_over(stream, bytes).unwrap_or_else(told)
}

/// Sends `bytes`, says that there are no more, and returns everything that comes back until the
/// server closes or resets.
pub(crate) fn send_and_end(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    // The server may have closed already.
    let _ = stream.shutdown(Shutdown::Write);
    read_to_close(&mut stream)
}

/// Reads until the server closes or resets.
pub(crate) fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Err(fault) if fault.kind() != io::ErrorKind::ConnectionReset => {
            panic!("the server neither answers nor closes: {fault}")
        }
        Ok(_) | Err(_) => received,
    }
}

/// The bytes of a token request.
pub(crate) fn token_request(ttl: &str) -> String {
    format!(
        "PUT /latest/api/token HTTP/1.1\r\nHost: 169.254.169.254\r\n\
         X-aws-ec2-metadata-token-ttl-seconds: {ttl}\r\n\r\n"
    )
}

/// The bytes of a read with a token.
pub(crate) fn read_request(path: &str, token: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n"
    )
}

/// The bytes of a read without a token.
pub(crate) fn tokenless_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n")
}

/// Gets a token that lives for six hours.
pub(crate) fn token(address: SocketAddr) -> String {
    let answer = exchange(address, token_request("21600").as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.text().to_owned()
}

/// Reads `path` with `token`.
pub(crate) fn read(address: SocketAddr, path: &str, token: &str) -> Answer {
    exchange(address, read_request(path, token).as_bytes())
}

/// Reads `path` with a new token, which must succeed, and returns the text.
pub(crate) fn value(address: SocketAddr, path: &str) -> String {
    let answer = read(address, path, &token(address));
    assert_eq!(answer.status, 200, "{path}: {}", answer.head);
    answer.text().to_owned()
}

/// Reads `path` without a token.
pub(crate) fn read_tokenless(address: SocketAddr, path: &str) -> Answer {
    exchange(address, tokenless_request(path).as_bytes())
}
