//! The enumerations of the API, `status` and `region`, which may get values that this version does not know.

use serde::{Deserialize, Serialize};

use crate::text::Untrusted;

/// The `status` of a session, as the API says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Created, not started.
    Pending,
    /// A browser runs, whether or not anyone is connected.
    Running,
    /// Failed.
    Error,
    /// Ran to its `expiresAt`.
    TimedOut,
    /// Every other orderly end; the API does not say which.
    Completed,
    /// A word that this version does not know, kept as it came.
    Other(Untrusted),
}

/// What a [`Status`] means for watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It can still change: ask again.
    Alive,
    /// It can not change any more.
    Ended,
    /// Nobody knows: ask again.
    Unknown,
}

impl Status {
    /// Every status of the contract, in its order.
    pub const KNOWN: [Self; 5] = [Self::Pending, Self::Running, Self::Error, Self::TimedOut, Self::Completed];

    /// The status with this name.
    #[must_use]
    pub fn from_api(word: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|known| known.raw() == word)
            .unwrap_or_else(|| Self::Other(Untrusted::new(word)))
    }

    /// The word of the API.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::Other(word) => word.raw(),
            known => known.into(),
        }
    }

    /// The word of the API, as a terminal may show it.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        match self {
            Self::Other(word) => word.sanitise(columns),
            known => crate::text::truncate(known.raw(), columns),
        }
    }

    /// Whether it is an end.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.phase() == Phase::Ended
    }

    /// Whether the session lives.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Pending | Self::Running => Phase::Alive,
            Self::Error | Self::TimedOut | Self::Completed => Phase::Ended,
            Self::Other(_) => Phase::Unknown,
        }
    }
}

/// Where a session runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Region {
    /// `us-west-2`
    UsWest2,
    /// `us-east-1`
    UsEast1,
    /// `eu-central-1`
    EuCentral1,
    /// `ap-southeast-1`
    ApSoutheast1,
    /// A region that this version does not know, kept as it came.
    Other(Untrusted),
}

impl Region {
    /// Every region of the contract, in its order.
    pub const KNOWN: [Self; 4] = [Self::UsWest2, Self::UsEast1, Self::EuCentral1, Self::ApSoutheast1];

    /// The region with this name.
    #[must_use]
    pub fn from_api(word: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|known| known.raw() == word)
            .unwrap_or_else(|| Self::Other(Untrusted::new(word)))
    }

    /// The word of the API.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::UsWest2 => "us-west-2",
            Self::UsEast1 => "us-east-1",
            Self::EuCentral1 => "eu-central-1",
            Self::ApSoutheast1 => "ap-southeast-1",
            Self::Other(word) => word.raw(),
        }
    }

    /// The word of the API, as a terminal may show it.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        match self {
            Self::Other(word) => word.sanitise(columns),
            known => crate::text::truncate(known.raw(), columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_read_back_as_they_were_written() {
        for status in Status::KNOWN {
            assert_eq!(Status::from_api(status.raw()), status);
        }
        for region in Region::KNOWN {
            assert_eq!(Region::from_api(region.raw()), region);
        }
        assert_eq!(Status::from_api("HIBERNATING").phase(), Phase::Unknown);
    }
}
