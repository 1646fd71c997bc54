//! Name resolution by the operating system. It records whether the newest lookup is still running, so that a connection that
//! times out can be blamed on the DNS server. It caches nothing: each new connection looks its host up again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A resolver for one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolver {
    is_lookup_pending: Arc<AtomicBool>,
}

impl Resolver {
    /// Returns true if the newest lookup has neither succeeded nor failed, also if the client gave up waiting for it.
    pub(super) fn is_lookup_pending(&self) -> bool {
        self.is_lookup_pending.load(Ordering::Relaxed)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_lookup_pending = Arc::clone(&self.is_lookup_pending);
        Box::pin(async move {
            is_lookup_pending.store(true, Ordering::Relaxed);
            // The port does not matter: reqwest sets it.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await;
            is_lookup_pending.store(false, Ordering::Relaxed);
            let addresses: Vec<_> = addresses?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
