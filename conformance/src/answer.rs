//! An answer as bytes, taken apart strictly, and what must be true of every one.

use model::Timestamp;

use crate::target::{End, Profile, Received};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status line and the header lines, as they came.
    pub(crate) head: Vec<String>,
    /// The HTTP version.
    pub(crate) version: String,
    /// The status code.
    pub(crate) status: u16,
    /// The reason phrase.
    pub(crate) reason: String,
    /// Header names and values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Everything after the head.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Takes an answer apart. Nothing is forgiven: lines end in CRLF, names are tokens, one space
    /// follows the colon.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or("the head of the answer has no end")?;
        let (head, body) = bytes.split_at_checked(end + 4).unwrap_or((bytes, b""));
        let head = std::str::from_utf8(head).map_err(|_| "the head of the answer is not UTF-8")?;
        let head = head.strip_suffix("\r\n\r\n").unwrap_or(head);
        let head: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        if let Some(line) = head.iter().find(|line| line.contains(['\r', '\n'])) {
            return Err(format!("the line {line:?} does not end in CRLF"));
        }
        let (status_line, lines) = head.split_first().ok_or("the answer is empty")?;
        let no_status = || format!("{status_line:?} is not a status line");
        let (version, rest) = status_line.split_once(' ').ok_or_else(no_status)?;
        let (code, reason) = rest.split_once(' ').ok_or_else(no_status)?;
        let status = code.parse().map_err(|_| no_status())?;
        let headers = lines
            .iter()
            .map(|line| header(line).ok_or_else(|| format!("{line:?} is not a header line")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            version: version.to_owned(),
            status,
            reason: reason.to_owned(),
            headers,
            body: body.to_owned(),
            head,
        })
    }

    /// Returns the values of the headers with this name, letter for letter.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the one value of a header, or nothing if it is absent or there twice.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether there is a header of this name, in any case of letters.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Returns the time of the answer.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        self.value("Date").and_then(http_date)
    }
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let sound = !name.is_empty() && name.bytes().all(token) && value.trim() == value;
    sound.then(|| (name.to_owned(), value.to_owned()))
}

/// Reads the one form of date that answers have: `Tue, 04 Mar 2025 10:00:00 GMT`.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, _] = *words else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let time: Timestamp = format!("{year}-{month:02}-{day}T{time}Z").parse().ok()?;
    // The day of the week and the rest must be what this time is written as.
    Some(time).filter(|time| time.http_date().to_string() == text)
}

/// Headers that no answer carries (data plane, 1.6).
const NEVER: [&str; 6] =
    ["Cache-Control", "Content-Encoding", "ETag", "Metadata-Flavor", "Transfer-Encoding", "Vary"];

/// Checks what must be true of every answer; returns what is not.
pub(crate) fn check_always(
    answer: &Answer,
    received: &Received,
    profile: Profile,
    to_head: bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut demand = |holds: bool, otherwise: String| {
        if !holds {
            faults.push(otherwise);
        }
    };
    let version = match profile {
        Profile::Legacy => "HTTP/1.0",
        Profile::Nitro => "HTTP/1.1",
    };
    demand(
        answer.version == version,
        format!("the version is {} and not {version}", answer.version),
    );
    for (name, value) in [("Server", "EC2ws"), ("Connection", "close")] {
        demand(
            answer.value(name) == Some(value),
            format!("there is not exactly one `{name}: {value}`"),
        );
    }
    demand(answer.date().is_some(), "there is no valid `Date`".to_owned());
    if answer.has("Last-Modified") {
        let modified = answer.value("Last-Modified").and_then(http_date);
        demand(
            modified.is_some_and(|modified| answer.date().is_none_or(|date| modified <= date)),
            "`Last-Modified` is not a time at or before `Date`".to_owned(),
        );
    }
    for name in NEVER {
        demand(!answer.has(name), format!("there is a header `{name}`"));
    }
    let length = answer.body.len();
    let said = answer.value("Content-Length");
    if to_head {
        demand(
            said.is_some_and(|said| said.parse::<usize>().is_ok()),
            format!("`Content-Length` is {said:?}"),
        );
        demand(length == 0, format!("HEAD was answered with {length} bytes of body"));
    } else {
        demand(
            said == Some(length.to_string().as_str()),
            format!("`Content-Length` is {said:?}, and {length} bytes followed"),
        );
    }
    match received.end {
        End::Closed => {}
        End::Reset => demand(false, "the connection ended by a reset".to_owned()),
        End::Silent => demand(false, "the connection did not end".to_owned()),
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
        Last-Modified: Tue, 04 Mar 2025 09:59:00 GMT\r\nDate: Tue, 04 Mar 2025 10:00:00 GMT\r\n\
        Server: EC2ws\r\nConnection: close\r\n\r\nhi";

    fn faults(text: &str, end: End, to_head: bool) -> Vec<String> {
        let received = Received { bytes: text.into(), end };
        let answer = Answer::parse(&received.bytes).unwrap();
        check_always(&answer, &received, Profile::Nitro, to_head)
    }

    #[test]
    fn a_sound_answer_has_no_faults() {
        assert_eq!(faults(SOUND, End::Closed, false), Vec::<String>::new());
        let to_head = SOUND.trim_end_matches("hi");
        assert_eq!(faults(to_head, End::Closed, true), Vec::<String>::new());
    }

    #[test]
    fn each_rule_of_every_answer_is_checked() {
        for (from, to) in [
            ("HTTP/1.1", "HTTP/1.0"),
            ("Server: EC2ws", "Server: nginx"),
            ("Server: EC2ws", "Server: EC2ws\r\nServer: EC2ws"),
            ("Server", "server"),
            ("Connection: close", "Connection: keep-alive"),
            ("Date: Tue", "Date: Wed"),
            ("Date: Tue, 04 Mar 2025 10:00:00 GMT", "Date: Tue, 4 Mar 2025 10:00:00 GMT"),
            ("09:59:00", "10:00:01"),
            ("Length: 2", "Length: 3"),
            ("Length: 2", "Length: +2"),
            ("Content-Length: 2", "Content-Size: 2"),
            ("Server", "ETag: \"1\"\r\nServer"),
            ("Server", "Vary: *\r\nServer"),
            ("Server", "transfer-encoding: identity\r\nServer"),
            ("hi", "hi there"),
        ] {
            let text = SOUND.replace(from, to);
            assert_eq!(faults(&text, End::Closed, false).len(), 1, "{from} -> {to}");
        }
        for end in [End::Reset, End::Silent] {
            assert_eq!(faults(SOUND, end, false).len(), 1, "{end:?}");
        }
        assert_eq!(faults(SOUND, End::Closed, true).len(), 1);
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA:b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA:  b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n : b\r\n\r\n",
        ] {
            assert!(Answer::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        let empty = Answer::parse(b"HTTP/1.1 200 OK\r\nA:\r\n\r\n").unwrap();
        assert_eq!(empty.value("A"), Some(""));
    }
}
