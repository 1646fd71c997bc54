//! stand-in until the real one is merged
#![allow(missing_docs, unused, clippy::all)]
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(Arc<str>);
impl Untrusted {
    pub fn new(raw: impl Into<Arc<str>>) -> Self {
        Self(raw.into())
    }
    pub fn raw(&self) -> &str {
        &self.0
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn shown(&self, columns: usize) -> String {
        shown(&self.0, columns)
    }
    pub fn line(&self) -> String {
        shown(&self.0, 1000)
    }
}
pub fn shown(raw: &str, columns: usize) -> String {
    fit(raw, columns)
}
pub fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        text.into()
    } else {
        let mut s: String = text.chars().take(columns.saturating_sub(1)).collect();
        s.push('…');
        s
    }
}
pub fn width(text: &str) -> usize {
    text.chars().count()
}
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    vec![text.into()]
}
pub fn to_ascii(text: &str) -> String {
    text.into()
}
pub fn json_for_terminal(json: &str) -> String {
    json.into()
}
pub fn masked(text: &str) -> String {
    text.into()
}
pub fn countdown(left: Duration) -> String {
    format!("{}s", left.as_secs())
}
pub fn age(age: Duration) -> String {
    format!("{}m", age.as_secs() / 60)
}
pub fn length(d: Duration) -> String {
    format!("{}s", d.as_secs())
}
pub fn span(d: Duration) -> String {
    format!("{} s", d.as_secs())
}
pub fn latency(d: Duration) -> String {
    format!("{} ms", d.as_millis())
}
pub fn bytes(n: i64) -> String {
    format!("{n} B")
}
pub fn shortest_unique(ids: &[&str]) -> Vec<usize> {
    ids.iter().map(|_| 8).collect()
}
