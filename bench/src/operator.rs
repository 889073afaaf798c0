//! An operator: signed requests to the EC2 API, one a connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::api::Signer;
use control::api::route::Service;
use model::{AccessKey, Region, Secret, Timestamp};

use crate::{Fault, answer};

/// LIMIT: how long one answer may take, of a thousand instances among a hundred thousand.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who may use the API of a server.
#[derive(Debug)]
pub(crate) struct Operator {
    address: SocketAddr,
    key: AccessKey,
    region: Region,
}

impl Operator {
    /// The administrator of the server that has its state in `dir`.
    pub(crate) fn of(imds: &Path, dir: &Path) -> Result<Self, Fault> {
        let output = Command::new(imds).args(["env", "--data-dir"]).arg(dir).output()?;
        let told = String::from_utf8(output.stdout)?;
        let find = |name: &str| {
            let start = format!("export {name}='");
            let value = told.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('\''));
            value.ok_or_else(|| format!("`imds env` does not tell {name}"))
        };
        let url = find("AWS_ENDPOINT_URL")?;
        let address = url.strip_prefix("http://").unwrap_or(url).parse()?;
        let id = find("AWS_ACCESS_KEY_ID")?.parse()?;
        let secret = Secret::new(find("AWS_SECRET_ACCESS_KEY")?.to_owned());
        let key = AccessKey::new(id, secret, Timestamp::default());
        Ok(Self { address, key, region: find("AWS_REGION")?.parse()? })
    }

    /// Signs a form that asks for something.
    pub(crate) fn request(&self, form: &str) -> Result<Vec<u8>, Fault> {
        let form = format!("{form}&Version={}", Service::Ec2.version());
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let now = Timestamp::from_millis(i64::try_from(now)?);
        let signer = Signer { key: &self.key, region: &self.region, service: Service::Ec2 };
        let mut request = String::from("POST / HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in signer.sign_form(&self.address.to_string(), form.as_bytes(), now)? {
            request.extend([name, ": ", &value, "\r\n"]);
        }
        Ok(format!("{request}content-length: {}\r\n\r\n{form}", form.len()).into_bytes())
    }

    /// Sends a signed request, and returns the document that is answered.
    pub(crate) fn send(&self, request: &[u8]) -> Result<String, Fault> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.write_all(request)?;
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes)?;
        let answer = answer::parse(&bytes).map_err(|broken| broken.to_string())?;
        let text = String::from_utf8(answer.body.to_vec())?;
        if answer.status == 200 { Ok(text) } else { Err(text.into()) }
    }
}
