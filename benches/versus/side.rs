//! What is measured: sides, and which of them are compared.

use std::time::{Duration, Instant};

/// The loop of one thread: runs the operation at least as often as its argument says.
pub(crate) type Loop = Box<dyn FnMut(u64) -> Ran>;

/// How often the operation ran, and the time that was not spent in it.
pub(crate) struct Ran {
    pub(crate) times: u64,
    pub(crate) untimed: Duration,
}

/// One operation on one shared object. Each thread gets its own loop around it.
pub(crate) struct Side(Box<dyn Fn() -> Loop + Sync>);

impl Side {
    /// Creates a side. `handle` is called once on every thread, and `op` is measured.
    pub(crate) fn new<H: 'static>(
        handle: impl Fn() -> H + Sync + 'static,
        op: impl Fn(&mut H) + Copy + Sync + 'static,
    ) -> Self {
        Side(Box::new(move || {
            let mut handle = handle();
            Box::new(move |times| {
                (0..times).for_each(|_| op(&mut handle));
                Ran { times, untimed: Duration::ZERO }
            })
        }))
    }

    /// Creates a side whose `op` counts as `chunk` operations. `prepare` runs before it and is not
    /// measured.
    ///
    /// A chunk must be long compared with two readings of the clock.
    pub(crate) fn prepared<H: 'static>(
        chunk: u64,
        handle: impl Fn() -> H + Sync + 'static,
        prepare: impl Fn(&mut H) + Copy + Sync + 'static,
        op: impl Fn(&mut H) + Copy + Sync + 'static,
    ) -> Self {
        Side(Box::new(move || {
            let mut handle = handle();
            Box::new(move |times| {
                let mut ran = Ran { times: 0, untimed: Duration::ZERO };
                while ran.times < times {
                    let start = Instant::now();
                    prepare(&mut handle);
                    ran.untimed += start.elapsed();
                    op(&mut handle);
                    ran.times += chunk;
                }
                ran
            })
        }))
    }

    /// Returns the loop for the calling thread.
    pub(crate) fn looped(&self) -> Loop {
        (self.0)()
    }
}

/// The target against a peer.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// The maximum part of the peer's time.
    Ratio(f64),
    /// The maximum time in nanoseconds, whatever the peer takes.
    Nanos(f64),
}

/// Another crate's way to do the same.
pub(crate) struct Peer {
    pub(crate) package: &'static str,
    pub(crate) what: &'static str,
    pub(crate) side: Side,
    targets: Vec<(usize, Target)>,
    max_threads: usize,
}

impl Peer {
    /// Creates a peer: `what` of `package`, whose version is read from the lock file.
    pub(crate) fn new(package: &'static str, what: &'static str, side: Side) -> Self {
        Peer { package, what, side, targets: Vec::new(), max_threads: usize::MAX }
    }

    /// Sets the target with this number of threads.
    pub(crate) fn target(mut self, threads: usize, target: Target) -> Self {
        self.targets.push((threads, target));
        self
    }

    /// Marks a peer that cannot be driven by more than one thread.
    pub(crate) fn one_thread(mut self) -> Self {
        self.max_threads = 1;
        self
    }

    pub(crate) fn target_with(&self, threads: usize) -> Option<Target> {
        self.targets.iter().find(|(n, _)| *n == threads).map(|(_, target)| *target)
    }
}

/// Something of ours, its peers, and the work without any guard.
pub(crate) struct Case {
    pub(crate) subject: &'static str,
    ours: Side,
    bare: Option<Side>,
    peers: Vec<Peer>,
    max_threads: usize,
}

impl Case {
    pub(crate) fn new(subject: &'static str, ours: Side, peers: Vec<Peer>) -> Self {
        Case { subject, ours, bare: None, peers, max_threads: usize::MAX }
    }

    /// Marks a case that means nothing with more than one thread.
    pub(crate) fn one_thread(mut self) -> Self {
        self.max_threads = 1;
        self
    }

    pub(crate) fn is_for(&self, threads: usize) -> bool {
        threads <= self.max_threads
    }

    /// Also measures the work without any guard.
    pub(crate) fn bare(mut self, bare: Side) -> Self {
        self.bare = Some(bare);
        self
    }

    pub(crate) fn has_bare(&self) -> bool {
        self.bare.is_some()
    }

    /// Returns the peers that can be driven by this number of threads.
    pub(crate) fn peers(&self, threads: usize) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |peer| threads <= peer.max_threads)
    }

    /// Returns ours, then the peers, then the bare work.
    pub(crate) fn sides(&self, threads: usize) -> Vec<&Side> {
        let peers = self.peers(threads).map(|peer| &peer.side);
        std::iter::once(&self.ours).chain(peers).chain(&self.bare).collect()
    }
}
