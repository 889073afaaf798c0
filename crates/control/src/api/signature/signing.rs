//! The side that signs: header lines for a form that is sent to a service.

use model::{AccessKey, Region, Timestamp};

use super::authorization::{Presented, Scope};
use super::{ALGORITHM, SignatureFault, TERMINATOR, canonical, hex, signature, time};
use crate::api::ApiRequest;
use crate::api::route::Service;

/// The content type that forms are sent with.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Who signs, and for whom.
#[derive(Debug)]
pub struct Signer<'a> {
    /// The key.
    pub key: &'a AccessKey,
    /// The region that the request is for.
    pub region: &'a Region,
    /// The service.
    pub service: Service,
}

impl Signer<'_> {
    /// Signs `POST /` of a form, and returns its header lines: names in lower case, and values.
    ///
    /// `host` is what the `Host` header says: with its port, unless that is the default one.
    ///
    /// # Errors
    ///
    /// [`SignatureFault`] if `host` cannot stand in a header.
    pub fn sign_form(
        &self,
        host: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, SignatureFault> {
        let at = time::basic(now);
        let mut lines = vec![
            ("content-type", FORM.to_owned()),
            ("host", host.to_owned()),
            ("x-amz-date", at.clone()),
        ];
        if let Some(token) = &self.key.session_token {
            lines.push(("x-amz-security-token", token.expose().clone()));
        }
        let headers = lines.iter().map(|(name, value)| (*name, &**value)).collect();
        let request =
            ApiRequest { method: "POST", path: "/", query: "", headers, body, source: None };
        let (region, service) = (self.region.to_string(), self.service.signing_name().to_owned());
        let presented = Presented {
            request: &request,
            access_key_id: self.key.id.to_string(),
            scope: Scope { date: at.chars().take(8).collect(), region, service },
            signed_headers: lines.iter().map(|(name, _)| (*name).to_owned()).collect(),
            signature: [0; 32],
            time: now,
            lifetime_seconds: None,
            session_token: None,
        };
        let canonical = canonical::request(&presented, &presented.payload_hash()?)?;
        let key = presented.signing_key(self.key.secret.expose());
        let signed = hmac::Mac::finalize(signature(&key, &presented.text_to_sign(&canonical)));
        let (Scope { date, region, service }, id) = (&presented.scope, &presented.access_key_id);
        let names = presented.signed_headers.join(";");
        let signed = hex(&signed.into_bytes());
        let authorization = format!(
            "{ALGORITHM} Credential={id}/{date}/{region}/{service}/{TERMINATOR}, \
             SignedHeaders={names}, Signature={signed}"
        );
        lines.push(("authorization", authorization));
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use model::Secret;

    use super::*;

    #[test]
    fn the_recorded_request_is_signed_as_the_cli_signed_it() {
        let key = AccessKey::new(
            "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            Timestamp::default(),
        );
        let region = "us-east-1".parse().unwrap();
        let signer = Signer { key: &key, region: &region, service: Service::Ec2 };
        let body = b"Action=ModifyInstanceMetadataOptions&Version=2016-11-15\
            &InstanceId=i-034109c70aaa4b055&HttpTokens=required&HttpPutResponseHopLimit=1\
            &HttpEndpoint=enabled";
        let now = "2026-11-22T00:29:10Z".parse().unwrap();
        let lines = signer.sign_form("127.0.0.1:8099", body, now).unwrap();
        let (_, authorization) = lines.last().unwrap();
        let signature = "951adec2d9113e019efa75f3d216c7151a45f0c91867b3469c493774cbea05d5";
        assert!(authorization.ends_with(signature), "{authorization}");
    }

    #[test]
    fn what_is_signed_with_a_temporary_key_verifies() {
        let (id, secret) = ("ASIAEXAMPLE".parse().unwrap(), Secret::new("secret".to_owned()));
        let session_token = Some(Secret::new("token".to_owned()));
        let key = AccessKey { session_token, ..AccessKey::new(id, secret, Timestamp::default()) };
        let region = "eu-west-1".parse().unwrap();
        let signer = Signer { key: &key, region: &region, service: Service::Sts };
        let now = Timestamp::from_seconds(1_790_000_000);
        let lines = signer.sign_form("localhost", b"Action=GetCallerIdentity", now).unwrap();
        let headers = lines.iter().map(|(name, value)| (*name, &**value)).collect();
        let body = b"Action=GetCallerIdentity";
        let request =
            ApiRequest { method: "POST", path: "/", query: "", headers, body, source: None };
        let presented = Presented::parse(&request).unwrap();
        let verified = presented.verify(Some(&key), "sts", 300, now).unwrap();
        assert_eq!(verified.region(), "eu-west-1");
    }
}
