use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ec2::site::{Site, elements};

/// What `ssh-keygen -t ed25519` wrote.
const KEY: &str = "ssh-ed25519 \
                   AAAAC3NzaC1lZDI1NTE5AAAAIFTeJgtKiMIhBlF8pPi66IlzTKDhNTGC3Ww1LZde4CfE";

/// What `ssh-keygen -l` says of it, with the padding of base64.
const FINGERPRINT: &str = "pHjnjYLkZIJsWHSP7gIlG0jBsxW71wNYmW4HUrbxd9M=";

fn material(text: &str) -> String {
    STANDARD.encode(text).replace('+', "%2B").replace('=', "%3D")
}

fn import(name: &str, key: &str) -> String {
    format!("Action=ImportKeyPair&KeyName={name}&PublicKeyMaterial={}", material(key))
}

#[test]
fn a_key_that_is_imported_is_in_the_metadata_of_what_is_launched_with_it() {
    let site = Site::new();
    let form = format!(
        "{}&TagSpecification.1.ResourceType=key-pair&TagSpecification.1.Tag.1.Key=a\
         &TagSpecification.1.Tag.1.Value=b",
        import("mine", &format!("{KEY} me@here\n"))
    );
    let answer = site.ask(&form).unwrap();
    let id = elements(&answer, "keyPairId").remove(0);
    assert!(id.starts_with("key-0") && id.len() == 21, "{id}");
    assert!(answer.contains("<item><key>a</key><value>b</value></item>"), "{answer}");
    let instance = site.stored(&site.launch("ImageId=ami-0abcdef1234567890&KeyName=mine"));
    assert_eq!(&*instance.key_pair.unwrap().public_key, KEY);
    let described = site.ask("Action=DescribeKeyPairs&KeyName.1=mine").unwrap();
    assert_eq!(elements(&described, "keyPairId"), [&*id]);
    assert_eq!(elements(&described, "keyType"), ["ed25519"]);
    assert_eq!(elements(&described, "keyFingerprint"), [FINGERPRINT]);
    assert!(!described.contains("publicKey"));
    let by_id = format!("Action=DescribeKeyPairs&KeyPairId.1={id}&IncludePublicKey=true");
    assert_eq!(site.all(&by_id, "publicKey"), [format!("{KEY} mine")]);
    let by_tag = "Action=DescribeKeyPairs&Filter.1.Name=tag%3Aa&Filter.1.Value.1=b";
    assert_eq!(site.all(by_tag, "keyName"), ["mine"]);
    assert_eq!(
        site.refusal(&import("mine", KEY)),
        ("InvalidKeyPair.Duplicate".into(), "The keypair 'mine' already exists.".into())
    );
}

#[test]
fn what_is_no_key_is_not_imported() {
    let site = Site::new();
    let blob = KEY.split(' ').nth(1).unwrap();
    for text in [
        "",
        "ssh-ed25519",
        blob,
        &format!("ssh-rsa {blob}"),
        &format!("ssh-dss {blob}"),
        "ssh-rsa AAAA",
        "ssh-rsa AAAAB3NzaC1yc2E=",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        assert_eq!(site.refusal(&import("mine", text)).0, "InvalidKey.Format", "{text}");
    }
    let form = "Action=ImportKeyPair&KeyName=mine&PublicKeyMaterial=%21";
    assert_eq!(site.refusal(form).0, "InvalidKey.Format");
    assert_eq!(site.refusal(&import("", KEY)).0, "InvalidParameterValue");
    assert_eq!(site.refusal(&import(&"n".repeat(256), KEY)).0, "InvalidParameterValue");
}

#[test]
fn a_name_that_was_adopted_gets_its_key_later() {
    let site = Site::new();
    site.launch("ImageId=ami-0abcdef1234567890&KeyName=label");
    let described = site.ask("Action=DescribeKeyPairs&KeyName.1=label").unwrap();
    assert!(!described.contains("keyType"), "{described}");
    site.ask(&import("label", KEY)).unwrap();
    let described = site.ask("Action=DescribeKeyPairs&KeyName.1=label").unwrap();
    assert_eq!(elements(&described, "keyType"), ["ed25519"]);
}

#[test]
fn key_pairs_go() {
    let site = Site::new();
    let id = site.all(&import("mine", KEY), "keyPairId").remove(0);
    site.ask(&format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=a")).unwrap();
    assert_eq!(site.all("Action=DeleteKeyPair&KeyName=mine", "keyPairId"), [&*id]);
    assert_eq!(
        site.refusal("Action=DescribeKeyPairs&KeyName.1=mine"),
        ("InvalidKeyPair.NotFound".into(), "The key pair 'mine' does not exist".into())
    );
    let tags = "Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=key-pair";
    assert!(!site.ask(tags).unwrap().contains(&id));
    assert_eq!(site.all("Action=DeleteKeyPair&KeyName=mine", "return"), ["true"]);
    let by_id = format!("Action=DeleteKeyPair&KeyPairId={id}");
    assert_eq!(
        site.refusal(&by_id),
        ("InvalidKeyPair.NotFound".into(), format!("The key pair ID '{id}' does not exist"))
    );
    assert_eq!(site.refusal("Action=DeleteKeyPair").0, "MissingParameter");
    let built_in = site.all("Action=DescribeKeyPairs", "keyName").remove(0);
    let form = format!("Action=DeleteKeyPair&KeyName={built_in}");
    assert_eq!(site.refusal(&form).0, "OperationNotPermitted");
}
