//! Waiting on the tokio timer.

use std::time::Duration;

use keepwatch_core::clock::Clock;

/// Waits until the monotonic reading of `clock` is `mono` or later. A scripted clock never ends a wait by itself.
pub async fn sleep_until(clock: &Clock, mono: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the clock computed how long to wait")]
    clock.wait_until(mono, tokio::time::sleep).await;
}
