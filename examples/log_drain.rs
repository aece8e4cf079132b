//! Log lines in front of a sink that is slow and sometimes unreachable, on plain threads.
//!
//! ```text
//! cargo run --example log_drain
//! ```
//!
//! Two writers log faster than the sink reads. The mailbox keeps the lines in slices of 20 ms and
//! delivers the newest slice first. Slices older than 100 ms expire. Each frame to the sink starts
//! with a notice of what was lost since the last one: how many lines, why, and since when. If a
//! frame cannot be delivered, its lines are part of the next notice.

use plimsoll::buffer::Lost;
use plimsoll::prelude::*;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const LINES: u64 = 20_000;
const WRITERS: u64 = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slice = Duration::from_millis(20);
    let lines = Mailbox::builder()
        .name("log")
        .discipline(Discipline::TimeBuckets { slice, slices: 5 })
        .capacity(10_000)
        .max_bytes(1024 * 1024) // counts the capacity of a `String`, not its length
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let inbox = lines.inbox();

    let (drain, sink) = thread::scope(|s| {
        let sink = s.spawn(move || read_frames(listener));
        let drain = s.spawn(move || drain(inbox, || TcpStream::connect(address)));
        for writer in 0..WRITERS {
            let lines = lines.clone();
            s.spawn(move || write_lines(lines, writer));
        }
        drop(lines); // the mailbox closes when the last writer has ended
        (drain.join(), sink.join())
    });
    let (sent, lost) = drain.map_err(|_| "the drain panicked")??;
    let (received, missing) = sink.map_err(|_| "the sink panicked")??;
    println!("the drain sent {sent} lines and reported {lost}");
    println!("the sink received {received} lines and notices of {missing} lost lines");
    assert_eq!(sent + lost.total(), LINES, "every line is accounted for");
    assert_eq!((received, missing), (sent, lost.total()), "by the sink as well");
    Ok(())
}

fn write_lines(lines: Mailbox<String>, writer: u64) {
    for n in 0..LINES / WRITERS {
        let _ = lines.offer(format!("writer {writer}: line {n}")); // never waits
        if n % 100 == 99 {
            thread::sleep(Duration::from_millis(6));
        }
    }
}

/// Sends frames until the mailbox is closed and empty.
///
/// Returns the number of lines that were sent, and the losses that were reported.
fn drain(mut inbox: Inbox<String>, connect: impl Fn() -> io::Result<TcpStream>) -> io::Result<(u64, Lost)> {
    let (mut sent, mut reported, mut frames) = (0, Lost::default(), 0);
    // Blocks until there are lines or losses, for at most a second.
    while let Some(mail) = inbox.blocking_mail_timeout(Duration::from_secs(1)) {
        if mail.is_empty() {
            continue;
        }
        let mut frame = String::new();
        if !mail.lost.is_empty() {
            frame += &format!("! {}\n", mail.lost);
        }
        for line in &mail.items {
            frame.extend([line, "\n"]);
        }
        // Every fourth time, the sink is unreachable.
        frames += 1;
        let delivered = match frames % 4 {
            0 => Err(ErrorKind::ConnectionRefused.into()),
            _ => connect().and_then(|mut sink| sink.write_all(frame.as_bytes())),
        };
        match delivered {
            Ok(()) => {
                sent += mail.items.len() as u64;
                reported += mail.lost;
            }
            Err(_) => {
                // The next notice reports these lines, and the losses that this one reported.
                inbox.restore_losses(mail.into_lost());
                thread::sleep(Duration::from_millis(120));
            }
        }
        thread::sleep(Duration::from_millis(20)); // the sink is slow
    }
    connect()?.write_all(b"end\n")?;
    Ok((sent, reported))
}

/// Returns the number of lines that the sink received, and the number that the notices reported.
fn read_frames(listener: TcpListener) -> io::Result<(u64, u64)> {
    let (mut received, mut missing) = (0, 0);
    for connection in listener.incoming() {
        for line in BufReader::new(connection?).lines() {
            let line = line?;
            if line == "end" {
                return Ok((received, missing));
            }
            match lost_lines(&line) {
                Some(count) => {
                    println!("{line}");
                    missing += count;
                }
                None => received += 1,
            }
        }
    }
    Ok((received, missing))
}

/// Returns the number of lost lines if `line` is a notice: "! 2600 items lost since …".
fn lost_lines(line: &str) -> Option<u64> {
    line.strip_prefix("! ")?.split(' ').next()?.parse().ok()
}
