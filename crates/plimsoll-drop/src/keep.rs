//! The controller: how much to admit, so that the queue behind has the delay that is wanted.
//!
//! A machine. It steers the admitted *rate*, not the probability of dropping: in that the same step is twenty times
//! as large at twenty times the load, while a rate admitted too much grows the queue equally at any load. The
//! capacity is measured where the work leaves, and fed forward; what remains is a proportional term that
//! empties the excess over a chosen time, and a slow integral for what queues really do.

/// What is known when it ticks. Times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tick {
    /// Since the last one.
    pub(crate) dt: f64,
    /// How many came meanwhile.
    pub(crate) arrivals: f64,
    /// How many left the queue meanwhile.
    pub(crate) departures: f64,
    /// How many are in the queue.
    pub(crate) depth: f64,
    /// How long those waited that began meanwhile.
    pub(crate) delay: f64,
    /// The queue was never empty meanwhile.
    pub(crate) busy: bool,
}

/// A rate, by a decayed count over a decayed time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    n: f64,
    t: f64,
    // Since the last look for a jump.
    new_n: f64,
    new_t: f64,
}

/// So many events, or so many expected, say whether the rate has jumped.
const ENOUGH: f64 = 25.0;

impl Rate {
    /// As if it had been seen for `seconds`.
    fn known(rate: f64, seconds: f64) -> Self {
        Rate { n: rate * seconds, t: seconds, ..Rate::default() }
    }

    pub(crate) fn get(self) -> f64 {
        if self.t > 0.0 { self.n / self.t } else { 0.0 }
    }

    /// How many events it goes by.
    pub(crate) fn seen(self) -> f64 {
        self.n
    }

    pub(crate) fn count(&mut self, events: f64, dt: f64, memory: f64) {
        // A pause longer than the memory counts as no more than that: or it would take as long to be forgotten.
        let part = (memory / dt).min(1.0);
        let a = (-dt / memory).exp();
        self.n = self.n * a + events * part;
        self.t = self.t * a + dt * part;
    }

    /// The same; a jump replaces the memory: six standard deviations, and half as much again.
    pub(crate) fn count_jumps(&mut self, events: f64, dt: f64, memory: f64) {
        let part = (memory / dt).min(1.0);
        (self.new_n, self.new_t) = (self.new_n + events * part, self.new_t + dt * part);
        let (came, expected) = (self.new_n, self.get() * self.new_t);
        let (more, less) = (came.max(expected), came.min(expected));
        let known = self.t > 0.0;
        self.count(events, dt, memory);
        if more >= ENOUGH {
            if known && more - less > 6.0 * expected.max(1.0).sqrt() && more > 1.5 * less {
                (self.n, self.t) = (self.new_n, self.new_t);
            }
            (self.new_n, self.new_t) = (0.0, 0.0);
        }
    }
}

/// Feed-forward and PI on the admitted rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateController {
    target: f64,
    tick: f64,
    arrivals: Rate,
    departures: Rate,
    z: f64,
    keep: f64,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aim {
    /// The share to keep, 0 to 1.
    pub(crate) keep: f64,
    /// The rate to admit.
    pub(crate) rate: f64,
    /// The delay is far above its target: tick more often.
    pub(crate) overloaded: bool,
    /// The rate at which work leaves, if it is known.
    pub(crate) capacity: Option<f64>,
}

/// The proportional term may take or add a quarter, and all terms together take a quarter at most: the important
/// are promised 70 % of the capacity.
const REACH: f64 = 0.25;
const FLOOR: f64 = 0.75;
/// How far the integral goes.
const LEAST: f64 = -0.6;
const MOST: f64 = 0.15;
/// While refusing and nothing waits, the capacity is forgotten over so many seconds, and tried anew.
const PROBE: f64 = 3.0;

impl RateController {
    pub(crate) fn new(target: f64, tick: f64, capacity: Option<f64>) -> Self {
        // Worth 64 events, so that it is gone by at once and yields to what is measured.
        let hint = |rate: f64| Rate::known(rate, target.max(64.0 / rate));
        let departures = capacity.map_or(Rate::default(), hint);
        RateController { target, tick, arrivals: Rate::default(), departures, z: 0.0, keep: 1.0 }
    }

    pub(crate) fn set_target(&mut self, target: f64, tick: f64) {
        (self.target, self.tick) = (target, tick);
    }

    pub(crate) fn capacity(&self) -> Option<f64> {
        (self.departures.n >= 8.0).then(|| self.departures.get())
    }

    pub(crate) fn tick(&mut self, at: Tick) -> Aim {
        let (d, tick) = (self.target, self.tick);
        let Tick { dt, arrivals, departures, depth, delay, busy } = at;
        let lambda = self.arrivals.get();
        let memory = (64.0 / lambda.max(1e-9)).clamp(2.0 * tick, (5.0_f64).max(2.0 * tick));
        self.arrivals.count_jumps(arrivals, dt, memory);
        let lambda = self.arrivals.get().max(1e-9);
        if busy {
            let least = (4.0 * tick).max(d);
            let memory =
                (200.0 / self.departures.get().max(1e-9)).clamp(least, (5.0_f64).max(2.0 * d).max(least));
            self.departures.count(departures, dt, memory);
        } else if self.keep < 1.0 && delay < d / 4.0 {
            // Refusing while nothing waits: the estimate is stale.
            self.departures.t *= (-dt / PROBE).exp();
        }
        let mu = self.departures.get();
        let hot = delay > 2.0 * d || (mu > 0.0 && depth / mu > 2.0 * d);
        let known =
            (self.departures.n >= 8.0 && self.departures.t >= d / 2.0) || (self.departures.n >= 1.0 && hot);
        if !known || mu <= 0.0 {
            self.keep = 1.0;
            return Aim { keep: 1.0, rate: f64::INFINITY, overloaded: hot, capacity: None };
        }
        // Four of what is longer, the target or a tick: with two ticks only, the noise between two of them drives the
        // proportional term into its limit, where the integral rests: a single server then waits too long.
        let time = 4.0 * d.max(tick);
        // By Little's law the depth is the delay to come: it leads the measured one.
        let p = (-(depth / mu - d) / time).clamp(-REACH, REACH);
        let would = mu * (1.0 + p + self.z).max(FLOOR) / lambda;
        if p > -REACH && !(would >= 1.0 && delay < d && self.z >= 0.0) {
            self.z -= 0.25 * dt * (delay - d).clamp(-d, 2.0 * d) / (time * time);
            self.z = self.z.clamp(LEAST, MOST);
        }
        if would >= 1.0 && self.z < 0.0 && delay < d {
            // Nothing need be dropped: forget why.
            self.z *= 1.0 - (dt / (10.0 * time)).min(0.5);
        }
        let rate = mu * (1.0 + p + self.z).max(FLOOR);
        self.keep = (rate / lambda).min(1.0);
        Aim { keep: self.keep, rate, overloaded: hot, capacity: Some(mu) }
    }
}

/// Where only a delay is known: PI on the logarithm of the share that is kept, whose gain is the same at any
/// load, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogController {
    target: f64,
    tick: f64,
    log: f64,
    before: f64,
}

impl LogController {
    pub(crate) fn new(target: f64, tick: f64) -> Self {
        LogController { target, tick, log: 0.0, before: 0.0 }
    }

    pub(crate) fn set_target(&mut self, target: f64, tick: f64) {
        (self.target, self.tick) = (target, tick);
    }

    pub(crate) fn tick(&mut self, dt: f64, delay: f64) -> f64 {
        let d = self.target;
        let w = 1.0 / (3.0 * (d + self.tick));
        let error = (delay - d).clamp(-d, 4.0 * d);
        let slope = (delay - self.before).clamp(-4.0 * d, 4.0 * d);
        self.before = delay;
        self.log -= w * w * dt * error + 2.0 * w * slope;
        // One in ten thousand is kept at least: something must tell when it is over.
        self.log = self.log.clamp(-9.2, 0.0);
        self.log.exp()
    }
}

/// PIE (RFC 8033): PI on the probability of dropping, with the gains of that document, which it scales down
/// while the probability is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pie {
    target: f64,
    drop: f64,
    before: f64,
    // What is left of the burst that is let through, in seconds.
    burst: f64,
    // Departures of the measurement that is under way, its time, and the rate of those before.
    left: (f64, f64),
    rate: Option<f64>,
}

impl Pie {
    /// In so many seconds it moves by its gains once.
    const UPDATE: f64 = 0.015;
    const ALPHA: f64 = 0.125;
    const BETA: f64 = 1.25;
    /// 150 ms.
    const BURST: f64 = 0.15;
    /// So many departures make a measurement of their rate: about the 16 KiB of the document. A tick alone
    /// may see none, and would read the longest queue as no delay.
    const MEASURED: f64 = 16.0;

    pub(crate) fn new(target: f64) -> Self {
        Pie { target, drop: 0.0, before: 0.0, burst: Self::BURST, left: (0.0, 0.0), rate: None }
    }

    pub(crate) fn set_target(&mut self, target: f64) {
        self.target = target;
    }

    /// The delay of `depth`, by the rate at which work leaves while there is a queue.
    pub(crate) fn delay(&mut self, dt: f64, departures: f64, depth: f64, busy: bool) -> f64 {
        self.left = if busy { (self.left.0 + departures, self.left.1 + dt) } else { (0.0, 0.0) };
        if self.left.0 >= Self::MEASURED {
            let new = self.left.0 / self.left.1;
            self.rate = Some(self.rate.map_or(new, |old| old + (new - old) / 8.0));
            self.left = (0.0, 0.0);
        }
        self.rate.map_or(0.0, |rate| depth / rate)
    }

    pub(crate) fn tick(&mut self, dt: f64, delay: f64) -> f64 {
        let steps = dt / Self::UPDATE;
        let mut step = Self::ALPHA * steps * (delay - self.target) + Self::BETA * (delay - self.before);
        step *= match self.drop {
            p if p < 0.000_001 => 1.0 / 2_048.0,
            p if p < 0.000_01 => 1.0 / 512.0,
            p if p < 0.000_1 => 1.0 / 128.0,
            p if p < 0.001 => 1.0 / 32.0,
            p if p < 0.01 => 1.0 / 8.0,
            p if p < 0.1 => 1.0 / 2.0,
            _ => 1.0,
        };
        if self.drop >= 0.1 {
            step = step.min(0.02);
        }
        self.drop += step;
        if delay == 0.0 && self.before == 0.0 {
            self.drop *= 0.98;
        }
        self.drop = self.drop.clamp(0.0, 1.0);
        if self.drop == 0.0 && delay < self.target / 2.0 && self.before < self.target / 2.0 {
            self.burst = Self::BURST;
        }
        self.before = delay;
        self.burst = (self.burst - dt).max(0.0);
        // Of ten times 15 ms taken off 150 ms, a rounding is left.
        let spared = self.burst > 1e-9 || (delay < self.target / 2.0 && self.drop < 0.2);
        if spared { 1.0 } else { 1.0 - self.drop }
    }
}
