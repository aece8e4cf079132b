//! What is measured: sides, and which of them are compared.

use crate::cpu::has_cheap_locks;
use std::time::{Duration, Instant};

/// The loop of one thread: runs the operation at least as often as its argument says.
pub type Loop = Box<dyn FnMut(u64) -> Ran>;

/// How often the operation ran, and the time that was not spent in it.
pub struct Ran {
    /// How often the operation ran.
    pub times: u64,
    /// The time that was not spent in it.
    pub untimed: Duration,
}

/// One operation on one shared object. Each thread gets its own loop around it.
pub struct Side {
    looped: Box<dyn Fn() -> Loop + Sync>,
    is_prepared: bool,
}

impl Side {
    /// Creates a side. `handle` is called once on every thread, and `op` is measured.
    pub fn new<H: 'static>(
        handle: impl Fn() -> H + Sync + 'static,
        op: impl Fn(&mut H) + Copy + Sync + 'static,
    ) -> Self {
        let looped = Box::new(move || {
            let mut handle = handle();
            Box::new(move |times| {
                measured(&mut handle, times, op);
                Ran { times, untimed: Duration::ZERO }
            }) as Loop
        });
        Side { looped, is_prepared: false }
    }

    /// Creates a side whose `op` counts as `chunk` operations. `prepare` runs before it and is not
    /// measured.
    ///
    /// A chunk must be long compared with two readings of the clock.
    pub fn prepared<H: 'static>(
        chunk: u64,
        handle: impl Fn() -> H + Sync + 'static,
        prepare: impl Fn(&mut H) + Copy + Sync + 'static,
        op: impl Fn(&mut H) + Copy + Sync + 'static,
    ) -> Self {
        let looped = Box::new(move || {
            let mut handle = handle();
            Box::new(move |times| {
                let mut ran = Ran { times: 0, untimed: Duration::ZERO };
                while ran.times < times {
                    let start = Instant::now();
                    prepare(&mut handle);
                    ran.untimed += start.elapsed();
                    measured(&mut handle, 1, op);
                    ran.times += chunk;
                }
                ran
            }) as Loop
        });
        Side { looped, is_prepared: true }
    }

    /// Returns the loop for the calling thread.
    pub fn looped(&self) -> Loop {
        (self.looped)()
    }

    /// Returns whether work that is not measured is done between the operations.
    pub fn is_prepared(&self) -> bool {
        self.is_prepared
    }
}

/// Runs `op` `times` times. `cost` counts what happens in here, and finds it by its name.
#[inline(never)]
fn measured<H>(handle: &mut H, times: u64, op: impl Fn(&mut H)) {
    (0..times).for_each(|_| op(handle));
}

/// Runs a loop once more. `cost` begins a count before it, and writes the count after it.
#[inline(never)]
pub fn counted(looped: &mut Loop, times: u64) -> u64 {
    looped(times).times
}

/// The target against a peer.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The maximum part of the peer's time.
    Ratio(f64),
    /// The same for what both add to the work without a guard.
    Net(f64),
    /// The maximum time in nanoseconds, whatever the peer takes.
    Nanos(f64),
}

impl Target {
    /// Returns the maximum part of the peer's time on this kind of processor, by what a locked
    /// instruction costs there.
    pub(crate) fn ratio(dear: f64, cheap: f64) -> Self {
        Target::Ratio(if has_cheap_locks() { cheap } else { dear })
    }

    /// The same for what a layer adds to the bare service.
    pub(crate) fn net(dear: f64, cheap: f64) -> Self {
        Target::Net(if has_cheap_locks() { cheap } else { dear })
    }
}

/// Another crate's way to do the same.
pub struct Peer {
    /// The crate.
    pub package: &'static str,
    /// What of it.
    pub what: &'static str,
    /// Its operation.
    pub side: Side,
    targets: Vec<(usize, Target)>,
    max_threads: usize,
}

impl Peer {
    /// Creates a peer: `what` of `package`, whose version is read from the lock file.
    pub fn new(package: &'static str, what: &'static str, side: Side) -> Self {
        Peer { package, what, side, targets: Vec::new(), max_threads: usize::MAX }
    }

    /// Sets the target with this number of threads.
    pub fn target(mut self, threads: usize, target: Target) -> Self {
        self.targets.push((threads, target));
        self
    }

    /// Marks a peer that cannot be driven by more than one thread.
    pub fn one_thread(mut self) -> Self {
        self.max_threads = 1;
        self
    }

    /// Returns the target with this number of threads.
    pub fn target_with(&self, threads: usize) -> Option<Target> {
        self.targets.iter().find(|(n, _)| *n == threads).map(|(_, target)| *target)
    }
}

/// Something of ours, its peers, and the work without any guard.
pub struct Case {
    /// What of ours is measured.
    pub subject: &'static str,
    ours: Side,
    bare: Option<Side>,
    peers: Vec<Peer>,
    max_threads: usize,
}

impl Case {
    /// Creates a case: ours against `peers`.
    pub fn new(subject: &'static str, ours: Side, peers: Vec<Peer>) -> Self {
        Case { subject, ours, bare: None, peers, max_threads: usize::MAX }
    }

    /// Marks a case that means nothing with more than one thread.
    pub fn one_thread(mut self) -> Self {
        self.max_threads = 1;
        self
    }

    /// Returns whether the case means something with this number of threads.
    pub fn is_for(&self, threads: usize) -> bool {
        threads <= self.max_threads
    }

    /// Also measures the work without any guard.
    pub fn bare(mut self, bare: Side) -> Self {
        self.bare = Some(bare);
        self
    }

    /// Returns whether the work without any guard is the last of the sides.
    pub fn has_bare(&self) -> bool {
        self.bare.is_some()
    }

    /// Returns the peers that can be driven by this number of threads.
    pub fn peers(&self, threads: usize) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |peer| threads <= peer.max_threads)
    }

    /// Returns ours, then the peers, then the bare work.
    pub fn sides(&self, threads: usize) -> Vec<&Side> {
        let peers = self.peers(threads).map(|peer| &peer.side);
        std::iter::once(&self.ours).chain(peers).chain(&self.bare).collect()
    }
}

/// The memory of something of ours and of a peer, in bytes.
pub struct Bytes {
    /// What is ours.
    pub subject: &'static str,
    /// Bytes of ours.
    pub bytes: f64,
    /// The peer's package.
    pub package: &'static str,
    /// What of the package.
    pub what: &'static str,
    /// Bytes of the peer.
    pub peer_bytes: f64,
    /// The maximum for ours.
    pub target: f64,
}
