//! Checks that take more than comparing bytes: the signatures of identity documents, verified with
//! the commands that users of EC2 run (data plane, 6.4).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scratch::Scratch;

mod shape;

/// A check that a case can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedCheck {
    /// The text is a CMS blob of the shape EC2 gives it, with these algorithms.
    CmsShape(Blob),
    /// The text is a CMS blob that verifies and holds the captured document.
    VerifiesBlob(Blob),
    /// The text is a signature over the captured document.
    VerifiesSignature,
}

/// The two CMS blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blob {
    /// SHA-1 and DSA.
    Pkcs7,
    /// SHA-256 and RSA.
    Rsa2048,
}

impl Blob {
    fn name(self) -> &'static str {
        match self {
            Self::Pkcs7 => "pkcs7",
            Self::Rsa2048 => "rsa2048",
        }
    }
}

impl NamedCheck {
    /// Reads the name that cases use.
    ///
    /// # Errors
    ///
    /// There is no such check.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "cms-shape-of-pkcs7" => Ok(Self::CmsShape(Blob::Pkcs7)),
            "cms-shape-of-rsa2048" => Ok(Self::CmsShape(Blob::Rsa2048)),
            "verifies-pkcs7" => Ok(Self::VerifiesBlob(Blob::Pkcs7)),
            "verifies-rsa2048" => Ok(Self::VerifiesBlob(Blob::Rsa2048)),
            "verifies-signature" => Ok(Self::VerifiesSignature),
            _ => Err(format!("there is no check `{name}`")),
        }
    }

    /// Runs the check on a body.
    ///
    /// # Errors
    ///
    /// What is wrong with the body, with `openssl`, or with the certificates.
    pub(crate) fn run(
        self,
        body: &[u8],
        document: Option<&[u8]>,
        certificates: &[(String, String)],
    ) -> Result<(), String> {
        let certificate = |wanted: &str| {
            certificates
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, pem)| pem.as_str())
                .ok_or_else(|| format!("the service has no certificate `{wanted}`"))
        };
        let document = || document.ok_or("the check needs a captured document");
        match self {
            Self::CmsShape(blob) => check_shape(blob, body),
            Self::VerifiesBlob(blob) => verify_blob(body, document()?, certificate(blob.name())?),
            Self::VerifiesSignature => {
                verify_signature(body, document()?, certificate("signature")?)
            }
        }
    }
}

/// `openssl dgst -sha256 -verify KEY -signature SIG DOCUMENT`, after decoding the base64 text.
fn verify_signature(body: &[u8], document: &[u8], certificate: &str) -> Result<(), String> {
    let scratch = Scratch::new()?;
    let document = scratch.write("document", document)?;
    let certificate = scratch.write("certificate.pem", certificate.as_bytes())?;
    let text = scratch.write("signature.b64", &[body, b"\n"].concat())?;
    let signature = openssl(&[&"base64", &"-d", &"-in", &text])?;
    if signature.len() != 128 {
        return Err(format!("the signature has {} bytes and not 128", signature.len()));
    }
    let signature = scratch.write("signature", &signature)?;
    let key = openssl(&[&"x509", &"-in", &certificate, &"-pubkey", &"-noout"])?;
    let key = scratch.write("key.pem", &key)?;
    openssl(&[&"dgst", &"-sha256", &"-verify", &key, &"-signature", &signature, &document])
        .map(drop)
}

/// `openssl smime -verify -inform PEM -content DOCUMENT -certfile CERTIFICATE -noverify`, and the
/// same without the document: what comes out must be the document.
fn verify_blob(body: &[u8], document: &[u8], certificate: &str) -> Result<(), String> {
    let scratch = Scratch::new()?;
    let content = scratch.write("document", document)?;
    let certificate = scratch.write("certificate.pem", certificate.as_bytes())?;
    let blob = scratch.write("blob.pem", &armoured(body))?;
    let verify = |further: &[Argument<'_>]| {
        let fixed: [Argument<'_>; 9] = [
            &"smime",
            &"-verify",
            &"-in",
            &blob,
            &"-inform",
            &"PEM",
            &"-certfile",
            &certificate,
            &"-noverify",
        ];
        openssl(&[&fixed, further].concat())
    };
    verify(&[&"-content", &content])?;
    // `-binary`, or line ends would be made those of mail.
    let embedded = verify(&[&"-binary"])?;
    if embedded != document {
        return Err("what the blob holds is not the document".to_owned());
    }
    let inside = openssl(&[&"pkcs7", &"-in", &blob, &"-print_certs"])?;
    if String::from_utf8_lossy(&inside).contains("BEGIN CERTIFICATE") {
        return Err("the blob holds a certificate".to_owned());
    }
    Ok(())
}

/// Checks the layout that EC2's blobs have (data plane, 6.3): indefinite lengths outside, the
/// document in a constructed string of one piece, no certificates, one signer, three signed
/// attributes in order, NULL parameters where EC2 has them.
fn check_shape(blob: Blob, body: &[u8]) -> Result<(), String> {
    let scratch = Scratch::new()?;
    let file = scratch.write("blob.pem", &armoured(body))?;
    let parsed = openssl(&[&"asn1parse", &"-in", &file, &"-inform", &"PEM"])?;
    let parsed = String::from_utf8_lossy(&parsed);
    let shape = shape::of(&parsed);
    let expected = shape::expected(blob);
    match shape.iter().zip(&expected).position(|(is, should)| is != should) {
        None if shape.len() == expected.len() => Ok(()),
        None => Err(format!("the blob has {} elements and not {}", shape.len(), expected.len())),
        Some(at) => Err(format!(
            "element {at} of the blob is `{}` and not `{}`",
            shape.get(at).map_or("", String::as_str),
            expected.get(at).copied().unwrap_or_default()
        )),
    }
}

/// Makes a blob what users of EC2 make it before they verify it.
fn armoured(body: &[u8]) -> Vec<u8> {
    [b"-----BEGIN PKCS7-----\n", body, b"\n-----END PKCS7-----\n"].concat()
}

type Argument<'a> = &'a dyn AsOsStr;

/// What stands on a command line: words and paths.
trait AsOsStr {
    fn as_os_str(&self) -> &OsStr;
}

impl AsOsStr for &str {
    fn as_os_str(&self) -> &OsStr {
        OsStr::new(self)
    }
}

impl AsOsStr for PathBuf {
    fn as_os_str(&self) -> &OsStr {
        Path::as_os_str(self)
    }
}

/// Runs `openssl` and returns what it prints.
fn openssl(arguments: &[Argument<'_>]) -> Result<Vec<u8>, String> {
    let arguments = arguments.iter().map(|argument| argument.as_os_str());
    let command = arguments.clone().next().unwrap_or_default().display().to_string();
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .map_err(|source| format!("openssl is needed and does not run: {source}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("openssl {command} says: {}", said.trim()))
    }
}

#[cfg(test)]
mod tests;
