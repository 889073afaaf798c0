//! The EC2 API of a running server, asked as a client of AWS asks: a signed form, answered in XML.

use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use control::api::Signer;
use control::api::route::Service;
use model::{AccessKey, Region, Secret, Timestamp};
use serde_json::{Value, json};

use crate::exchange::{Answer, try_exchange};
use crate::running::{Home, Running};

/// The region of whoever says nothing of it.
const REGION: &str = "us-east-1";

/// Has the server close behind its answer.
pub(crate) const CLOSE: &str = "Connection: close\r\n";

/// Somebody with a key, who asks for one region.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    key: AccessKey,
    region: Region,
}

impl Operator {
    /// The administrator that a first start makes; the same after every other start.
    pub(crate) fn administrator(home: &Home) -> Self {
        let found = home.ask(&json!({ "action": "environment" })).unwrap();
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        Self::with_key(&text("access_key_id"), &text("secret_access_key"))
    }

    /// Somebody with a key that the test made up.
    pub(crate) fn with_key(id: &str, secret: &str) -> Self {
        let secret = Secret::new(secret.to_owned());
        let id = id.parse().unwrap();
        let key = AccessKey::new(id, secret, model::Timestamp::default());
        Self { key, region: REGION.parse().unwrap() }
    }

    /// Somebody with the credentials of a document that metadata shows.
    pub(crate) fn with_document(document: &Value) -> Self {
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        let mut found = Self::with_key(&text("AccessKeyId"), &text("SecretAccessKey"));
        found.key.session_token = Some(Secret::new(text("Token")));
        found
    }

    /// The same one, in another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { region: region.parse().unwrap(), ..self.clone() }
    }

    /// The bytes of a signed request to EC2. `more` is header lines that are not signed.
    pub(crate) fn request(&self, to: SocketAddr, form: &str, more: &str) -> Vec<u8> {
        self.request_of(Service::Ec2, to, form, more)
    }

    fn request_of(&self, service: Service, to: SocketAddr, form: &str, more: &str) -> Vec<u8> {
        let form = format!("{form}&Version={}", service.version());
        let signer = Signer { key: &self.key, region: &self.region, service };
        let lines = signer.sign_form(&to.to_string(), form.as_bytes(), now()).unwrap();
        let mut request = String::from("POST / HTTP/1.1\r\n");
        for (name, value) in lines {
            request.extend([name, ": ", &value, "\r\n"]);
        }
        format!("{request}Content-Length: {}\r\n{more}\r\n{form}", form.len()).into()
    }

    /// Asks for what a form says; none if the server breaks off.
    pub(crate) fn try_ask(&self, to: SocketAddr, form: &str) -> io::Result<Told> {
        let answer = try_exchange(to, &self.request(to, form, CLOSE))?;
        Ok(Told(answer))
    }

    /// Asks STS who asks.
    pub(crate) fn identity(&self, server: &Running) -> Told {
        let to = server.management;
        let request = self.request_of(Service::Sts, to, "Action=GetCallerIdentity", CLOSE);
        Told(try_exchange(to, &request).unwrap())
    }

    /// Asks for what a form says, which must be done.
    pub(crate) fn ask(&self, server: &Running, form: &str) -> Told {
        let told = self.try_ask(server.management, form).unwrap();
        assert_eq!(told.0.status, 200, "{form}: {}", told.text());
        told
    }

    /// Asks for what a form says, which must be refused; returns the code.
    pub(crate) fn refusal(&self, server: &Running, form: &str) -> String {
        let told = self.try_ask(server.management, form).unwrap();
        assert_ne!(told.0.status, 200, "{form}: {}", told.text());
        told.one("Code")
    }

    /// Launches an instance; `more` is what else the form says.
    pub(crate) fn launch(&self, server: &Running, more: &str) -> String {
        self.ask(server, &launch_form(more)).one("instanceId")
    }
}

/// The form that launches one instance.
pub(crate) fn launch_form(more: &str) -> String {
    format!("Action=RunInstances&ImageId=ami-0abcdef1234567890&MinCount=1&MaxCount=1{more}")
}

/// What the EC2 API answered.
#[derive(Clone, Debug)]
pub(crate) struct Told(pub(crate) Answer);

impl Told {
    pub(crate) fn text(&self) -> &str {
        self.0.text()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.status == 200
    }

    /// The texts of every element of a name, in order.
    pub(crate) fn all(&self, element: &str) -> Vec<String> {
        let (start, end) = (format!("<{element}>"), format!("</{element}>"));
        let parts = self.text().split(&start).skip(1);
        parts.map(|part| part.split(&end).next().unwrap().to_owned()).collect()
    }

    /// The text of the one element of a name.
    pub(crate) fn one(&self, element: &str) -> String {
        let mut all = self.all(element);
        assert_eq!(all.len(), 1, "{element} in {}", self.text());
        all.remove(0)
    }

    /// What stands in the metadata options of the one instance.
    pub(crate) fn option(&self, element: &str) -> String {
        let told = &self.one(if self.text().contains("<metadataOptions>") {
            "metadataOptions"
        } else {
            "instanceMetadataOptions"
        });
        let (_, rest) = told.split_once(&format!("<{element}>")).unwrap();
        rest.split('<').next().unwrap().to_owned()
    }
}

/// Where an instance is served, which has an address of its own.
pub(crate) fn endpoint(home: &Home, id: &str) -> SocketAddr {
    let shown = home.ask(&json!({ "action": "show_instance", "instance_id": id })).unwrap();
    let url = shown["endpoints"].as_array().and_then(|all| all.first()).and_then(Value::as_str);
    let url = url.unwrap_or_else(|| panic!("{id} is served nowhere: {shown}"));
    let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{url}"))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}
