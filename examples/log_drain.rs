//! Log lines in front of a sink that is too slow, and now and then away: time buckets, and word of each
//! gap in the output itself.
//!
//! ```text
//! cargo run --example log_drain
//! ```
//!
//! The lines go to a reader on a real socket, in frames. It reads slowly, so the newest lines are sent
//! first and a slice of time that has become too old goes whole; the next frame begins by saying how much
//! is missing, why, and since when. A frame that cannot be delivered is told as lost in the next. Plain
//! threads, no runtime.

use plimsoll::buffer::Lost;
use plimsoll::prelude::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const LINES: u64 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slice = Duration::from_millis(20);
    let lines = Mailbox::builder()
        .name("log")
        .discipline(Discipline::TimeBuckets { slice, slices: 5 })
        .capacity(10_000)
        .max_bytes(1024 * 1024) // what the lines really hold, not what they show
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let inbox = lines.inbox();

    let (drained, read) = std::thread::scope(|s| {
        let reader = s.spawn(move || read(listener));
        let drain = s.spawn(move || drain(inbox, || TcpStream::connect(address)));
        for writer in 0..2 {
            let lines = lines.clone();
            s.spawn(move || {
                for n in 0..LINES / 2 {
                    let _ = lines.offer(format!("writer {writer}: line {n}")); // never waits
                    if n % 100 == 99 {
                        std::thread::sleep(Duration::from_millis(6));
                    }
                }
            });
        }
        drop(lines); // the mailbox closes when the last writer is done
        (drain.join(), reader.join())
    });
    let (sent, told) = drained.map_err(|_| "the drain died")??;
    let (seen, heard) = read.map_err(|_| "the reader died")??;
    println!("sent {sent} lines, told of {told}");
    println!("read {seen} lines and heard of {heard} that are missing");
    assert_eq!(sent + told.total(), LINES, "every line is accounted for");
    assert_eq!((seen, heard), (sent, told.total()), "by the reader, too");
    Ok(())
}

/// Sends frames until the mailbox is closed and empty; answers what was delivered and what was told.
fn drain(
    mut inbox: Inbox<String>,
    connect: impl Fn() -> std::io::Result<TcpStream>,
) -> std::io::Result<(u64, Lost)> {
    let (mut sent, mut told) = (0, Lost::default());
    let mut frames = 0;
    // Blocks this thread until there is something to tell: lines, or a loss.
    while let Some(mail) = inbox.blocking_mail_timeout(Duration::from_secs(1)) {
        if mail.is_empty() {
            continue; // nothing within the second
        }
        frames += 1;
        let mut frame = String::new();
        if !mail.lost.is_empty() {
            frame += &format!("! {}\n", mail.lost);
        }
        mail.items.iter().for_each(|line| frame.extend([line, "\n"]));
        // Every fourth time the sink is gone.
        let delivered = if frames % 4 == 0 {
            Err(std::io::ErrorKind::ConnectionRefused.into())
        } else {
            connect().and_then(|mut sink| sink.write_all(frame.as_bytes()))
        };
        match delivered {
            Ok(()) => {
                sent += mail.items.len() as u64;
                told += mail.lost;
            }
            Err(_) => {
                // Lost on the way: the lines, and the word of what was missing before them.
                inbox.restore_losses(mail.into_lost());
                std::thread::sleep(Duration::from_millis(120)); // it is away for a while
            }
        }
        std::thread::sleep(Duration::from_millis(20)); // it takes its time
    }
    connect()?.write_all(b"bye\n")?;
    Ok((sent, told))
}

/// Reads frames; answers how many lines came, and how many are said to be missing.
fn read(listener: TcpListener) -> std::io::Result<(u64, u64)> {
    let (mut seen, mut missing) = (0, 0);
    for sink in listener.incoming() {
        for line in BufReader::new(sink?).lines() {
            let line = line?;
            if line == "bye" {
                return Ok((seen, missing));
            }
            match line.strip_prefix("! ").and_then(|notice| notice.split(' ').next()?.parse::<u64>().ok()) {
                Some(count) => {
                    println!("{line}");
                    missing += count;
                }
                None => seen += 1,
            }
        }
    }
    Ok((seen, missing))
}
