//! Curves, RED and PIE, with a signal that follows a script.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, ManualTime, Priority};
use plimsoll_drop::{Control, Curve, LoadShedder, LoadShedderBuilder, Signal, SignalReading};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const N: Priority = Priority::NORMAL;

/// Returns a shedder, the reading that its signal returns, and its clock.
fn scripted(
    control: Control,
    target: Duration,
) -> (LoadShedder<Signal>, Arc<Mutex<SignalReading>>, ManualTime) {
    scripted_by(LoadShedder::builder().control(control), target)
}

fn scripted_by(
    builder: LoadShedderBuilder,
    target: Duration,
) -> (LoadShedder<Signal>, Arc<Mutex<SignalReading>>, ManualTime) {
    let (time, reading) = (ManualTime::new(), Arc::new(Mutex::new(SignalReading::new())));
    let signal = reading.clone();
    let shedder = builder
        .target(target)
        .signal(move || *signal.lock().unwrap())
        .clock(time.clock())
        .dice(Dice::seeded(1))
        .build()
        .unwrap();
    (shedder, reading, time)
}

fn rejected(curve: &Curve) -> String {
    let [one, two] = [Control::Curve(*curve), Control::Red(*curve)]
        .map(|control| LoadShedder::builder().control(control).build().unwrap_err().to_string());
    assert_eq!(one, two);
    one
}

#[test]
fn invalid_curve_is_named_with_its_value() {
    for (curve, field, value) in [
        (Curve::linear(5.0, 5.0), "curve", "5 to 5"),
        (Curve::linear(7.0, 5.0), "curve", "7 to 5"),
        (Curve::linear(f64::NAN, 5.0), "curve", "NaN to 5"),
        (Curve::linear(1.0, f64::NAN), "curve", "1 to NaN"),
        (Curve::linear(1.0, f64::INFINITY), "curve", "1 to inf"),
        (Curve::linear(f64::NEG_INFINITY, 1.0), "curve", "-inf to 1"),
        (Curve::linear_to(1.0, 2.0, 1.5), "curve.keep_rate", "1.5"),
        (Curve::linear_to(1.0, 2.0, f64::NAN), "curve.keep_rate", "NaN"),
        (Curve::step(1.0, -0.5), "curve.keep_rate", "-0.5"),
        (Curve::step(1.0, f64::NAN), "curve.keep_rate", "NaN"),
        (Curve::step(f64::NAN, 0.5), "curve", "NaN"),
    ] {
        let error = rejected(&curve);
        assert!(error.starts_with(&format!("{field} = {value} is not allowed")), "{error}");
    }
}

#[test]
fn curve_falls_between_its_loads() {
    let step = Curve::step(10.0, 0.25);
    assert_eq!([9.999, 10.0, 1e9].map(|load| step.keep_rate(load)), [1.0, 0.25, 0.25]);
    let line = Curve::linear_to(10.0, 30.0, 0.5);
    assert_eq!(
        [0.0, 10.0, 20.0, 30.0, f64::INFINITY].map(|load| line.keep_rate(load)),
        [1.0, 1.0, 0.75, 0.5, 0.5]
    );
    // A load that is not a number drops nothing.
    assert_eq!([Curve::linear(1.0, 2.0), step].map(|curve| curve.keep_rate(f64::NAN)), [1.0, 1.0]);
    assert_eq!(format!("{step:?} {line:?}"), "Curve(0.25 from 10 on) Curve(linear 10 to 30, 0.5 at least)");
}

#[test]
fn curve_uses_the_depth_or_else_the_delay() {
    let (shedder, reading, time) =
        scripted_by(LoadShedder::builder().curve_fn(|load| load), Duration::from_millis(10));
    let rate = |next| {
        *reading.lock().unwrap() = next;
        shedder.keep(N);
        time.advance(Duration::from_millis(10));
        shedder.tick();
        shedder.keep_rate()
    };
    let delay = Duration::from_millis(250);
    assert_eq!(rate(SignalReading::new().delay(delay)), 0.25);
    assert_eq!(rate(SignalReading::new()), 0.25, "no request was started, so the last delay holds");
    assert_eq!(rate(SignalReading::new().depth(1).delay(delay)), 1.0);
    assert_eq!(rate(SignalReading::new().depth(0).delay(delay)), 0.0);
}

/// The weight is 0.002 an arrival, however long the ticks are.
#[test]
fn red_follows_the_average_over_arrivals() {
    let curve = Curve::linear(0.0, 400.0);
    let (shedder, reading, time) = scripted(Control::Red(curve), Duration::from_millis(10));
    let (mut average, mut arrived) = (0.0_f64, 0);
    for tick in 0..2_000_u32 {
        // High for five seconds, then low, then alternating with each tick.
        let depth = match tick {
            // A signal that never moves would not be trusted.
            0..500 => 200 + u64::from(tick % 2),
            500..1_000 => 0,
            _ => 300 * u64::from(tick % 2),
        };
        *reading.lock().unwrap() = SignalReading::new().depth(depth);
        for _ in 0..1 + tick % 7 {
            shedder.keep(N);
            arrived += 1;
            average += 0.002 * (depth as f64 - average);
        }
        time.advance(Duration::from_millis(10));
        shedder.tick();
        let keep = 1.0 - average / 400.0;
        let keep_rate = shedder.keep_rate();
        assert!((keep_rate - keep).abs() < 1e-9, "{keep_rate} instead of {keep} after {arrived} arrivals");
        match tick {
            499 => assert!(average > 190.0),
            999 => assert!(average < 10.0),
            1_999 => assert!((140.0..160.0).contains(&average), "{average}"),
            _ => {}
        }
    }
}

/// The update of RFC 8033 with its cap of a step, its decay and its burst allowance, for queues of
/// more than two packets.
struct Rfc8033 {
    qdelay_ref: f64,
    drop_prob: f64,
    qdelay_old: f64,
    // In milliseconds, as the clock of the RFC counts.
    burst_allowance: u32,
}

impl Rfc8033 {
    /// Updates the state once in 15 ms. Returns the probability of dropping until the next update.
    fn update(&mut self, current_qdelay: f64) -> f64 {
        let scales = [(1e-6, 2048.0), (1e-5, 512.0), (1e-4, 128.0), (1e-3, 32.0), (1e-2, 8.0), (1e-1, 2.0)];
        let scale = scales.iter().find(|(below, _)| self.drop_prob < *below).map_or(1.0, |(_, by)| *by);
        let mut p =
            (0.125 * (current_qdelay - self.qdelay_ref) + 1.25 * (current_qdelay - self.qdelay_old)) / scale;
        if self.drop_prob >= 0.1 && p > 0.02 {
            p = 0.02;
        }
        self.drop_prob += p;
        if current_qdelay == 0.0 && self.qdelay_old == 0.0 {
            self.drop_prob *= 0.98;
        }
        self.drop_prob = self.drop_prob.clamp(0.0, 1.0);
        if self.drop_prob == 0.0
            && current_qdelay < self.qdelay_ref / 2.0
            && self.qdelay_old < self.qdelay_ref / 2.0
        {
            self.burst_allowance = 150;
        }
        self.qdelay_old = current_qdelay;
        self.burst_allowance = self.burst_allowance.saturating_sub(15);
        let idle = self.qdelay_old < self.qdelay_ref / 2.0 && self.drop_prob < 0.2;
        if self.burst_allowance > 0 || idle { 0.0 } else { self.drop_prob }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// The script is a list of delays in milliseconds, and of the number of ticks for which each
    /// lasts.
    #[test]
    fn pie_matches_the_rfc(script in prop::collection::vec((1..40_u32, prop_oneof![Just(0), 0..20_u64, 0..2_000_u64]), 1..30)) {
        let target = Duration::from_millis(15);
        let (shedder, reading, time) = scripted(Control::Pie, target);
        let mut oracle =
            Rfc8033 { qdelay_ref: 0.015, drop_prob: 0.0, qdelay_old: 0.0, burst_allowance: 150 };
        let mut moves = 0;
        for (ticks, millis) in script {
            for _ in 0..ticks {
                // A signal that never moves would not be trusted.
                moves += 1;
                let delay = Duration::from_millis(millis) + Duration::from_nanos(moves % 2);
                *reading.lock().unwrap() = SignalReading::new().delay(delay);
                for _ in 0..3 {
                    shedder.keep(N);
                }
                time.advance(target);
                shedder.tick();
                let keep = 1.0 - oracle.update(delay.as_secs_f64());
                let keep_rate = shedder.keep_rate();
                prop_assert!((keep_rate - keep).abs() < 1e-9, "{} instead of {}", keep_rate, keep);
            }
        }
    }
}

/// PIE once took a tick without departures for an empty queue.
#[test]
fn pie_by_depth_drops_on_after_a_tick_without_departures() {
    let target = Duration::from_millis(20);
    let (shedder, reading, time) = scripted(Control::Pie, target);
    let mut departed = 0;
    let mut tick = |left: u64| {
        departed += left;
        *reading.lock().unwrap() = SignalReading::new().depth(500).departed(departed).busy(true);
        for _ in 0..100 {
            shedder.keep(N);
        }
        time.advance(target);
        shedder.tick();
        shedder.keep_rate()
    };
    // 1,600 departures a second make a queue of 500 a delay of 310 ms.
    let before = (0..40).map(|_| tick(32)).last().unwrap();
    assert!(before < 0.5, "{before}");
    let after = tick(0);
    assert!(after <= before, "{before} before, and {after} after a tick in which nothing left");
}

/// RFC 8033 never drops while two or fewer packets wait. 1,886 of 10,118 such arrivals were dropped
/// once, up to 808 ms after the overload.
#[test]
fn pie_spares_a_queue_of_two() {
    let target = Duration::from_millis(20);
    let (shedder, reading, time) = scripted(Control::Pie, target);
    let mut departed = 0;
    let mut tick = |depth: u64| {
        departed += 32;
        *reading.lock().unwrap() = SignalReading::new().depth(depth).departed(departed).busy(true);
        time.advance(target);
        shedder.tick();
        (0..8).filter(|_| shedder.keep(N)).count()
    };
    for _ in 0..200 {
        tick(500);
    }
    assert!(shedder.keep_rate() < 0.1 && tick(500) < 3, "{shedder:?}");
    // Three arrive while at most two wait, and the others are dropped.
    let kept: Vec<usize> = (0..20).map(|_| tick(0)).collect();
    assert!(kept.iter().all(|kept| *kept >= 3), "{kept:?}");
    let time = ManualTime::new();
    let builder = LoadShedder::builder().control(Control::Pie).workers(1).clock(time.clock());
    let shedder = builder.dice(Dice::seeded(1)).build().unwrap();
    let held: Vec<_> = (0..3).map(|_| shedder.try_acquire_owned(N)).collect();
    assert!(held.iter().all(Result::is_ok), "{held:?}");
}

/// Runs a queue with some servers, of which the shedder knows the delay alone. Returns the mean
/// delay over its target and the used share of the capacity, both after `settled` seconds.
fn delay_alone(service: f64, servers: usize, load: f64, target: f64, settled: f64) -> (f64, f64) {
    let (shedder, reading, time) = scripted(Control::Rate, Duration::from_secs_f64(target));
    let (dice, capacity) = (Dice::seeded(5), servers as f64 / service);
    let mut free_at = vec![0.0_f64; servers];
    let mut waiting = VecDeque::new();
    let (mut now, mut sum, mut n) = (0.0_f64, 0.0, 0.0);
    while now < settled + 30.0 {
        now += -(1.0 - dice.uniform()).ln() / (capacity * load);
        loop {
            let free = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
            let Some(arrival) = waiting.front().copied().filter(|_| *free <= now) else { break };
            waiting.pop_front();
            let start = free.max(arrival);
            *free = start + service;
            let mut reading = reading.lock().unwrap();
            *reading = SignalReading::new().delay(Duration::from_secs_f64(start - arrival));
            if start > settled {
                sum += start - arrival;
                n += 1.0;
            }
        }
        time.advance_to(plimsoll_core::Instant::from_nanos((now * 1e9) as u64));
        if shedder.keep(N) {
            waiting.push_back(now);
        }
    }
    (sum / n / target, n / 30.0 / capacity)
}

#[test]
fn delay_alone_holds_the_target_of_a_small_plant() {
    for load in [1.1, 1.5, 2.0, 5.0] {
        let (delay, used) = delay_alone(0.01, 10, load, 0.05, 20.0);
        println!("at {load}: delay {delay:.3} of its target, {used:.3} of the capacity");
        assert!((0.5..1.5).contains(&delay), "{delay} at {load}");
        assert!(used > 0.9, "{used} at {load}");
    }
    let (delay, used) = delay_alone(0.01, 10, 0.5, 0.05, 20.0);
    assert!(
        delay < 0.5 && (0.47..0.53).contains(&used),
        "nothing is dropped at half the load: {delay}, {used}"
    );
}

/// The levels are counted in whole arrivals, so the share must not depend on their rate.
#[test]
fn curve_keeps_its_share_at_low_rates() {
    for rate in [20.0, 200.0, 1_000.0] {
        for keep in [0.1, 0.3, 0.5, 0.9] {
            let (shedder, reading, time) =
                scripted(Control::Curve(Curve::step(0.0, keep)), Duration::from_millis(5));
            let dice = Dice::seeded(9);
            let (mut now, mut arrived, mut kept) = (0.0_f64, 0.0, 0.0);
            while arrived < 40_000.0 {
                // A signal that never moves would not be trusted.
                *reading.lock().unwrap() = SignalReading::new().depth(1 + arrived as u64 % 7);
                now += -(1.0 - dice.uniform()).ln() / rate;
                time.advance_to(plimsoll_core::Instant::from_nanos((now * 1e9) as u64));
                arrived += 1.0;
                kept += f64::from(u8::from(shedder.keep(N)));
            }
            let share = kept / arrived;
            println!("{keep} at {rate}/s: {share:.4}");
            assert!((share / keep - 1.0).abs() < 0.1, "{share} was kept instead of {keep} at {rate}/s");
        }
    }
}

/// Requests of a priority that never arrived before are dropped, too.
#[test]
fn curve_of_zero_drops_every_priority() {
    let (shedder, reading, time) = scripted(Control::Curve(Curve::step(1.0, 0.0)), Duration::from_millis(5));
    *reading.lock().unwrap() = SignalReading::new().depth(1);
    time.advance(Duration::from_millis(10));
    shedder.tick();
    for priority in 0..=255 {
        assert!(!shedder.keep(Priority(priority)), "{priority}");
    }
    assert_eq!(shedder.keep_rate(), 0.0);
}
