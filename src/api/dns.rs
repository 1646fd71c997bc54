//! Name resolution by the operating system. The resolver records whether the newest lookup is still running. So if
//! connecting takes too long, the error can blame the DNS server. The resolver caches nothing: each new connection
//! looks its host up again.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A lookup: a future that returns the addresses of a host, or an error.
type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A resolver for one client.
#[derive(Clone)]
pub(super) struct Resolver {
    look_up: fn(String) -> Lookup,
    lookups: Arc<LookupCounters>,
}

/// The numbers of two lookups. Lookups are numbered from 1, in the order of their starts.
#[derive(Default)]
struct LookupCounters {
    /// The number of the newest lookup.
    newest: AtomicU64,
    /// The highest number of a lookup that has ended.
    newest_ended: AtomicU64,
}

impl Resolver {
    /// Creates a resolver that asks the operating system.
    pub(super) fn system() -> Self {
        Self::with_lookup(|host| {
            // The port does not matter: reqwest sets it.
            Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
        })
    }

    /// Creates a resolver that calls `look_up` with the name of a host.
    pub(super) fn with_lookup(look_up: fn(String) -> Lookup) -> Self {
        Self { look_up, lookups: Arc::default() }
    }

    /// Returns true if the newest lookup has neither succeeded nor failed. A lookup that the client has abandoned, for
    /// example after a timeout, stays pending.
    pub(super) fn is_lookup_pending(&self) -> bool {
        let newest_ended = self.lookups.newest_ended.load(Ordering::Relaxed);
        newest_ended < self.lookups.newest.load(Ordering::Relaxed)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (look_up, lookups) = (self.look_up, Arc::clone(&self.lookups));
        Box::pin(async move {
            let number = lookups.newest.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let addresses = look_up(name.as_str().to_owned()).await;
            // An older lookup may end later than a newer one.
            lookups.newest_ended.fetch_max(number, Ordering::Relaxed);
            Ok(Box::new(addresses?.into_iter()) as Addrs)
        })
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("is_lookup_pending", &self.is_lookup_pending())
            .finish_non_exhaustive()
    }
}
