//! stand-in
pub fn run() {}
