//! The dated roots of the tree.

/// A version of the metadata categories: one of the roots that `GET /` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u8);

macro_rules! versions {
    ($($constant:ident = $name:literal,)+) => {
        /// The names, oldest first; `latest` is not among them.
        const NAMES: &[&str] = &[$($name,)+];

        /// Positions in [`NAMES`].
        #[derive(Clone, Copy)]
        enum Position { $($constant,)+ }

        #[expect(missing_docs, reason = "each is named after its date")]
        impl Version {
            $(pub const $constant: Self = Self(Position::$constant as u8);)+
        }
    };
}

// EC2: the list served in 2024 (data plane, 2.1).
versions! {
    V1_0 = "1.0",
    V2007_01_19 = "2007-01-19",
    V2007_03_01 = "2007-03-01",
    V2007_08_29 = "2007-08-29",
    V2007_10_10 = "2007-10-10",
    V2007_12_15 = "2007-12-15",
    V2008_02_01 = "2008-02-01",
    V2008_09_01 = "2008-09-01",
    V2009_04_04 = "2009-04-04",
    V2011_01_01 = "2011-01-01",
    V2011_05_01 = "2011-05-01",
    V2012_01_12 = "2012-01-12",
    V2014_02_25 = "2014-02-25",
    V2014_11_05 = "2014-11-05",
    V2015_10_20 = "2015-10-20",
    V2016_04_19 = "2016-04-19",
    V2016_06_30 = "2016-06-30",
    V2016_09_02 = "2016-09-02",
    V2018_03_28 = "2018-03-28",
    V2018_08_17 = "2018-08-17",
    V2018_09_24 = "2018-09-24",
    V2019_10_01 = "2019-10-01",
    V2020_10_27 = "2020-10-27",
    V2021_01_03 = "2021-01-03",
    V2021_03_23 = "2021-03-23",
    V2021_07_15 = "2021-07-15",
    V2022_07_09 = "2022-07-09",
    V2022_09_24 = "2022-09-24",
    V2024_04_11 = "2024-04-11",
}

impl Version {
    /// What `latest` stands for.
    pub const LATEST: Self = Self::V2024_04_11;

    /// Finds the version that a path segment names.
    pub fn find(name: &str) -> Option<Self> {
        if name == "latest" {
            return Some(Self::LATEST);
        }
        let position = NAMES.iter().position(|known| *known == name)?;
        u8::try_from(position).ok().map(Self)
    }

    /// Returns the names of all versions, oldest first, and `latest`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().copied().chain(["latest"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_versions_is_sorted_and_ends_in_latest() {
        let names: Vec<_> = Version::names().collect();
        assert_eq!(names.len(), 30);
        assert!(names.is_sorted(), "digits sort before `latest`");
        assert_eq!(names.join("\n").len(), 318);
        assert_eq!(Version::find("latest"), Version::find("2024-04-11"));
        assert_eq!(Version::find("2030-01-01"), None);
    }
}
