//! keepwatch's core: sessions, what was observed of them, and what follows from it.
//!
//! Pure: no I/O, no network, no terminal. [`clock::Clock`] is the one place that reads clocks; everything else is given the
//! time as an argument.
//!
//! | module | owns |
//! | --- | --- |
//! | [`session`] | a session, its id, metadata and secrets, and the ways a request can fail |
//! | [`tracker`] | records, events, alerts, verdicts and evidence, all computed from a stream of inputs |
//! | [`filter`] | the filter language: parsing and matching |
//! | [`text`] | turning hostile text into text that a terminal may show; durations, bytes, widths |
//! | [`backoff`] | how long to wait before a retry |
//! | [`clock`] | reading clocks |

pub mod backoff;
pub mod clock;
pub mod filter;
pub mod session;
pub mod text;
pub mod tracker;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
