//! Mailboxes: the cost of an offer, of an offer and a take, and of an item drained in a batch.

use crate::side::{Case, Peer, Side, Target};
use crossbeam_queue::ArrayQueue;
use plimsoll::buffer::MailboxBuilder;
use plimsoll::{Discipline, Inbox, Mailbox};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The same as in the headline workload.
const BOUND: usize = 1_000;
/// Items offered before each timed draining: whole batches, and no more than a cache holds.
const FILL: usize = 1_024;
const BATCH: usize = 64;

pub(crate) fn full() -> Vec<Case> {
    let peers = vec![
        locked_deque_full().target(1, Target::ratio(1.10, 1.40)).target(2, Target::Ratio(1.00)),
        Peer::new("crossbeam-queue", "ArrayQueue force_push, and a count", array_full()),
        Peer::new("async-channel", "force_send, and a count", async_full()),
    ];
    vec![Case::new("oldest evicted", offering(Mailbox::builder()), peers)]
}

pub(crate) fn full_weighted() -> Vec<Case> {
    let bounded = |weight, weigh: fn(&u64) -> u32| {
        offering(Mailbox::builder().max_weight(weight, weigh).max_age(Duration::from_secs(1)))
    };
    let peer = || vec![locked_deque_full().target(1, Target::ratio(1.60, 4.20))];
    // With equal weights, each item makes room for the next. Uneven ones displace none or several.
    // On average 1,000 items weigh 8,500, so either bound may be reached first.
    vec![
        Case::new("full by count", bounded(1 << 20, |_| 8), peer()),
        Case::new("full by weight", bounded(7_992, |_| 8), peer()),
        Case::new("by either, weights 8 and 9", bounded(8_500, |n| 8 + (n >> 4 & 1) as u32), peer()),
        Case::new("by either, weights 1 to 16", bounded(8_500, |n| 1 + (n & 15) as u32), peer()),
    ]
}

pub(crate) fn cycle() -> Vec<Case> {
    let peers = vec![
        Peer::new("std", "Mutex<VecDeque>", locked_deque(|deque| deque.pop_front()))
            .target(1, Target::ratio(1.10, 1.25))
            .target(2, Target::Ratio(0.90)),
        Peer::new("crossbeam-queue", "ArrayQueue", array_cycle()).target(2, Target::Ratio(0.90)),
        Peer::new("async-channel", "try_send, try_recv", async_cycle()),
        Peer::new("flume", "try_send, try_recv", flume_cycle()),
    ];
    vec![Case::new("offered and taken", cycling(Discipline::Fifo), peers)]
}

pub(crate) fn stack_cycle() -> Vec<Case> {
    let level = Target::ratio(1.00, 1.25);
    let locked_deque = Peer::new("std", "Mutex<VecDeque>", locked_deque(|deque| deque.pop_back()));
    let peers = vec![locked_deque.target(1, level).target(2, Target::Ratio(1.00))];
    vec![Case::new("offered and taken", cycling(Discipline::Lifo), peers)]
}

pub(crate) fn drain() -> Vec<Case> {
    let of = |batch| {
        vec![
            Peer::new("std", "Mutex<VecDeque>", locked_deque_drained(batch)).target(1, Target::Nanos(1.6)),
            Peer::new("tokio", "mpsc recv_many", tokio_drained(batch)),
        ]
    };
    let mut whole = of(FILL);
    whole.push(Peer::new("flume", "drain", flume_drained()));
    vec![
        Case::new("in batches of 64", drained(BATCH), of(BATCH)).one_thread(),
        Case::new("1,024 at once", drained(FILL), whole).one_thread(),
    ]
}

pub(crate) fn reject() -> Vec<Case> {
    let peers = vec![
        Peer::new("tokio", "mpsc try_send", tokio_rejected())
            .target(1, Target::Nanos(3.0))
            .target(2, Target::Nanos(5.0)),
        Peer::new("flume", "try_send", flume_rejected()),
        Peer::new("async-channel", "try_send", async_rejected()),
        Peer::new("crossbeam-queue", "ArrayQueue push", array_rejected()),
    ];
    let ours = offering(Mailbox::builder().discipline(Discipline::KeepOldest));
    vec![Case::new("keep-oldest, full", ours, peers)]
}

fn fill<R>(count: usize, offer: impl Fn(u64) -> R) {
    for n in 0..count as u64 {
        black_box(&offer(n));
    }
}

/// Offers to a mailbox that is full already. Each thread has its own numbers.
fn offering(builder: MailboxBuilder<u64>) -> Side {
    let mailbox = builder.capacity(BOUND).build().expect("valid bounds");
    fill(2 * BOUND, |n| mailbox.offer(n));
    numbered(mailbox, |mailbox, n| {
        // The whole result is used: the displaced items, or the rejection.
        black_box(&black_box(mailbox).offer(n));
    })
}

fn cycling(discipline: Discipline) -> Side {
    let mailbox = Mailbox::builder().capacity(BOUND).discipline(discipline).build().expect("valid bounds");
    Side::new(
        move || (mailbox.clone(), mailbox.inbox(), 0),
        |(mailbox, inbox, n): &mut (Mailbox<u64>, Inbox<u64>, u64)| {
            *n += 1;
            black_box(&black_box(&*mailbox).offer(*n));
            black_box(black_box(inbox).take());
        },
    )
}

fn drained(batch: usize) -> Side {
    Side::prepared(
        FILL as u64,
        move || {
            let mailbox = Mailbox::new(FILL).expect("a valid bound");
            let inbox = mailbox.inbox();
            (mailbox, inbox, Vec::with_capacity(batch))
        },
        |(mailbox, ..)| fill(FILL, |n| mailbox.offer(n)),
        move |(_, inbox, items)| {
            for _ in 0..FILL / batch {
                items.clear();
                black_box(black_box(&mut *inbox).take_into(batch, items));
                black_box(&*items);
            }
        },
    )
}

/// An operation that gets the next number of its thread.
fn numbered<H: Clone + Sync + 'static>(shared: H, op: impl Fn(&H, u64) + Copy + Sync + 'static) -> Side {
    Side::new(
        move || (shared.clone(), 0),
        move |(handle, n)| {
            *n += 1;
            op(handle, *n);
        },
    )
}

/// The hand-written alternative: a deque under a lock, and a count of evicted items.
struct LockedDeque(Mutex<Items>);

struct Items {
    items: VecDeque<u64>,
    lost: u64,
}

impl LockedDeque {
    fn new() -> Self {
        LockedDeque(Mutex::new(Items { items: VecDeque::with_capacity(FILL), lost: 0 }))
    }

    fn offer(&self, item: u64) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if state.items.len() >= BOUND { state.items.pop_front() } else { None };
        state.lost += u64::from(oldest.is_some());
        state.items.push_back(item);
        oldest
    }
}

fn locked_deque_full() -> Peer {
    let deque = Arc::new(LockedDeque::new());
    fill(BOUND, |n| deque.offer(n));
    let side = numbered(deque, |deque, n| {
        black_box(black_box(deque).offer(n));
    });
    Peer::new("std", "Mutex<VecDeque>", side)
}

fn locked_deque(take: impl Fn(&mut VecDeque<u64>) -> Option<u64> + Copy + Sync + 'static) -> Side {
    numbered(Arc::new(LockedDeque::new()), move |deque, n| {
        black_box(black_box(deque).offer(n));
        black_box(take(&mut black_box(deque).0.lock().unwrap_or_else(PoisonError::into_inner).items));
    })
}

fn locked_deque_drained(batch: usize) -> Side {
    Side::prepared(
        FILL as u64,
        move || (Mutex::new(VecDeque::with_capacity(FILL)), Vec::with_capacity(batch)),
        |(deque, _)| deque.get_mut().unwrap_or_else(PoisonError::into_inner).extend(0..FILL as u64),
        move |(deque, items)| {
            for _ in 0..FILL / batch {
                items.clear();
                items
                    .extend(black_box(&*deque).lock().unwrap_or_else(PoisonError::into_inner).drain(..batch));
                black_box(&*items);
            }
        },
    )
}

fn array_full() -> Side {
    let queue = Arc::new((ArrayQueue::new(BOUND), AtomicU64::new(0)));
    fill(BOUND, |n| queue.0.push(n));
    numbered(queue, |queue, n| {
        let (queue, lost) = &**black_box(queue);
        let oldest = queue.force_push(n);
        if oldest.is_some() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        black_box(oldest);
    })
}

fn array_cycle() -> Side {
    numbered(Arc::new(ArrayQueue::new(BOUND)), |queue, n| {
        black_box(&black_box(queue).push(n));
        black_box(black_box(queue).pop());
    })
}

fn array_rejected() -> Side {
    let queue = Arc::new(ArrayQueue::new(BOUND));
    fill(BOUND, |n| queue.push(n));
    numbered(queue, |queue, n| {
        black_box(&black_box(queue).push(n));
    })
}

type Async = (async_channel::Sender<u64>, async_channel::Receiver<u64>);

fn async_full() -> Side {
    let channel: Async = async_channel::bounded(BOUND);
    fill(BOUND, |n| channel.0.try_send(n));
    numbered((channel, Arc::new(AtomicU64::new(0))), |((sender, _), lost), n| {
        let oldest = black_box(sender).force_send(n);
        if let Ok(Some(_)) = oldest {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        black_box(&oldest);
    })
}

fn async_cycle() -> Side {
    let channel: Async = async_channel::bounded(BOUND);
    numbered(channel, |(sender, receiver), n| {
        black_box(&black_box(sender).try_send(n));
        black_box(&black_box(receiver).try_recv());
    })
}

fn async_rejected() -> Side {
    let channel: Async = async_channel::bounded(BOUND);
    fill(BOUND, |n| channel.0.try_send(n));
    numbered(channel, |(sender, _), n| {
        black_box(&black_box(sender).try_send(n));
    })
}

fn flume_cycle() -> Side {
    numbered(flume::bounded::<u64>(BOUND), |(sender, receiver), n| {
        black_box(&black_box(sender).try_send(n));
        black_box(&black_box(receiver).try_recv());
    })
}

fn flume_rejected() -> Side {
    let channel = flume::bounded::<u64>(BOUND);
    fill(BOUND, |n| channel.0.try_send(n));
    numbered(channel, |(sender, _), n| {
        black_box(&black_box(sender).try_send(n));
    })
}

fn flume_drained() -> Side {
    Side::prepared(
        FILL as u64,
        || (flume::bounded::<u64>(FILL), Vec::with_capacity(FILL)),
        |((sender, _), _)| fill(FILL, |n| sender.try_send(n)),
        |((_, receiver), items)| {
            items.clear();
            items.extend(black_box(&*receiver).drain());
            black_box(&*items);
        },
    )
}

fn tokio_rejected() -> Side {
    let (sender, receiver) = tokio::sync::mpsc::channel::<u64>(BOUND);
    fill(BOUND, |n| sender.try_send(n));
    numbered((sender, Arc::new(receiver)), |(sender, _), n| {
        black_box(&black_box(sender).try_send(n));
    })
}

fn tokio_drained(batch: usize) -> Side {
    Side::prepared(
        FILL as u64,
        move || (tokio::sync::mpsc::channel::<u64>(FILL), Vec::with_capacity(batch)),
        |((sender, _), _)| fill(FILL, |n| sender.try_send(n)),
        move |((_, receiver), items)| {
            let mut left = FILL;
            while left > 0 {
                items.clear();
                let mut cx = Context::from_waker(Waker::noop());
                let Poll::Ready(count) = black_box(&mut *receiver).poll_recv_many(&mut cx, items, batch)
                else {
                    unreachable!("all was sent before");
                };
                left -= count;
                black_box(&*items);
            }
        },
    )
}
