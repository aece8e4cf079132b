//! Allocations: none by offering or taking, once a mailbox has been full.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_buffer::{Discipline, Mailbox};
use plimsoll_core::ManualTime;
use std::time::Duration;
use tokio_test::task;

#[test]
fn a_warm_mailbox_allocates_nothing() {
    let (ms, s) = (Duration::from_millis(1), Duration::from_secs(1));
    for discipline in [
        Discipline::Fifo,
        Discipline::KeepOldest,
        Discipline::Lifo,
        Discipline::LifoWithAge { max_age: s },
        Discipline::CODEL,
        Discipline::ADAPTIVE_LIFO,
        Discipline::TimeBuckets { slice: ms, slices: 100 },
    ] {
        for weighed in [false, true] {
            let time = ManualTime::new();
            let builder = Mailbox::builder().capacity(100).discipline(discipline).clock(time.clock());
            let builder = if weighed { builder.max_weight(1_000, |_: &u64| 10).max_age(s) } else { builder };
            let mailbox = builder.build().unwrap();
            let mut inbox = mailbox.inbox();
            let mut out = Vec::with_capacity(200);
            let mut round = || {
                for n in 0..200 {
                    let _ = mailbox.offer(n).map(|displaced| assert!(displaced.len() <= 1));
                    time.advance(ms / 10);
                }
                for _ in 0..50 {
                    let _ = inbox.take();
                }
                let _ = inbox.take_into(20, &mut out);
                {
                    let mut mail = task::spawn(inbox.mail_into(&mut out));
                    let _ = mail.poll();
                }
                out.clear();
                // The same with a consumer that has to wait.
                let mut mail = task::spawn(inbox.mail_into(&mut out));
                assert!(mail.poll().is_pending());
                let _ = mailbox.offer(1);
                let _ = mail.poll();
                drop(mail);
                out.clear();
            };
            round();
            round();
            let spawns = measure(|| drop(task::spawn(async {}))).count_total;
            let used = measure(&mut round).count_total;
            assert_eq!(used - 2 * spawns, 0, "{discipline}, weighed: {weighed}");
        }
    }
}
