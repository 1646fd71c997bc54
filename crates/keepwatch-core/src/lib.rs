//! The core of keepwatch: sessions, observations of them, and the conclusions that follow.
//!
//! Pure: no I/O, no network, no terminal. Only [`clock::Clock`] reads clocks. All other code receives the time as an
//! argument.
//!
//! | module | owns |
//! | --- | --- |
//! | [`session`] | a session, its id, metadata and secrets, and the errors of a request |
//! | [`tracker`] | records, events, alerts, verdicts and evidence, all computed from a stream of inputs |
//! | [`filter`] | the filter language: parsing and matching |
//! | [`text`] | sanitising hostile text for a terminal; redacting secrets; formatting durations and bytes; widths |
//! | [`clients`] | which call of which client disconnects, and which ends the session |
//! | [`backoff`] | the delay before a retry |
//! | [`clock`] | reading clocks |

pub mod backoff;
pub mod clients;
pub mod clock;
pub mod filter;
pub mod session;
pub mod text;
pub mod tracker;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
