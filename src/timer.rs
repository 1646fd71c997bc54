//! Waits with the tokio timer.

use std::time::Duration;

use keepwatch_core::clock::Clock;

/// Waits until the monotonic time of `clock` is `mono` or later. Tests use a scripted clock, on which a
/// wait for a later time never ends.
pub async fn sleep_until(clock: &Clock, mono: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the clock computed how long to wait")]
    clock.wait_until(mono, tokio::time::sleep).await;
}
