//! Fetches every name that is listed anywhere.

use std::collections::BTreeSet;

/// LIMIT: names of one crawl; thirty roots of some eighty names are far below it.
const NAMES_MAX: usize = 20_000;

/// Crawls from `/`. `fetch` returns the status and the body of a path.
///
/// Below `/latest` it also asks for directories without their final slash and for leaves with one:
/// both must be served (data plane, 1.9).
pub(crate) fn crawl(mut fetch: impl FnMut(&str) -> Result<(u16, Vec<u8>), String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut waiting = vec!["/".to_owned()];
    let mut fetched = 0;
    while let Some(path) = waiting.pop() {
        fetched += 1;
        if fetched > NAMES_MAX {
            faults.push(format!("more than {NAMES_MAX} names are listed"));
            break;
        }
        let body = match fetch(&path) {
            Ok((200, body)) => body,
            Ok((404, _)) if path.ends_with("/user-data") => continue,
            Ok((status, _)) => {
                faults.push(format!("{path} is listed and answered {status}"));
                continue;
            }
            Err(fault) => {
                faults.push(format!("{path}: {fault}"));
                continue;
            }
        };
        if path.starts_with("/latest/") {
            let twin = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
            match fetch(&twin) {
                Ok((200, _)) => {}
                Ok((status, _)) => faults.push(format!("{path} is 200 and {twin} is {status}")),
                Err(fault) => faults.push(format!("{twin}: {fault}")),
            }
        }
        if path.ends_with('/') {
            match listing(&body) {
                Ok(names) => waiting.extend(names.into_iter().map(|name| child(&path, name))),
                Err(fault) => faults.push(format!("{path}: {fault}")),
            }
        }
    }
    faults
}

/// Splits a listing into its names.
fn listing(body: &[u8]) -> Result<Vec<&str>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the listing is not UTF-8")?;
    let names: Vec<&str> = text.split('\n').collect();
    let several: BTreeSet<&str> = names.iter().copied().collect();
    match names.iter().find(|name| name.trim().is_empty()) {
        Some(_) => Err("the listing has an empty line, or a line end after the last name".into()),
        None if several.len() < names.len() => Err("the listing names something twice".into()),
        None => Ok(names),
    }
}

/// Returns the path of a listed name. Three kinds of directory are listed without their slash: the
/// versions, the parts of a version, and public keys (data plane, 1.10).
fn child(path: &str, name: &str) -> String {
    let depth = path.matches('/').count();
    match name.split_once('=') {
        Some((index, _)) if path.ends_with("/public-keys/") => format!("{path}{index}/"),
        _ if depth == 1 || depth == 2 && name != "user-data" => format!("{path}{name}/"),
        _ => format!("{path}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what a fetch returns")]
    fn tree(path: &str) -> Result<(u16, Vec<u8>), String> {
        let body = match path {
            "/" => "1.0\nlatest",
            "/1.0/" => "meta-data",
            "/latest/" | "/latest" => "meta-data\nuser-data",
            "/1.0/meta-data/" => "ami-id",
            "/latest/meta-data/" | "/latest/meta-data" => "ami-id\npublic-keys/",
            "/latest/meta-data/public-keys/" | "/latest/meta-data/public-keys" => "0=my-key",
            "/latest/meta-data/public-keys/0/" | "/latest/meta-data/public-keys/0" => "openssh-key",
            "/latest/meta-data/public-keys/0/openssh-key"
            | "/latest/meta-data/public-keys/0/openssh-key/" => "ssh-rsa AAAA my-key\n",
            "/1.0/meta-data/ami-id" | "/latest/meta-data/ami-id" | "/latest/meta-data/ami-id/" => {
                "ami-1234abcd"
            }
            _ => return Ok((404, Vec::new())),
        };
        Ok((200, body.into()))
    }

    #[test]
    fn a_whole_tree_has_no_faults() {
        assert_eq!(crawl(tree), Vec::<String>::new());
    }

    #[test]
    fn what_is_listed_and_missing_is_found() {
        for missing in [
            "/1.0/",
            "/1.0/meta-data/ami-id",
            "/latest/meta-data/public-keys/0/openssh-key",
            "/latest/meta-data/ami-id/",
            "/latest/meta-data",
        ] {
            let faults =
                crawl(|path| if path == missing { Ok((404, Vec::new())) } else { tree(path) });
            assert_eq!(faults.len(), 1, "{missing}: {faults:?}");
        }
    }

    #[test]
    fn listings_that_are_none_are_found() {
        for (path, body) in
            [("/1.0/", "meta-data\n"), ("/1.0/", ""), ("/1.0/meta-data/", "ami-id\nami-id")]
        {
            let faults =
                crawl(|asked| if asked == path { Ok((200, body.into())) } else { tree(asked) });
            assert_eq!(faults.len(), 1, "{path} {body:?}: {faults:?}");
        }
    }
}
