//! Secrets: values that keepwatch must never show or store.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A value that controls browsers or an account: an API key or a connect URL. `Debug` and `Display` are redacted.
/// The memory of the value is overwritten on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `value`.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// Returns the value. Call this only where the value leaves the program.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // promise: secret-debug, mutant: "Secret(••••)" -> self.expose()
        f.write_str("Secret(••••)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("••••")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}
