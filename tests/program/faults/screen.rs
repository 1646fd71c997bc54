//! The screen while the network fails.
